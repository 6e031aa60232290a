"""Labelled rows for training, and what their labels and times say: where scoring begins, how much is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Column, OrderedPart, at_least
from rowcast.errors import ConfigError, DatabaseError
from rowcast.fetch.by_key import select_keys
from rowcast.fetch.failing import Failing, read_around
from rowcast.fetch.pending import join_batches
from rowcast.source import (
    FRESH,
    GROUP,
    KNOWN,
    LABEL,
    TIME,
    Fetched,
    Learned,
    Scope,
    Source,
    parse_instant,
    read_in_time_order,
    to_microseconds,
)

_NONE = Failing()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def find_newest_event(source: Source, now: datetime) -> datetime | None:
    """Return the newest event time that is visible, None without a time column or rows."""
    if source.time is None:
        return None
    is_indexed = any(index[:1] == (source.time.name,) for index in source.relation.indexed)
    ordered = source.db.sql.list_ordered_parts(source.time) if is_indexed else []
    parts: list[OrderedPart | None] = [*ordered] or [None]
    found = [_find_newest(source, now, part) for part in parts]
    return max((newest for newest in found if newest is not None), default=None)


def _find_newest(source: Source, now: datetime, part: OrderedPart | None) -> datetime | None:
    """Return the newest event time of a part of the column, near its largest value, which an index finds; or of all."""
    assert source.time is not None
    visible = [source.visible(now), source.db.sql.has_event_time(source.time)]
    if part is not None:
        visible.append(part.values)
    if part is not None and part.slack is not None:
        value: sa.ColumnElement[Any] = sa.column(source.time.name)
        largest: sa.ColumnElement[Any] = (
            source.select(sa.func.max(value), table=source.table("n")).where(*visible).scalar_subquery()
        )
        near = source.db.sql.add_duration(largest, -part.slack) if part.slack else largest
        visible.append(value.between(near, largest))
    newest = sa.func.max(source.event_time()).label("newest")
    return _moment(source.db.scalar(source.select(newest).where(*visible)))


def find_event_time(source: Source, this: Sequence[sa.ColumnElement[bool]]) -> datetime | None:
    """Return the event time of the one row that conditions name; None without a time column."""
    if source.time is None:
        return None
    return _moment(source.db.scalar(source.select(source.event_time().label("event")).where(*this)))


def find_oldest_event(source: Source, now: datetime) -> datetime | None:
    """Return the oldest event time that is visible, None without a time column or rows."""
    if source.time is None:
        return None
    visible = (source.visible(now), source.db.sql.has_event_time(source.time))
    return _moment(source.db.scalar(source.select(sa.func.min(source.event_time()).label("oldest")).where(*visible)))


def count_known_labels(source: Source, now: datetime) -> int:
    """Return how many visible rows have a label that is known."""
    counted = source.select(sa.func.count().label("n")).where(source.has_known_label(now), source.visible(now))
    return int(source.db.scalar(counted))


def find_initial_scope(source: Source, now: datetime, since: str | None) -> Scope:
    """Return where scoring would begin if it were fixed now. Raises ConfigError for a useless `infer.since`.

    It begins `late_arrival` before the newest row with a known label, or with the oldest row where no label is known.
    Rows whose labels are known by now are left to training, unless `since` asks for all rows from a moment on.
    """
    if source.time is None:
        if since is not None:
            raise ConfigError("infer.since needs source.time", hint="without a time column key order is time order")
        last = _last_labelled_key(source, now)
        return Scope(after=_key_before_first_unlabelled(source, now), learned=Learned(last, now) if last else None)
    if since is not None:
        return Scope(parse_instant(since, source.settings.timezone), with_learned=True)
    visible = sa.and_(source.visible(now), source.db.sql.has_event_time(source.time))
    time, known = source.event_time(), source.has_known_label(now)
    newest_known = _moment(source.db.scalar(source.select(sa.func.max(time).label("t")).where(known, visible)))
    if newest_known is not None:
        return Scope(newest_known - source.settings.late_arrival, learned=Learned(newest_known, now))
    return Scope(_moment(source.db.scalar(source.select(sa.func.min(time).label("t")).where(visible))) or now)


def _last_labelled_key(source: Source, now: datetime) -> tuple[str, ...]:
    keys = source.keys()
    labelled = source.select(*source.render_key(), table=source.table())
    labelled = labelled.where(source.has_known_label(now), *[key.is_not(None) for key in keys])
    rows = source.db.rows(labelled.order_by(*[key.desc() for key in keys]).limit(1))
    return tuple(rows[0].values()) if rows else ()


def _key_before_first_unlabelled(source: Source, now: datetime) -> tuple[str, ...]:
    table, keys = source.table(), source.keys()
    usable = [key.is_not(None) for key in keys]
    first = source.db.rows(
        source.select(*source.render_key(), table=table)
        .where(~_true(source.has_known_label(now)), *usable)
        .order_by(*keys)
        .limit(1)
    )
    parts = [sa.not_(at_least(keys, source.parse_key(tuple(first[0].values()))))] if first else []
    last = source.select(*source.render_key(), table=table).where(*usable, *parts)
    rows = source.db.rows(last.order_by(*[key.desc() for key in keys]).limit(1))
    return tuple(rows[0].values()) if rows else ()


@dataclass(frozen=True)
class TrainingRows:
    """Labelled rows, and what of them the database could not compute."""

    fetched: Fetched
    failing: Failing = _NONE

    @property
    def rows(self) -> pa.RecordBatch:
        return self.fetched.rows


def fetch_training_rows(
    source: Source,
    now: datetime,
    most: int,
    trained_to: datetime | tuple[str, ...] | None,
    beside: Sequence[Column] = (),
) -> TrainingRows:
    """Return the latest labelled rows, oldest first, with every feature, and columns beside them.

    Beside the features: `TIME` (int64 microseconds, or the row's place without a time column), `KNOWN` (in the same
    unit: when the label arrived), `LABEL`, `GROUP` where one is named, and `FRESH`: later than what the champion was
    trained on. Rows that the database cannot compute are left out, and a column where it is most of them.
    """

    def read(columns: Sequence[Column], keys: Sequence[tuple[str, ...]] | None) -> Fetched:
        return _read_labelled(source, now, most, trained_to, columns, keys)

    columns = [*source.features, *beside]
    try:
        return TrainingRows(read(columns, None))
    except DatabaseError as error:
        if error.reason != "other":
            raise
        try:
            keys = _read_labelled_keys(source, now, most)
        except DatabaseError:  # not a feature is at fault
            raise error from None
        parts, failing = read_around(read, columns, keys, error)
        found = join_batches(parts, 0)
        return TrainingRows(found if source.time else _number_anew(found), failing)


def fetch_newest_rows(source: Source, now: datetime, most: int, columns: Sequence[Column]) -> Fetched | None:
    """Return the latest rows whose label is not known, oldest first, with these columns; None without a time column.

    Raise DatabaseError.
    """
    if source.time is None:
        return None
    table = source.table()
    waiting = [source.usable(table), source.visible(now), sa.not_(_true(source.has_known_label(now)))]
    wanted = source.select(*source.values(columns), table=table).where(*waiting)
    return read_in_time_order(source, wanted, table, source.kinds(columns), most)


def _number_anew(found: Fetched) -> Fetched:
    """Return rows without a time column, some of which were read apart, with their places among all."""
    places, rows = pa.array(np.arange(found.rows.num_rows)), found.rows
    for name in (TIME, KNOWN):
        rows = rows.set_column(rows.schema.get_field_index(name), name, places)
    return Fetched(rows, found.misfits)


def _select_labelled(
    source: Source, now: datetime, table: sa.FromClause, columns: Sequence[sa.ColumnElement[Any]]
) -> sa.Select[Any]:
    return source.select(*columns, table=table).where(
        source.usable(table), source.has_known_label(now), source.visible(now)
    )


def _read_labelled(
    source: Source,
    now: datetime,
    most: int,
    trained_to: datetime | tuple[str, ...] | None,
    features: Sequence[Column],
    keys: Sequence[tuple[str, ...]] | None,
) -> Fetched:
    """Return labelled rows with these features: the latest, or those with these rendered keys."""
    source_settings, table = source.settings, source.table()
    later: sa.ColumnElement[Any] = sa.false()
    if isinstance(trained_to, datetime):
        later = source.event_time() > source.db.sql.instant(trained_to)
    elif trained_to:
        later = source.after_key(trained_to)
    columns: list[sa.ColumnElement[Any]] = source.values(features)
    columns += [source.db.sql.feature(source.label).label(LABEL), sa.case((later, 1), else_=0).label(FRESH)]
    if source_settings.group:
        columns.append(source.db.sql.feature(source.relation[source_settings.group]).label(GROUP))
    if source_settings.label_time:
        arrived = source.db.sql.event_time(source.relation[source_settings.label_time], source_settings.timezone)
        columns.append(arrived.label(KNOWN))
    wanted = _select_labelled(source, now, table, columns)
    if keys is not None:
        wanted = wanted.where(select_keys(source, keys))
    found = read_in_time_order(source, wanted, table, source.kinds(features), most)
    if source_settings.label_time:
        return Fetched(to_microseconds(found.rows, KNOWN), found.misfits)
    delay = source_settings.label_delay // timedelta(microseconds=1)  # none without a time column
    return Fetched(found.rows.append_column(KNOWN, pa.array(found.rows.column(TIME).to_numpy() + delay)), found.misfits)


def _read_labelled_keys(source: Source, now: datetime, most: int) -> list[tuple[str, ...]]:
    """Return the rendered keys of the latest labelled rows, oldest first."""
    table = source.table()
    found = read_in_time_order(
        source, _select_labelled(source, now, table, source.render_key() if source.time else []), table, {}, most
    )
    return [tuple(row.values()) for row in source.take_rendered_key(found.rows).to_pylist()]


def _true(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Return a condition in which NULL counts as false, so that its negation is true."""
    return sa.case((condition, 1), else_=0) == 1


def _moment(value: Any) -> datetime | None:
    """Return an instant as Python holds it, which was read as microseconds or a timestamp."""
    return _EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value
