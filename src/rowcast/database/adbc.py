"""What the Arrow drivers (ADBC) have in common: executing compiled statements, transactions, and clear errors."""

import contextlib
import copy
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Self, TypeVar

import adbc_driver_manager.dbapi as dbapi
import pyarrow as pa
import sqlalchemy as sa

from rowcast.errors import DatabaseError
from rowcast.stopping import shielded

Result = TypeVar("Result")

# Around each call the driver manager puts a SIGINT handler of its own, which loses a Ctrl-C that comes while the call
# succeeds and makes a database error of any other. Python's handler runs as soon as the call is over.
dbapi._blocking_call = lambda func, args, kwargs, cancel: func(*args, **kwargs)  # type: ignore[attr-defined]  # noqa: ARG005

_connected: "weakref.WeakSet[Adbc]" = weakref.WeakSet()


def cancel_running() -> None:
    """Ask every database to end the statement that this process waits for; from a thread of its own."""
    for db in list(_connected):
        db.cancel()


class Adbc:
    """A connection in autocommit mode; transactions are opened by statements of their own."""

    dialect: sa.Dialect
    shown: str
    cursor_options: ClassVar[dict[str, str] | None] = None

    def _connect(self) -> dbapi.Connection:
        """A new connection of the driver."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Settings of a new connection."""
        raise NotImplementedError

    @shielded()
    def open(self) -> None:
        self._connection = self._connect()
        self._cursor = self._running = self._connection.cursor(adbc_stmt_kwargs=self.cursor_options)
        self._in_transaction = False
        try:
            self._prepare()
        except DatabaseError:
            self.close()
            raise
        _connected.add(self)

    @shielded()
    def reconnect(self) -> None:
        with contextlib.suppress(dbapi.Error, RuntimeError):  # it is mostly broken
            self.close()
        self.open()

    def another(self) -> Self:
        other = copy.copy(self)
        other.open()
        return other

    def cancel(self) -> None:
        with contextlib.suppress(dbapi.Error):  # there may be nothing to cancel, or no way to
            self._running.adbc_cancel()

    def execute(self, statement: sa.Executable) -> None:
        self._patiently(lambda: self._run(self._cursor, statement))

    def rows(self, statement: sa.Select[Any] | sa.UpdateBase | sa.CompoundSelect[Any]) -> list[dict[str, Any]]:
        def fetched() -> pa.Table:
            self._run(self._cursor, statement)
            return self._guard(self._cursor.fetch_arrow_table)

        table = self._patiently(fetched)
        columns: Any = statement.exported_columns
        readers = {
            column.name: reader
            for column in columns
            if (reader := column.type.dialect_impl(self.dialect).result_processor(self.dialect, None)) is not None
        }
        readers |= {field.name: _number for field in table.schema if isinstance(field.type, pa.OpaqueType)}
        return [
            {name: readers[name](value) if name in readers else value for name, value in row.items()}
            for row in table.to_pylist()
        ]

    def scalar(self, statement: sa.Select[Any] | sa.UpdateBase) -> Any:
        rows = self.rows(statement)
        return next(iter(rows[0].values())) if rows else None

    def arrow(self, sql: str, options: dict[str, str] | None = None) -> pa.Table:
        """The whole result of SQL without parameters."""
        return self._patiently(lambda: self._fetched(sql, options))

    @shielded()
    def _fetched(self, sql: str, options: dict[str, str] | None) -> pa.Table:
        with contextlib.closing(self._connection.cursor(adbc_stmt_kwargs=options)) as cursor:
            self._running = cursor
            try:
                self._guard(lambda: cursor.execute(sql))
                return self._guard(cursor.fetch_arrow_table)
            finally:
                self._running = self._cursor

    def literal(self, statement: sa.Executable) -> str:
        """The statement with its values written into it, as the dialect quotes them."""
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        return str(compiled)

    @contextlib.contextmanager
    def transaction(self, kind: Literal["write", "snapshot"]) -> Iterator[None]:
        self._statement(self._begin(kind))
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._in_transaction = False
            with contextlib.suppress(DatabaseError):  # the first error tells more than a failed rollback
                self._statement("ROLLBACK")
            raise
        self._in_transaction = False
        self._statement("COMMIT")

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        if not self._in_transaction:
            yield
            return
        self._statement("SAVEPOINT rowcast_attempt")
        try:
            yield
        except BaseException:
            with contextlib.suppress(DatabaseError):
                self._statement("ROLLBACK TO SAVEPOINT rowcast_attempt")
            raise
        self._statement("RELEASE SAVEPOINT rowcast_attempt")

    @shielded()
    def close(self) -> None:
        _connected.discard(self)
        try:
            self._cursor.close()
        finally:
            self._connection.close()

    def _patiently(self, call: Callable[[], Result]) -> Result:
        """Repeat a statement that did not begin because something else held the database."""
        return call()

    def _is_broken(self) -> bool:
        """Whether the connection is gone, whatever the error said."""
        return False

    def _begin(self, kind: Literal["write", "snapshot"]) -> str:
        raise NotImplementedError

    def _statement(self, sql: str) -> None:
        self._patiently(lambda: self._guard(lambda: self._cursor.execute(sql)))

    def _run(self, cursor: dbapi.Cursor, statement: sa.Executable) -> None:
        if isinstance(statement, sa.sql.ddl.ExecutableDDLElement):
            sql, values = str(statement.compile(dialect=self.dialect)).strip(), []
        else:
            compiled: Any = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
            processors = compiled._bind_processors
            sql = compiled.string
            values = [
                processors[name](compiled.params[name]) if name in processors else compiled.params[name]
                for name in compiled.positiontup or ()
            ]
        self._guard(lambda: cursor.execute(sql, values or None))

    def _next(self, reader: pa.RecordBatchReader) -> pa.RecordBatch | None:
        try:
            return self._guard(reader.read_next_batch)
        except StopIteration:
            return None

    def _guard(self, call: Callable[[], Any]) -> Any:
        try:
            with shielded():
                return call()
        except (dbapi.Error, pa.ArrowException, OSError) as error:  # a reader's failures are OSErrors
            explained = self.explained(error)
            if explained.reason == "other" and self._is_broken():
                explained.reason = "unreachable"
            raise explained from error

    def explained(self, error: Exception) -> DatabaseError:
        raise NotImplementedError


def first_line(error: Exception) -> str:
    """What the database said, without the driver's wrapping and without the statement."""
    text = str(error)
    text = re.sub(r"^[A-Z_]+: ", "", text)
    found = re.search(r"(?:ERROR|FATAL|PANIC):\s+([^\n]*)", text)
    if found:
        return found[1].strip()
    text = re.sub(r"^(\[\w+\] )?Failed to [^:]*?('.*?')?: ", "", text.split("\nquery:")[0], flags=re.DOTALL)
    return (text.strip().splitlines() or [type(error).__name__])[0][:300]


def _number(text: str | None) -> int | float | None:
    """A numeric, such as the sum of integers, which the driver leaves as text."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


def as_batch(table: pa.Table) -> pa.RecordBatch:
    """One batch of all rows."""
    if len(table) == 0:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    return table.combine_chunks().to_batches()[0]
