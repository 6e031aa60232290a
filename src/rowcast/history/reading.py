"""What became known before some rows, read from their source: times, groups and values, as far back as columns look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.check.values import FLOAT32_MAX, convert
from rowcast.config import Reading
from rowcast.database import Column, Relation
from rowcast.errors import SourceError
from rowcast.history.exact_sums import Floats, Places
from rowcast.models.target import canonical_label
from rowcast.past import HistoryColumn, JoinedColumn, LabelMeaning, SinceColumn
from rowcast.source import GROUPED, KNOWN, TIME, Source, find_column, make_missing_table_error, to_microseconds

_VALUE = "rowcast.value"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime(1, 1, 2, tzinfo=UTC) - _EPOCH) // _MICROSECOND  # before which no database has a time
_MOST = 100_000_000  # rows of one read
_MOST_NAMED = 100  # values of a group's column that a statement names


@dataclass(frozen=True)
class Asked:
    """Rows (m,), one at least, whose past is asked for."""

    time: Places
    groups: Mapping[str, pa.Array]  # by column, texts (m,) that are equal where rows are alike in it

    def begin(self, reach: int) -> datetime:
        """Return how far back they look, in microseconds before the earliest."""
        return _moment(max(int(self.time.min()) - reach, _FIRST))

    @property
    def end(self) -> datetime:
        """The time of the latest, before which all that counts became known."""
        return _moment(int(self.time.max()))


@dataclass(frozen=True)
class ReadValues:
    """n values as they were read."""

    known: Places  # (n,) when they became known
    event: Places  # (n,) of their rows
    value: Floats  # (n,)
    groups: Mapping[str, pa.Array]  # by column, texts (n,)
    keys: pa.RecordBatch | None = None  # of their rows, as the source renders them


@dataclass(frozen=True)
class ReadEvents:
    """n events of a table, or rows of the source."""

    time: Places  # (n,)
    groups: tuple[pa.Array, ...]  # (n,) each


class Reader:
    """Reads what became known. With a moment `until`, what was read is kept for rows of the same stretch up to it."""

    def __init__(self, source: Source, until: datetime | None = None) -> None:
        self.source = source
        self._until = until
        self._kept: dict[tuple[object, ...], tuple[datetime, ReadValues]] = {}

    def read(self, columns: Sequence[HistoryColumn], by: Sequence[str], asked: Asked) -> ReadValues:
        """Return the values that rows may see by columns of one `of`, with the texts of what these go `by`."""
        column, reach = columns[0], max(each.reach for each in columns)
        if self._until is None or asked.end > self._until:
            common = {name: asked.groups[name] for name in by if all(name in each.by for each in columns)}
            return read_values(self.source, column, by, reach, Asked(asked.time, common))
        key, begin = (column.of, column.label, column.look_back, *by), asked.begin(reach)
        kept = self._kept.get(key)
        if kept is None or kept[0] > begin:
            whole = Asked(np.array([asked.time.min(), (self._until - _EPOCH) // _MICROSECOND]), {})
            kept = self._kept[key] = (begin, read_values(self.source, column, by, reach, whole))
        return kept[1]


def read_values(
    source: Source, column: HistoryColumn, by: Sequence[str], reach: int, asked: Asked, *, keyed: bool = False
) -> ReadValues:
    """Return the values of `column.of` that rows may see, and, where they are wanted `keyed`, whose they are.

    Where few groups are asked for, values of others are left out.

    A label counts once it is known: from `label_time` on, or `label_delay` after its event, and never before the event.
    One whose `label_time` is longer after its event than a column looks back is left out: it would cost every read.
    """
    assert source.time is not None
    settings, sql, label = source.settings, source.db.sql, column.label
    of, begin, end, late = source.relation[column.of], asked.begin(reach), asked.end, timedelta(0)
    chosen = [source.event_time().label(TIME), sql.feature(of).label(_VALUE), *_select_groups(source, by)]
    chosen += source.render_key() if keyed else []
    parts = name_groups(source, asked, by)
    if label is None:
        parts.append(sa.column(of.name).is_not(None))
    else:
        parts.append(source.has_known_label(end))
        late = settings.label_delay
        if settings.label_time:
            late = column.look_back * _MICROSECOND
            chosen.append(sql.event_time(source.relation[settings.label_time], settings.timezone).label(KNOWN))
    parts.append(sql.event_time_between(source.time, settings.timezone, _earlier(begin, late), end))
    rows, misfits = source.db.read(source.select(*chosen).where(*parts), {_VALUE: of.kind}, _MOST)
    event = to_microseconds(rows, TIME).column(TIME).to_numpy()
    value = _to_numbers(rows.column(_VALUE), {each.row: each.value for each in misfits}, label, settings.reading)
    there = np.isfinite(value) & (np.abs(value) <= FLOAT32_MAX)
    known = event + (0 if label is None else settings.label_delay // _MICROSECOND)
    if KNOWN in rows.schema.names:
        known = np.maximum(to_microseconds(rows, KNOWN).column(KNOWN).to_numpy(), event)
        there &= known - event <= column.look_back
    places = pa.array(np.flatnonzero(there))
    keys = source.take_rendered_key(rows).take(places) if keyed else None
    groups = {name: _take_text(rows, GROUPED + name).take(places) for name in by}
    return ReadValues(known[there], event[there], value[there], groups, keys)


def read_rows(source: Source, by: Sequence[str], reach: int, asked: Asked) -> ReadEvents:
    """Return when the source's rows were, and of which group, as far back as rows look."""
    assert source.time is not None
    between = source.db.sql.event_time_between(source.time, source.settings.timezone, asked.begin(reach), asked.end)
    chosen = source.select(source.event_time().label(TIME), *_select_groups(source, by))
    rows, _ = source.db.read(chosen.where(between, *name_groups(source, asked, by)), {}, _MOST)
    return _to_events(rows, by)


