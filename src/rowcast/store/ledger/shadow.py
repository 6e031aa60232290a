"""What versions that are not in service score beside the champion.

Each version has a record for each batch, with a checksum over what it scored of it. Rows that are removed later leave
their digests there, so that an audit still finds what else has changed.
"""

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.errors import DatabaseError
from rowcast.store.checksums import digest_rows, seal
from rowcast.store.ledger.part import LedgerPart, have_key_of
from rowcast.store.ledger.records import Batch
from rowcast.store.signing import Signed
from rowcast.store.stored_digests import read_digests, select_stored
from rowcast.store.tables import with_constants


class ShadowRows(LedgerPart):
    """Rows of the shadow table, and what is recorded of each batch of them."""

    def save_shadow(self, batch: Batch, model_version: int, rows: pa.RecordBatch | pa.Table) -> None:
        """Keep what a version that is not in service scores for a published batch, in place of its earlier scores.

        `rows` carry the key columns and a row's own values, like predictions.
        """
        own = self.own.shadow
        lineage = {"model_version": model_version, "run_id": batch.run_id, "batch_id": batch.batch_id}
        scored = with_constants(rows, **lineage, scored_at=self.db.now())
        append, record = self.db.stage(own, scored), self._record_shadow(batch, model_version, scored)
        try:
            with self.db.transaction("write"):
                append()
                self.db.execute(record)
        except DatabaseError as error:
            if error.reason != "duplicate":
                raise
            names = [column.name for column in own.primary_key if column.name in rows.schema.names]
            with self.db.transaction("write"):
                keys = self.db.create_temporary(
                    "rowcast_shadowed", *[sa.Column(name, own.c[name].type) for name in names]
                )
                self.db.ingest(keys, rows.select(names))
                self._index(keys)
                for table in (own, self.tables.shadow_batch):
                    this = sa.and_(table.c.batch_id == batch.batch_id, table.c.model_version == model_version)
                    self.db.execute(table.delete().where(this))
                self._remove_shadow(sa.and_(own.c.model_version == model_version, have_key_of(own, keys)))
                append()
                self.db.execute(record)

    def forget_shadow(self, versions: Collection[int]) -> None:
        """Throw away what versions scored in the shadow; nothing is written where there is nothing."""
        record = self.tables.shadow_batch
        for table, mine in ((self.own.shadow, sa.true()), (record, record.c.job == self.job)):
            theirs = sa.and_(mine, table.c.model_version.in_(sorted(versions)))
            if versions and self.db.rows(sa.select(table.c.model_version).where(theirs).limit(1)):
                self.db.execute(table.delete().where(theirs))

    def _record_shadow(self, batch: Batch, model_version: int, scored: pa.Table) -> sa.Insert:
        checksum = seal(digest_rows(self.own.shadow, scored))
        return self.tables.shadow_batch.insert().values(
            batch_id=batch.batch_id,
            model_version=model_version,
            job=self.job,
            row_count=scored.num_rows,
            checksum=checksum,
            signature=self.keys.sign(self.job, batch.batch_id, checksum, Signed.SHADOW),
        )

    def _remove_shadow(self, condition: sa.ColumnElement[bool]) -> None:
        """Delete rows in the current transaction; their digests stay."""
        own, record = self.own.shadow, self.tables.shadow_batch
        chosen = select_stored(self.db, own, self.own.key).where(condition)
        removed = read_digests(self.db, own, chosen, ("batch_id", "model_version"))
        if not removed:
            return
        self.db.execute(own.delete().where(condition))
        for (batch_id, version), digests in sorted(removed.items()):
            this = sa.and_(record.c.batch_id == batch_id, record.c.model_version == version)
            before: sa.ColumnElement[Any] = sa.func.coalesce(record.c.removed, sa.literal("", sa.Text))
            more = sa.literal(b"".join(digests).hex(), sa.Text)
            self.db.execute(record.update().where(this).values(removed=before + more))
