"""PostgreSQL through ADBC: binary COPY in both directions, one connection for everything."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import adbc_driver_postgresql.dbapi as driver
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.engine.interfaces import BindTyping

from rowcast.contract import Misfit
from rowcast.database import LARGEST, Column, ColumnKind, RawType, Relation, bracketed
from rowcast.database.adbc import Adbc, first_line
from rowcast.database.connection import as_batch
from rowcast.database.mixed import not_mixed
from rowcast.errors import DatabaseError
from rowcast.signals import is_stopping

# Types that the driver reads and writes as they are; others travel as text or float.
_WRITTEN = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
}
_RESERVED = {"collation", "concurrently", "lateral", "system_user", "tablesample"}  # SQLAlchemy does not know them
# What Python can hold, and a day at each end for time zones.
_SECONDS = ("-62135510400", "253402214400")
_DAYS = ("'0001-01-02'", "'9999-12-31'")
_KINDS: dict[str, ColumnKind] = {"N": "number", "S": "category", "E": "category", "B": "boolean", "D": "time"}


class _TextTimestamp(TIMESTAMP):
    """A time that goes out as text.

    For a parameter that the server takes for a zoned time, NULL included, the driver commits the open transaction.
    """

    render_bind_cast = True

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[datetime | None], str | None]:
        return lambda moment: None if moment is None else moment.isoformat()


class _Compiler(PGCompiler):
    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
        text = f"{sqltext}::TEXT" if isinstance(dbapi_type, _TextTimestamp) else sqltext
        cast: str = super().render_bind_cast(type_, dbapi_type, text)  # type: ignore[no-untyped-call]
        return cast


class PostgreSQL(Adbc):
    """One PostgreSQL database."""

    temporary_schema = "pg_temp"

    def __init__(self, url: sa.URL) -> None:
        self.shown = f"postgresql://{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self.dialect = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        self.dialect._backslash_escapes = False  # standard_conforming_strings is switched on below
        self.dialect.bind_typing = BindTyping.RENDER_CASTS
        self.dialect.colspecs = {**self.dialect.colspecs, sa.DateTime: _TextTimestamp}
        self.dialect.statement_compiler = _Compiler
        preparer = self.dialect.identifier_preparer
        preparer.reserved_words = preparer.reserved_words | _RESERVED
        options = {"connect_timeout": "10", "application_name": "rowcast", **url.query}
        self._target = url.set(drivername="postgresql", query=options).render_as_string(hide_password=False)
        self.open()

    def _connect(self) -> driver.Connection:
        try:
            return driver.connect(self._target, autocommit=True)
        except driver.Error as error:
            raise self.explained(error) from None

    def _prepare(self) -> None:
        # A wait for a lock is short: whoever waits can be interrupted in between, and tries again.
        wait = "1s" if is_stopping() else "10s"
        for setting in ("TIME ZONE 'UTC'", "standard_conforming_strings = on", f"lock_timeout = '{wait}'"):
            self._statement(f"SET {setting}")

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
        return as_batch(self.arrow(self.literal(statement.limit(most)))), []

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        sql = self.literal(statement)
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
        not_mixed(rows)
        data = pa.table(
            {
                name: _writable(column, str(table.c[name].type.compile(dialect=self.dialect)))
                for name, column in zip(rows.schema.names, rows.columns, strict=True)
            }
        )
        self._guard(
            lambda: self._cursor.adbc_ingest(
                table.name, data, mode="append", db_schema_name=table.schema, temporary="temporary" in table.info
            )
        )

    # Describing

    def has_table(self, table: sa.Table) -> bool:
        return self._oid(table.schema, table.name) is not None

    def named(self, table: str) -> tuple[str | None, str]:
        schema, dot, name = table.rpartition(".")
        if dot and self._oid(None, table) is None:  # a dot may be part of a plain name
            return schema.strip('"'), name.strip('"')
        return None, table

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        if table is None:
            return Relation(self._described_query(str(query)))
        oid = self._oid(*self.named(table))
        if oid is None:
            return None
        found = self.arrow(
            "SELECT a.attname::text AS name, t.typname::text AS typname, t.typcategory::text AS category,"  # noqa: S608
            " format_type(a.atttypid, a.atttypmod) AS type,"
            " CASE WHEN a.attcollation <> t.typcollation THEN c.collname::text END AS collation"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " LEFT JOIN pg_collation c ON c.oid = a.attcollation"
            f" WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )
        columns = tuple(_column(**row) for row in found.to_pylist())
        indexes = self.arrow(
            "SELECT i.indexrelid::bigint AS index, i.indisunique AND i.indpred IS NULL AS is_unique,"  # noqa: S608
            " a.attname::text AS name FROM pg_index i"
            " CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(attnum, place)"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
            f" WHERE i.indrelid = {oid} AND i.indisvalid AND i.indexprs IS NULL ORDER BY i.indexrelid, k.place"
        ).to_pylist()
        members: dict[int, list[str]] = {}
        for row in indexes:
            members.setdefault(row["index"], []).append(row["name"])
        unique = {row["index"] for row in indexes if row["is_unique"]}
        return Relation(
            columns,
            tuple(frozenset(members[index]) for index in sorted(unique)),
            tuple(tuple(names) for names in members.values()),
        )

    def _described_query(self, query: str) -> tuple[Column, ...]:
        schema = self.arrow(f"SELECT * FROM {bracketed(query)} AS q LIMIT 0").schema  # noqa: S608
        typnames = [(field.metadata or {}).get(b"POSTGRESQL:type", b"text").decode() for field in schema]
        found = self.arrow(
            "SELECT typname::text AS typname, typcategory::text AS category, format_type(oid, NULL) AS type"  # noqa: S608
            f" FROM pg_type WHERE typname IN ({', '.join(_text(name) for name in typnames)})"
        )
        types = {row["typname"]: row for row in found.to_pylist()}
        return tuple(_column(name=field.name, **types[name]) for field, name in zip(schema, typnames, strict=True))

    def _oid(self, schema: str | None, table: str) -> int | None:
        name = f"{self._quote(schema)}.{self._quote(table)}" if schema else self._quote(table)
        found = self.arrow(f"SELECT to_regclass({_text(name)})::oid::bigint AS oid")
        value: int | None = found.column(0)[0].as_py()
        return value

    def _quote(self, name: str) -> str:
        return self.dialect.identifier_preparer.quote_identifier(name)

    # Expressions

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        base = column.type.split("(")[0]
        if column.kind == "number" and base not in _WRITTEN:
            value = sa.cast(sa.cast(value, sa.Numeric), sa.Double)
        elif column.kind in ("category", "other") and base not in ("text", "character varying", "character", "name"):
            value = sa.cast(value, sa.Text)
        return value

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        value = sa.cast(self.feature(column), sa.Double)
        return sa.case((sa.func.abs(value) <= LARGEST, value))  # NaN counts as larger than any

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        first, last = _SECONDS if column.kind == "number" else _DAYS
        return sa.and_(value.is_not(None), value.between(sa.literal_column(first), sa.literal_column(last)))

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if column.kind == "number":
            return sa.func.to_timestamp(sa.case((self.has_event_time(column), value)))
        if column.type.endswith("with time zone"):
            return value
        return sa.func.timezone(timezone, sa.cast(value, sa.DateTime))

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        return sa.cast(sa.literal(moment.isoformat(), sa.Text), sa.DateTime(timezone=True))

    def later(self, event_time: sa.ColumnElement[Any], by: timedelta) -> sa.ColumnElement[Any]:
        return event_time + sa.cast(sa.literal(f"{by.total_seconds()} seconds", sa.Text), sa.Interval)

    def hours(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(sa.extract("epoch", until - since), sa.Double) / 3600.0

    def not_before(
        self, column: Column, timezone: str, moment: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        time, bound = self.event_time(column, timezone), self.instant(moment)
        exact = time >= bound if until is None else time.between(bound, self.instant(until))
        if column.type.endswith("with time zone"):
            return exact
        # The index finds by a coarse bound: stored seconds are rounded, and a wall clock goes back in autumn.
        coarse: sa.ColumnElement[Any]
        if column.kind == "number":
            coarse = sa.literal(moment.timestamp() - 1, sa.Double)
        else:
            coarse = sa.func.timezone(timezone, self.instant(moment - timedelta(days=1)))
        return sa.and_(value >= coarse, exact)

    def rendered(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        return sa.cast(value, sa.Text)

    def parsed(self, text: str, column: Column) -> sa.ColumnElement[Any]:
        return sa.cast(sa.literal(text, sa.Text), RawType(column.type))

    def typed(self, text: str, column: Column) -> list[str]:
        return [text]

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        return sa.cast(value, sa.Text) if column.type.startswith("numeric") else value

    def now(self) -> datetime:
        moment: datetime = self.arrow("SELECT clock_timestamp() AS now").column(0)[0].as_py()
        return moment

    def prepare_store(self, schema: str) -> None:
        if not self.arrow(f"SELECT 1 FROM pg_namespace WHERE nspname = {_text(schema)}").num_rows:  # noqa: S608
            for statement in self.schema_ddl(schema):
                self._statement(statement)

    def schema_ddl(self, schema: str) -> list[str]:
        return [f"CREATE SCHEMA IF NOT EXISTS {self._quote(schema)}"]

    def version(self) -> str:
        return f"PostgreSQL {self.scalar(sa.select(sa.func.current_setting('server_version').label('v')))}"

    def advice(self) -> list[tuple[str, str]]:
        return []

    def ungranted(self, schema: str | None, table: str, rights: Sequence[str]) -> list[str]:
        full = f"{self._quote(schema)}.{self._quote(table)}" if schema else self._quote(table)
        asked = ", ".join(f"has_table_privilege({_text(full)}, '{right}') AS \"{right}\"" for right in rights)
        found = self.arrow(f"SELECT current_user::text AS me, {asked}").to_pylist()[0]
        missing = [right for right in rights if not found[right]]
        return [f"GRANT {', '.join(missing)} ON {full} TO {self._quote(found['me'])}"] if missing else []

    def rights(self, schema: str) -> list[str]:
        found = self.arrow(
            f"SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = {_text(schema)}) AS there,"  # noqa: S608
            " has_database_privilege(current_database(), 'CREATE') AS create_schema,"
            " (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace"
            f" WHERE nspname = {_text(schema)}) AS create_table,"
            " current_user::text AS me, current_database()::text AS here"
        ).to_pylist()[0]
        me, here = found["me"], found["here"]
        if not found["there"] and not found["create_schema"]:
            return [f"{me} may not create schema {schema}: GRANT CREATE ON DATABASE {here} TO {me}"]
        if found["there"] and not found["create_table"]:
            return [f"{me} may not create tables: GRANT CREATE, USAGE ON SCHEMA {schema} TO {me}"]
        return []

    def explained(self, error: Exception) -> DatabaseError:
        state = getattr(error, "sqlstate", None) or ""
        said = first_line(error)
        for sign, reason, hint in _EXPLAINED:
            if state.startswith(sign) if sign[0].isdigit() else sign in str(error):
                return DatabaseError(f"{self.shown}: {said}", hint=hint, reason=reason)
        return DatabaseError(f"{self.shown}: {said}")


_EXPLAINED = (
    ("password authentication", "login", "check user and password in the url, or the variable it names"),
    ("no password supplied", "login", "the url names no password"),
    ('FATAL:  database "', "missing", "check the database's name in the url"),
    ("Failed to connect", "unreachable", "check host, port and database in the url, and that the server is up"),
    ("42501", "rights", "'rowcast ddl' prints the tables for a database administrator to create"),
    ("23505", "duplicate", ""),
    ("42P06", "duplicate", ""),
    ("42P07", "duplicate", ""),
    ("42P01", "missing", ""),
    ("does not exist in target table", "missing", "a column is gone from one of rowcast's own tables"),
    ("NOT_FOUND: ", "missing", ""),
    ("42703", "missing", ""),
    ("3F000", "missing", ""),
    ("25006", "unreachable", "the server only reads: it is a standby, or is becoming one"),
    ("40001", "conflict", "another transaction was in the way; try again"),
    ("40P01", "conflict", "another transaction was in the way; try again"),
    ("53100", "full", "free some space; nothing of the unfinished batch was kept"),
    ("55P03", "locked", "another session holds the lock; try again when it is done"),
    ("57P", "unreachable", "the server closed the connection"),
    ("08", "unreachable", "the server closed the connection"),
    ("terminating connection", "unreachable", "the server closed the connection"),
    ("closed the connection", "unreachable", "the server closed the connection"),
    ("no connection to the server", "unreachable", "the server closed the connection"),
)


def _column(name: str, typname: str, category: str, type: str, collation: str | None = None) -> Column:
    kind = "category" if typname == "citext" else _KINDS.get(category, "other")
    if typname in ("oid", "time", "timetz") or (category == "N" and typname.startswith("reg")):
        kind = "other"  # neither an amount nor a moment
    spelled = f'{type} COLLATE "{collation}"' if collation else type
    return Column(name, kind, spelled, typname in ("int2", "int4", "int8"))


def _writable(column: pa.ChunkedArray | pa.Array, spelled: str) -> pa.ChunkedArray | pa.Array:
    """Cast to the Arrow type that binary COPY writes into a column of this type: it converts nothing itself."""
    if isinstance(column.type, pa.BaseExtensionType):
        return column.cast(column.type.storage_type)
    base = spelled.split(" COLLATE")[0].split("(")[0].lower()
    if base == "numeric" and pa.types.is_string(column.type):
        digits = max((len(text.partition(".")[2]) for text in column.to_pylist() if text), default=0)
        return column.cast(pa.decimal256(76, digits))
    wanted = _WRITTEN.get(base)
    return column.cast(wanted) if wanted is not None and column.type != wanted else column


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
