"""How much the store holds, and how fast it grows."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa

from rowcast.config import Settings
from rowcast.database import Database
from rowcast.doctor.finding import Finding
from rowcast.store.records import BatchStatus
from rowcast.store.tables import JobTables, Tables

_PACE = timedelta(days=28)  # that a year's growth is taken from
_LEAST = timedelta(days=1)  # of a job's age, before which there is no pace
_YEAR = timedelta(days=365)


def check_growth(store: Database, shared: Tables, own: JobTables, settings: Settings) -> Iterator[Finding]:
    """Yield how much the store holds of this job and of all, and what a year takes at the pace of the last weeks."""
    now, job = store.now(), settings.name
    began = store.rows(sa.select(shared.job.c.created_at).where(shared.job.c.job == job))
    if not began:
        return
    sizes = {table: store.admin.count_bytes(table) for table in (*own.all, *shared.shared)}
    results, notes = (sum(sizes[table] for table in group) for group in (own.all, shared.shared))
    held = (
        f"the store holds {_spell(results)} of this job's rows, and {_spell(notes)} about the runs and versions of all"
    )
    age = now - began[0]["created_at"]
    if age < _LEAST:
        yield Finding("ok", f"{held}; a year's growth can be told when the job is a day old")
        return
    period = min(age, _PACE)
    growth = results * _share_of_rows(store, shared, job, now - period) + notes * _share_of_runs(
        store, shared, now - period
    )
    pruned = "" if settings.store.keep is None else f"; what [store] keep prunes is {settings.store.keep.days} days old"
    more = _spell(growth * (_YEAR / period))
    told = f"{held}; at the pace of the last {max(1, period.days)} days a year takes {more} more"
    way = "[store] keep = \"400d\" prunes what no promise needs; 'rowcast forget --before DATE' deletes old results"
    yield Finding("ok", told + pruned, way if settings.store.keep is None else "")


def _share_of_rows(store: Database, shared: Tables, job: str, since: datetime) -> float:
    """Which share of a job's published rows was published since a moment."""
    batch = shared.batch
    published = sa.and_(batch.c.job == job, batch.c.status == BatchStatus.PUBLISHED)
    counted = sa.select(sa.func.sum(sa.cast(batch.c.row_count, sa.BigInteger)))
    every, new = (
        store.scalar(counted.where(*these)) or 0 for these in ((published,), (published, batch.c.finished_at >= since))
    )
    return float(new) / float(every) if every else 0.0


def _share_of_runs(store: Database, shared: Tables, since: datetime) -> float:
    """Which share of all jobs' runs began since a moment."""
    run = shared.run
    counted = sa.select(sa.func.count()).select_from(run)
    every, new = store.scalar(counted), store.scalar(counted.where(run.c.started_at >= since))
    return new / every if every else 0.0


def _spell(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB" if size < 1000 else f"{size / 1000:,.3g} TB"
