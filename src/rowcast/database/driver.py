"""What every connection has in common: executing compiled statements, transactions, and clear errors."""

import contextlib
import copy
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, TypeVar

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database.protocols import Admin, Expressions
from rowcast.errors import DatabaseError, shorten
from rowcast.signals import shield

Result = TypeVar("Result")

_connected: "weakref.WeakSet[DriverConnection]" = weakref.WeakSet()
_STATEMENTS = 150  # that a connection keeps as its dialect writes them


def cancel_running() -> None:
    """Ask every database to end the statement that this process waits for; from a thread of its own."""
    for db in list(_connected):
        db.cancel()


class DriverConnection:
    """A connection in autocommit mode; transactions are opened by statements of their own."""

    safe_url: str
    recorded_url: str
    sql: Expressions
    admin: Admin
    driver_errors: ClassVar[tuple[type[Exception], ...]]  # what the driver raises
    max_parameters: ClassVar[int | None] = None  # that may be bound to one statement
    savepoint_sql: ClassVar[tuple[str, str, str]] = (  # to set it, to go back to it, to let go of it
        "SAVEPOINT rowcast_attempt",
        "ROLLBACK TO SAVEPOINT rowcast_attempt",
        "RELEASE SAVEPOINT rowcast_attempt",
    )
    _connection: Any
    _cursor: Any

    # What each driver does in its own way

    def _make_admin(self) -> Admin:
        """Return what administers the database by this connection."""
        raise NotImplementedError

    def _connect(self) -> Any:
        """Return a new connection of the driver."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Set up a new connection."""
        raise NotImplementedError

    def _new_cursor(self, options: dict[str, str] | None = None) -> Any:
        """Return a new cursor, with options of the driver."""
        raise NotImplementedError

    def _result(self, cursor: Any) -> pa.Table:
        """Return all rows of what a cursor has executed."""
        raise NotImplementedError

    def _cancel(self, cursor: Any) -> None:
        """Ask the database to end what a cursor executes."""
        raise NotImplementedError

    def _begin(self, kind: Literal["write", "snapshot"]) -> list[str]:
        """Return the statements that open a transaction."""
        raise NotImplementedError

    def _retry_locked(self, call: Callable[[], Result]) -> Result:
        """Repeat a statement that did not begin because something else held the database."""
        return call()

    def _is_broken(self) -> bool:
        """Return whether the connection is gone, whatever the error said."""
        return False

    def translate_error(self, error: Exception) -> DatabaseError:
        """Return an error of the driver as the one that rowcast raises."""
        raise NotImplementedError

    # What all of them do

    @property
    def dialect(self) -> sa.Dialect:
        return self.sql.dialect

    @shield()
    def open(self) -> None:
        """Connect, and be ready for statements. Raises DatabaseError."""
        self.admin = self._make_admin()
        self._connection = self._connect()
        self._cursor = self._running = self._new_cursor()
        self._in_transaction = False
        try:
            self._prepare()
        except DatabaseError:
            self.close()
            raise
        _connected.add(self)

    @shield()
    def reconnect(self) -> None:
        with contextlib.suppress(*self.driver_errors, RuntimeError):  # it is mostly broken
            self.close()
        self.open()

    def clone(self) -> Self:
        other = copy.copy(self)
        other.open()
        return other

    def cancel(self) -> None:
        """Ask the database to end the statement that is under way, from another thread."""
        with contextlib.suppress(*self.driver_errors):  # there may be nothing to cancel, or no way to
            self._cancel(self._running)

    def execute(self, statement: sa.Executable) -> None:
        self._retry_locked(lambda: self._execute(self._cursor, statement))

    def rows(self, statement: sa.Select[Any] | sa.UpdateBase | sa.CompoundSelect[Any]) -> list[dict[str, Any]]:
        def fetch() -> pa.Table:
            self._execute(self._cursor, statement)
            return self._guard(lambda: self._result(self._cursor))

        table = self._retry_locked(fetch)
        columns: Any = statement.exported_columns
        readers = {
            column.name: reader
            for column in columns
            if (reader := column.type.dialect_impl(self.dialect).result_processor(self.dialect, None)) is not None
        }
        readers |= {field.name: _to_number for field in table.schema if _is_exact(field.type)}
        readers |= {field.name: _to_text for field in table.schema if _is_citext(field.type)}
        return [
            {name: readers[name](value) if name in readers else value for name, value in row.items()}
            for row in table.to_pylist()
        ]

    def scalar(self, statement: sa.Select[Any] | sa.UpdateBase) -> Any:
        rows = self.rows(statement)
        return next(iter(rows[0].values())) if rows else None

    def query(self, sql: str, options: dict[str, str] | None = None) -> pa.Table:
        """Return the whole result of SQL without parameters."""
        return self._retry_locked(lambda: self._fetch(sql, options))

    @shield()
    def _fetch(self, sql: str, options: dict[str, str] | None) -> pa.Table:
        with contextlib.closing(self._new_cursor(options)) as cursor:
            self._running = cursor
            try:
                self._guard(lambda: cursor.execute(sql))
                return self._guard(lambda: self._result(cursor))
            finally:
                self._running = self._cursor

    def compile_literal(self, statement: sa.Executable) -> str:
        """Return the statement with its values written into it, as the dialect quotes them."""
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        return str(compiled)

    @contextlib.contextmanager
    def transaction(self, kind: Literal["write", "snapshot"]) -> Iterator[None]:
        for sql in self._begin(kind):
            self.run_sql(sql)
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._in_transaction = False
            with contextlib.suppress(DatabaseError):  # the first error tells more than a failed rollback
                self.run_sql("ROLLBACK")
            raise
        self._in_transaction = False
        self.run_sql("COMMIT")

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        if not self._in_transaction:
            yield
            return
        begin, back, end = self.savepoint_sql
        self.run_sql(begin)
        try:
            yield
        except BaseException:
            with contextlib.suppress(DatabaseError):
                self.run_sql(back)
            raise
        self.run_sql(end)

    @shield()
    def close(self) -> None:
        _connected.discard(self)
        try:
            self._cursor.close()
        finally:
            self._connection.close()

    def run_sql(self, sql: str) -> None:
        """Execute SQL without parameters by the connection's own cursor."""
        self._retry_locked(lambda: self._guard(lambda: self._cursor.execute(sql)))

    def _execute(self, cursor: Any, statement: sa.Executable) -> None:
        sql, values = self.compile(statement)
        self._guard(lambda: cursor.execute(sql, values or None))

    @cached_property
    def _compiled(self) -> sa.util.LRUCache[Any, Any]:
        """The newest statements as the dialect writes them; a clone has the same."""
        return sa.util.LRUCache(_STATEMENTS)

    def compile(self, statement: sa.Executable) -> tuple[str, list[Any]]:
        """Return the statement as the dialect writes it, and the values bound to it in their order."""
        if isinstance(statement, sa.sql.ddl.ExecutableDDLElement):
            return str(statement.compile(dialect=self.dialect)).strip(), []
        # As SQLAlchemy's own connections do: a statement that was compiled before, with other values, is not again.
        compiled: Any
        compiled, extracted, collected, _ = statement._compile_w_cache(
            self.dialect, compiled_cache=self._compiled, column_keys=[]
        )
        bound: Any = compiled.construct_params(None, extracted, escape_names=False, _collected_params=collected)
        sql, order, processors = compiled.string, compiled.positiontup, compiled._bind_processors
        if compiled.literal_execute_params or compiled.post_compile_params:
            expanded = compiled._process_parameters_for_postcompile(bound)
            sql, order = expanded.statement, expanded.positiontup
            bound, processors = expanded.parameters, {**processors, **expanded.processors}
        values = [processors[name](bound[name]) if name in processors else bound[name] for name in order or ()]
        if self.max_parameters is not None and len(values) > self.max_parameters:
            return self.compile_literal(statement), []
        return sql, values

    def _next(self, reader: Any) -> pa.RecordBatch | None:
        try:
            return self._guard(reader.read_next_batch)
        except StopIteration:
            return None

    def _guard(self, call: Callable[[], Any]) -> Any:
        try:
            with shield():
                return call()
        except (*self.driver_errors, pa.ArrowException, OSError) as error:  # a reader's failures are OSErrors
            translated = self.translate_error(error)
            if translated.reason == "other" and self._is_broken():
                translated.reason = "unreachable"
            raise translated from error
        except BaseException as error:
            if panic := self.translate_panic(error):
                raise panic from error
            raise

    def translate_panic(self, error: BaseException) -> DatabaseError | None:
        """Return the error of a driver that is written in Rust and gave up; None for any other.

        What it raises is no `Exception`: nothing that puts things in order would see it.
        """
        if type(error).__name__ != "PanicException":
            return None
        said = f"the driver gave up: {' '.join(str(error).split())}"
        hint = "a fault in the database's driver: see whether there is a newer version of it"
        return DatabaseError(f"{self.safe_url}: the driver gave up", hint=hint, detail=shorten(said))


def _is_exact(kind: pa.DataType) -> bool:
    """Return whether it is a decimal, such as the sum of integers, which a driver may leave as text."""
    is_opaque = isinstance(kind, pa.OpaqueType)
    return kind.type_name == "numeric" if is_opaque else bool(pa.types.is_decimal(kind))


def _to_number(value: Any) -> int | float | None:
    if value is None:
        return None
    try:
        whole = int(value)
        return whole if whole == value or isinstance(value, str) else float(value)
    except ValueError:
        return float(value)


def _is_citext(kind: pa.DataType) -> bool:
    """Return whether it is PostgreSQL's text without case, which its driver leaves as bytes."""
    return isinstance(kind, pa.OpaqueType) and kind.type_name == "citext"


def _to_text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def to_batch(table: pa.Table) -> pa.RecordBatch:
    """Return all rows of a table in one batch."""
    if len(table) == 0:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    return table.combine_chunks().to_batches()[0]
