"""What a database must offer: a connection, expressions in its SQL, and what an administrator would ask.

Methods of `Expressions` need no connection: what they return can be compiled with their `dialect` alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, Self

import pyarrow as pa
import sqlalchemy as sa

from rowcast.contract import Misfit
from rowcast.database.relation import Column, ColumnKind, Relation
from rowcast.database.rights import Grant
from rowcast.database.times import OrderedPart


class Connection(Protocol):
    """A connection to one database. Errors come out as DatabaseError; what is raised or shown holds no secret."""

    safe_url: str  # where it leads to, as a URL without user, password and other options
    recorded_url: str  # by which stores remember a source in it: it is never spelled otherwise

    @property
    def dialect(self) -> sa.Dialect:
        """How statements are compiled: that of the database's `Expressions`."""
        ...

    def reconnect(self) -> None:
        """Begin anew with a fresh connection: nothing is left of an open transaction or of temporary tables."""
        ...

    def clone(self) -> Self:
        """Open a second connection to the same database, for another thread; whoever asks closes it."""
        ...

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        ...

    def now(self) -> datetime:
        """Return the database's clock, in UTC."""
        ...

    # Statements

    def execute(self, statement: sa.Executable) -> None:
        """Execute a statement that returns nothing of interest."""
        ...

    def rows(self, statement: sa.Select[Any] | sa.UpdateBase | sa.CompoundSelect[Any]) -> list[dict[str, Any]]:
        """Return all rows of a small result, as Python values by column name."""
        ...

    def scalar(self, statement: sa.Select[Any] | sa.UpdateBase) -> Any:
        """Return the first column of the first row, or None."""
        ...

    def query(self, sql: str) -> pa.Table:
        """Return the whole result of SQL without parameters, as the driver gives it."""
        ...

    # Rows as Arrow

    def read(
        self, statement: sa.Select[Any], columns: Mapping[str, ColumnKind], most: int
    ) -> tuple[pa.RecordBatch, list[Misfit]]:
        """Return at most `most` rows in one batch; `columns` names the features, whose Arrow types follow their kind.

        Values that a column's kind cannot hold come as NULL, and their originals as misfits.
        """
        ...

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of about `chunk`; the statement should be ordered. For keys and plain columns.

        Raises DatabaseError of the reason `mixed` where the values of a `key_value` are of several types: with `exact`
        it comes as `MixedType`.
        """
        ...

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        """Append rows in the current transaction; columns are matched by name and cast to the table's types.

        A `MixedType` column is written as it is, or refused by `refuse_mixed`.
        """
        ...

    def stage(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> Callable[[], None]:
        """Bring many rows near before a transaction begins; what is returned appends them in it, as `ingest` does."""
        ...

    def load(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        """Append many rows, all or none, outside any transaction."""
        ...

    def create_temporary(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        """Create an empty table for this connection alone, in place of one of this name."""
        ...

    # Transactions

    def transaction(self, kind: Literal["write", "snapshot"]) -> AbstractContextManager[None]:
        """Open a transaction: 'write' commits or rolls back, 'snapshot' lets every statement in it see one moment."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Let what fails in it leave the open transaction, where there is one, as it was before."""
        ...

    def lock(self, table: sa.Table, name: str) -> None:
        """Keep others from the row of this name until the transaction ends; `name` is the table's primary key.

        Raises DatabaseError, `locked`, where somebody else has it for too long.
        """
        ...


