"""What [monitor] names for charts alone: no run fails for it, and so nobody else looks."""

from collections.abc import Iterator

from rowcast import fetch
from rowcast.config import Monitor
from rowcast.doctor.finding import Finding, guard
from rowcast.doctor.rights import check_grants, tell_denied
from rowcast.errors import DatabaseError
from rowcast.source import Source, days_until
from rowcast.watch.chart_data import DAYS, chart_timezone, group_column


def check_charts(source: Source, monitor: Monitor) -> Iterator[Finding]:
    """Yield what is wrong with what [monitor] names for charts."""
    if monitor.group_by is None and monitor.events is None:
        return
    if source.time is None:
        told = "[monitor] group_by and events are for charts, which need a time"
        yield Finding("warning", told, "name [source] time, or leave both out")
    yield from guard(_check_group(source, monitor))
    yield from guard(_check_maintenance(source, monitor))


def _check_group(source: Source, monitor: Monitor) -> Iterator[Finding]:
    column = group_column(source, monitor)
    if column is not None:
        yield Finding("ok", f"charts are drawn by {column.name}")


def _check_maintenance(source: Source, monitor: Monitor) -> Iterator[Finding]:
    """Yield whether maintenance events can be read as charts read them."""
    if monitor.events is None:
        return
    lacking = list(check_grants(source.db, source.db.admin.list_source_grants([monitor.events])))
    now = source.db.now()
    maintenance = fetch.Maintenance(source, monitor)
    try:
        batches = list(maintenance.fetch_by_day(days_until(now, DAYS, chart_timezone(source, monitor)), now))
        timeless = maintenance.count_timeless()
    except DatabaseError as error:
        yield from lacking or [tell_denied(source.db, error, "[monitor] events cannot be read")]
        return
    rows = sum(row["rows"] for batch in batches for row in batch.to_pylist())
    yield Finding("ok", f"{monitor.events} can be read; events in the last {DAYS} days: {rows:,}")
    if timeless:
        told = f"events of {monitor.events} without a time that can be read, which charts leave out: {timeless:,}"
        yield Finding("warning", told, "give them one, or name a view without them")
