"""Source rows by their keys."""

from collections.abc import Sequence

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Column
from rowcast.source import Fetched, Source

_TOGETHER = 500  # keys of one statement: SQLite refuses expressions that are a thousand deep


def fetch_by_key(source: Source, keys: pa.RecordBatch, columns: Sequence[Column]) -> list[Fetched]:
    """Return the rows that have these rendered keys, with these columns: in no order, some at a time."""
    found = []
    texts = list(zip(*[column.to_pylist() for column in keys.columns], strict=True))
    for start in range(0, len(texts), _TOGETHER):
        same = select_keys(source, texts[start : start + _TOGETHER])
        statement = source.select(*source.values(columns)).where(same)
        found.append(Fetched(*source.db.read(statement, source.kinds(columns), _TOGETHER)))
    return found


def select_keys(source: Source, keys: Sequence[tuple[str, ...]]) -> sa.ColumnElement[bool]:
    """Return the condition of rows with one of these rendered keys: not more than some hundred."""
    own, parsed = source.keys(), [source.parse_key(key) for key in keys]
    if len(own) == 1:
        return own[0].in_([value for (value,) in parsed])
    return sa.or_(*[sa.and_(*[a == b for a, b in zip(own, values, strict=True)]) for values in parsed])
