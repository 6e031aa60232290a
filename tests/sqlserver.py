"""A Microsoft SQL Server that the environment names: databases of this process on it, gone when the tests are."""

import contextlib
import os
import re
import secrets
from functools import cached_property
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from rowcast.database import Database, connect
from rowcast.database.mssql import tsql
from rowcast.errors import DatabaseError

VARIABLE = "ROWCAST_TEST_MSSQL_URL"

# The tests' SQL in T-SQL: what is not here, both write alike. Texts are told apart as the other systems do it.
_WORDS = {
    "text": "nvarchar(400) COLLATE Latin1_General_100_BIN2",
    "boolean": "bit",
    "timestamp": "datetime2(6)",
    "timestamptz": "datetimeoffset(6)",
    "true": "1",
    "false": "0",
    "add column": "ADD",
}
_PARTS = re.compile(
    r"""(?P<text>(?<!N)'(?:[^']|'')*')|N'(?:[^']|'')*'|"(?:[^"]|"")*"|\[(?:[^\]]|\]\])*\]|(?P<word>ADD COLUMN|\w+)"""
)
_NAME = r"((?:\w|\.|\"(?:[^\"]|\"\")*\")+)"
_RENAMES = (
    (re.compile(rf"^ALTER TABLE {_NAME} RENAME TO {_NAME}$"), "EXEC sp_rename {}, {}, 'OBJECT'"),
    (re.compile(rf"^ALTER TABLE {_NAME} RENAME COLUMN {_NAME} TO {_NAME}$"), "EXEC sp_rename {}, {}, 'COLUMN'"),
)


class SqlServer:
    """The server, by a login that may create databases."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._mine = f"rowcast_test_{os.getpid()}_{secrets.token_hex(3)}"
        self._made: list[str] = []

    @cached_property
    def _admin(self) -> Database:
        return connect(self.url("master"))

    @cached_property
    def is_babelfish(self) -> bool:
        """Whether it is PostgreSQL that speaks T-SQL, which is not SQL Server in everything."""
        found = self._admin.query("SELECT CAST(SERVERPROPERTY('Babelfish') AS int) AS it")
        return bool(found.column(0)[0].as_py())

    def url(self, database: str, **changes: Any) -> str:
        return self._url.set(database=database, **changes).render_as_string(hide_password=False)

    @property
    def password(self) -> str:
        return str(self._url.password)

    def create(self, name: str) -> str:
        """A new database, and its URL."""
        full = f"{self._mine}_{name}"
        self._admin.query(f"CREATE DATABASE {full}")
        self._made.append(full)
        if not self.is_babelfish:
            for option in ("ALLOW_SNAPSHOT_ISOLATION", "READ_COMMITTED_SNAPSHOT"):
                self._admin.query(f"ALTER DATABASE {full} SET {option} ON")
        return self.url(full)

    def renew(self, url: str) -> None:
        """Make a database anew under its name."""
        name = database_of(url).removeprefix(f"{self._mine}_")
        self.drop(url)
        self.create(name)

    def drop(self, url: str) -> None:
        """Drop a database; whoever is still connected to it is sent away."""
        full = database_of(url)
        if self.is_babelfish:
            self.cut_off(url)
        else:
            self._admin.query(f"ALTER DATABASE {full} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
        self._admin.query(f"DROP DATABASE {full}")
        self._made.remove(full)

    def cut_off(self, url: str) -> None:
        """End every connection to a database."""
        where = f"session_id IS NOT NULL AND DB_NAME(database_id) = N'{database_of(url)}'"
        sessions = f"SELECT CAST(session_id AS int) AS id FROM sys.dm_exec_sessions WHERE {where}"
        for session in self._admin.query(sessions).to_pylist():
            with contextlib.suppress(DatabaseError):  # it has ended meanwhile
                self._admin.query(f"KILL {session['id']}")

    def stop(self) -> None:
        for name in list(self._made):
            self.drop(self.url(name))
        self._admin.close()


def is_named() -> bool:
    """Whether the environment names a server."""
    return bool(os.environ.get(VARIABLE))


def named_server() -> SqlServer:
    """The server that the environment names; without one, the test is skipped."""
    url = os.environ.get(VARIABLE)
    if not url:
        pytest.skip(f"no SQL Server: {VARIABLE} is not set")
    return SqlServer(url)


def in_tsql(sql: str) -> str:
    """A statement of the tests as SQL Server writes it."""

    def written(part: re.Match[str]) -> str:
        if part["text"]:  # Unicode where it must be, and a time as its standard has it
            text = re.sub(r"^'(\d{4}-\d\d-\d\d) ([\d:.]+Z)'$", r"'\1T\2'", part["text"])
            return text if text.isascii() else f"N{text}"
        return _WORDS.get(part["word"].lower(), part["word"]) if part["word"] else part[0]

    for renames, renamed in _RENAMES:
        if found := renames.match(sql):  # the new name stands alone, as a text
            *old, new = found.groups()
            new = new[1:-1].replace('""', '"') if new.startswith('"') else new
            return renamed.format(tsql.quote_text(".".join(old)), tsql.quote_text(new))
    return _PARTS.sub(written, sql)


def waits(milliseconds: int) -> str:
    """Statements that take so long, and a processor: Babelfish has no WAITFOR."""
    until = f"DECLARE @until datetime2 = DATEADD(millisecond, {milliseconds}, SYSUTCDATETIME())"
    return f"{until}; WHILE SYSUTCDATETIME() < @until SET @until = @until"


def emptied(db: Database) -> None:
    """Drop all that tests make in a database."""
    kinds = {"TR": "TRIGGER", "V": "VIEW", "P": "PROCEDURE", "U": "TABLE", "FN": "FUNCTION"}
    objects = db.query(
        "SELECT SCHEMA_NAME(schema_id) AS owner, name, RTRIM(type) AS kind FROM sys.objects WHERE is_ms_shipped = 0"
    ).to_pylist()
    for short, kind in kinds.items():
        for row in objects:
            if row["kind"] == short:
                db.query(f"DROP {kind} {quoted(row['owner'])}.{quoted(row['name'])}")
    for row in db.query("SELECT name FROM sys.schemas WHERE name NOT LIKE N'db[_]%'").to_pylist():
        if row["name"] not in ("dbo", "guest", "sys", "INFORMATION_SCHEMA"):
            db.query(f"DROP SCHEMA {quoted(row['name'])}")


def database_of(url: str) -> str:
    return str(make_url(url).database)


def quoted(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"
