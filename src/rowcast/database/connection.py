"""What every connection has in common: executing compiled statements, transactions, and clear errors."""

import contextlib
import copy
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Self, TypeVar

import pyarrow as pa
import sqlalchemy as sa

from rowcast.errors import DatabaseError
from rowcast.signals import shielded

Result = TypeVar("Result")

_connected: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def cancel_running() -> None:
    """Ask every database to end the statement that this process waits for; from a thread of its own."""
    for db in list(_connected):
        db.cancel()


class Connection:
    """A connection in autocommit mode; transactions are opened by statements of their own."""

    dialect: sa.Dialect
    shown: str
    faults: ClassVar[tuple[type[Exception], ...]]  # what the driver raises
    most_values: ClassVar[int | None] = None  # that may be bound to one statement
    savepoint: ClassVar[tuple[str, str, str]] = (  # to set it, to go back to it, to let go of it
        "SAVEPOINT rowcast_attempt",
        "ROLLBACK TO SAVEPOINT rowcast_attempt",
        "RELEASE SAVEPOINT rowcast_attempt",
    )
    _connection: Any
    _cursor: Any

    # What each driver does in its own way

    def _connect(self) -> Any:
        """A new connection of the driver."""
        raise NotImplementedError

    def _prepare(self) -> None:
        """Settings of a new connection."""
        raise NotImplementedError

    def _new_cursor(self, options: dict[str, str] | None = None) -> Any:
        raise NotImplementedError

    def _result(self, cursor: Any) -> pa.Table:
        """All rows of what a cursor has executed."""
        raise NotImplementedError

    def _cancel(self, cursor: Any) -> None:
        raise NotImplementedError

    def _begin(self, kind: Literal["write", "snapshot"]) -> list[str]:
        """The statements that open a transaction."""
        raise NotImplementedError

    def _patiently(self, call: Callable[[], Result]) -> Result:
        """Repeat a statement that did not begin because something else held the database."""
        return call()

    def _is_broken(self) -> bool:
        """Whether the connection is gone, whatever the error said."""
        return False

    def explained(self, error: Exception) -> DatabaseError:
        raise NotImplementedError

    # What all of them do

    @shielded()
    def open(self) -> None:
        self._connection = self._connect()
        self._cursor = self._running = self._new_cursor()
        self._in_transaction = False
        try:
            self._prepare()
        except DatabaseError:
            self.close()
            raise
        _connected.add(self)

    @shielded()
    def reconnect(self) -> None:
        with contextlib.suppress(*self.faults, RuntimeError):  # it is mostly broken
            self.close()
        self.open()

    def another(self) -> Self:
        other = copy.copy(self)
        other.open()
        return other

    def cancel(self) -> None:
        with contextlib.suppress(*self.faults):  # there may be nothing to cancel, or no way to
            self._cancel(self._running)

    def execute(self, statement: sa.Executable) -> None:
        self._patiently(lambda: self._run(self._cursor, statement))

    def rows(self, statement: sa.Select[Any] | sa.UpdateBase | sa.CompoundSelect[Any]) -> list[dict[str, Any]]:
        def fetched() -> pa.Table:
            self._run(self._cursor, statement)
            return self._guard(lambda: self._result(self._cursor))

        table = self._patiently(fetched)
        columns: Any = statement.exported_columns
        readers = {
            column.name: reader
            for column in columns
            if (reader := column.type.dialect_impl(self.dialect).result_processor(self.dialect, None)) is not None
        }
        readers |= {field.name: _number for field in table.schema if _is_exact(field.type)}
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
        with contextlib.closing(self._new_cursor(options)) as cursor:
            self._running = cursor
            try:
                self._guard(lambda: cursor.execute(sql))
                return self._guard(lambda: self._result(cursor))
            finally:
                self._running = self._cursor

    def literal(self, statement: sa.Executable) -> str:
        """The statement with its values written into it, as the dialect quotes them."""
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        return str(compiled)

    @contextlib.contextmanager
    def transaction(self, kind: Literal["write", "snapshot"]) -> Iterator[None]:
        for sql in self._begin(kind):
            self._statement(sql)
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
        begin, back, end = self.savepoint
        self._statement(begin)
        try:
            yield
        except BaseException:
            with contextlib.suppress(DatabaseError):
                self._statement(back)
            raise
        self._statement(end)

    @shielded()
    def close(self) -> None:
        _connected.discard(self)
        try:
            self._cursor.close()
        finally:
            self._connection.close()

    def _statement(self, sql: str) -> None:
        self._patiently(lambda: self._guard(lambda: self._cursor.execute(sql)))

    def _run(self, cursor: Any, statement: sa.Executable) -> None:
        sql, values = self.compiled(statement)
        self._guard(lambda: cursor.execute(sql, values or None))

    def compiled(self, statement: sa.Executable) -> tuple[str, list[Any]]:
        """The statement as the dialect writes it, and the values bound to it in their order."""
        if isinstance(statement, sa.sql.ddl.ExecutableDDLElement):
            return str(statement.compile(dialect=self.dialect)).strip(), []
        compiled: Any = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
        processors = compiled._bind_processors
        values = [
            processors[name](compiled.params[name]) if name in processors else compiled.params[name]
            for name in compiled.positiontup or ()
        ]
        if self.most_values is not None and len(values) > self.most_values:
            return self.literal(statement), []
        return compiled.string, values

    def _next(self, reader: Any) -> pa.RecordBatch | None:
        try:
            return self._guard(reader.read_next_batch)
        except StopIteration:
            return None

    def _guard(self, call: Callable[[], Any]) -> Any:
        try:
            with shielded():
                return call()
        except (*self.faults, pa.ArrowException, OSError) as error:  # a reader's failures are OSErrors
            explained = self.explained(error)
            if explained.reason == "other" and self._is_broken():
                explained.reason = "unreachable"
            raise explained from error


def _is_exact(kind: pa.DataType) -> bool:
    """A decimal, such as the sum of integers, which a driver may leave as text."""
    return isinstance(kind, pa.OpaqueType) or bool(pa.types.is_decimal(kind))


def _number(value: Any) -> int | float | None:
    if value is None:
        return None
    try:
        whole = int(value)
        return whole if whole == value or isinstance(value, str) else float(value)
    except ValueError:
        return float(value)


def as_batch(table: pa.Table) -> pa.RecordBatch:
    """One batch of all rows."""
    if len(table) == 0:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    return table.combine_chunks().to_batches()[0]
