"""One face for every database: statements in SQLAlchemy Core go in, Arrow comes out.

SQLAlchemy only writes the SQL here; Arrow drivers execute it. To support another system, add a file with one class
that fills `Database`, and name it in `connect`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.sql import operators

from rowcast.contract import Misfit
from rowcast.errors import ConfigError

ColumnKind = Literal["number", "category", "boolean", "time", "other"]
LARGEST = 3.4e38  # number that a float32 holds
_PORTS = {"postgresql": 5432, "mssql": 1433}  # where a URL names none


@dataclass(frozen=True)
class Column:
    """A column of the user's table or query."""

    name: str
    kind: ColumnKind
    type: str  # as the database spells it, collation included: good for declaring the same column again
    integer: bool = False  # whether `type` is one of the integer types


@dataclass(frozen=True)
class Relation:
    """The user's table or query, as the database describes it."""

    columns: tuple[Column, ...]
    unique: tuple[frozenset[str], ...] = ()  # sets of columns that a constraint or index keeps from repeating
    indexed: tuple[tuple[str, ...], ...] = ()  # the columns of each index, in its order

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def is_unique(self, key: Sequence[str]) -> bool:
        """Whether the database itself keeps this key from repeating."""
        return any(columns <= set(key) for columns in self.unique)

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


class RawType(sa.types.UserDefinedType[Any]):
    """A type spelled as the database itself spells it."""

    cache_ok = True

    def __init__(self, spelled: str) -> None:
        self.spelled = spelled

    def get_col_spec(self, **_: Any) -> str:
        return self.spelled


