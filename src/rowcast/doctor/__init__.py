"""Looks at everything that a job needs, changes nothing that stays, and names what is wrong with the way out.

databases.py   whether source and store answer
installed.py   packages
source.py      rows, keys, times
columns.py     columns and their values
labels.py      how many labels are known, and of which classes
charts.py      what [monitor] names
store.py       rowcast's own tables, and the champion
"""

from contextlib import ExitStack

from rowcast.config import Settings
from rowcast.doctor.charts import check_charts
from rowcast.doctor.columns import check_columns
from rowcast.doctor.databases import is_together, open_database
from rowcast.doctor.finding import Finding, guard
from rowcast.doctor.installed import check_installed, check_sinks
from rowcast.doctor.source import check_rows, open_readable_source
from rowcast.doctor.store import check_store
from rowcast.source import meet_store

__all__ = ["Finding", "examine"]


def examine(settings: Settings) -> list[Finding]:
    """Look at drivers, databases, source, labels, store and champion. What fails becomes a problem, not an exception.

    Reads the whole source some times over: its keys, times and labels are counted.
    """
    findings = list(guard(check_installed(settings)))
    with ExitStack() as stack:
        db = open_database("source", settings.source_url, stack, findings)
        store = db
        if not is_together(settings):
            store = open_database("store", settings.store_url, stack, findings)
        source = open_readable_source(db, settings, findings) if db else None
        if source and store:
            source = meet_store(source, store)
        if source:
            findings += guard(check_rows(source, settings))
            findings += guard(check_columns(source, settings))
            findings += check_charts(source, settings.monitor)
        if store:
            findings += guard(check_store(source, store, settings))
    return [*findings, *check_sinks(settings)]
