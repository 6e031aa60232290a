"""What the Arrow drivers (ADBC) have in common: executing compiled statements, transactions, and clear errors."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import adbc_driver_manager.dbapi as dbapi
import pyarrow as pa
import sqlalchemy as sa

from rowcast.errors import DatabaseError


class Adbc:
    """A connection in autocommit mode; transactions are opened by statements of their own."""

    dialect: sa.Dialect
    shown: str
    literal_reads = False  # whether reads must carry their values as literals

    def __init__(self, connection: dbapi.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def execute(self, statement: sa.Executable) -> None:
        self._run(self._cursor, statement)

    def rows(self, statement: sa.Select[Any] | sa.UpdateBase | sa.CompoundSelect[Any]) -> list[dict[str, Any]]:
        self._run(self._cursor, statement)
        table = self._guard(self._cursor.fetch_arrow_table)
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
        with contextlib.closing(self._connection.cursor(adbc_stmt_kwargs=options)) as cursor:
            self._guard(lambda: cursor.execute(sql))
            return self._guard(cursor.fetch_arrow_table)

    def literal(self, statement: sa.Executable) -> str:
        """The statement with its values written into it, as the dialect quotes them."""
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
        return str(compiled)

    @contextlib.contextmanager
    def transaction(self, kind: Literal["write", "snapshot"]) -> Iterator[None]:
        self._statement(self._begin(kind))
        try:
            yield
        except BaseException:
            with contextlib.suppress(DatabaseError):  # the first error tells more than a failed rollback
                self._statement("ROLLBACK")
            raise
        self._statement("COMMIT")

    def close(self) -> None:
        self._cursor.close()
        self._connection.close()

    def _begin(self, kind: Literal["write", "snapshot"]) -> str:
        raise NotImplementedError

    def _statement(self, sql: str) -> None:
        self._guard(lambda: self._cursor.execute(sql))

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
            return call()
        except (dbapi.Error, pa.ArrowException, OSError) as error:  # a reader's failures are OSErrors
            raise self.explained(error) from error

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
