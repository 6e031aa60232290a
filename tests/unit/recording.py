"""A connection to SQL Server that there is not: it writes down what is asked of it, and answers what it was told to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from sqlalchemy.engine import make_url
from sqlglot import exp

from rowcast.database.mssql.connection import MSSQLConnection

Row = dict[str, Any]
ANY = "*"  # of an answer: every other column


class Server:
    """What was sent, in its order, and the answers to come."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._answers: list[tuple[str, list[Row]]] = []

    def answers(self, part: str, *rows: Row) -> None:
        """Statements that contain this part are answered so from now on; the newest answer counts."""
        self._answers.insert(0, (part, list(rows)))

    def answer(self, sql: str) -> pa.Table:
        rows = next((rows for part, rows in self._answers if part in sql), [])
        names = _named(sql)
        if not names or "*" in names:
            return pa.Table.from_pylist(rows)
        return pa.Table.from_pydict({name: [row.get(name, row.get(ANY)) for row in rows] for name in names})


def _named(sql: str) -> list[str]:
    """The columns that a query names."""
    found = sqlglot.parse_one(sql, dialect="tsql") if sql.startswith("SELECT") else None
    return found.named_selects if isinstance(found, exp.Query) else []


class Cursor:
    closed = False
    hstmt = None
    description: Any = ("a result",)

    def __init__(self, server: Server) -> None:
        self.server = server
        self._result = pa.table({})

    def execute(self, sql: str, values: Sequence[Any] | None = None) -> "Cursor":
        bound = f"\n-- {', '.join(map(_shown, values))}" if values else ""
        self.server.sent.append(sql + bound)
        self._result = self.server.answer(sql)
        return self

    def arrow(self, rows: int) -> pa.Table:
        return self._result

    def arrow_reader(self, rows: int) -> Any:
        return self._result.to_reader()

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self._result.to_pylist()]

    def bulkcopy_arrow(self, table: str, rows: pa.Table, **options: Any) -> None:
        chosen = {name: value for name, value in options.items() if name != "column_mappings"}
        columns = ", ".join(f"{field.name} {field.type}" for field in rows.schema)
        assert options["column_mappings"] == rows.schema.names
        self.server.sent.append(f"-- bulk copy of {rows.num_rows} rows into {table}, {chosen}\n-- {columns}")

    def close(self) -> None:
        pass


class _Connection:
    def __init__(self, server: Server) -> None:
        self.server = server

    def cursor(self) -> Cursor:
        return Cursor(self.server)

    def close(self) -> None:
        pass


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:197]}…"


@contextmanager
def recorded(url: str = "mssql://me:s3cret@fab:1433/line") -> Iterator[tuple[Server, MSSQLConnection]]:
    """A database whose connections are all recorded."""
    server = Server()
    server.answers("SYSUTCDATETIME", {"now": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MSSQLConnection, "_connect", lambda _: _Connection(server))
        yield server, MSSQLConnection(make_url(url))
