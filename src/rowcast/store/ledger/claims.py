"""Claims: a worker takes a batch under a lease, renews it while it works, and gives it back where it fails."""

import os
from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rowcast.store.lease import LEASE
from rowcast.store.ledger.planning import Planning
from rowcast.store.ledger.records import OPEN, Batch
from rowcast.store.process import is_gone, process_name
from rowcast.store.records import BatchStatus


class Claims(Planning):
    """Who works on which batch."""

    def claim(self, batch_id: int, run_id: int, champion: int, worker: str | None = None) -> Batch | None:
        """Take a batch under a lease. Return None where it is published or another live worker has it.

        `worker` is a name from `new_worker`: asked again under the same one, the claim is the same.
        """
        table = self.tables.batch
        worker = worker or new_worker()
        with self.db.transaction("write"):
            now = self.db.now()
            this = sa.and_(table.c.batch_id == batch_id, table.c.job == self.job)
            found = self._batch_rows(sa.select(table).where(this))
            if not found or found[0].status not in OPEN:
                return None
            row = found[0]
            mine = row.worker == worker
            if not mine and not row.is_free(now):
                return None
            version = row.model_version or champion
            as_seen = sa.and_(
                table.c.batch_id == batch_id,
                table.c.status == row.status,
                table.c.worker == row.worker if row.worker is not None else table.c.worker.is_(None),
            )
            claimed = self.db.rows(
                table.update()
                .where(as_seen)
                .values(
                    status=BatchStatus.CLAIMED,
                    run_id=run_id,
                    worker=worker,
                    model_version=version,
                    lease_until=now + LEASE,
                    attempts=row.attempts + 1,
                    deaths=row.recorded_deaths if mine else row.deaths,
                    started_at=now,
                )
                .returning(table.c.batch_id)
            )
        return Batch(batch_id, run_id, version, row.keys, worker) if claimed else None

    def renewal(self, batch_id: int, worker: str, lease_until: datetime) -> sa.Update:
        """Return the statement by which a worker keeps its claim until then."""
        return self.tables.batch.update().where(self._is_mine(batch_id, worker)).values(lease_until=lease_until)

    def release(self, batch_id: int, worker: str) -> None:
        """Give a claimed batch back, unless somebody else has it by now."""
        self._close(batch_id, worker, status=BatchStatus.PLANNED, worker=None, lease_until=None)

    def give_back(self, run_id: int) -> list[int]:
        """Free what workers of a run held that are gone, and return those batches' ids.

        On another machine each would wait for its lease to end.
        """
        table = self.tables.batch
        held = sa.and_(table.c.job == self.job, table.c.run_id == run_id, table.c.status == BatchStatus.CLAIMED)
        given = []
        for row in self._batch_rows(sa.select(table).where(held)):
            if is_gone(row.worker):
                same = sa.and_(table.c.batch_id == row.batch_id, table.c.worker == row.worker, held)
                values = {"status": BatchStatus.PLANNED, "worker": None, "lease_until": None, "deaths": row.deaths}
                self.db.execute(table.update().where(same).values(values))
                given.append(row.batch_id)
        return given

    def is_held(self, batch_id: int, run_id: int) -> bool:
        """Return whether a worker of a run holds a batch under a lease that stands, as far as anyone here can tell."""
        table = self.tables.batch
        this = sa.and_(table.c.batch_id == batch_id, table.c.job == self.job, table.c.run_id == run_id)
        now = self.db.now()
        return any(
            row.status is BatchStatus.CLAIMED and not row.is_free(now)
            for row in self._batch_rows(sa.select(table).where(this))
        )

    def find_versions(self, batch_ids: Collection[int]) -> list[int]:
        """Return the model versions that batches were claimed for, in their order."""
        table = self.tables.batch
        these = sa.and_(table.c.job == self.job, table.c.batch_id.in_(list(batch_ids)))
        found = self.db.rows(sa.select(table.c.model_version).where(these)) if batch_ids else []
        return sorted({row["model_version"] for row in found if row["model_version"] is not None})

    def find_deadly(self, least: int) -> set[int]:
        """Return the batches that nobody alive holds and over which at least so many processes died."""
        now = self.db.now()
        return {row.batch_id for row in self._open_rows() if row.is_free(now) and row.deaths >= least}

    def _close(self, batch_id: int, held_by: str, **values: Any) -> bool:
        table = self.tables.batch
        statement = table.update().where(self._is_mine(batch_id, held_by)).values(**values)
        return bool(self.db.rows(statement.returning(table.c.batch_id)))

    def _is_mine(self, batch_id: int, worker: str) -> sa.ColumnElement[bool]:
        table = self.tables.batch
        return sa.and_(table.c.batch_id == batch_id, table.c.status == BatchStatus.CLAIMED, table.c.worker == worker)


def new_worker() -> str:
    """Return a name for whoever works on one batch: of this process, and used for nothing else."""
    return f"{process_name()}/{os.urandom(4).hex()}"
