"""Databases for the tests: a SQLite file, and a database on a PostgreSQL server that the tests start themselves."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from postgres import Server

from rowcast.database import Database, connect

_numbers = itertools.count(1)


class Place:
    """An empty database for one test."""

    def __init__(self, system: str, url: str, server: Server | None = None) -> None:
        self.system = system
        self.url = url
        self.server = server
        self._open: list[Database] = []

    @property
    def is_sqlite(self) -> bool:
        return self.system == "sqlite"

    def connect(self, url: str | None = None) -> Database:
        """A connection that is closed when the test is over."""
        db = connect(url or self.url, create=True)
        self._open.append(db)
        return db

    def run(self, *statements: str) -> list[dict[str, Any]]:
        """Plain SQL, on a connection of its own and through rowcast's library; the rows of the last statement."""
        db = connect(self.url, create=True)
        try:
            for statement in statements:
                rows: list[dict[str, Any]] = db.arrow(statement).to_pylist()
            return rows
        finally:
            db.close()

    def fill(self, table: str, **columns: list[Any]) -> None:
        """Append values to a table with literals, as another program would."""
        rows = zip(*columns.values(), strict=True)
        names = ", ".join(quoted(name) for name in columns)
        values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
        self.run(f"INSERT INTO {table} ({names}) VALUES {values}")

    def close(self) -> None:
        for db in self._open:
            db.close()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value as both systems write it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for each test process; it starts in half a second."""
    found = Server()
    yield found
    found.stop()


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Makes empty databases of a named system."""
    made: list[tuple[Place, str]] = []

    def make(system: str) -> Place:
        name = f"place{next(_numbers)}"
        if system == "sqlite":
            place = Place(system, f"sqlite:///{tmp_path}/{name}.db")
        else:
            server: Server = request.getfixturevalue("server")
            _administer(server, f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
            place = Place(system, server.url(name), server)
        made.append((place, name))
        return place

    yield make
    for place, name in made:
        place.close()
        if place.server:
            _administer(place.server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """An empty database of each system in turn."""
    return make_place(request.param)


@pytest.fixture
def postgresql(make_place: Callable[[str], Place]) -> Place:
    return make_place("postgresql")


@pytest.fixture
def sqlite(make_place: Callable[[str], Place]) -> Place:
    return make_place("sqlite")


@pytest.fixture
def db(database: Place) -> Database:
    """A connection to an empty database of each system in turn."""
    return database.connect()


def _administer(server: Server, statement: str) -> pa.Table:
    db = connect(server.url("postgres"))
    try:
        return db.arrow(statement)
    finally:
        db.close()
