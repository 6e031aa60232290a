"""Pending rows: planned into key ranges, and read range by range.

Keys are compared by the database alone: Python only carries bounds that the database rendered as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from rowcast.contract import Misfit
from rowcast.database import Column, equal
from rowcast.database.mixed_keys import to_mixed
from rowcast.source import RENDERED, Fetched, KeyRange, Scope, select_key, take_rows
from rowcast.store.job_rows import JobRows

_CHUNK = 50_000  # keys that travel together from one database to another


@dataclass(frozen=True)
class Overdue:
    """Pending rows that no run looks for."""

    rows: int
    oldest: datetime | None  # the event of the oldest


@dataclass(frozen=True)
class Waiting:
    """Usable rows that the store holds nothing of."""

    pending: int  # in scope
    out_of_scope: int
    oldest_h: float | None  # hours since the event of the oldest pending row; None where none has begun, or has a time


@dataclass(frozen=True)
class Moved:
    """Usable rows that the store holds nothing of, and that one scope has and another has not."""

    entered: int  # pending from now on
    left: int  # pending no longer


class Pending:
    """Rows that the store holds neither a prediction nor a quarantined row for, and whose results it did not forget."""

    def __init__(self, rows: JobRows) -> None:
        self.rows = rows
        self.source, self.store = rows.source, rows.store

    def plan(
        self,
        scope: Scope,
        now: datetime,
        since: datetime | None,
        batch_rows: int,
        skip: Sequence[KeyRange],
        within: KeyRange | None = None,
    ) -> list[KeyRange]:
        """Return ranges of at most `batch_rows` pending rows each, in key order, outside the ranges to skip.

        `since` is the event time to search back to, None for the whole scope; `within` the keys to search.
        """
        source = self.source
        table = source.table()
        around = [] if within is None else [source.between(within)]
        due = source.is_due(scope, now, since)
        # The keys of the whole table are not counted for the rows of some weeks.
        parts = [*around, source.has_unique_key(table, around, None if since is None else due), due]
        parts += [~source.between(keys) for keys in skip]
        number = self._number if self.rows.together else self._number_staged
        numbered, bounds = number(table, parts, self._gap(skip), within)
        gap, n, total = numbered.c.gap, numbered.c.n, numbered.c.total
        edge = sa.or_((n - 1) % batch_rows == 0, n % batch_rows == 0, n == total)
        rows = self.store.rows(sa.select(n, total, *bounds).where(edge).order_by(gap, n))
        edges = [(row.pop("n"), row.pop("total"), tuple(row.values())) for row in rows]
        starts = [(n, bound) for n, _, bound in edges if (n - 1) % batch_rows == 0]
        ends = [(n, bound) for n, total, bound in edges if n % batch_rows == 0 or n == total]
        return [
            KeyRange(first, last, end - start + 1) for (start, first), (end, last) in zip(starts, ends, strict=True)
        ]

    def _gap(self, skip: Sequence[KeyRange]) -> sa.ColumnElement[Any]:
        """Return how many of the ranges to skip a row lies behind: no batch may span one of them."""
        behind = [sa.case((self.source.after_key(keys.last), 1), else_=0) for keys in skip]
        found: sa.ColumnElement[Any] = sum(behind, sa.literal_column("0", sa.Integer))
        return found.label("gap")

    def _number(
        self,
        table: sa.FromClause,
        parts: list[sa.ColumnElement[bool]],
        gap: sa.ColumnElement[Any],
        within: KeyRange | None,
    ) -> tuple[sa.FromClause, list[sa.ColumnElement[Any]]]:
        """Return pending rows numbered in key order, where one statement sees source and store."""
        keys = self.source.keys(table)
        found = (
            self.source.select(*keys, gap, table=table).where(*parts, *self._absent(table, within)).subquery("found")
        )
        order = [found.c[c.name] for c in self.source.key]
        chosen = sa.select(*order, found.c.gap, *_numbers(found.c.gap, order))
        numbered = chosen.subquery("numbered")
        rendered = [self.store.sql.render_key(numbered.c[c.name], c) for c in self.source.key]
        return numbered, [bound.label(f"bound_{place}") for place, bound in enumerate(rendered)]

    def _number_staged(
        self,
        table: sa.FromClause,
        parts: list[sa.ColumnElement[bool]],
        gap: sa.ColumnElement[Any],
        within: KeyRange | None,
    ) -> tuple[sa.FromClause, list[sa.ColumnElement[Any]]]:
        """Return the same where they are apart: candidate keys are staged in the store, in the source's order."""
        source = self.source
        chosen = source.select(*select_key(source, self.store), *source.render_key(), gap, table=table).where(*parts)
        texts = [f"{RENDERED}{place}" for place in range(len(source.key))]
        staged = self.rows.stage(
            chosen.order_by(*source.keys(table)), {**dict.fromkeys(texts, sa.Text), "gap": sa.BigInteger}
        )
        bounds = [staged.c[name] for name in texts]
        numbers = _numbers(staged.c.gap, [staged.c.place])
        found = sa.select(*bounds, staged.c.gap, *numbers).where(*self._absent(staged)).subquery("numbered")
        return found, [column for column in found.c if column.name.startswith(RENDERED)]

    def count_waiting(self, scope: Scope, now: datetime) -> Waiting:
        """Return how many usable rows the store holds nothing of, and how old the oldest pending one is at a moment."""
        source, table = self.source, self.source.table()
        in_scope = source.in_scope(scope) if scope.is_fixed else sa.false()
        age: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.Double)
        if source.time is not None:
            age = sa.cast(source.db.sql.hours_between(source.event_time(), source.db.sql.instant(now)), sa.Double)
        beside = [sa.case((in_scope, 1), else_=0).label("rowcast.in_scope"), age.label("rowcast.age")]
        rows = self.rows.select_keys([source.usable(table)], table, *beside)
        waits = rows.c["rowcast.in_scope"] == 1
        pending = sa.cast(sa.func.coalesce(sa.func.sum(sa.case((waits, 1), else_=0)), 0), sa.BigInteger)
        oldest = sa.func.max(sa.case((waits, rows.c["rowcast.age"])))
        figures: list[sa.ColumnElement[Any]] = [sa.func.count().label("n"), pending.label("pending")]
        counted = sa.select(*figures, oldest.label("oldest")).select_from(rows)
        [found] = self.store.rows(counted.where(*self._absent(rows)))
        oldest_h = found["oldest"]
        is_there = oldest_h is not None and oldest_h >= 0  # a row of the future waits for its time
        return Waiting(found["pending"], found["n"] - found["pending"], float(oldest_h) if is_there else None)

    def count_moved(self, before: Scope, after: Scope) -> Moved:
        """Return how many usable rows that the store holds nothing of one scope has and the other has not."""
        source, table = self.source, self.source.table()
        was, will = (source.in_scope(scope) if scope.is_fixed else sa.false() for scope in (before, after))
        entered = sa.case((will, 1), else_=0).label("rowcast.entered")
        differs = sa.case((was, 1), else_=0) != sa.case((will, 1), else_=0)
        rows = self.rows.select_keys([source.usable(table), differs], table, entered)
        pending = sa.func.coalesce(sa.func.sum(rows.c["rowcast.entered"]), 0)
        figures: list[sa.ColumnElement[Any]] = [
            sa.func.count().label("n"),
            sa.cast(pending, sa.BigInteger).label("entered"),
        ]
        [found] = self.store.rows(sa.select(*figures).select_from(rows).where(*self._absent(rows)))
        return Moved(int(found["entered"]), int(found["n"]) - int(found["entered"]))

    def count_before(self, scope: Scope, now: datetime, before: datetime) -> Overdue:
        """Return how many rows in scope are pending whose event is before a moment, and when the oldest of them was."""
        source, table = self.source, self.source.table()
        if source.time is None or not scope.is_fixed:
            return Overdue(0, None)
        age = source.db.sql.hours_between(source.event_time(), source.db.sql.instant(now)).label("age")
        is_before = source.event_time() < source.db.sql.instant(before)
        parts = [source.has_unique_key(table), source.is_due(scope, now), is_before]
        chosen: sa.FromClause
        absent: list[sa.ColumnElement[bool]] = []
        if self.rows.together:
            chosen = source.select(age, table=table).where(*parts, *self._absent(table)).subquery("overdue")
        else:
            keys = [*select_key(source, self.store), age]
            chosen = self.rows.stage(source.select(*keys, table=table).where(*parts), {"age": sa.Double})
            absent = self._absent(chosen)
        figures: list[sa.ColumnElement[Any]] = [sa.func.count().label("n"), sa.func.max(chosen.c.age).label("oldest")]
        [found] = self.store.rows(sa.select(*figures).select_from(chosen).where(*absent))
        oldest = None if found["oldest"] is None else now - timedelta(hours=float(found["oldest"]))
        return Overdue(int(found["n"]), oldest)

    def _absent(self, table: sa.FromClause, keys: KeyRange | None = None) -> list[sa.ColumnElement[bool]]:
        """Return the conditions of rows that are neither scored nor quarantined, nor were so and are forgotten.

        The source's column stands first: its collation decides what is equal.

        `keys` is the range that the rows are of: said of both tables, it keeps a long one from being read whole.
        """
        found = []
        for own in (self.rows.own.prediction, self.rows.own.quarantine, self.rows.own.forgotten):
            same = [equal(table.c[c.name], own.c[c.name]) for c in self.source.key]
            if keys is not None:
                same.append(self.source.between(keys, own))
            found.append(~sa.exists(sa.select(sa.literal(1)).select_from(own).where(*same)))
        return found

    def has_later_rows(self, keys: KeyRange, now: datetime) -> bool:
        """Return whether some row of a range is not there yet at a moment."""
        source = self.source
        if source.time is None:
            return False
        later = source.select(sa.literal(1).label("one"))
        later = later.where(source.between(keys), source.event_time() > source.db.sql.instant(now))
        return bool(source.db.rows(later.limit(1)))

    def select(self, keys: KeyRange, chosen: Sequence[sa.ColumnElement[Any]], scope: Scope, now: datetime) -> Any:
        """Return the select of these of the pending rows of a planned range, in key order.

        Source and store are one database.
        """
        table = self.source.table()
        return self._select(chosen, [self.source.between(keys), *self._absent(table, keys)], scope, now, table)

    def read_these(self, staged: sa.FromClause, keys: KeyRange, columns: Sequence[Column], most: int) -> Fetched:
        """Return at most so many rows of a range whose keys are in a relation of the store's, as `read` does.

        Source and store are one database.
        """
        source = self.source
        chosen = [*select_key(source, self.store), *source.values(columns), *source.render_key()]
        statement = self.select_these(staged, keys, chosen)
        return Fetched(*source.db.read(statement, source.kinds(columns), most))

    def select_these(self, staged: sa.FromClause, keys: KeyRange, chosen: Sequence[sa.ColumnElement[Any]]) -> Any:
        """Return the select of these of a range's rows whose keys are in a relation of the store's, in key order."""
        source, table = self.source, self.source.table()
        same = [equal(table.c[c.name], staged.c[c.name]) for c in source.key]
        these = sa.exists(sa.select(sa.literal(1)).select_from(staged).where(*same))
        within = source.between(keys)
        parts = [within, these, source.has_unique_key(table, [within])]
        return source.select(*chosen, table=table).where(*parts).order_by(*source.keys(table))

    def read(self, keys: KeyRange, columns: Sequence[Column], scope: Scope, now: datetime, batch_rows: int) -> Fetched:
        """Return the pending rows of a planned range, at most `batch_rows`; late ones beyond are left to the next run.

        Beside the columns stand their keys as the source rendered them.
        """
        source = self.source
        if self.rows.together:
            table = source.table()
            return self._read(
                columns, [source.between(keys), *self._absent(table, keys)], scope, now, batch_rows, table
            )
        parts: list[Fetched] = []
        found, within = 0, source.between(keys)
        while True:
            table = source.table()
            chunk = self._read(columns, [within], scope, now, _CHUNK, table)
            bounds = source.take_rendered_key(chunk.rows)
            kept = take_rows(chunk, self._absent_places(chunk.rows))
            parts.append(take_rows(kept, np.arange(min(kept.rows.num_rows, batch_rows - found))))
            found += parts[-1].rows.num_rows
            if chunk.rows.num_rows < _CHUNK or found == batch_rows:
                return join_batches(parts, len(source.key))
            last = tuple(str(value) for value in bounds.slice(bounds.num_rows - 1).to_pylist()[0].values())
            within = sa.and_(source.between(keys), source.after_key(last))

    def _read(
        self,
        columns: Sequence[Column],
        parts: list[sa.ColumnElement[bool]],
        scope: Scope,
        now: datetime,
        most: int,
        table: sa.FromClause,
    ) -> Fetched:
        source = self.source
        chosen = [*select_key(source, self.store), *source.values(columns), *source.render_key()]
        statement = self._select(chosen, parts, scope, now, table)
        return Fetched(*source.db.read(statement, source.kinds(columns), most))

    def _select(
        self,
        chosen: Sequence[sa.ColumnElement[Any]],
        parts: list[sa.ColumnElement[bool]],
        scope: Scope,
        now: datetime,
        table: sa.FromClause,
    ) -> sa.Select[Any]:
        source = self.source
        parts = [*parts, source.has_unique_key(table, parts[:1]), source.is_due(scope, now)]
        return source.select(*chosen, table=table).where(*parts).order_by(*source.keys(table))

    def _absent_places(self, rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
        staged = self.rows.stage_rows("rowcast_chunk", rows)
        found = self.store.rows(sa.select(staged.c.place).where(*self._absent(staged)).order_by(staged.c.place))
        return np.array([row["place"] for row in found], dtype=np.int64)


def _numbers(gap: sa.ColumnElement[Any], order: Sequence[sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
    """Return a row's number in its gap, and how many rows the gap has."""
    return [
        sa.func.row_number().over(partition_by=gap, order_by=order).label("n"),
        sa.func.count().over(partition_by=gap).label("total"),
    ]


def join_batches(parts: Sequence[Fetched], keys: int) -> Fetched:
    """Return one batch of several."""
    misfits, start = [], 0
    for part in parts:
        misfits += [Misfit(start + m.row, m.column, m.value) for m in part.misfits]
        start += part.rows.num_rows
    rows = parts[0].rows if len(parts) == 1 else pa.concat_batches(_unify_types([part.rows for part in parts], keys))
    return Fetched(rows, misfits)


def _unify_types(batches: Sequence[pa.RecordBatch], keys: int) -> list[pa.RecordBatch]:
    """Return batches with one type for each column: SQLite may hold integers in one, floats or texts in the next.

    The first columns are the keys, which must stay what they are.
    """
    batches = [batch for batch in batches if batch.num_rows] or batches[:1]
    columns = [list(batch.columns) for batch in batches]
    for place in range(batches[0].num_columns):
        types = {each[place].type for each in columns}
        if len(types) > 1:
            kind = pa.string() if pa.string() in types else pa.float64()
            for each in columns:
                each[place] = to_mixed(each[place]) if place < keys else each[place].cast(kind, safe=False)
    return [pa.RecordBatch.from_arrays(each, names=batches[0].schema.names) for each in columns]
