"""PostgreSQL through ADBC: binary COPY in both directions, one connection for everything."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

import adbc_driver_postgresql.dbapi as driver
import pyarrow as pa
import sqlalchemy as sa

from rowcast.contract import Misfit
from rowcast.database.adbc import AdbcConnection, first_line
from rowcast.database.driver import to_batch
from rowcast.database.known_errors import match_error
from rowcast.database.mixed_keys import refuse_mixed, refuse_no_text
from rowcast.database.postgresql.address import read_address
from rowcast.database.postgresql.admin import PostgreSQLAdmin
from rowcast.database.postgresql.expressions import ARROW_TYPES, PostgreSQLExpressions
from rowcast.database.postgresql.known_errors import KNOWN_ERRORS
from rowcast.database.postgresql.pooler import refuse_pooler
from rowcast.database.protocols import Admin
from rowcast.database.relation import ColumnKind, RawType
from rowcast.errors import DatabaseError, RowcastError
from rowcast.signals import is_stopping

# Types whose values may come as texts, of which a binary copy would make something else.
_NO_TEXTS = frozenset({"boolean", "bytea", "cidr", "date", "inet", "macaddr", "money", "uuid"})


class PostgreSQLConnection(AdbcConnection):
    """One PostgreSQL database."""

    temporary_schema = "pg_temp"

    def __init__(self, url: sa.URL) -> None:
        self.safe_url = str(read_address(url))
        self.recorded_url = f"postgresql://{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self.sql = PostgreSQLExpressions()
        self._target = make_uri(url)
        self.open()
        try:
            refuse_pooler(self, url)
        except RowcastError:
            self.close()
            raise

    def _make_admin(self) -> Admin:
        return PostgreSQLAdmin(self)

    def _connect(self) -> driver.Connection:
        try:
            return driver.connect(self._target, autocommit=True)
        except driver.Error as error:
            raise self.translate_error(error) from None

    def _prepare(self) -> None:
        # A wait for a lock is short: whoever waits can be interrupted in between, and tries again.
        wait = "1s" if is_stopping() else "10s"
        for setting in ("TIME ZONE 'UTC'", "standard_conforming_strings = on", f"lock_timeout = '{wait}'"):
            self.run_sql(f"SET {setting}")

    def _is_broken(self) -> bool:
        try:
            self._cursor.execute("SELECT 1")
        except driver.Error as error:
            return "25P02" not in (error.sqlstate or "")  # a transaction that failed is still there
        return False

    def _begin(self, kind: Literal["write", "snapshot"]) -> list[str]:
        return ["BEGIN" if kind == "write" else "BEGIN ISOLATION LEVEL REPEATABLE READ"]

    # Reading and writing

    def read(
        self, statement: sa.Select[Any], columns: Mapping[str, ColumnKind], most: int
    ) -> tuple[pa.RecordBatch, list[Misfit]]:
        return to_batch(self.query(self.compile_literal(statement.limit(most)))), []

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        sql = self.compile_literal(statement)
        cursor = self._guard(self._connection.cursor)
        try:
            self._guard(lambda: cursor.execute(sql))
            reader = self._guard(cursor.fetch_record_batch)
            while (batch := self._next(reader)) is not None:
                for start in range(0, batch.num_rows, chunk):
                    yield batch.slice(start, chunk)
        finally:
            self._guard(cursor.close)

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        if not rows.num_rows:
            return
        refuse_mixed(rows)
        refuse_no_text(rows)
        spelled = {name: str(table.c[name].type.compile(dialect=self.dialect)) for name in rows.schema.names}
        if any(_is_text_of_another(rows.schema.field(name).type, spelled[name]) for name in spelled):
            self._ingest_texts(table, rows, spelled)
            return
        columns = zip(rows.schema.names, rows.columns, strict=True)
        data = pa.table({name: _cast_for_copy(column, spelled[name]) for name, column in columns})
        self._guard(
            lambda: self._cursor.adbc_ingest(
                table.name, data, mode="append", db_schema_name=table.schema, temporary="temporary" in table.info
            )
        )

    def _ingest_texts(self, table: sa.Table, rows: pa.RecordBatch | pa.Table, spelled: Mapping[str, str]) -> None:
        """By way of a table with texts, since a binary copy converts nothing."""
        is_text = {name: _is_text_of_another(rows.schema.field(name).type, spelled[name]) for name in spelled}
        columns = [sa.Column(name, sa.Text() if is_text[name] else RawType(spelled[name])) for name in spelled]
        between = self.create_temporary("rowcast_texts", *columns)
        self.ingest(between, rows)
        chosen = [sa.cast(c, RawType(spelled[c.name])) if is_text[c.name] else c for c in between.c]
        self.execute(table.insert().from_select(list(spelled), sa.select(*chosen)))

    def now(self) -> datetime:
        moment: datetime = self.query("SELECT clock_timestamp() AS now").column(0)[0].as_py()
        return moment

    def translate_error(self, error: Exception) -> DatabaseError:
        state = getattr(error, "sqlstate", None) or ""
        known = match_error(KNOWN_ERRORS, str(error), state)
        return DatabaseError.of_driver(self.safe_url, first_line(error), hint=known.hint, reason=known.reason)


def make_uri(url: sa.URL) -> str:
    """Return the URI that libpq reads: it decodes %20, and takes a plus sign, as SQLAlchemy writes a space, for one."""
    user = "" if url.username is None else quote(url.username, safe="")
    if url.password is not None:
        user += f":{quote(str(url.password), safe='')}"
    host = url.host or ""
    place = f"[{host}]" if ":" in host else quote(host, safe=",")
    place += f":{url.port}" if url.port else ""
    options = {"connect_timeout": "10", "application_name": "rowcast", **url.query}
    asked = urlencode(options, doseq=True, quote_via=quote, safe="")
    return f"postgresql://{f'{user}@' if user else ''}{place}/{quote(url.database or '', safe='')}?{asked}"


def _is_text_of_another(given: pa.DataType, spelled: str) -> bool:
    """Return whether texts are given for a type whose binary form is no text."""
    base = spelled.split(" COLLATE")[0].split("(")[0].lower()
    is_text = pa.types.is_string(given) or pa.types.is_large_string(given)
    return is_text and (base in _NO_TEXTS or base.startswith(("time", "interval")))


def _cast_for_copy(column: pa.ChunkedArray | pa.Array, spelled: str) -> pa.ChunkedArray | pa.Array:
    """Return a column in the Arrow type that binary COPY, which converts nothing, writes into one of this type."""
    if isinstance(column.type, pa.BaseExtensionType):
        return column.cast(column.type.storage_type)
    base = spelled.split(" COLLATE")[0].split("(")[0].lower()
    if base == "numeric" and pa.types.is_string(column.type):
        digits = max((len(text.partition(".")[2]) for text in column.to_pylist() if text), default=0)
        return column.cast(pa.decimal256(76, digits))
    wanted = ARROW_TYPES.get(base)
    return column.cast(wanted) if wanted is not None and column.type != wanted else column
