"""Microsoft SQL Server and Azure SQL through Microsoft's driver: Arrow reads, bulk copy in.

Bulk copy has a connection of its own, outside the transaction. So rows go to a staging table of rowcast's own first,
under a name used once, and from there in the transaction that publishes them. Reads are READ COMMITTED; an audit is
SNAPSHOT where the database allows it.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

import mssql_python as driver
import pyarrow as pa
import sqlalchemy as sa
import structlog
from sqlalchemy.sql import quoted_name

from rowcast.contract import Misfit
from rowcast.database import LARGEST, Column, ColumnKind, RawType, Relation, bracketed
from rowcast.database.connection import Connection, as_batch
from rowcast.database.mixed import not_mixed
from rowcast.database.mssql import address, arrow, catalog, tsql
from rowcast.database.mssql.faults import fault
from rowcast.errors import ConfigError, DatabaseError
from rowcast.signals import is_stopping

log = structlog.get_logger("rowcast")

driver.pooling(enabled=False)  # a connection is kept while it is needed, and begun anew after a fault

_READ = 65_536  # rows that the driver fetches at once
_SMALL = 1_024
_TOGETHER = 10_000  # rows that travel in one statement
_COPIED = 4_000  # rows that bulk copy commits at once: fewer locks than make the server lock a whole table
_COPY_SECONDS = 600
_PATIENCE = 10_000  # milliseconds that a lock is waited for
_LOGIN_SECONDS = 15
_STALE = timedelta(days=1)  # rows staged longer ago were left by a process that is gone
# What Python can hold, and a day at each end for time zones.
_SECONDS = (-62135510400, 253402214400)
_DAYS = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
_FIRST_YEARS = {"smalldatetime": 1900, "datetime": 1753}


class MSSQL(Connection):
    """One database on SQL Server."""

    faults = (driver.Error, RuntimeError, ValueError)  # the latter two from bulk copy
    most_values = 2_000  # the server takes 2,100
    # What is attempted only reads; with XACT_ABORT a row that cannot be computed would end the whole transaction.
    savepoint = ("SET XACT_ABORT OFF", "SET XACT_ABORT ON", "SET XACT_ABORT ON")
    text_key = "NVARCHAR(400) COLLATE Latin1_General_100_BIN2"  # of another system: alike only where equal

    def __init__(self, url: sa.URL) -> None:
        self.shown = f"mssql://{url.host or 'localhost'}:{url.port or 1433}/{url.database or ''}"
        self.dialect = tsql.dialect()
        self._target = address.target(url)
        self._names: dict[str, tuple[str | None, str]] = {}  # tables as the config spells them, once looked up
        self.open()

    def _connect(self) -> Any:
        try:
            return driver.connect(self._target, autocommit=True, timeout=_LOGIN_SECONDS)
        except driver.ConnectionStringParseError as error:
            said = "; ".join(error.errors).replace("Unknown keyword", "unknown option")
            raise ConfigError(f"the url of {self.shown} is not one: {said}", hint=address.HINT) from None
        except self.faults as error:
            raise self.explained(error) from None

    def _prepare(self) -> None:
        # A wait for a lock is short: whoever waits can be interrupted in between, and tries again.
        wait = min(_PATIENCE, 1_000) if is_stopping() else _PATIENCE
        self._statement(
            "SET NOCOUNT ON; SET XACT_ABORT ON; SET ARITHABORT ON;"
            f" SET LOCK_TIMEOUT {wait}; SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
        )

    def _new_cursor(self, options: dict[str, str] | None = None) -> Any:
        return self._connection.cursor()

    def _result(self, cursor: Any) -> pa.Table:
        return arrow.plain(cursor.arrow(_SMALL)) if cursor.description else pa.table({})

    def _cancel(self, cursor: Any) -> None:
        if not cursor.closed and cursor.hstmt is not None:
            cursor.hstmt._cancel()

    def _is_broken(self) -> bool:
        try:
            self._cursor.execute("SELECT 1").fetchall()
        except self.faults:
            return True
        return False

    # Transactions

    def _begin(self, kind: Literal["write", "snapshot"]) -> list[str]:
        if kind == "write":
            return ["BEGIN TRANSACTION"]
        if not catalog.isolation(self.arrow)["snapshot"]:
            log.warning(
                "no snapshot: rows that arrive meanwhile may be counted twice or not at all", hint=catalog.SNAPSHOT
            )
            return ["BEGIN TRANSACTION"]
        return ["SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "BEGIN TRANSACTION"]

    @contextmanager
    def transaction(self, kind: Literal["write", "snapshot"]) -> Iterator[None]:
        try:
            with super().transaction(kind):
                yield
        finally:
            if kind == "snapshot":
                with suppress(DatabaseError):  # a broken connection is made anew
                    self._statement("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def lock(self, table: sa.Table, name: str) -> None:
        wait = min(_PATIENCE, 1_000) if is_stopping() else _PATIENCE
        sql = (
            "DECLARE @held int; EXEC @held = sp_getapplock @Resource = {}, @LockMode = N'Exclusive',"
            " @LockOwner = N'Transaction', @LockTimeout = {}; SELECT @held AS held"
        )
        held = self._last_result(sql.format(tsql.text(f"{table.schema}.{table.name}: {name}"[:255]), wait))
        if held.column(0)[0].as_py() < 0:
            raise DatabaseError(
                f"{self.shown}: another session holds the lock of {name}", hint="try again", reason="locked"
            )

    def _last_result(self, sql: str) -> pa.Table:
        """The rows of the one statement of a batch that returns any."""

        def fetched() -> pa.Table:
            cursor = self._cursor.execute(sql)
            while cursor.description is None and cursor.nextset():
                pass
            return self._result(cursor)

        return self._guard(fetched)

    # Reading and writing

    def read(
        self, statement: sa.Select[Any], columns: Mapping[str, ColumnKind], most: int
    ) -> tuple[pa.RecordBatch, list[Misfit]]:
        cursor = self._new_cursor()
        self._running = cursor
        try:
            self._guard(lambda: cursor.execute(self.literal(statement.limit(most))))
            return as_batch(arrow.plain(self._guard(lambda: cursor.arrow(min(most, _READ))))), []
        finally:
            self._running = self._cursor
            cursor.close()

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        cursor = self._new_cursor()
        try:
            self._guard(lambda: cursor.execute(self.literal(statement)))
            reader = self._guard(lambda: cursor.arrow_reader(chunk))
            while (batch := self._next(reader)) is not None:
                yield as_batch(arrow.plain(pa.Table.from_batches([batch])))
        finally:
            cursor.close()

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        not_mixed(rows)
        columns = [table.c[name] for name in rows.schema.names]
        fields, values = [], []
        for place, (column, given) in enumerate(zip(columns, rows.schema.types, strict=True)):
            spelled, name = self._spelled(column), f"v{place}"
            fields.append(f"{name} {'NVARCHAR(max)' if arrow.is_text(given) else spelled} '$[{place}]'")
            value: sa.ColumnElement[Any] = sa.literal_column(name)
            if arrow.is_text(given) and tsql.base(spelled) not in tsql.CHARACTERS:
                value = tsql.unrendered(value, spelled)
            values.append(str(value.compile(dialect=self.dialect)))
        into = f"INSERT INTO {self._table(table)} ({', '.join(tsql.quoted(column.name) for column in columns)})"
        sql = f"{into} SELECT {', '.join(values)} FROM OPENJSON(?) WITH ({', '.join(fields)})"  # noqa: S608
        for start in range(0, rows.num_rows, _TOGETHER):
            self._guard(partial(self._cursor.execute, sql, [arrow.as_json(rows.slice(start, _TOGETHER))]))

    def temporary(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        made = sa.Table(f"#{name}", sa.MetaData(), *columns)
        self._statement(f"DROP TABLE IF EXISTS {self._table(made)}")
        self.execute(sa.schema.CreateTable(made))
        return made

    def load(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        self._copied(table, rows, 0)

    def staged(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> Callable[[], None]:
        not_mixed(rows)
        if not rows.num_rows:
            return lambda: None
        staging: sa.Table = table.info["staging"]
        now = self.now()
        name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(8)}"
        named = pa.repeat(pa.scalar(name), rows.num_rows)
        given = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        self._copied(staging, given.append_column(staging.c[0].name, named), _COPIED)
        mine, stale = staging.c[0] == name, staging.c[0] < f"{now - _STALE:%Y%m%dT%H%M%S}"
        names = list(rows.schema.names)
        values = [
            tsql.unrendered(staging.c[n], self._spelled(table.c[n]))
            if table.c[n].info.get("travels_as_text")
            else staging.c[n]
            for n in names
        ]

        def append() -> None:
            self.execute(table.insert().from_select(names, sa.select(*values).where(mine)))
            self.execute(staging.delete().where(sa.or_(mine, stale)))

        return append

    def _arrived(self, staged: sa.Column[Any], column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """A staged value as the column takes it."""
        return tsql.unrendered(staged, self._spelled(column)) if column.info.get("travels_as_text") else staged

    def _copied(self, table: sa.Table, rows: pa.RecordBatch | pa.Table, together: int) -> None:
        """Copy rows in bulk, on a connection of its own; columns are matched by name."""
        name = self._table(table)
        self._guard(
            lambda: self._cursor.bulkcopy_arrow(
                name,
                rows,
                batch_size=together,
                timeout=_COPY_SECONDS,
                column_mappings=list(rows.schema.names),
                keep_nulls=True,
            )
        )

    def _table(self, table: sa.Table) -> str:
        schema = f"{tsql.quoted(table.schema)}." if table.schema else ""
        return schema + tsql.quoted(table.name)

    def _spelled(self, column: sa.Column[Any]) -> str:
        return str(column.type.compile(dialect=self.dialect))

    # Describing

    def has_table(self, table: sa.Table) -> bool:
        return self._exists(self._table(table))

    def _exists(self, name: str) -> bool:
        return self.arrow(f"SELECT OBJECT_ID({tsql.text(name)}) AS id").column(0)[0].as_py() is not None

    def named(self, table: str) -> tuple[str | None, str]:
        if table not in self._names:
            self._names[table] = self._looked_up(table)
        return self._names[table]

    def _looked_up(self, table: str) -> tuple[str | None, str]:
        found = tsql.parts(table)
        if len(found) > 1 and not self._exists(table) and self._exists(tsql.quoted(table)):
            return None, table  # a dot may be part of a plain name
        *schema, name = found or [table]
        if len(schema) > 1:  # another database on the same server
            return ".".join(tsql.quoted(part) for part in schema), name
        return (quoted_name(schema[0], True) if schema else None), name

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        if table is not None:
            return catalog.table(self.arrow, *self.named(table))
        whole = f"SELECT * FROM {bracketed(str(query))} AS q"  # noqa: S608
        try:
            return catalog.query(self._last_result(f"EXEC sp_describe_first_result_set @tsql = {tsql.text(whole)}"))
        except DatabaseError as error:
            hint = "as a subquery it can have no WITH and no ORDER BY, and needs a name for each column; or use a view"
            raise DatabaseError(error.what, hint=error.hint or hint, reason=error.reason) from None

    # Expressions

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if tsql.base(column.type) in ("decimal", "numeric", "money", "smallmoney"):
            return sa.cast(value, sa.Double)
        return value

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        value = sa.cast(self.feature(column), sa.Double)
        return sa.case((sa.func.abs(value) <= LARGEST, value))

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if column.kind == "number":
            return sa.and_(value.is_not(None), value.between(*_SECONDS))
        first, last = _DAYS
        return sa.and_(value.is_not(None), value.between(self.instant(first), self.instant(last)))

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        # Compared as UTC without a zone; the server takes that for UTC beside a datetimeoffset as well.
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if column.kind == "number":
            return tsql.since_1970(sa.case((self.has_event_time(column), value)))
        if self._is_utc(column, timezone):
            return value
        if timezone == "UTC" or tsql.base(column.type) == "datetimeoffset":
            return sa.cast(value, tsql.MILLISECONDS)
        zoned = sa.cast(value, tsql.MICROSECONDS).op("AT TIME ZONE")(sa.literal_column(tsql.text(tsql.zone(timezone))))
        return sa.cast(zoned.op("AT TIME ZONE")(sa.literal_column("N'UTC'")), tsql.MICROSECONDS)

    def _is_utc(self, column: Column, timezone: str) -> bool:
        """Whether the column itself can be compared with UTC, so that an index on it serves.

        What a datetime shows is rounded: .007 is .0066667 to the server.
        """
        base = tsql.base(column.type)
        return base == "datetimeoffset" or (timezone == "UTC" and base not in ("datetime", *tsql.NUMBERS))

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        wall = moment.astimezone(UTC).replace(tzinfo=None)
        return sa.cast(sa.literal_column(tsql.text(wall.isoformat("T", "microseconds"))), tsql.MICROSECONDS)

    def later(self, event_time: sa.ColumnElement[Any], by: timedelta) -> sa.ColumnElement[Any]:
        for unit, count in (("day", by.days), ("second", by.seconds), ("microsecond", by.microseconds)):
            if count:  # DATEADD takes no more than an int at a time
                event_time = sa.func.DATEADD(sa.literal_column(unit), sa.literal_column(str(count)), event_time)
        return event_time

    def hours(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.DATEDIFF_BIG(sa.literal_column("microsecond"), since, until) / sa.literal_column("3.6e9")

    def not_before(
        self, column: Column, timezone: str, moment: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        time, bound = self.event_time(column, timezone), self.instant(moment)
        exact = time >= bound if until is None else time.between(bound, self.instant(until))
        if self._is_utc(column, timezone):
            return exact
        # The index finds by a coarse bound: what is stored is rounded, and a wall clock goes back in autumn.
        coarse: sa.ColumnElement[Any]
        if column.kind == "number":
            coarse = sa.literal_column(repr(moment.timestamp() - 1))
        else:
            first = datetime(_FIRST_YEARS.get(tsql.base(column.type), 1), 1, 3, tzinfo=UTC)
            early = max(moment, first) - timedelta(days=1)
            coarse = sa.cast(sa.literal_column(tsql.text(f"{early:%Y-%m-%dT%H:%M:%S}")), RawType(column.type))
        return sa.and_(value >= coarse, exact)

    def rendered(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        return tsql.rendered(value, column.type)

    def parsed(self, text: str, column: Column) -> sa.ColumnElement[Any]:
        if tsql.base(column.type) in tsql.INTEGERS and re.fullmatch(r"-?\d{1,19}", text):
            return sa.literal_column(text)
        return tsql.unrendered(sa.literal_column(tsql.text(text)), column.type)

    def typed(self, text: str, column: Column) -> list[str]:
        return [text]

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        return tsql.rendered(value, column.type) if tsql.travels_as_text(column.type) else value

    def as_text(self, column: Column) -> sa.ColumnElement[Any]:
        return tsql.rendered(sa.column(column.name), column.type)

    def now(self) -> datetime:
        moment: datetime = self.arrow("SELECT SYSUTCDATETIME() AS now").column(0)[0].as_py()
        return moment

    # The store

    def prepare_store(self, schema: str) -> None:
        for statement in self.schema_ddl(schema):
            self._statement(statement)

    def schema_ddl(self, schema: str) -> list[str]:
        create = f"CREATE SCHEMA {tsql.quoted(schema)}"
        return [f"IF SCHEMA_ID({tsql.text(schema)}) IS NULL EXEC ({tsql.text(create)})"]

    def table_ddl(self, table: sa.Table) -> list[str]:
        if not table.info.get("many_rows"):
            return []
        # A batch's rows are locked one by one: the server must not lock the whole table instead.
        return [f"ALTER TABLE {self._table(table)} SET (LOCK_ESCALATION = DISABLE)"]

    def staging(self, table: sa.Table, key: Sequence[Column]) -> sa.Table | None:
        """The table through which bulk copies come into another; keys that cannot travel as they are come as text."""
        names = {column.name: column for column in key}
        stage = sa.Column("stage", sa.Unicode(40), nullable=False)
        columns: list[sa.Column[Any]] = [stage]
        for column in table.c:
            kind: Any = column.type
            if column.name in names:
                spelled = names[column.name].type
                column.info["travels_as_text"] = tsql.travels_as_text(spelled)
                kind = RawType(spelled if tsql.base(spelled) in tsql.INTEGERS else "NVARCHAR(450)")
            columns.append(sa.Column(column.name, kind, nullable=column.nullable))
        index = sa.Index(f"ix_{table.name}_staging", stage, mssql_clustered=True)
        made = sa.Table(f"{table.name}_staging", table.metadata, *columns, index, info=table.info.copy())
        table.info["staging"] = made
        return made

    def rights(self, schema: str) -> list[str]:
        return catalog.rights(self.arrow, schema)

    def ungranted(self, schema: str | None, table: str, rights: Sequence[str]) -> list[str]:
        return catalog.ungranted(self.arrow, schema, table, rights)

    def version(self) -> str:
        return catalog.version(self.arrow)

    def advice(self) -> list[tuple[str, str]]:
        return catalog.advice(self.arrow)

    # Errors

    def explained(self, error: Exception) -> DatabaseError:
        return fault(self.shown, error, self._error_number() if isinstance(error, driver.Error) else None)

    def _error_number(self) -> int | None:
        """The server's number of the error that was raised last, which the driver does not tell; None without one."""
        try:
            return int(self._cursor.execute("SELECT @@ERROR").fetchall()[0][0]) or None
        except (*self.faults, AttributeError):  # the connection is gone, busy with a result, or was never made
            return None