def read_events(source: Source, column: SinceColumn, reach: int, asked: Asked) -> ReadEvents:
    """Return the events of a table as far back as rows look. Raise SourceError where it lacks a column."""
    time, groups = find_event_columns(source, column)
    db, zone = source.db, source.settings.timezone
    schema, name = db.admin.split_name(column.events)
    table = sa.table(name, *[sa.column(each.name) for each in {time, *groups}], schema=schema)
    chosen = [db.sql.event_time(time, zone).label(TIME)]
    texts = [_write_text(source, own) for own in groups]
    chosen += [text.label(GROUPED + by) for text, by in zip(texts, column.by, strict=True)]
    between = db.sql.event_time_between(time, zone, asked.begin(reach), asked.end)
    rows, _ = db.read(sa.select(*chosen).select_from(table).where(between), {}, _MOST)
    return _to_events(rows, column.by)


@dataclass(frozen=True)
class ReadJoined:
    """n rows of another table."""

    time: Places  # (n,)
    groups: tuple[pa.Array, ...]  # (n,) each
    columns: dict[str, pa.Array]  # (n,) each: float64 or text


def read_joined(source: Source, columns: Sequence[JoinedColumn], reach: int, asked: Asked) -> ReadJoined:
    """Return rows of one table, as far back as rows look. Raise SourceError where it lacks a column."""
    first, db = columns[0], source.db
    relation = find_joined_table(source, columns)
    schema, name = db.admin.split_name(first.table)
    wanted = {first.time, *first.keys, *(column.column for column in columns)}
    table = sa.table(name, *[sa.column(each) for each in wanted], schema=schema)
    texts = [
        _write_text(source, relation[key]).label(GROUPED + by) for key, by in zip(first.keys, first.by, strict=True)
    ]
    time = relation[first.time]
    chosen = [db.sql.event_time(time, source.settings.timezone).label(TIME), *texts]
    own = [relation[name] for name in dict.fromkeys(column.column for column in columns)]
    chosen += [db.sql.feature(each).label(_VALUE + str(place)) for place, each in enumerate(own)]
    between = db.sql.event_time_between(time, source.settings.timezone, asked.begin(reach), asked.end)
    kinds = {_VALUE + str(place): each.kind for place, each in enumerate(own)}
    rows, _ = db.read(sa.select(*chosen).select_from(table).where(between), kinds, _MOST)
    found = _to_events(rows, first.by)
    values = {each.name: _to_plain(rows.column(_VALUE + str(place))) for place, each in enumerate(own)}
    return ReadJoined(found.time, found.groups, values)


