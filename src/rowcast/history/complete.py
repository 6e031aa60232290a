"""Rows as they were read, and the columns of the past beside them; and from which earlier rows a value came."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from rowcast.database import Column
from rowcast.history.columns import KnownValues, compute_history, compute_since, find_joined, find_stretch
from rowcast.history.exact_sums import Floats, Places
from rowcast.history.reading import Asked, Reader, ReadValues, read_events, read_joined, read_rows, read_values
from rowcast.history.timeline import Moments, Timeline, number_groups
from rowcast.past import HistoryColumn, JoinedColumn, PastColumn, SinceColumn
from rowcast.source import GROUPED, TIME, Fetched, Source, to_microseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
C = TypeVar("C")
_MOST_TRACED = 50  # earlier rows that a value is traced to


@dataclass(frozen=True)
class PastValue:
    """A value of an earlier row, from which a column was computed."""

    key: tuple[str, ...]  # as the source renders it
    value: float
    known: datetime  # when it became known


def list_needed(columns: Iterable[PastColumn], *, with_time: bool = True) -> list[Column]:
    """Return what must be read of rows for these columns: their event time, and groups as text."""
    names = dict.fromkeys(name for column in columns for name in column.by)
    grouped = [Column(GROUPED + name, "other", "") for name in names]
    return [Column(TIME, "other", ""), *grouped] if with_time and columns else grouped


def complete_rows(
    source: Source | Reader, columns: Sequence[PastColumn], fetched: Fetched, *, dated: bool = False
) -> Fetched:
    """Return rows with these columns, float64, in place of what was read of them for that.

    `dated` keeps their event times, as microseconds. A reader keeps what it read for rows that are completed later.
    """
    if not columns:
        return fetched
    rows = (
        to_microseconds(fetched.rows, TIME)
        if not pa.types.is_int64(fetched.rows.schema.field(TIME).type)
        else fetched.rows
    )
    found = compute(source if isinstance(source, Reader) else Reader(source), columns, _ask(rows, columns))
    kept = [name for name in rows.schema.names if not name.startswith(GROUPED) and (dated or name != TIME)]
    arrays = [*(rows.column(name) for name in kept), *(_to_arrow(found[c.name]) for c in columns)]
    made = pa.RecordBatch.from_arrays(arrays, names=[*kept, *(column.name for column in columns)])
    return Fetched(made, fetched.misfits)


def _to_arrow(values: Any) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)


def _ask(rows: pa.RecordBatch, columns: Sequence[PastColumn]) -> Asked:
    names = dict.fromkeys(name for column in columns for name in column.by)
    return Asked(rows.column(TIME).to_numpy(), {name: rows.column(GROUPED + name).cast(pa.string()) for name in names})


def compute(reader: Reader, columns: Sequence[PastColumn], asked: Asked) -> dict[str, Any]:
    """Return the columns (m,) of the rows asked for, by name: numbers, where NaN is missing, or an Arrow array."""
    found: dict[str, Any] = {
        column.name: pa.nulls(0) if isinstance(column, JoinedColumn) else np.full(len(asked.time), np.nan)
        for column in columns
    }
    if not len(asked.time):
        return found
    source = reader.source
    for together in _alike([c for c in columns if isinstance(c, HistoryColumn)], lambda c: (c.of, c.look_back)):
        by = tuple(dict.fromkeys(name for column in together for name in column.by))
        read = reader.read(together, by, asked)
        for own in _alike(together, lambda c: c.by):
            known, rows = _group_values(read, own[0].by, asked)
            found |= compute_history(own, known, rows)
    for since in _alike([c for c in columns if isinstance(c, SinceColumn)], lambda c: (c.events, c.by, c.look_back)):
        found |= _compute_since(source, since, asked)
    for joined in _alike(
        [c for c in columns if isinstance(c, JoinedColumn)], lambda c: (c.table, c.time, c.keys, c.by, c.tolerance)
    ):
        found |= _join(source, joined, asked)
    return found


def _join(source: Source, columns: Sequence[JoinedColumn], asked: Asked) -> dict[str, pa.Array]:
    read = read_joined(source, columns, columns[0].reach, asked)
    theirs, rows = _number(read.groups, columns[0].by, asked, len(read.time))
    moments = Moments(theirs, read.time)
    return {c.name: find_joined(moments, read.columns[c.column], rows, c.reach) for c in columns}


def _alike(columns: Sequence[C], of: Callable[[C], tuple[object, ...]]) -> list[list[C]]:
    """Return columns that one read serves, together."""
    together: dict[tuple[object, ...], list[C]] = {}
    for column in columns:
        together.setdefault(of(column), []).append(column)
    return list(together.values())


def _group_values(read: ReadValues, by: Sequence[str], asked: Asked) -> tuple[KnownValues, Moments]:
    theirs, rows = _number([read.groups[name] for name in by], by, asked, len(read.known))
    return KnownValues(Moments(theirs, read.known), read.event, read.value), rows


def _number(groups: Sequence[pa.Array], by: Sequence[str], asked: Asked, count: int) -> tuple[Places, Moments]:
    """Return the groups of what was read and the rows asked for, numbered alike."""
    if not by:
        return np.zeros(count, np.int64), Moments(np.zeros(len(asked.time), np.int64), asked.time)
    theirs, own = number_groups(groups, [asked.groups[name] for name in by])
    return theirs, Moments(own, asked.time)


def _compute_since(source: Source, columns: Sequence[SinceColumn], asked: Asked) -> dict[str, Floats]:
    first, reach = columns[0], max(column.reach for column in columns)
    events = read_events(source, first, reach, asked)
    theirs, rows = _number(events.groups, first.by, asked, len(events.time))
    # An event without a group is one of every group.
    is_of_all = (
        np.logical_and.reduce([each.is_null().to_numpy(zero_copy_only=False) for each in events.groups])
        if first.by
        else np.zeros(len(events.time), np.bool_)
    )
    seen = Moments(np.empty(0, np.int64), np.empty(0, np.int64))
    if any(column.counts == "rows" for column in columns):
        found = read_rows(source, first.by, reach, asked)
        numbered, again = _number(found.groups, first.by, asked, len(found.time))
        # Numbers are of one set of groups each: both are brought to those of the rows asked for.
        seen = Moments(_translate(numbered, again.group, rows.group), found.time)
    return compute_since(columns, Moments(theirs, events.time), events.time[is_of_all], seen, rows)


def _translate(numbers: Places, of_rows: Places, wanted: Places) -> Places:
    """Return numbers of groups as the same rows, numbered `of_rows`, are `wanted` to be; -1 where no row is of one."""
    table = np.full(max(numbers.max(initial=-1), of_rows.max(initial=-1)) + 2, -1, np.int64)
    table[of_rows[of_rows >= 0]] = wanted[of_rows >= 0]
    return table[numbers]


def trace(source: Source, columns: Sequence[PastColumn], fetched: Fetched) -> dict[str, list[PastValue]]:
    """Return from which earlier rows one row's values of these columns came, the newest first, at most 50 each."""
    rows = to_microseconds(fetched.rows, TIME)
    asked = _ask(rows, columns)
    found: dict[str, list[PastValue]] = {}
    for own in _alike([c for c in columns if isinstance(c, HistoryColumn)], lambda c: (c.of, c.by, c.look_back)):
        read = read_values(source, own[0], own[0].by, max(column.reach for column in own), asked, keyed=True)
        known, row = _group_values(read, own[0].by, asked)
        order = known.in_order()
        order = order[known.moments.group[order] >= 0]
        line = Timeline(known.moments.take(order))
        for column in own:
            seen = find_stretch(column, line, row)
            first = int(seen.end[0]) - 1 if column.statistic == "age" else int(seen.first[0])
            places = order[max(first, int(seen.first[0])) : int(seen.end[0])][::-1] if row.group[0] >= 0 else order[:0]
            assert read.keys is not None
            found[column.name] = [
                PastValue(
                    tuple(map(str, read.keys.slice(int(place), 1).to_pylist()[0].values())),
                    float(read.value[place]),
                    _EPOCH + timedelta(microseconds=int(read.known[place])),
                )
                for place in places[:_MOST_TRACED]
            ]
    return found
