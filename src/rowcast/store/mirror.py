"""How far a job's record has been sent to a tracking server: a cursor over what the store holds anyway."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import DatabaseError
from rowcast.store.lease import stands
from rowcast.store.process import is_gone, process_name
from rowcast.store.records import RunRecord
from rowcast.store.tables import Tables

_LEASE = timedelta(minutes=5)  # that a process has for one part; on this machine it is seen earlier that it died
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=2), timedelta(hours=6)  # between two tries; each is four times the last


@dataclass(frozen=True)
class MirrorState:
    """What has been sent."""

    store_id: str  # by which the server tells this store's runs from another one's
    run_id: int  # the last run that was sent
    promotion_id: int  # the last decision that was
    attempts: int  # since something was last taken
    next_try: datetime | None


class Mirror:
    """The cursor of one job."""

    def __init__(self, db: Database, tables: Tables, job: str) -> None:
        self.db = db
        self.tables = tables
        self.job = job

    def state(self) -> MirrorState | None:
        """Return what has been sent; None where nothing ever was."""
        table = self.tables.mirror
        columns = [table.c[name] for name in ("store_id", "run_id", "promotion_id", "attempts", "next_try")]
        found = self.db.rows(sa.select(*columns).where(table.c.job == self.job))
        return MirrorState(**found[0]) if found else None

    def claim(self, *, at_once: bool = False) -> MirrorState | None:
        """Take the cursor, which one process at a time may; None where another has it, or no try is due.

        With `at_once` a try is due.
        """
        self._begin()
        table = self.tables.mirror
        with self.db.transaction("write"):
            self.db.lock(table, self.job)
            [row] = self.db.rows(sa.select(table).where(table.c.job == self.job))
            now = self.db.now()
            taken = stands(row["lease_until"], now, _LEASE) and not is_gone(row["worker"])
            if taken or not (at_once or _is_due(row["next_try"], now)):
                return None
            self._set(worker=process_name(), lease_until=now + _LEASE)
        return self.state()

    def advance(self, *, run_id: int | None = None, promotion_id: int | None = None) -> None:
        """Record that a run or a decision was sent, and keep the claim."""
        values: dict[str, Any] = {"run_id": run_id} if run_id is not None else {"promotion_id": promotion_id}
        self._set(**values, attempts=0, next_try=None, lease_until=self.db.now() + _LEASE)

    def release(self, state: MirrorState, *, failed: bool) -> None:
        """Let go of the claim; after a failure the next try waits, each time longer."""
        values: dict[str, Any] = {"worker": None, "lease_until": None}
        if failed:
            now = self.state() or state
            wait = min(_FIRST_WAIT * 4 ** min(now.attempts, 10), _LONGEST_WAIT)
            values |= {"attempts": now.attempts + 1, "next_try": self.db.now() + wait}
        self._set(**values)

    def list_ended(self, after: int, most: int) -> list[RunRecord]:
        """Return the runs after this one that have ended, in their order, up to the first that has not."""
        table = self.tables.run
        later = sa.select(table).where(table.c.job == self.job, table.c.run_id > after)
        found = [RunRecord.from_row(row) for row in self.db.rows(later.order_by(table.c.run_id).limit(most))]
        open_ones = [place for place, run in enumerate(found) if run.finished_at is None]
        return found[: open_ones[0]] if open_ones else found

    def count_waiting(self, state: MirrorState) -> int:
        """Return how many runs and decisions are yet to be sent; those under way are none of them."""
        run, promotion = self.tables.run, self.tables.promotion
        runs = [run.c.job == self.job, run.c.run_id > state.run_id, run.c.finished_at.is_not(None)]
        decided = [promotion.c.job == self.job, promotion.c.promotion_id > state.promotion_id]
        counted = (sa.select(sa.func.count().label("n")).where(*parts) for parts in (runs, decided))
        return sum(int(self.db.scalar(statement)) for statement in counted)

    def _begin(self) -> None:
        if self.state() is not None:
            return
        first = {"job": self.job, "store_id": uuid.uuid4().hex[:12], "run_id": 0, "promotion_id": 0, "attempts": 0}
        try:
            self.db.execute(self.tables.mirror.insert().values(first))
        except DatabaseError as error:
            if error.reason != "duplicate":  # another process has begun just now
                raise

    def _set(self, **values: Any) -> None:
        self.db.execute(self.tables.mirror.update().where(self.tables.mirror.c.job == self.job).values(values))


def _is_due(next_try: datetime | None, now: datetime) -> bool:
    """Return whether a try is due; one further away than any that is set now was set by a clock that was ahead."""
    return next_try is None or next_try <= now or next_try > now + 2 * _LONGEST_WAIT


def rewind(tables: Tables, job: str, run_id: int) -> sa.Update:
    """Return the statement by which a run that goes on is sent once more when it ends, and those after it."""
    mirror = tables.mirror
    sent = sa.and_(mirror.c.job == job, mirror.c.run_id >= run_id)
    return mirror.update().where(sent).values(run_id=run_id - 1)
