"""SQL Server's wire protocol, spoken by a server that only reads: Microsoft's driver, its Arrow results, its errors."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rowcast.database import Column, connect
from rowcast.database.mssql.connection import MSSQLConnection
from rowcast.errors import ConfigError, DatabaseError

WAFERS = [
    {
        "wafer": f"W{number:03d}",
        "temperature": None if number % 7 == 0 else 20 + number / 8,
        "tool": ["A", "Prüfer №3", None][number % 3],
        "slot": number % 25,
    }
    for number in range(250)
]
TABLE = sa.table("wafers", *map(sa.column, WAFERS[0]))
LOGIN = "rowcast:s3cret%2F"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with one table."""
    folder = tmp_path_factory.mktemp("wire")
    (folder / "wafers.json").write_text(json.dumps(WAFERS))
    logins = [{"user": "rowcast", "password": "s3cret/"}]
    tables = [{"name": "wafers", "json": "wafers.json"}]
    (folder / "tables.json").write_text(json.dumps({"logins": logins, "tables": tables}))
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    command = [sys.executable, "-m", "pysqlbridge", "--config", "tables.json", "--port", str(number)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(number, server, folder / "log")
        yield number
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        with closing(socket.socket()) as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"the server does not answer: {log.read_text()}")


def url(port: int, login: str = LOGIN, options: str = "TrustServerCertificate=yes") -> str:
    return f"mssql://{login}@127.0.0.1:{port}/master?{options}"


@pytest.fixture
def db(port: int) -> Iterator[MSSQLConnection]:
    with closing(connect(url(port))) as found:
        assert isinstance(found, MSSQLConnection)
        yield found


def read(db: MSSQLConnection, most: int, *conditions: Any) -> list[dict[str, Any]]:
    columns = [TABLE.c.wafer, TABLE.c.temperature, TABLE.c.tool, TABLE.c.slot]
    kinds = {"temperature": "number", "tool": "category", "slot": "number"}
    rows, misfits = db.read(sa.select(*columns).where(*conditions).order_by(TABLE.c.wafer), kinds, most)
    assert not misfits
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def test_rows_are_read_as_they_are(db: MSSQLConnection) -> None:
    assert read(db, 1000) == [{name: row[name] for name in ("wafer", "temperature", "tool", "slot")} for row in WAFERS]


def test_at_most_so_many_rows_are_read(db: MSSQLConnection) -> None:
    assert [row["wafer"] for row in read(db, 3)] == ["W000", "W001", "W002"]


def test_a_range_of_keys_is_read(db: MSSQLConnection) -> None:
    key = Column("wafer", "category", "nvarchar(20)")
    first, last = db.sql.parse_key("W010", key), db.sql.parse_key("W012", key)
    assert [row["wafer"] for row in read(db, 100, TABLE.c.wafer >= first, TABLE.c.wafer <= last)] == [
        "W010",
        "W011",
        "W012",
    ]


def test_texts_in_a_statement_are_unicode(db: MSSQLConnection) -> None:
    found = read(db, 100, TABLE.c.tool == sa.literal("Prüfer №3", sa.Text))
    assert {row["tool"] for row in found} == {"Prüfer №3"}


def test_rows_are_streamed_in_pieces(db: MSSQLConnection) -> None:
    pieces = list(db.stream(sa.select(TABLE.c.wafer).order_by(TABLE.c.wafer), 100))
    assert [piece.num_rows for piece in pieces] == [100, 100, 50]
    assert [row["wafer"] for piece in pieces for row in piece.to_pylist()] == [row["wafer"] for row in WAFERS]


def test_a_table_is_described(db: MSSQLConnection) -> None:
    found = db.admin.describe("dbo.wafers", None)
    assert found is not None
    assert {column.name: column.kind for column in found.columns} == {
        "wafer": "category",
        "temperature": "number",
        "tool": "category",
        "slot": "number",
    }
    assert db.admin.describe("nowhere", None) is None


def test_the_clock_is_the_servers_and_utc(db: MSSQLConnection) -> None:
    assert str(db.now().tzinfo) == "UTC"


def test_what_an_administrator_could_do_better_is_told(db: MSSQLConnection) -> None:
    assert any("snapshot isolation is not allowed" in what for what, _ in db.admin.advice())


@pytest.mark.parametrize(
    ("sql", "reason", "said"),
    [
        ("SELECT gone FROM wafers", "missing", "gone"),
        ("SELECT 1 AS x FROM gone", "missing", "gone"),
        ("SELECT 1 / 0 AS x", "other", r"(?i)divide by zero"),
    ],
)
def test_an_error_says_what_the_server_said(db: MSSQLConnection, sql: str, reason: str, said: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        db.query(sql)
    assert re.search(said, caught.value.detail or caught.value.what)
    assert caught.value.reason == reason
    assert "Driver" not in f"{caught.value.what} {caught.value.detail}"
    assert db.query("SELECT 1 AS x").to_pylist() == [{"x": 1}]


def test_a_wrong_password_is_refused_and_not_shown(port: int) -> None:
    with pytest.raises(DatabaseError, match="Login failed for user 'rowcast'") as caught:
        connect(url(port, login="rowcast:wr0ng"))
    assert caught.value.reason == "login"
    assert "wr0ng" not in str(caught.value)


def test_a_certificate_that_nobody_vouches_for_is_refused(port: int) -> None:
    with pytest.raises(DatabaseError, match=r"(?i)certificate") as caught:
        connect(url(port, options="Encrypt=yes"))
    assert "s3cret" not in str(caught.value)


def test_nobody_listening_is_worth_another_try() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(DatabaseError) as caught:
            connect(url(free.getsockname()[1]))
    assert caught.value.reason == "unreachable"


def test_an_option_that_the_driver_does_not_know_is_named() -> None:
    with pytest.raises(ConfigError, match="colour") as caught:
        connect(url(1, options="colour=blue"))
    assert "s3cret" not in str(caught.value)
