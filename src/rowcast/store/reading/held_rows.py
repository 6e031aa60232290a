"""Source rows that the store holds something about, walked in key order beside what it holds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Column, equal
from rowcast.errors import DatabaseError
from rowcast.source import Fetched, KeyRange, RowHash, Scope, Source, select_key, take_rows
from rowcast.store.job_rows import JobRows

_Read = Callable[[Sequence[Column], Sequence[sa.ColumnElement[bool]]], Fetched]

_CHUNK = 50_000  # source rows that are looked at together
_RESULT = ("score", "predicted", "threshold")
_MOST_FAILING = 1000  # reads that may fail before what fails is no longer narrowed down to its rows


@dataclass(frozen=True)
class WalkQuery:
    """Which rows are walked, and what is read of them."""

    own: sa.Table  # predictions or quarantine
    batch: sa.Table
    scope: Scope
    columns: Sequence[Column] = ()  # of the source
    of_own: Sequence[sa.ColumnElement[bool]] = ()  # conditions on the rows of `own`
    of_source: Sequence[sa.ColumnElement[bool]] = ()  # conditions on the source's rows
    with_results: bool = False  # whether predictions are read too
    most: int | None = None  # source rows to look at, from the first in key order


@dataclass(frozen=True)
class HeldResult:
    """A stored prediction."""

    score: float
    predicted: Any
    threshold: float | None


@dataclass(frozen=True)
class HeldRow:
    """What the store holds about a row."""

    row_hash: int
    model_version: int
    also_read: str | None  # JSON: columns in the hash that are no features; None in a batch of an older store
    hashed_by: RowHash
    reasons: str | None = None  # JSON: why it was set aside; None where it was scored
    result: HeldResult | None = None  # where it was scored, and was asked for


@dataclass(frozen=True)
class Stored:
    """Some source rows, keys included, and for each what the store holds about it."""

    fetched: Fetched
    rendered: pa.RecordBatch  # the keys as text that the source rendered
    held: list[HeldRow]
    is_read: bool = True  # False where the database cannot compute the rows: then there are keys alone


def walk(job_rows: JobRows, query: WalkQuery) -> Iterator[Stored]:
    """Yield the source's rows in scope that the query's table holds, in key order, chunk by chunk."""
    source, own, last = job_rows.source, query.own, None
    chunk = min(_CHUNK, query.most or _CHUNK)
    if not query.scope.is_fixed:
        return

    def read(columns: Sequence[Column], within: Sequence[sa.ColumnElement[bool]]) -> Fetched:
        table = source.table()
        parts = [source.has_unique_key(table, query.of_source), source.in_scope(query.scope), *query.of_source, *within]
        if job_rows.together:
            same = [equal(table.c[c.name], own.c[c.name]) for c in source.key]
            parts.append(sa.exists(sa.select(sa.literal(1)).select_from(own).where(*same, *query.of_own)))
        features = source.values(columns)
        chosen = [*select_key(source, job_rows.store), *features, *source.render_key()]
        statement = source.select(*chosen, table=table).where(*parts).order_by(*source.keys(table))
        return Fetched(*source.db.read(statement, source.kinds(columns), chunk))

    reader = _Reader(source, query.columns, read)
    while True:
        count = 0
        for fetched, is_read in reader.chunk([] if last is None else [source.after_key(last)]):
            rendered = source.take_rendered_key(fetched.rows)
            found = _find_held(job_rows, query, fetched.rows)
            places = np.array([row.pop("place") for row in found], dtype=np.int64)
            held = [_hold(row) for row in found]
            if held:
                yield Stored(take_rows(fetched, places), rendered.take(pa.array(places)), held, is_read)
            count += fetched.rows.num_rows
            if fetched.rows.num_rows:
                last = _key(rendered, rendered.num_rows - 1)
        if count < chunk or query.most is not None:
            return


class _Reader:
    """Reads chunks of rows, and those apart that the database cannot compute, such as a division by zero."""

    def __init__(self, source: Source, columns: Sequence[Column], read: _Read) -> None:
        self._source = source
        self._columns = columns
        self._read = read
        self._failing = 0

    def chunk(self, within: Sequence[sa.ColumnElement[bool]]) -> Iterator[tuple[Fetched, bool]]:
        """Yield rows with their columns, or, and then False, their keys alone; together a chunk in key order."""
        whole = self._try(within)
        if whole is not None:
            yield whole, True
        else:
            alone = self._read([], within)
            yield from self._narrow(alone, 0, alone.rows.num_rows)

    def _try(self, within: Sequence[sa.ColumnElement[bool]]) -> Fetched | None:
        try:
            with self._source.db.savepoint():
                return self._read(self._columns, within)
        except DatabaseError as error:
            if error.reason != "other" or not self._columns:
                raise
            self._failing += 1
            return None

    def _narrow(self, alone: Fetched, first: int, end: int) -> Iterator[tuple[Fetched, bool]]:
        """Yield rows of which some fail, by halves."""
        if end - first <= 1 or self._failing >= _MOST_FAILING:
            yield take_rows(alone, np.arange(first, end)), False
            return
        rendered = self._source.take_rendered_key(alone.rows)
        middle = (first + end) // 2
        for low, high in ((first, middle), (middle, end)):
            keys = KeyRange(_key(rendered, low), _key(rendered, high - 1), high - low)
            half = self._try([self._source.between(keys)])
            if half is not None:
                yield half, True
            else:
                yield from self._narrow(alone, low, high)


def _key(rendered: pa.RecordBatch, place: int) -> tuple[str, ...]:
    return tuple(str(value) for value in rendered.slice(place, 1).to_pylist()[0].values())


def _hold(row: dict[str, Any]) -> HeldRow:
    result = HeldResult(*[row.pop(name) for name in _RESULT]) if "score" in row else None
    return HeldRow(hashed_by=RowHash(row.pop("hashed_by") or RowHash.MIXED), **row, result=result)


def _find_held(job_rows: JobRows, query: WalkQuery, rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the fields of HeldRow, and of HeldResult, for those of these rows that the store holds, in their order.

    `place` is where among them each is.
    """
    own, batch = query.own, query.batch
    staged = job_rows.stage_rows("rowcast_walked", rows)
    joined = staged.join(own, sa.and_(*[staged.c[c.name] == own.c[c.name] for c in job_rows.source.key]))
    joined = joined.join(batch, batch.c.batch_id == own.c.batch_id)
    wanted = [staged.c.place, own.c.row_hash, batch.c.model_version, batch.c.also_read, batch.c.hashed_by]
    wanted += [own.c.reasons] if "reasons" in own.c else []
    wanted += [own.c[name] for name in _RESULT] if query.with_results else []
    statement = sa.select(*wanted).select_from(joined).where(*query.of_own)
    return job_rows.store.rows(statement.order_by(staged.c.place))
