"""Recorded answers of the HTTP service beside the batch's predictions of the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rowcast.database import Column, Database
from rowcast.source import RowHash
from rowcast.store.tables import JobTables, Tables

_TOLERANCE = 1e-9  # of a score


@dataclass(frozen=True)
class OnlineSkew:
    """How far what was asked online differs from what the table held later, in rows of recorded requests."""

    rows: int  # that the batch has scored too
    values_differ: int  # of them, where the batch read other values
    same_version: int  # of them, that the same version scored both times
    scores_differ: int  # of those, where the scores are not equal

    @property
    def share(self) -> float | None:
        """The share of rows that the two saw differently; None without rows."""
        return self.values_differ / self.rows if self.rows else None


@dataclass(frozen=True)
class OnlineUnit:
    """Recorded rows of a stretch of time, of which the batch has scored one at least."""

    number: int  # of the stretch: 0 begins at the first moment
    rows: int  # that the batch has scored too
    differing: int  # of them, where it read other values, or the same version gave another score


def compare_online(store: Database, shared: Tables, own: JobTables, since: datetime, until: datetime) -> OnlineSkew:
    """Compare the answers that were recorded between two moments with the batch's predictions of the same keys.

    Rows whose hashes were made in two ways are left out: they cannot be told apart.
    """
    differ = _Differences(own)
    counts: list[sa.ColumnElement[Any]] = [
        sa.func.count().label("rows"),
        _count(differ.in_values, "values_differ"),
        _count(differ.same_version, "same_version"),
        _count(differ.in_score, "scores_differ"),
    ]
    [found] = store.rows(_select_pairs(shared, own, counts, since, until))
    return OnlineSkew(**{name: int(value or 0) for name, value in found.items()})


def sum_online(
    store: Database, shared: Tables, own: JobTables, since: datetime, until: datetime, unit: timedelta
) -> list[OnlineUnit]:
    """Compare them for each `unit` of time after the first moment, in the order of time; empty ones are left out."""
    differ, sql, at = _Differences(own), store.sql, own.online.c.online_at
    moment = sql.event_time(Column(at.name, "time", at.type.compile(store.dialect).lower()), "UTC")
    passed = sql.hours_between(sql.instant(since), moment) / sa.literal(unit / timedelta(hours=1), sa.Double)
    columns = [
        sa.cast(sa.func.floor(passed), sa.Integer).label("number"),
        sa.case((sa.or_(differ.in_values, differ.in_score), 1), else_=0).label("differs"),
    ]
    each = _select_pairs(shared, own, columns, since, until).subquery("each")
    counts = [sa.func.count().label("rows"), sa.func.sum(each.c.differs).label("differing")]
    statement = sa.select(each.c.number, *counts).group_by(each.c.number).order_by(each.c.number)
    return [OnlineUnit(**{name: int(value) for name, value in row.items()}) for row in store.rows(statement)]


class _Differences:
    """How a recorded answer and a prediction of the same key can differ."""

    def __init__(self, own: JobTables) -> None:
        online, batch = own.online, own.prediction
        self.in_values = online.c.row_hash != batch.c.row_hash
        self.same_version = online.c.model_version == batch.c.model_version
        self.in_score = sa.and_(self.same_version, sa.func.abs(online.c.score - batch.c.score) > _TOLERANCE)


def _count(condition: sa.ColumnElement[bool], name: str) -> sa.ColumnElement[Any]:
    return sa.func.sum(sa.case((condition, 1), else_=0)).label(name)


def _select_pairs(
    shared: Tables, own: JobTables, columns: Sequence[sa.ColumnElement[Any]], since: datetime, until: datetime
) -> sa.Select[Any]:
    """Select of answers that were recorded between two moments, each with the prediction of its key."""
    online, batch = own.online, own.prediction
    same_key = sa.and_(*[online.c[column.name] == batch.c[column.name] for column in batch.primary_key])
    published = shared.batch.c.batch_id == batch.c.batch_id
    ways = [sa.func.coalesce(table.c.hashed_by, RowHash.MIXED.value) for table in (online, shared.batch)]
    answered = sa.and_(online.c.score.is_not(None), online.c.online_at > since, online.c.online_at <= until)
    joined = online.join(batch, same_key).join(shared.batch, published)
    return sa.select(*columns).select_from(joined).where(answered, ways[0] == ways[1])
