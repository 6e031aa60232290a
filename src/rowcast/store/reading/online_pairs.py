"""Recorded answers of the HTTP service beside the batch's predictions of the same rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rowcast.database import Database
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


def compare_online(store: Database, shared: Tables, own: JobTables, since: datetime, until: datetime) -> OnlineSkew:
    """Compare the answers that were recorded between two moments with the batch's predictions of the same keys.

    Rows whose hashes were made in two ways are left out: they cannot be told apart.
    """
    online, batch = own.online, own.prediction
    names = [column.name for column in own.prediction.primary_key]
    same_key = sa.and_(*[online.c[name] == batch.c[name] for name in names])
    same_version = online.c.model_version == batch.c.model_version
    far = sa.func.abs(online.c.score - batch.c.score) > _TOLERANCE

    def count(condition: sa.ColumnElement[bool], name: str) -> sa.ColumnElement[Any]:
        return sa.func.sum(sa.case((condition, 1), else_=0)).label(name)

    counts: list[sa.ColumnElement[Any]] = [
        sa.func.count().label("rows"),
        count(online.c.row_hash != batch.c.row_hash, "values_differ"),
        count(same_version, "same_version"),
        count(sa.and_(same_version, far), "scores_differ"),
    ]
    answered = sa.and_(online.c.score.is_not(None), online.c.online_at > since, online.c.online_at <= until)
    published = shared.batch.c.batch_id == batch.c.batch_id
    ways = [sa.func.coalesce(table.c.hashed_by, RowHash.MIXED.value) for table in (online, shared.batch)]
    joined = online.join(batch, same_key).join(shared.batch, published)
    statement = sa.select(*counts).select_from(joined).where(answered, ways[0] == ways[1])
    [found] = store.rows(statement)
    return OnlineSkew(**{name: int(value or 0) for name, value in found.items()})
