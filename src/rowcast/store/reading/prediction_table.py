"""Rows of a job's prediction table as an Arrow table, whatever the database keeps them in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import UsageError
from rowcast.store.tables import Instant, JobTables

_CHUNK = 50_000  # rows that travel together
_INTERNAL = ("row_hash",)


def read_predictions(
    db: Database,
    own: JobTables,
    since: datetime | None = None,
    until: datetime | None = None,
    version: int | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Return predictions that were published at or after `since` and before `until`, in that order and by key.

    `columns` are by default all but the row's hash. Raise UsageError for a column that the table lacks.
    """
    table = own.prediction
    names = [column.name for column in table.c if column.name not in _INTERNAL] if columns is None else list(columns)
    unknown = [name for name in names if name not in table.c]
    if unknown:
        raise UsageError(
            f"predictions have no column '{unknown[0]}'",
            hint=f"they have {', '.join(column.name for column in table.c)}",
        )
    meant: list[sa.ColumnElement[bool]] = []
    if since is not None:
        meant.append(table.c.scored_at >= since)
    if until is not None:
        meant.append(table.c.scored_at < until)
    if version is not None:
        meant.append(table.c.model_version == version)
    keys = [column for column in table.c if column.primary_key]
    chosen = [table.c[name] for name in names]
    statement = sa.select(*chosen).where(*meant).order_by(table.c.scored_at, *keys)
    batches = list(db.stream(statement, _CHUNK))
    if not batches:
        batches = [db.read(sa.select(*chosen).where(sa.false()), {}, 0)[0]]
    found = pa.Table.from_batches(batches)
    for place, name in enumerate(names):
        kind = _arrow_type(table.c[name].type)
        if kind is not None and found.schema.field(place).type != kind:
            found = found.set_column(place, name, found.column(place).cast(kind))
    return found


def _arrow_type(kind: Any) -> pa.DataType | None:
    """The Arrow type of a column that rowcast declares; None for a key, which is as the source has it."""
    if isinstance(kind, Instant):
        return pa.timestamp("us", "UTC")
    known = {sa.Double: pa.float64(), sa.Boolean: pa.bool_(), sa.Text: pa.string(), sa.Integer: pa.int64()}
    return next((arrow for declared, arrow in known.items() if isinstance(kind, declared)), None)