class Expressions(Protocol):
    """How one system writes in SQL what rowcast needs. No method asks a database."""

    dialect: sa.Dialect
    text_key: str  # the type of a key column that holds any text
    ignores_trailing_spaces: bool  # whether texts that differ in nothing else are equal to it
    no_keys: frozenset[str]  # types whose values name no row: nothing orders or copies them

    # Features

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        """Return a feature column as it is read: decimals as floats, enumerations as text."""
        ...

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        """Return a number column as a float, NULL where it is no number or too large for a float32."""
        ...

    def is_no_nan(self, column: Column) -> sa.ColumnElement[bool]:
        """Return the condition of rows in which a number column does not hold NaN."""
        ...

    # Times

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        """Return whether the value is a point in time at all: true or false, never NULL."""
        ...

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        """Return the UTC instant in a column; read, it is int64 microseconds since 1970 or an Arrow timestamp."""
        ...

    def event_time_between(
        self, column: Column, timezone: str, since: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        """Return since <= event_time, and event_time <= until where that is given; an index on the column can serve it.

        What is no point in time is not in it.
        """
        ...

    def list_ordered_parts(self, column: Column) -> list[OrderedPart]:
        """Return parts of a time column by whose own order an index on it finds the newest time.

        None where an index serves `event_time` itself, or where values are in no order of time.
        """
        ...

    def is_found_by_index(self, column: Column) -> bool:
        """Return whether an index on a time column finds its newest rows: of the others every value must be read."""
        ...

    def cast_text_to_time(self, name: str) -> str:
        """Return an example of how a query casts a column of texts to times."""
        ...

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        """Return a moment in the form that `event_time` has."""
        ...

    def add_duration(self, event_time: sa.ColumnElement[Any], duration: timedelta) -> sa.ColumnElement[Any]:
        """Return the instant that is so much later than one in the form that `event_time` has."""
        ...

    def hours_between(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the hours from one instant in the form that `event_time` has to another, as a float."""
        ...

    # Keys

    def render_key(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        """Return a key's value as text from which `parse_key` makes the value again."""
        ...

    def parse_key(self, text: str, column: Column) -> sa.ColumnElement[Any]:
        """Return the value of a key that `render_key` gave as text."""
        ...

    def interpret_key(self, text: str, column: Column) -> list[str]:
        """Return what `render_key` gives for a key value that a person typed; several where more may be meant."""
        ...

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        """Return a key as it is read, so that `ingest` writes the same value to a column of the same type.

        It comes as `MixedType` from a `read` of values of several types.
        """
        ...

    def key_text(self, column: Column) -> sa.ColumnElement[Any]:
        """Return a key as text, for a store of another system."""
        ...

    def has_exact_text(self, column: Column) -> bool:
        """Return whether no two keys that differ have the same `key_text`."""
        ...


class Admin(Protocol):
    """What there is in a database, what this user may do in it, and what the store's tables need."""

    # The user's tables

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        """Return the columns and keys of a table or query, None where there is no such table."""
        ...

    def list_tables(self) -> list[str]:
        """Return tables and views whose rows may be read, as the config spells them; 5,000 at most."""
        ...

    def split_name(self, table: str) -> tuple[str | None, str]:
        """Return schema and name of a table as the config spells it."""
        ...

    # The store's tables

    def has_table(self, table: sa.Table) -> bool:
        """Return whether the table exists, as far as this user can see."""
        ...

    def has_index(self, table: sa.Table, column: str) -> bool:
        """Return whether an index of a table that is there begins with a column."""
        ...

    def count_bytes(self, table: sa.Table) -> int:
        """Return how much room a table takes, its indexes included; 0 where it is not there."""
        ...

    def prepare_store(self, schema: str) -> None:
        """Make what the database needs before the store's tables can be created in it."""
        ...

    def schema_ddl(self, schema: str) -> list[str]:
        """Return the statements that create the store's schema where it is not there."""
        ...

    def table_ddl(self, table: sa.Table) -> list[str]:
        """Return the statements that follow a table's creation."""
        ...

    def reserve_numbers(self, table: sa.Table, count: int) -> int:
        """Return a number after which `count` are given to no row that comes without one; 0 where none was given yet.

        Within a transaction, and for a table whose primary key is a number that the database gives.
        """
        ...

    def take_numbers(self, table: sa.Table) -> AbstractContextManager[None]:
        """Let rows that bring their number be written to such a table."""
        ...

    def declare_staging(self, table: sa.Table, key: Sequence[Column]) -> sa.Table | None:
        """Declare the table through which `stage` brings rows into another; None where it needs none."""
        ...

    # Rights and settings

    def user(self) -> str:
        """Return as whom this connection asks."""
        ...

    def list_creation_grants(self, schema: str) -> list[Grant]:
        """Return what is needed to create the store's tables, as things stand."""
        ...

    def list_store_grants(self, schema: str, tables: Mapping[sa.Table, Sequence[str]]) -> list[Grant]:
        """Return what is needed to use the store's tables, each for what is done to it: SELECT, INSERT, …"""
        ...

    def list_source_grants(self, tables: Sequence[str]) -> list[Grant]:
        """Return what is needed to read tables, which are named as the config spells them."""
        ...

    def find_lacking(self, grant: Grant) -> tuple[str, ...]:
        """Return which of these rights this user lacks; none where the object is not there."""
        ...

    def may_alter(self, table: sa.Table) -> bool:
        """Return whether this user may change a table that is there, as an upgrade does."""
        ...

    def name_denied(self, said: str) -> Grant | None:
        """Return what a statement lacked that the database denied with these words, as far as they tell."""
        ...

    def write_grant(self, grant: Grant, user: str) -> str:
        """Return the statement by which an administrator gives a user these rights."""
        ...

    def version(self) -> str:
        """Return the system, its version, and what matters of how it is set up."""
        ...

    def advice(self) -> list[tuple[str, str]]:
        """Return what an administrator could do better: what is so, and the statement that changes it."""
        ...


class Database(Connection, Protocol):
    """A connection to one database, with the SQL and the administration of its system."""

    @property
    def sql(self) -> Expressions:
        """How this system writes in SQL what rowcast needs."""
        ...

    @property
    def admin(self) -> Admin:
        """What there is in the database, asked by this connection."""
        ...
