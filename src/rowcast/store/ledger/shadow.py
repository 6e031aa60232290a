"""What versions that are not in service score beside the champion."""

from collections.abc import Collection

import pyarrow as pa
import sqlalchemy as sa

from rowcast.errors import DatabaseError
from rowcast.store.ledger.part import LedgerPart, have_key_of
from rowcast.store.ledger.records import Batch
from rowcast.store.tables import with_constants


class ShadowRows(LedgerPart):
    """Rows of the shadow table."""

    def save_shadow(self, batch: Batch, model_version: int, rows: pa.RecordBatch) -> None:
        """Keep what a version that is not in service scores for a published batch, in place of its earlier scores.

        `rows` carry the key columns and a row's own values, like predictions.
        """
        own = self.own.shadow
        lineage = {"model_version": model_version, "run_id": batch.run_id, "batch_id": batch.batch_id}
        append = self.db.stage(own, with_constants(rows, **lineage, scored_at=self.db.now()))
        try:
            with self.db.transaction("write"):
                append()
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
                self.db.execute(own.delete().where(own.c.model_version == model_version, have_key_of(own, keys)))
                append()

    def forget_shadow(self, versions: Collection[int]) -> None:
        """Throw away what versions scored in the shadow; nothing is written where there is nothing."""
        own = self.own.shadow
        theirs = own.c.model_version.in_(sorted(versions))
        if versions and self.db.rows(sa.select(own.c.model_version).where(theirs).limit(1)):
            self.db.execute(own.delete().where(theirs))