class Database(Protocol):
    """A connection to one database. Errors come out as DatabaseError; what is raised or shown holds no secret."""

    dialect: sa.Dialect
    shown: str  # the URL without user, password and options
    text_key: str  # the type of a key column that holds any text

    def reconnect(self) -> None:
        """Begin anew with a fresh connection: nothing is left of an open transaction or of temporary tables."""
        ...

    def another(self) -> Self:
        """A second connection to the same database, for another thread; whoever asks closes it."""
        ...

    def execute(self, statement: sa.Executable) -> None: ...

    def rows(self, statement: sa.Select[Any] | sa.UpdateBase | sa.CompoundSelect[Any]) -> list[dict[str, Any]]:
        """All rows of a small result, as Python values."""
        ...

    def scalar(self, statement: sa.Select[Any] | sa.UpdateBase) -> Any:
        """The first column of the first row, or None."""
        ...

    def read(
        self, statement: sa.Select[Any], columns: Mapping[str, ColumnKind], most: int
    ) -> tuple[pa.RecordBatch, list[Misfit]]:
        """At most `most` rows in one batch; `columns` names the feature columns, whose Arrow types follow their kind.

        Values that a column's kind cannot hold come as NULL, and their originals as misfits.
        """
        ...

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        """The rows in batches of about `chunk`; the statement should be ordered. For keys and plain columns.

        Raises DatabaseError of the reason `mixed` where the values of a `key_value` are of several types: with `exact`
        it comes as `Mixed`.
        """
        ...

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        """Append rows in the current transaction; columns are matched by name and cast to the table's types.

        A `Mixed` column is written as it is, or refused by `not_mixed`.
        """
        ...

    def staged(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> Callable[[], None]:
        """Bring many rows near before a transaction begins; what is returned appends them in it, as `ingest` does."""
        ...

    def load(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        """Append many rows, all or none, outside any transaction."""
        ...

    def temporary(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        """An empty table for this connection alone, made anew."""
        ...

    def transaction(self, kind: Literal["write", "snapshot"]) -> AbstractContextManager[None]:
        """'write' commits or rolls back; 'snapshot' lets every statement in it see one moment."""
        ...

    def lock(self, table: sa.Table, name: str) -> None:
        """Keep others from the row of this name until the transaction ends; `name` is the table's primary key.

        Raises DatabaseError, `locked`, where somebody else has it for too long.
        """
        ...

    def attempt(self) -> AbstractContextManager[None]:
        """What fails in it leaves the open transaction, where there is one, as it was before."""
        ...

    def has_table(self, table: sa.Table) -> bool: ...

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        """None where there is no such table."""
        ...

    def named(self, table: str) -> tuple[str | None, str]:
        """Schema and name of a table as the config spells it."""
        ...

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        """A feature column as it is read: decimals as floats, enumerations as text."""
        ...

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        """The value in a number column as a float, NULL where it is no number or too large for a float32."""
        ...

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        """Whether the value is a point in time at all: true or false, never NULL."""
        ...

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        """The UTC instant in a column; read, it is int64 microseconds since 1970 or an Arrow timestamp."""
        ...

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        """A moment in the form that `event_time` has."""
        ...

    def later(self, event_time: sa.ColumnElement[Any], by: timedelta) -> sa.ColumnElement[Any]: ...

    def hours(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The time between two instants in the form that `event_time` has, as a float."""
        ...

    def not_before(
        self, column: Column, timezone: str, moment: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        """moment <= event_time, and event_time <= until where that is given; an index on the column can serve it.

        What is no point in time is not in it.
        """
        ...

    def rendered(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        """A key's value as text from which `parsed` makes the value again."""
        ...

    def parsed(self, text: str, column: Column) -> sa.ColumnElement[Any]: ...

    def typed(self, text: str, column: Column) -> list[str]:
        """What `rendered` gives for a key value that a person typed; several where more than one may be meant."""
        ...

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        """A key as it is read, so that `ingest` writes the same value to a column of the same type.

        It comes as `Mixed` from a `read` of values of several types.
        """
        ...

    def as_text(self, column: Column) -> sa.ColumnElement[Any]:
        """A key as text, for a store of another system."""
        ...

    def now(self) -> datetime: ...

    def prepare_store(self, schema: str) -> None:
        """What the database needs before the store's tables can be created in it."""
        ...

    def schema_ddl(self, schema: str) -> list[str]:
        """The statements that create the store's schema where it is not there."""
        ...

    def table_ddl(self, table: sa.Table) -> list[str]:
        """What follows a table's creation."""
        ...

    def staging(self, table: sa.Table, key: Sequence[Column]) -> sa.Table | None:
        """The table through which `staged` brings rows into another; None where it needs none."""
        ...

    def rights(self, schema: str) -> list[str]:
        """What is missing to create the store's tables, a sentence each."""
        ...

    def ungranted(self, schema: str | None, table: str, rights: Sequence[str]) -> list[str]:
        """The statements by which an administrator gives what is missing of SELECT, INSERT, UPDATE, DELETE."""
        ...

    def version(self) -> str:
        """The system, its version, and what matters of how it is set up."""
        ...

    def advice(self) -> list[tuple[str, str]]:
        """What an administrator could do better: what is so, and the way out."""
        ...

    def close(self) -> None: ...


def connect(url: str, *, create: bool = False) -> Database:
    """Open a database by its SQLAlchemy URL; `create` lets a missing SQLite file be made.

    Raises ConfigError for a URL, DatabaseError for a connection.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "the database URL is not one",
            hint="write sqlite:///fab.db, postgresql://user:password@host:5432/database or mssql://user:password@host/database",
        ) from None
    systems: dict[str, Callable[[], Database]] = {
        "sqlite": lambda: _sqlite(parsed, create),
        "postgresql": lambda: _postgresql(parsed),
        "mssql": lambda: _mssql(parsed),
    }
    system = parsed.get_backend_name()
    if system not in systems:
        raise ConfigError(f"'{system}' is not a database that rowcast knows", hint=f"known: {', '.join(systems)}")
    return systems[system]()


def _sqlite(url: sa.URL, create: bool) -> Database:
    from rowcast.database.sqlite import SQLite

    return SQLite(url, create=create)


def _postgresql(url: sa.URL) -> Database:
    try:
        from rowcast.database.postgresql import PostgreSQL
    except ModuleNotFoundError:
        raise ConfigError(
            "PostgreSQL needs a driver that is not installed", hint="pip install 'rowcast[postgresql]'"
        ) from None
    return PostgreSQL(url)


def _mssql(url: sa.URL) -> Database:
    try:
        from rowcast.database.mssql import MSSQL
    except ModuleNotFoundError:
        raise ConfigError(
            "SQL Server needs a driver that is not installed", hint="pip install 'rowcast[mssql]'"
        ) from None
    return MSSQL(url)


def same(one: str, other: str) -> bool:
    """Whether two URLs lead to the same database: there one statement can see both source and store."""
    return _target(make_url(one)) == _target(make_url(other))


def _target(url: sa.URL) -> tuple[object, ...]:
    system = url.get_backend_name()
    if system == "sqlite":
        return system, Path(url.database or "").resolve()
    return system, url.host, url.port or _PORTS.get(system), url.database


def bracketed(query: str) -> str:
    """The user's query between brackets; a line of its own lets it end in a comment."""
    return f"({query.strip().rstrip(';')}\n)"


# Not every system compares row values, so composite keys are expanded; the outer comparison lets an index serve.


def equal(one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """one = other, in this order: SQLite compares by the collation of the first, and `==` may turn them round."""
    return one.operate(operators.eq, other)


def at_least(keys: Sequence[sa.ColumnElement[Any]], low: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
    """keys >= low in key order."""
    if len(keys) == 1:
        return keys[0] >= low[0]
    return sa.and_(keys[0] >= low[0], sa.or_(keys[0] > low[0], at_least(keys[1:], low[1:])))


def at_most(keys: Sequence[sa.ColumnElement[Any]], high: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
    """keys <= high in key order."""
    if len(keys) == 1:
        return keys[0] <= high[0]
    return sa.and_(keys[0] <= high[0], sa.or_(keys[0] < high[0], at_most(keys[1:], high[1:])))


def after(keys: Sequence[sa.ColumnElement[Any]], bound: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
    """keys > bound in key order."""
    if len(keys) == 1:
        return keys[0] > bound[0]
    return sa.and_(keys[0] >= bound[0], sa.or_(keys[0] > bound[0], after(keys[1:], bound[1:])))
