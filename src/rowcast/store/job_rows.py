"""The rows of a job: the source's beside what the store holds about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Database, RawType
from rowcast.errors import DatabaseError
from rowcast.source import Source, declare_key, select_key
from rowcast.store.tables import JobTables

_CHUNK = 50_000  # keys that travel together from one database to another


@dataclass(frozen=True)
class JobRows:
    """A source and a job's own tables, joined by the key.

    Where they are two databases, the source's keys are staged in the store.
    """

    source: Source
    store: Database
    own: JobTables

    @property
    def together(self) -> bool:
        """Whether one statement sees both."""
        return self.store is self.source.db

    def select_keys(
        self, parts: Sequence[sa.ColumnElement[bool]], table: sa.FromClause, *beside: sa.Label[Any]
    ) -> sa.FromClause:
        """Return the keys of source rows, and columns beside them, as a relation to join the store's tables with.

        What is beside has its type there.
        """
        source = self.source
        if self.together:
            return source.select(*source.keys(table), *beside, table=table).where(*parts).subquery("keyed")
        chosen = source.select(*select_key(source, self.store), *beside, table=table).where(*parts)
        types = {b.name: sa.BigInteger if isinstance(b.type, sa.Integer) else b.type for b in beside}
        return self.stage(chosen, types)

    def stage(self, statement: sa.Select[Any], beside: Mapping[str, Any]) -> sa.Table:
        """Copy keys, and columns beside them, from the source into a temporary table of the store."""
        try:
            return self._stage(statement, beside, exact=False)
        except DatabaseError as error:
            if error.reason != "mixed" or self.store.dialect.name != self.source.db.dialect.name:
                raise
            return self._stage(statement, beside, exact=True)

    def stage_rows(self, name: str, rows: pa.RecordBatch) -> sa.Table:
        """Copy the keys of rows into a temporary table of the store, with `place`, the number of each row."""
        keys = [sa.Column(c.name, RawType(c.type)) for c in declare_key(self.source, self.store)]
        staged = self.store.create_temporary(name, *keys, sa.Column("place", sa.BigInteger))
        chosen = rows.select([c.name for c in keys])
        self.store.ingest(staged, chosen.append_column("place", pa.array(np.arange(rows.num_rows))))
        return staged

    def _stage(self, statement: sa.Select[Any], beside: Mapping[str, Any], *, exact: bool) -> sa.Table:
        columns = [sa.Column(c.name, RawType(c.type)) for c in declare_key(self.source, self.store)]
        columns += [sa.Column(name, kind) for name, kind in {**beside, "place": sa.BigInteger}.items()]
        staged = self.store.create_temporary("rowcast_candidate", *columns)
        count = 0
        for batch in self.source.db.stream(statement, _CHUNK, exact=exact):
            places = pa.array(np.arange(count, count + batch.num_rows))
            self.store.ingest(staged, batch.append_column("place", places))
            count += batch.num_rows
        return staged
