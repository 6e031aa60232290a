"""The rows of some runs that have the highest scores."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.store.tables import JobTables

_SHOWN = ("model_version", "run_id", "score", "predicted", "threshold", "uncertain", "contributions")


def read_leading(db: Database, own: JobTables, runs: tuple[int, int], most: int) -> list[Mapping[str, Any]]:
    """Return at most so many predictions of the runs from one number to another, the highest score first."""
    table = own.prediction
    keys = [column for column in table.c if column.primary_key]
    statement = sa.select(*keys, *[table.c[name] for name in _SHOWN]).where(table.c.run_id.between(*runs))
    return list(db.rows(statement.order_by(table.c.score.desc(), *keys).limit(most)))
