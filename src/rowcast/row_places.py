"""How many rows of a job are where, for whoever asks often: three passes over the source, however many rows are stored.

What is stored is added up from the batches that published it. An audit counts each part by itself, and so proves them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rowcast.job.opening import Job


@dataclass(frozen=True)
class RowPlaces:
    """Rows by where they are."""

    counted_at: datetime
    source: int
    unusable: int  # key NULL or repeated, or time NULL
    out_of_scope: int
    scored: int  # by the batches that published them, rows among them that the source has no longer
    quarantined: int
    forgotten: int  # whose results were deleted by `rowcast forget`
    pending: int
    oldest: timedelta | None  # since the event of the oldest pending row; None where none is pending yet, or has a time


def count_places(job: Job) -> RowPlaces:
    """Count the rows as they are now; the keys of the whole table are read."""
    now, scope = job.store.now(), job.ledger.state().scope
    stored = job.ledger.count_stored()
    rows, unusable = _count_source(job)
    waiting = job.pending.count_waiting(scope, now)
    return RowPlaces(
        now,
        rows,
        unusable,
        waiting.out_of_scope,
        stored.scored,
        stored.quarantined,
        stored.forgotten,
        waiting.pending,
        None if waiting.oldest_h is None else timedelta(hours=waiting.oldest_h),
    )


def _count_source(job: Job) -> tuple[int, int]:
    """All rows, and those that are unusable."""
    source, table = job.source, job.source.table()
    every = source.select(sa.func.count(), table=table)
    rows, usable = (int(source.db.scalar(counted)) for counted in (every, every.where(source.usable(table))))
    return rows, max(0, rows - usable)  # of rows that come in between none is unusable
