"""Microsoft SQL Server and Azure SQL through Microsoft's driver: Arrow reads, bulk copy in.

Bulk copy has a connection of its own, outside the transaction. So rows go to a staging table of rowcast's own first,
under a name used once, and from there in the transaction that publishes them. Reads are READ COMMITTED; an audit is
SNAPSHOT where the database allows it.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import mssql_python as driver
import pyarrow as pa
import sqlalchemy as sa
import structlog

from rowcast.contract import Misfit
from rowcast.database.driver import DriverConnection, to_batch
from rowcast.database.mixed_keys import refuse_mixed, refuse_no_text
from rowcast.database.mssql import address, transfer, tsql
from rowcast.database.mssql.admin import ALLOW_SNAPSHOT, MSSQLAdmin
from rowcast.database.mssql.expressions import MSSQLExpressions
from rowcast.database.mssql.known_errors import translate_error
from rowcast.database.relation import ColumnKind
from rowcast.errors import ConfigError, DatabaseError
from rowcast.signals import is_stopping

log = structlog.get_logger("rowcast")

driver.pooling(enabled=False)  # a connection is kept while it is needed, and begun anew after a fault

_READ = 65_536  # rows that the driver fetches at once
_SMALL = 1_024
_TOGETHER = 10_000  # rows that travel in one statement
_FEW = 1_000  # rows for which a bulk copy, which first asks what the table is like, costs more than it saves
_COPIED = 4_000  # rows that bulk copy commits at once: fewer locks than make the server lock a whole table
_COPY_SECONDS = 600
_PATIENCE = 10_000  # milliseconds that a lock is waited for
_LOGIN_SECONDS = 15
_STALE = timedelta(days=1)  # rows staged longer ago were left by a process that is gone


class MSSQLConnection(DriverConnection):
    """One database on SQL Server."""

    admin: MSSQLAdmin
    driver_errors = (driver.Error, RuntimeError, ValueError)  # the latter two from bulk copy
    max_parameters = 2_000  # the server takes 2,100
    # What runs in it only reads; with XACT_ABORT a row that cannot be computed would end the whole transaction.
    savepoint_sql = ("SET XACT_ABORT OFF", "SET XACT_ABORT ON", "SET XACT_ABORT ON")

    def __init__(self, url: sa.URL) -> None:
        self.safe_url = self.recorded_url = f"mssql://{url.host or 'localhost'}:{url.port or 1433}/{url.database or ''}"
        self.sql = MSSQLExpressions()
        self._target = address.make_connection_string(url)
        self.open()

    def _make_admin(self) -> MSSQLAdmin:
        return MSSQLAdmin(self)

    def _connect(self) -> Any:
        try:
            return driver.connect(self._target, autocommit=True, timeout=_LOGIN_SECONDS)
        except driver.ConnectionStringParseError as error:
            said = "; ".join(error.errors).replace("Unknown keyword", "unknown option")
            raise ConfigError(f"the url of {self.safe_url} is not one: {said}", hint=address.HINT) from None
        except self.driver_errors as error:
            raise self.translate_error(error) from None
        except BaseException as error:
            if panic := self.translate_panic(error):
                raise panic from None
            raise

    def _prepare(self) -> None:
        # A wait for a lock is short: whoever waits can be interrupted in between, and tries again.
        wait = min(_PATIENCE, 1_000) if is_stopping() else _PATIENCE
        self.run_sql(
            "SET NOCOUNT ON; SET XACT_ABORT ON; SET ARITHABORT ON;"
            f" SET LOCK_TIMEOUT {wait}; SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
        )

    def _new_cursor(self, options: dict[str, str] | None = None) -> Any:
        return self._connection.cursor()

    def _result(self, cursor: Any) -> pa.Table:
        return transfer.to_plain(cursor.arrow(_SMALL)) if cursor.description else pa.table({})

    def _cancel(self, cursor: Any) -> None:
        if not cursor.closed and cursor.hstmt is not None:
            cursor.hstmt._cancel()

    def _is_broken(self) -> bool:
        try:
            self._cursor.execute("SELECT 1").fetchall()
        except self.driver_errors:
            return True
        return False

    # Transactions

    def _begin(self, kind: Literal["write", "snapshot"]) -> list[str]:
        if kind == "write":
            return ["BEGIN TRANSACTION"]
        if not self.admin.isolation()["snapshot"]:
            log.warning(
                "no snapshot: rows that arrive meanwhile may be counted twice or not at all", hint=ALLOW_SNAPSHOT
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
                    self.run_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def lock(self, table: sa.Table, name: str) -> None:
        wait = min(_PATIENCE, 1_000) if is_stopping() else _PATIENCE
        sql = (
            "DECLARE @held int; EXEC @held = sp_getapplock @Resource = {}, @LockMode = N'Exclusive',"
            " @LockOwner = N'Transaction', @LockTimeout = {}; SELECT @held AS held"
        )
        held = self.query_last_result(sql.format(tsql.quote_text(f"{table.schema}.{table.name}: {name}"[:255]), wait))
        if held.column(0)[0].as_py() < 0:
            raise DatabaseError(
                f"{self.safe_url}: another session holds the lock of {name}", hint="try again", reason="locked"
            )

    def query_last_result(self, sql: str) -> pa.Table:
        """Return the rows of the one statement of a batch that returns any."""

        def fetch() -> pa.Table:
            cursor = self._cursor.execute(sql)
            while cursor.description is None and cursor.nextset():
                pass
            return self._result(cursor)

        return self._guard(fetch)

    # Reading and writing

    def read(
        self, statement: sa.Select[Any], columns: Mapping[str, ColumnKind], most: int
    ) -> tuple[pa.RecordBatch, list[Misfit]]:
        cursor = self._new_cursor()
        self._running = cursor
        try:
            self._guard(lambda: cursor.execute(self.compile_literal(statement.limit(most))))
            return to_batch(transfer.to_plain(self._guard(lambda: cursor.arrow(min(most, _READ))))), []
        finally:
            self._running = self._cursor
            cursor.close()

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        cursor = self._new_cursor()
        try:
            self._guard(lambda: cursor.execute(self.compile_literal(statement)))
            reader = self._guard(lambda: cursor.arrow_reader(chunk))
            while (batch := self._next(reader)) is not None:
                yield to_batch(transfer.to_plain(pa.Table.from_batches([batch])))
        finally:
            cursor.close()

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        refuse_mixed(rows)
        refuse_no_text(rows)
        columns = [table.c[name] for name in rows.schema.names]
        fields, values = [], []
        for place, (column, given) in enumerate(zip(columns, rows.schema.types, strict=True)):
            spelled, name = self._spell_type(column), f"v{place}"
            fields.append(f"{name} {'NVARCHAR(max)' if transfer.is_text(given) else spelled} '$[{place}]'")
            value: sa.ColumnElement[Any] = sa.literal_column(name)
            if transfer.is_text(given) and tsql.base(spelled) not in tsql.CHARACTERS:
                value = tsql.parse(value, spelled)
            values.append(str(value.compile(dialect=self.dialect)))
        into = f"INSERT INTO {tsql.quote_table(table)} ({', '.join(tsql.quote(column.name) for column in columns)})"
        sql = f"{into} SELECT {', '.join(values)} FROM OPENJSON(?) WITH ({', '.join(fields)})"  # noqa: S608
        for start in range(0, rows.num_rows, _TOGETHER):
            self._guard(partial(self._cursor.execute, sql, [transfer.to_json(rows.slice(start, _TOGETHER))]))

    def create_temporary(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        made = sa.Table(f"#{name}", sa.MetaData(), *columns)
        self.run_sql(f"DROP TABLE IF EXISTS {tsql.quote_table(made)}")
        self.execute(sa.schema.CreateTable(made))
        return made

    def load(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        self._copy_in_bulk(table, rows, 0)

    def stage(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> Callable[[], None]:
        refuse_mixed(rows)
        refuse_no_text(rows)
        if not rows.num_rows:
            return lambda: None
        if rows.num_rows <= _FEW and not any(
            map(pa.types.is_floating, rows.schema.types)
        ):  # as text a float may differ
            return lambda: self.ingest(table, rows)
        staging: sa.Table = table.info["staging"]
        now = self.now()
        name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(8)}"
        named = pa.repeat(pa.scalar(name), rows.num_rows)
        given = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        self._copy_in_bulk(staging, given.append_column(staging.c[0].name, named), _COPIED)
        mine, stale = staging.c[0] == name, staging.c[0] < f"{now - _STALE:%Y%m%dT%H%M%S}"
        names = list(rows.schema.names)
        values = [
            tsql.parse(staging.c[n], self._spell_type(table.c[n]))
            if table.c[n].info.get("travels_as_text")
            else staging.c[n]
            for n in names
        ]

        def append() -> None:
            self.execute(table.insert().from_select(names, sa.select(*values).where(mine)))
            self.execute(staging.delete().where(sa.or_(mine, stale)))

        return append

    def _copy_in_bulk(self, table: sa.Table, rows: pa.RecordBatch | pa.Table, together: int) -> None:
        """Copy rows in bulk, on a connection of its own; columns are matched by name."""
        name = tsql.quote_table(table)
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

    def _spell_type(self, column: sa.Column[Any]) -> str:
        return str(column.type.compile(dialect=self.dialect))

    def now(self) -> datetime:
        moment: datetime = self.query("SELECT SYSUTCDATETIME() AS now").column(0)[0].as_py()
        return moment

    def translate_error(self, error: Exception) -> DatabaseError:
        return translate_error(self.safe_url, error, self._error_number() if isinstance(error, driver.Error) else None)

    def _error_number(self) -> int | None:
        """Return the server's number of the last error, which the driver does not tell; None without one."""
        try:
            return int(self._cursor.execute("SELECT @@ERROR").fetchall()[0][0]) or None
        except (*self.driver_errors, AttributeError):  # the connection is gone, busy with a result, or was never made
            return None
