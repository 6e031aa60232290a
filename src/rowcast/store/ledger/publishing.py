"""The transaction that publishes a batch: everything of it becomes visible together, or nothing does."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from rowcast.errors import QuarantineError
from rowcast.source import KeyRange
from rowcast.store.checksums import digest_rows, seal
from rowcast.store.ledger.claims import Claims
from rowcast.store.ledger.records import Batch, BatchProfile, BatchResult, RowCounts, StagedRows, StoredRows
from rowcast.store.records import BatchStatus
from rowcast.store.signing import Signed
from rowcast.store.tables import with_constants

_ROWS_PER_SHARE = 1000  # rows over which the share of bad ones is taken, where there are as many


class Publishing(Claims):
    """What is published of which batch."""

    def publish(
        self,
        batch: Batch,
        result: BatchResult,
        max_quarantine: float | None,
        replan: Callable[[], Sequence[KeyRange]] = tuple,
    ) -> bool:
        """Make a batch's predictions, its quarantined rows, its profiles and its ledger row visible together.

        `max_quarantine` None accepts any share of bad rows; `replan` returns the ranges of rows that the batch left
        pending, planned in the same transaction. Raise QuarantineError, with nothing written, where too many rows are
        bad. Return False, with nothing written, where the claim was lost to another worker.
        """
        now, quarantined = self.db.now(), result.quarantined
        lineage = {"run_id": batch.run_id, "batch_id": batch.batch_id}
        about: dict[str, Any] = {"model_version": batch.model_version, **lineage, "scored_at": now}
        scored = with_constants(result.predictions, **about)
        set_aside = with_constants(quarantined, **lineage, quarantined_at=now)
        rows = [self.db.stage(self.own.prediction, scored), self.db.stage(self.own.quarantine, set_aside)]
        digests = [*digest_rows(self.own.prediction, scored), *digest_rows(self.own.quarantine, set_aside)]
        if result.staged is not None:
            rows.append(partial(self._append_staged, result.staged, about))
            digests += digest_rows(self.own.prediction, with_constants(result.staged.rows, **about))
        checksum = seal(digests)
        with self.db.transaction("write"):
            closed = self._close(
                batch.batch_id,
                batch.worker,
                status=BatchStatus.PUBLISHED,
                row_count=result.scored + quarantined.num_rows,
                scored=result.scored,
                quarantined=quarantined.num_rows,
                accepted=int(max_quarantine is None),
                also_read=json.dumps(list(result.also_read), ensure_ascii=False),
                hashed_by=result.hashed_by,
                checksum=checksum,
                signature=self.keys.sign(self.job, batch.batch_id, checksum, Signed.BATCH),
                finished_at=now,
                lease_until=None,
            )
            if not closed:
                return False
            if max_quarantine is not None and quarantined.num_rows:
                self._check_share(batch, result.scored, quarantined.num_rows, max_quarantine)
            for append in rows:
                append()
            if result.profile is not None:
                self._add_profile(batch, result.profile)
            self.add_batches(batch.run_id, replan(), None)
        return True

    def count_published(self, run_id: int) -> RowCounts:
        """Return how many batches a run published, and their rows."""
        table = self.tables.batch
        this = sa.and_(table.c.job == self.job, table.c.run_id == run_id, table.c.status == BatchStatus.PUBLISHED)
        found = self.db.rows(sa.select(table.c.scored, table.c.quarantined).where(this))
        return RowCounts(len(found), sum(row["scored"] for row in found), sum(row["quarantined"] for row in found))

    def count_stored(self) -> StoredRows:
        """Return how many rows the results are of, by what the batches published and what was moved away since."""
        batch, history, counts = self.tables.batch, self.own.history, ("scored", "quarantined", "forgotten")
        sums = [sa.cast(sa.func.coalesce(sa.func.sum(batch.c[name]), 0), sa.BigInteger).label(name) for name in counts]
        mine = sa.and_(batch.c.job == self.job, batch.c.status.in_((BatchStatus.PUBLISHED, BatchStatus.FORGOTTEN)))
        by_status = self.db.rows(sa.select(batch.c.status, *sums).where(mine).group_by(batch.c.status))
        n: sa.Label[Any] = sa.func.count().label("n")
        moved = {row["was"]: row["n"] for row in self.db.rows(sa.select(history.c.was, n).group_by(history.c.was))}
        found = {row["status"]: row for row in by_status}
        published, forgotten = (found.get(each, {}) for each in (BatchStatus.PUBLISHED, BatchStatus.FORGOTTEN))
        scored, quarantined = (published.get(name, 0) - moved.get(name, 0) for name in ("scored", "quarantined"))
        return StoredRows(scored, quarantined, forgotten.get("forgotten", 0))

    def find_published(self, batch_id: int, worker: str) -> RowCounts | None:
        """Return the counts of a batch that this worker published and did not hear of; None where it did not."""
        table = self.tables.batch
        this = sa.and_(table.c.batch_id == batch_id, table.c.status == BatchStatus.PUBLISHED, table.c.worker == worker)
        found = self.db.rows(sa.select(table.c.scored, table.c.quarantined).where(this))
        return RowCounts(1, found[0]["scored"], found[0]["quarantined"]) if found else None

    def _append_staged(self, staged: StagedRows, about: Mapping[str, Any]) -> None:
        own = self.own.prediction
        names = [column.name for column in staged.select.selected_columns]
        constants = [sa.literal(value, own.c[name].type).label(name) for name, value in about.items()]
        self.db.execute(own.insert().from_select([*names, *about], staged.select.add_columns(*constants)))

    def _add_profile(self, batch: Batch, profile: BatchProfile) -> None:
        about = {"batch_id": batch.batch_id, "run_id": batch.run_id, "model_version": batch.model_version}
        values = {**about, "job": self.job, "counts": profile.counts, "unused": profile.unused}
        self.db.execute(self.tables.profile.insert().values(values))

    def _check_share(self, batch: Batch, scored: int, quarantined: int, most: float) -> None:
        """Raise QuarantineError where this batch and those published last hold too large a share of bad rows.

        What a person accepted is left out.
        """
        table = self.tables.batch
        published = sa.and_(table.c.job == self.job, table.c.status == BatchStatus.PUBLISHED)
        counted = sa.or_(table.c.accepted.is_(None), table.c.accepted == 0)
        before = self.db.rows(
            sa.select(table.c.scored, table.c.quarantined)
            .where(published, table.c.batch_id != batch.batch_id, counted)
            .order_by(table.c.finished_at.desc())
            .limit(_ROWS_PER_SHARE)
        )
        rows, bad = scored + quarantined, quarantined
        for row in before:
            if rows >= _ROWS_PER_SHARE:
                break
            rows, bad = rows + row["scored"] + row["quarantined"], bad + row["quarantined"]
        if bad > most * rows:
            raise QuarantineError(
                f"{bad:,} of {rows:,} rows break the contract ({bad / rows:.1%}; max_quarantine is {most:.1%}):"
                " nothing of this batch was published",
                hint="look at the reasons above; 'rowcast infer --accept-quarantine' sets these rows aside and goes on",
            )
