"""Connections of the ADBC drivers."""

import re
from collections.abc import Callable
from typing import Any, ClassVar

import adbc_driver_manager.dbapi as dbapi
import pyarrow as pa
import sqlalchemy as sa

from rowcast.database.driver import DriverConnection

# Around each call the driver manager puts a SIGINT handler of its own, which loses a Ctrl-C that comes while the call
# succeeds and makes a database error of any other. Python's handler runs as soon as the call is over.
dbapi._blocking_call = lambda func, args, kwargs, cancel: func(*args, **kwargs)  # type: ignore[attr-defined]  # noqa: ARG005


class AdbcConnection(DriverConnection):
    """How ADBC's cursors are made, read and cancelled."""

    driver_errors = (dbapi.Error,)
    temporary_schema: ClassVar[str]
    cursor_options: ClassVar[dict[str, str] | None] = None

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        raise NotImplementedError

    def _new_cursor(self, options: dict[str, str] | None = None) -> Any:
        return self._connection.cursor(adbc_stmt_kwargs=options or self.cursor_options)

    def _result(self, cursor: Any) -> pa.Table:
        return cursor.fetch_arrow_table()

    def _cancel(self, cursor: Any) -> None:
        cursor.adbc_cancel()

    def create_temporary(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        made = sa.Table(name, sa.MetaData(), *columns, prefixes=["TEMPORARY"], info={"temporary": True})
        quote = self.dialect.identifier_preparer.quote_identifier
        self.run_sql(f"DROP TABLE IF EXISTS {self.temporary_schema}.{quote(name)}")
        self.execute(sa.schema.CreateTable(made))
        return made

    # Bulk writes are part of the transaction: no staging is needed.

    def stage(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> Callable[[], None]:
        return lambda: self.ingest(table, rows)

    def load(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        with self.transaction("write"):
            self.ingest(table, rows)

    def lock(self, table: sa.Table, name: str) -> None:
        [key] = table.primary_key.columns
        self.execute(table.update().where(key == name).values({key.name: name}))


def first_line(error: Exception) -> str:
    """Return what the database said, without the driver's wrapping and without the statement."""
    text = str(error)
    text = re.sub(r"^[A-Z_]+: ", "", text)
    found = re.search(r"(?:ERROR|FATAL|PANIC):\s+([^\n]*)", text)
    if found:
        return found[1].strip()
    text = re.sub(r"^(\[\w+\] )?Failed to [^:]*?('.*?')?: ", "", text.split("\nquery:")[0], flags=re.DOTALL)
    return (text.strip().splitlines() or [type(error).__name__])[0][:300]