def find_joined_table(source: Source, columns: Sequence[JoinedColumn]) -> Relation:
    """Return the table that columns are of. Raise SourceError where it, or one of the columns, is not there."""
    first, where = columns[0], f"{columns[0].table} in {source.db.safe_url}"
    relation = _describe(source, first.table, "features.join")
    time = find_column(relation, first.time, where, "features.join.time")
    _require_time(source, first.table, time)
    for key in first.keys:
        find_column(relation, key, where, "features.join.keys")
    for column in columns:
        found = find_column(relation, column.column, where, "features.join.columns")
        if found.kind not in ("number", "category", "boolean"):
            raise SourceError(
                f"the column '{found.name}' of {first.table} is {found.type}, which no model can use",
                hint="name columns of numbers, texts or booleans",
            )
    return relation


def _to_plain(values: pa.Array) -> pa.Array:
    """Return values as text, or as numbers."""
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return values.cast(pa.string()) if is_text else values.cast(pa.float64(), safe=False)


def _write_text(source: Source, column: Column) -> sa.ColumnElement[Any]:
    """Return a value of another table as the source's columns are written to be compared with it."""
    is_sqlite = source.db.dialect.name == "sqlite"
    return sa.cast(sa.column(column.name), sa.Text) if is_sqlite else source.db.sql.key_text(column)


def _describe(source: Source, table: str, setting: str) -> Relation:
    relation = source.db.admin.describe(table, None)
    if relation is None:
        raise make_missing_table_error(source.db, table, setting)
    return relation


def _require_time(source: Source, table: str, time: Column) -> None:
    if time.kind == "category" and source.db.dialect.name != "sqlite":
        raise SourceError(f"the time column '{time.name}' of {table} is text", hint="use a view that casts it")


def find_event_columns(source: Source, column: SinceColumn) -> tuple[Column, list[Column]]:
    """Return the time column of a table of events, and those of its groups. Raise SourceError."""
    where = f"{column.events} in {source.db.safe_url}"
    relation = _describe(source, column.events, "features.since")
    time = find_column(relation, column.event_time, where, "features.since.event_time")
    _require_time(source, column.events, time)
    return time, [find_column(relation, name, where, "features.since.event_group") for name in column.event_group]


def name_groups(source: Source, asked: Asked, by: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of rows that may be of the same groups as those asked for, where these are few."""
    parts: list[sa.ColumnElement[bool]] = []
    for name in [name for name in by if name in asked.groups]:
        texts = asked.groups[name].unique().drop_null()
        if len(texts) <= _MOST_NAMED:
            parts.append(source.may_be_of_group(name, texts.to_pylist()))
    return parts


def _select_groups(source: Source, by: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    return [source.group_text(name).label(GROUPED + name) for name in by]


def _to_events(rows: pa.RecordBatch, by: Sequence[str]) -> ReadEvents:
    time = to_microseconds(rows, TIME).column(TIME).to_numpy()
    return ReadEvents(time, tuple(_take_text(rows, GROUPED + name) for name in by))


def _take_text(rows: pa.RecordBatch, name: str) -> pa.Array:
    return rows.column(name).cast(pa.string())


def _to_numbers(column: pa.Array, texts: Mapping[int, str], label: LabelMeaning | None, reading: Reading) -> Floats:
    """Return values (n,) as numbers, NaN where none is; `texts` are those that their column's kind cannot hold."""
    if label is None or label.how == "value":
        how = reading if label is None else Reading(decimal=reading.decimal)
        numbers = convert(column, "number", how, texts)[0].cast(pa.float64(), safe=False)
        return np.asarray(pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False))
    encoded = column.dictionary_encode()
    same = np.array([*(canonical_label(each) == label.label for each in encoded.dictionary.to_pylist()), False])
    found = same[encoded.indices.fill_null(len(same) - 1).to_numpy(zero_copy_only=False)]
    for row, text in texts.items():
        found[row] = canonical_label(text) == label.label
    return np.asarray(found if label.how == "is" else ~found, np.float64)


def _earlier(moment: datetime, duration: timedelta) -> datetime:
    return _moment(max((moment - _EPOCH) // _MICROSECOND - duration // _MICROSECOND, _FIRST))


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
