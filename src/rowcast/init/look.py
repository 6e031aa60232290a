"""A cheap look at a table: its columns, and samples of its rows."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.database import Column, Database, Relation
from rowcast.source import is_reserved

_SAMPLE = 1000  # rows looked at from each end
_LABELS = 10_000  # rows in which the values of a possible label are counted


class Look:
    """A table, and a sample of its first and, where an index serves, its newest rows."""

    def __init__(self, db: Database, relation: Relation, table: str | None, query: str | None) -> None:
        self.db = db
        self.relation = relation
        self.source = _source(db, relation, table, query)
        self.columns = [c for c in relation.columns if c.kind != "other" and not is_reserved(c.name)]
        self.sample = self._read()

    def _read(self, newest: str | None = None) -> pa.Table:
        chosen = sa.select(*[self.db.sql.feature(c).label(c.name) for c in self.columns]).select_from(self.source)
        if newest is not None:
            chosen = chosen.where(sa.column(newest).is_not(None)).order_by(sa.column(newest).desc())
        kinds = {c.name: "category" if c.kind == "time" and self.is_sqlite else c.kind for c in self.columns}
        return pa.Table.from_batches([self.db.read(chosen, kinds, _SAMPLE)[0]])

    def add_newest(self, columns: Iterable[str]) -> None:
        """Add rows from the other end, by the first of these columns that an index begins with."""
        led = {index[0] for index in self.relation.indexed if index}
        by = next((name for name in columns if name in led), None)
        if by is not None and len(self.sample) == _SAMPLE:
            self.sample = pa.concat_tables([self.sample, self._read(by)], promote_options="permissive")

    @property
    def is_sqlite(self) -> bool:
        return self.db.dialect.name == "sqlite"

    def values(self, name: str) -> list[Any]:
        return [value for value in self.sample[name].to_pylist() if value is not None]

    def variety(self, name: str) -> float:
        """Return different values as a share of the known ones; 1.0 where none is known."""
        known = len(self.sample) - self.sample[name].null_count
        return self.different(name) / known if known else 1.0

    def different(self, name: str) -> int:
        """Return how many different values are known."""
        return int(pc.count_distinct(self.sample[name]).as_py())

    def gaps(self, name: str) -> npt.NDArray[np.bool_]:
        """Return where the column is NULL, shape (rows,)."""
        found: npt.NDArray[np.bool_] = pc.is_null(self.sample[name]).to_numpy()
        return found

    def words(self, name: str) -> list[str]:
        """Return the words of a name, in small letters: waferId and WAFER_ID are 'wafer', 'id'."""
        parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
        return [word for word in re.split(r"[\W_]+", parted.lower()) if word]

    def counts(self, column: Column) -> dict[Any, int]:
        """Return how often each value comes in a sample of the column."""
        inner = sa.select(self.db.sql.feature(column).label("v")).select_from(self.source).limit(_LABELS).subquery()
        counted = sa.select(inner.c.v, sa.func.count().label("n")).where(inner.c.v.is_not(None)).group_by(inner.c.v)
        found = {row["v"]: int(row["n"]) for row in self.db.rows(counted.limit(100))}
        for value in self.sample[column.name].drop_null().unique().to_pylist():  # the newest rows may hold another
            found.setdefault(value, 1)
        return {_whole(value): n for value, n in found.items()}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _source(db: Database, relation: Relation, table: str | None, query: str | None) -> sa.FromClause:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in relation.names if name]
    if query is not None:
        return sa.text(query.replace(":", r"\:")).columns(*columns).subquery("s")
    schema, name = db.admin.split_name(str(table))
    return sa.table(name, *columns, schema=schema).alias("s")
