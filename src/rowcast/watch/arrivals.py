"""Whether new rows can be scored at all: how many are unusable, and how many are too old to be looked for."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.step_record import StepReport
from rowcast.messages.events import LOOKS, RowsGone, RowsOverdue, RowsUnusable

_APART = timedelta(days=1)  # between two looks, which read the keys of the whole table


def watch_unusable(run: Run, about: StepReport) -> list[RowsUnusable] | None:
    """Count unusable rows, and return an event where too large a share of those since the last look is unusable.

    Return None where nothing new can be said: the day has been looked at, or no row has come since.
    """
    before = run.job.profiles.find_last_look(run.run_id, "unusable")
    if before is not None and _is_same_day(before[0], run.now):
        return None
    rows, unusable = _count(run.job, run.now)
    about.metrics |= {"unusable": unusable, "source_rows": rows}
    counted = run.job.profiles.find_last_look(run.run_id, "source_rows")
    known_rows, known_unusable = (0, 0) if before is None or counted is None else (int(counted[1]), int(before[1]))
    new, bad = rows - known_rows, unusable - known_unusable
    if new <= 0 and bad == 0:
        return None
    most = run.job.settings.check.max_quarantine
    return [RowsUnusable(bad, max(new, bad), most, run.now, run.run_id)] if bad > most * max(new, bad) else []


def watch_gone(run: Run, about: StepReport) -> list[RowsGone] | None:
    """Return an event where the source has lost more than half of its rows; None where they were not counted now.

    `watch_unusable` counts them. Rows that a plant archives go little by little.
    """
    rows = about.metrics.get("source_rows")
    if rows is None:
        return None
    looks = run.job.profiles.find_looks(run.run_id, "source_rows", LOOKS)
    before = max((int(value) for at, value in looks if at <= run.now), default=0)
    return [RowsGone(int(rows), before, run.now, run.run_id)] if rows < before / 2 else []


def watch_overdue(run: Run, about: StepReport) -> list[RowsOverdue] | None:
    """Return an event where rows are pending that no run looks for, since they are older than late arrivals may be."""
    job = run.job
    before = job.profiles.find_last_look(run.run_id, "overdue")
    if before is not None and _is_same_day(before[0], run.now):
        return None
    state = job.ledger.state()
    since = state.search_start(job.settings.source.late_arrival, run.now)
    overdue = None if since is None else job.pending.count_before(state.scope, run.now, since)
    about.metrics["overdue"] = 0 if overdue is None else overdue.rows
    if overdue is None or not overdue.rows:
        return []
    return [RowsOverdue(overdue.rows, overdue.oldest, run.now, run.run_id)]


def _is_same_day(looked: datetime, now: datetime) -> bool:
    """Return whether a look is not a day old; one of the future, as of a clock that was ahead, is no look."""
    return timedelta(0) <= now - looked < _APART


def _count(job: Job, now: datetime) -> tuple[int, int]:
    """All rows of the source that are there at a moment, those without a time among them, and the unusable ones."""
    source, table = job.source, job.source.table()
    there = source.visible(now)
    if source.time is not None:
        there = sa.or_(there, sa.not_(source.db.sql.has_event_time(source.time)))
    counted = source.select(sa.func.count(), table=table).where(there)
    return int(source.db.scalar(counted)), int(source.db.scalar(counted.where(sa.not_(source.usable(table)))))
