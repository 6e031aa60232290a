"""Old results are deleted, batch by batch; the keys of their rows are kept, so that nobody scores them again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rowcast.store.ledger.planning import Planning
from rowcast.store.ledger.records import ForgottenRows, OldBatch
from rowcast.store.records import BatchStatus, RunStatus


class Forgetting(Planning):
    """What of the results is deleted."""

    def find_old(self, before: datetime) -> list[OldBatch]:
        """Return the batches that were published before a moment, but for those of runs that are under way."""
        batch, run = self.tables.batch, self.tables.run
        running = sa.select(run.c.run_id).where(run.c.job == self.job, run.c.status == RunStatus.RUNNING)
        published = sa.and_(batch.c.job == self.job, batch.c.status == BatchStatus.PUBLISHED)
        old = sa.and_(published, batch.c.finished_at < before, batch.c.run_id.not_in(running))
        asked = sa.select(batch.c.batch_id).where(old)
        # Not as they were published: some may have been scored again or set aside again by a later batch.
        own = (self.own.prediction, self.own.quarantine)
        scored, quarantined = (self._count_by_batch(table, table.c.batch_id.in_(asked)) for table in own)
        ids = [row["batch_id"] for row in self.db.rows(asked.order_by(batch.c.batch_id))]
        return [OldBatch(each, scored.get(each, 0), quarantined.get(each, 0)) for each in ids]

    def forget_batches(self, batch_ids: Sequence[int], run_id: int) -> ForgottenRows:
        """Delete the results of published batches in one transaction, and return how many there were.

        Predictions, quarantined rows, the history, scores in the shadow and profiles go; the keys of the rows stay.
        """
        batch, own = self.tables.batch, self.own
        with self.planning():  # whoever moves rows to the history waits
            asked = batch.c.batch_id.in_(list(batch_ids))
            still = sa.and_(batch.c.job == self.job, batch.c.status == BatchStatus.PUBLISHED, asked)
            ids = [row["batch_id"] for row in self.db.rows(sa.select(batch.c.batch_id).where(still))]
            if not ids:
                return ForgottenRows()
            for table in (own.prediction, own.quarantine):
                self._keep_keys(table, ids)
            kept = self._count_by_batch(own.forgotten, own.forgotten.c.batch_id.in_(ids))
            counts = {table.name: self._delete(table, ids) for table in (own.prediction, own.quarantine, own.shadow)}
            for table in (own.history, self.tables.profile, self.tables.shadow_batch):
                self._delete(table, ids)
            for batch_id in ids:
                values = {"status": BatchStatus.FORGOTTEN, "forgotten": kept.get(batch_id, 0), "forgotten_run": run_id}
                self.db.execute(batch.update().where(batch.c.batch_id == batch_id).values(values))
        return ForgottenRows(len(ids), *counts.values())

    def forgotten_until(self) -> datetime | None:
        """Return up to when results were published that are forgotten by now; None where there are none."""
        batch = self.tables.batch
        gone = sa.and_(batch.c.job == self.job, batch.c.status == BatchStatus.FORGOTTEN)
        newest = sa.select(batch.c.finished_at).where(gone).order_by(batch.c.finished_at.desc()).limit(1)
        found = self.db.rows(newest)
        return found[0]["finished_at"] if found else None

    def _keep_keys(self, table: sa.Table, ids: Sequence[int]) -> None:
        forgotten = self.own.forgotten
        names = [column.name for column in forgotten.c]
        kept = sa.select(*[table.c[name] for name in names]).where(table.c.batch_id.in_(ids))
        self.db.execute(forgotten.insert().from_select(names, kept))

    def _count_by_batch(self, table: sa.Table, theirs: sa.ColumnElement[bool]) -> dict[int, int]:
        counted = sa.select(table.c.batch_id, sa.func.count().label("n")).where(theirs).group_by(table.c.batch_id)
        return {row["batch_id"]: row["n"] for row in self.db.rows(counted)}

    def _delete(self, table: sa.Table, ids: Sequence[int]) -> int:
        theirs: sa.ColumnElement[Any] = table.c.batch_id.in_(ids)
        count: int = self.db.scalar(sa.select(sa.func.count()).select_from(table).where(theirs))
        if count:
            self.db.execute(table.delete().where(theirs))
        return count
