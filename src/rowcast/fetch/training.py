"""Labelled rows for training, and what their labels and times say: where scoring begins, how much is known."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.contract import Misfit
from rowcast.database import ColumnKind, at_least
from rowcast.errors import ConfigError
from rowcast.fetch.source import Fetched, Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)  # the coarsest resolution of a stored time
TIME, KNOWN, LABEL = "rowcast.time", "rowcast.known", "rowcast.label"  # beside the features
GROUP, FRESH = "rowcast.group", "rowcast.fresh"


def newest_event(source: Source, now: datetime) -> datetime | None:
    """The newest event time that is visible, None without a time column or rows."""
    if source.time is None:
        return None
    newest = sa.func.max(source.event_time()).label("newest")
    return _moment(
        source.db.scalar(source.select(newest).where(source.visible(now), source.db.has_event_time(source.time)))
    )


def labels_known(source: Source, now: datetime) -> int:
    """How many visible rows have a label that is known."""
    counted = source.select(sa.func.count().label("n")).where(source.known(now), source.visible(now))
    return int(source.db.scalar(counted))


def initial_scope(source: Source, now: datetime, since: str | None) -> tuple[datetime | None, tuple[str, ...] | None]:
    """Where scoring begins, as (event time, None) or, without a time column, (None, key after which)."""
    if source.time is None:
        if since is not None:
            raise ConfigError("infer.since needs source.time", hint="without a time column key order is time order")
        return None, _key_before_first_unlabelled(source, now)
    if since is not None:
        return instant(since, source.settings.timezone), None
    known, visible = source.known(now), sa.and_(source.visible(now), source.db.has_event_time(source.time))
    time = source.event_time()
    newest_known = _moment(source.db.scalar(source.select(sa.func.max(time).label("t")).where(known, visible)))
    unlabelled = source.select(sa.func.min(time).label("t")).where(~_true(known), visible)
    if newest_known is not None:
        bound = newest_known - source.settings.late_arrival
        unlabelled = unlabelled.where(source.db.not_before(source.time, source.settings.timezone, bound))
    earliest = _moment(source.db.scalar(unlabelled))
    if earliest is not None:
        return earliest, None
    newest = newest_event(source, now)
    return (newest + _TICK if newest else now), None


def _key_before_first_unlabelled(source: Source, now: datetime) -> tuple[str, ...]:
    table, keys = source.table(), source.keys()
    usable = [key.is_not(None) for key in keys]
    first = source.db.rows(
        source.select(*source.rendered_keys(), table=table)
        .where(~_true(source.known(now)), *usable)
        .order_by(*keys)
        .limit(1)
    )
    parts = [sa.not_(at_least(keys, source.parsed(tuple(first[0].values()))))] if first else []
    last = source.select(*source.rendered_keys(), table=table).where(*usable, *parts)
    rows = source.db.rows(last.order_by(*[key.desc() for key in keys]).limit(1))
    return tuple(rows[0].values()) if rows else ()


def training_rows(source: Source, now: datetime, most: int, trained_to: datetime | tuple[str, ...] | None) -> Fetched:
    """The latest labelled rows, oldest first, with every feature.

    Beside the features: `TIME` (int64 microseconds, or the row's place without a time column), `KNOWN` (in the same
    unit: when the label arrived), `LABEL`, `GROUP` where one is named, and `FRESH`: later than what the champion was
    trained on.
    """
    source_settings, table = source.settings, source.table()
    later: sa.ColumnElement[Any] = sa.false()
    if isinstance(trained_to, datetime):
        later = source.event_time() > source.db.instant(trained_to)
    elif trained_to:
        later = source.after_key(trained_to)
    columns: list[sa.ColumnElement[Any]] = source.values(source.features)
    columns += [source.db.feature(source.label).label(LABEL), sa.case((later, 1), else_=0).label(FRESH)]
    if source_settings.group:
        columns.append(source.db.feature(source.relation[source_settings.group]).label(GROUP))
    if source_settings.label_time:
        arrived = source.db.event_time(source.relation[source_settings.label_time], source_settings.timezone)
        columns.append(arrived.label(KNOWN))
    wanted = source.select(*columns, table=table).where(source.usable(table), source.known(now), source.visible(now))
    found = in_time_order(source, wanted, table, source.kinds(source.features), most)
    if source_settings.label_time:
        return Fetched(_in_microseconds(found.rows, KNOWN), found.misfits)
    delay = source_settings.label_delay // timedelta(microseconds=1)  # none without a time column
    return Fetched(found.rows.append_column(KNOWN, pa.array(found.rows.column(TIME).to_numpy() + delay)), found.misfits)


def in_time_order(
    source: Source, wanted: sa.Select[Any], table: sa.FromClause, kinds: Mapping[str, ColumnKind], most: int
) -> Fetched:
    """The latest of the wanted rows, oldest first, with `TIME`; without a time column with their rendered keys too."""
    keys = source.keys(table)
    order = [source.event_time().desc(), *[key.desc() for key in keys]] if source.time else [key.desc() for key in keys]
    wanted = wanted.add_columns(*([source.event_time().label(TIME)] if source.time else source.rendered_keys()))
    rows, misfits = source.db.read(wanted.order_by(*order), kinds, most)
    rows = rows.take(pa.array(np.arange(rows.num_rows)[::-1]))
    misfits = [Misfit(rows.num_rows - 1 - misfit.row, misfit.column, misfit.value) for misfit in misfits]
    if source.time:
        return Fetched(_in_microseconds(rows, TIME), misfits)
    return Fetched(rows.append_column(TIME, pa.array(np.arange(rows.num_rows))), misfits)


def _in_microseconds(rows: pa.RecordBatch, name: str) -> pa.RecordBatch:
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, name, rows.column(place).cast(pa.timestamp("us", "UTC")).cast(pa.int64()))


def instant(text: str, timezone: str) -> datetime:
    """An ISO 8601 moment as UTC; without a zone it is in `timezone`. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is not a moment", hint="write 2026-05-01 or 2026-05-01T06:00:00+02:00") from None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"'{text}' is no moment of the years 1 to 9999", hint="write 2026-05-01") from None


def _true(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """NULL counts as false, so that its negation is true."""
    return sa.case((condition, 1), else_=0) == 1


def _moment(value: Any) -> datetime | None:
    """What an event-time expression reads as: microseconds or a timestamp."""
    return _EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value
