"""Batches that are open: planned under a lock, listed, and halved where they fail."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rowcast.source import KeyRange
from rowcast.store.ledger.part import LedgerPart
from rowcast.store.ledger.records import OPEN, BatchRow
from rowcast.store.records import BatchStatus
from rowcast.store.tables import Tables


class Planning(LedgerPart):
    """Which rows are to be scored together."""

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        """Hold the job's planning lock: two runs never plan the same rows."""
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            yield

    def open_ranges(self, but: int | None = None) -> list[KeyRange]:
        """Return the ranges that are planned or claimed and not yet published, except one batch's.

        Batches that were planned one after the other are one range: there may be thousands.
        """
        found: list[KeyRange] = []
        before: BatchRow | None = None
        for row in self._open_rows():
            if row.batch_id == but:
                continue
            if before is not None and row.plan is not None and _follows(row, before):
                found[-1] = KeyRange(found[-1].first, row.keys.last, found[-1].rows + row.keys.rows)
            else:
                found.append(row.keys)
            before = row
        return found

    def newest_batch(self) -> int:
        """Return the id of the batch planned last; 0 where there is none."""
        table = self.tables.batch
        return self.db.scalar(sa.select(sa.func.max(table.c.batch_id)).where(table.c.job == self.job)) or 0

    def open_batches(self, run_id: int | None = None, as_of: datetime | None = None) -> list[int]:
        """Return the ids of this job's batches that nobody alive holds, from whichever run or from one.

        `as_of` leaves out those of runs as of later: whose rows are not all visible then would be published without.
        """
        table, run = self.tables.batch, self.tables.run
        statement = self._open_batches()
        if run_id is not None:
            statement = statement.where(table.c.run_id == run_id)
        if as_of is not None:
            later = sa.select(sa.literal(1)).where(run.c.run_id == table.c.run_id, run.c.as_of > as_of)
            statement = statement.where(~sa.exists(later))
        found = self._batch_rows(statement)
        now = self.db.now()
        return [row.batch_id for row in found if row.is_free(now)]

    def measure_progress(self, run_id: int) -> tuple[int, int]:
        """Return how many rows of the batches that a run planned are published, and how many it planned."""
        table = self.tables.batch
        mine = sa.and_(table.c.job == self.job, table.c.run_id == run_id, table.c.status != BatchStatus.HALVED)
        counted = sa.select(table.c.status, sa.func.sum(table.c.row_count).label("n")).where(mine)
        rows = {row["status"]: int(row["n"] or 0) for row in self.db.rows(counted.group_by(table.c.status))}
        return rows.get(BatchStatus.PUBLISHED, 0), sum(rows.values())

    def later_batches(self, as_of: datetime) -> list[tuple[int, KeyRange]]:
        """Return the batches that nobody alive holds and that `open_batches` leaves out `as_of` a moment."""
        table, run, now = self.tables.batch, self.tables.run, self.db.now()
        later = sa.select(sa.literal(1)).where(run.c.run_id == table.c.run_id, run.c.as_of > as_of)
        found = self._batch_rows(self._open_batches().where(sa.exists(later)))
        return [(row.batch_id, row.keys) for row in found if row.is_free(now)]

    def list_spread(self, most: int) -> list[tuple[int, KeyRange]]:
        """Return some published batches that hold predictions, spread evenly from the oldest to the newest."""
        table = self.tables.batch
        mine = sa.and_(table.c.job == self.job, table.c.status == BatchStatus.PUBLISHED, table.c.scored > 0)
        ends = sa.select(sa.func.min(table.c.batch_id).label("first"), sa.func.max(table.c.batch_id).label("last"))
        [found] = self.db.rows(ends.where(mine))
        if found["first"] is None:
            return []
        first, last = int(found["first"]), int(found["last"])
        chosen: dict[int, KeyRange] = {}
        for place in range(most):
            from_here = sa.and_(mine, table.c.batch_id >= first + (last - first) * place // max(most - 1, 1))
            [row] = self._batch_rows(sa.select(table).where(from_here).order_by(table.c.batch_id).limit(1))
            chosen[row.batch_id] = row.keys
        return list(chosen.items())

    def add_batches(self, run_id: int, ranges: Sequence[KeyRange], model_version: int | None) -> list[int]:
        """Record ranges that were planned together, in key order, and return the ids of their batches.

        A version of None is decided when the batch is claimed.
        """
        table = self.tables.batch
        plan = self.newest_batch() + 1 if ranges else None
        return [
            self.db.scalar(
                table.insert()
                .values(
                    job=self.job,
                    run_id=run_id,
                    model_version=model_version,
                    status=BatchStatus.PLANNED,
                    plan=plan,
                    key_from=json.dumps(keys.first, ensure_ascii=False),
                    key_to=json.dumps(keys.last, ensure_ascii=False),
                    attempts=0,
                    row_count=keys.rows,
                )
                .returning(table.c.batch_id)
            )
            for keys in ranges
        ]

    def planned_range(self, batch_id: int) -> KeyRange | None:
        """Return the keys of a batch that is planned and in nobody's hands; None for any other."""
        found = self._batch_rows(sa.select(self.tables.batch).where(self._is_planned(batch_id)))
        return found[0].keys if found else None

    def halve(self, batch_id: int, run_id: int, ranges: Sequence[KeyRange]) -> list[int]:
        """Put smaller batches in a planned one's place, with its model, and return their ids.

        Nothing is done where a worker has taken the batch up.
        """
        table = self.tables.batch
        values = {"status": BatchStatus.HALVED, "row_count": 0, "finished_at": self.db.now()}
        statement = table.update().where(self._is_planned(batch_id)).values(values)
        halved = self.db.rows(statement.returning(table.c.model_version))
        return self.add_batches(run_id, ranges, halved[0]["model_version"]) if halved else []

    def _is_planned(self, batch_id: int) -> sa.ColumnElement[bool]:
        table = self.tables.batch
        return sa.and_(table.c.batch_id == batch_id, table.c.job == self.job, table.c.status == BatchStatus.PLANNED)

    def _open_rows(self) -> list[BatchRow]:
        return self._batch_rows(self._open_batches())

    def _open_batches(self) -> sa.Select[Any]:
        table = self.tables.batch
        still_open = table.c.status.in_([status.value for status in OPEN])
        return sa.select(table).where(table.c.job == self.job, still_open).order_by(table.c.batch_id)

    def _batch_rows(self, statement: sa.Select[Any]) -> list[BatchRow]:
        return [BatchRow.from_row(row) for row in self.db.rows(statement)]


def leave_to_champion(tables: Tables, job: str) -> sa.Update:
    """Return the statement by which whoever is champion scores what is planned and not begun."""
    batch = tables.batch
    return batch.update().where(batch.c.job == job, batch.c.status == BatchStatus.PLANNED).values(model_version=None)


def _follows(row: BatchRow, before: BatchRow) -> bool:
    return (row.plan, row.batch_id) == (before.plan, before.batch_id + 1)
