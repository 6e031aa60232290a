"""Digests of rows that the store holds, read back in the form in which they were published."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Column, Database
from rowcast.errors import DatabaseError
from rowcast.store.checksums import digest_rows

_CHUNK = 50_000  # rows that travel together

Digests = dict[tuple[int, ...], list[bytes]]


def select_stored(
    db: Database, own: sa.Table, key: Sequence[Column], at: Mapping[str, sa.ColumnElement[Any]] | None = None
) -> sa.Select[Any]:
    """Return the select of every column of `own` as `digest_rows` takes it; `at` says where else columns are kept."""
    keys = {column.name: db.sql.key_value(column) for column in key}
    places: Mapping[str, sa.ColumnElement[Any]] = at or {column.name: column for column in own.c}
    return sa.select(*[keys.get(name, column).label(name) for name, column in places.items()])


def read_digests(db: Database, own: sa.Table, statement: sa.Select[Any], by: Sequence[str]) -> Digests:
    """Return the digests of the rows of a `select_stored`, by the values of some integer columns."""
    try:
        return _group(own, db.stream(statement, _CHUNK), by)
    except DatabaseError as error:
        if error.reason != "mixed":  # keys of several types, which is known only when one of another type comes
            raise
        return _group(own, db.stream(statement, _CHUNK, exact=True), by)


def _group(own: sa.Table, read: Iterable[pa.RecordBatch], by: Sequence[str]) -> Digests:
    found: Digests = {}
    for rows in read:
        places = zip(*[rows.column(name).to_pylist() for name in by], strict=True)
        for place, digest in zip(places, digest_rows(own, rows), strict=True):
            found.setdefault(place, []).append(digest)
    return found
