"""Databases for the tests: a SQLite file, a database on a PostgreSQL server that the tests start themselves, and one
on a Microsoft SQL Server where the environment names one."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from postgres import Server, known_types
from sqlserver import VARIABLE, SqlServer, emptied, in_tsql, is_named, named_server

from rowcast.database import Database, connect
from rowcast.errors import DatabaseError


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=8, help="how many runs the crash test kills on each database")
    parser.addoption("--snapshot", action="store_true", help="write what SQL Server is sent anew into tests/unit/tsql")
    parser.addoption("--long", action="store_true", help="the long form of tests that have one")
    parser.addoption("--left-out", action="store_true", help="with --long, only what a run without it leaves out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the long form runs, and what needs a server that is not there; pytest says how many."""
    left_out: set[pytest.Item] = set()
    for item in items:
        if _takes_turns(item) and not item.get_closest_marker("turns"):
            item.add_marker("turns")
    usually = {item for item in items if item.get_closest_marker("long")}
    usually |= _out_of_turn([item for item in items if item not in usually])
    if not config.getoption("--long"):
        left_out |= usually
    elif config.getoption("--left-out"):
        left_out |= {item for item in items if item not in usually and not item.get_closest_marker("longer")}
    if not is_named():
        needing = {item for item in items if item not in left_out and _needs_sqlserver(item)}
        config.stash[WITHOUT_SQLSERVER] = len(needing)
        left_out |= needing
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make alone: what is imported, and there is much, goes on being there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


WITHOUT_SQLSERVER = pytest.StashKey[int]()  # how many tests are left out because no server is named


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Learn from a test process what it left out: they all leave out the same."""
    node.config.stash[WITHOUT_SQLSERVER] = getattr(node, "workeroutput", {}).get("without_sqlserver", 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["without_sqlserver"] = session.config.stash.get(WITHOUT_SQLSERVER, 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    for name, value in [found for report in reports for found in report.user_properties]:
        if name == "outcome":
            terminalreporter.write_line(value)
    if left_out := config.stash.get(WITHOUT_SQLSERVER, 0):
        terminalreporter.write_line(f"{left_out} tests of SQL Server were left out: {VARIABLE} is not set")


SYSTEMS = ["sqlite", "postgresql", "mssql"]
TURNS = ["sqlite", "postgresql", "sqlite in postgresql", "apart", "sqlite, postgresql", "postgresql, sqlite"]


def _out_of_turn(items: list[pytest.Item]) -> set[pytest.Item]:
    """Tests where it is not their turn: those that take turns run in one of their places, as their names decide.

    Where preparing a job takes long, `pytest.mark.turns("name")` gives those that share it one name.
    """
    choices: dict[tuple[Path, str, str], dict[tuple[int, ...], pytest.Item]] = {}
    for item in items:
        if _takes_turns(item):
            values = [*item.callspec.params.values()] if hasattr(item, "callspec") else []
            place = tuple(TURNS.index(value) for value in values if value in TURNS)
            others = repr([value for value in values if value not in TURNS])
            others += " apart" * any(isinstance(value, str) and ", " in value for value in values)
            if place:
                name: str = item.function.__name__  # type: ignore[attr-defined]
                choices.setdefault((item.path, name, others), {})[place] = item
    left_out: set[pytest.Item] = set()
    for (_, name, _), by_place in choices.items():
        places = sorted(by_place)
        [shared] = {mark.args for item in by_place.values() if (mark := item.get_closest_marker("turns"))}
        chosen = places[crc32("".join(shared or (name,)).encode()) % len(places)]
        left_out |= set(by_place.values()) - {by_place[chosen]}
    return left_out


def _takes_turns(item: pytest.Item) -> bool:
    """Acceptance and integration tests do, but for those that are marked for everywhere; the nearest mark decides."""
    marks = (mark.name for mark in item.iter_markers() if mark.name in ("turns", "everywhere"))
    usual = {"acceptance", "integration"} & {*item.path.parts}
    return next(marks, "turns" if usual else "everywhere") == "turns"


def _needs_sqlserver(item: pytest.Item) -> bool:
    """Whether a test asks for SQL Server, by a fixture or by a parameter that names the systems of its databases."""
    if "unit" in item.path.parts:
        return False
    words = {word.strip(",") for value in _parameters(item) for word in value.split()}
    return "mssql" in words or "mssql" in getattr(item, "fixturenames", ())


def _parameters(item: pytest.Item) -> list[str]:
    """The texts among the parameters of a test."""
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return [value for value in values if isinstance(value, str)]


class Place:
    """An empty database for one test."""

    def __init__(self, system: str, url: str, server: Server | None = None, mssql: SqlServer | None = None) -> None:
        self.system = system
        self.url = url
        self.server = server
        self.mssql = mssql
        self._open: list[Database] = []
        self._other: Database | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.system == "sqlite"

    @property
    def is_mssql(self) -> bool:
        return self.system == "mssql"

    @property
    def is_babelfish(self) -> bool:
        return self.mssql is not None and self.mssql.is_babelfish

    def deviates(self, why: str) -> None:
        """Skip the test where Babelfish stands in for SQL Server and does otherwise."""
        if self.is_babelfish:
            pytest.skip(f"Babelfish deviates from SQL Server: {why}")

    def connect(self, url: str | None = None) -> Database:
        """A connection that is closed when the test is over."""
        db = connect(url or self.url, create=True)
        self._open.append(db)
        return db

    def run(self, *statements: str) -> list[dict[str, Any]]:
        """Plain SQL as another program would run it, though through rowcast's library; the last statement's rows."""
        if self._other is None:
            self._other = connect(self.url, create=True)
        rows: list[dict[str, Any]] = []
        if any(statement.startswith(("CREATE TYPE", "CREATE DOMAIN", "CREATE EXTENSION")) for statement in statements):
            known_types.forget()
        try:
            for statement in statements:
                rows = self._other.query(in_tsql(statement) if self.is_mssql else statement).to_pylist()
        finally:
            if self.is_sqlite:  # a server's connection is kept, since it takes longer to make
                self.close()
        return rows

    def fill(self, table: str, **columns: list[Any]) -> None:
        """Append values to a table."""
        rows = list(zip(*columns.values(), strict=True))
        names = ", ".join(quoted(name) for name in columns)
        most = 1_000 if self.is_mssql else len(rows)  # that the system takes in one statement
        for start in range(0, len(rows), most or 1):
            values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows[start : start + most])
            self.run(f"INSERT INTO {table} ({names}) VALUES {values}")

    def refill(self, table: str, source: str) -> None:
        """Replace a table's rows by those of another with its columns; the database numbers none of them anew."""
        columns, begin, end = "", "", ""
        if self.is_mssql:
            of_table = f"object_id = OBJECT_ID('{table}')"
            found = self.run(f"SELECT name, is_identity FROM sys.columns WHERE {of_table} ORDER BY column_id")
            columns = ", ".join(quoted(column["name"]) for column in found)
            if any(column["is_identity"] for column in found):
                begin, end = f"SET IDENTITY_INSERT {table} ON; ", f"; SET IDENTITY_INSERT {table} OFF"
        into = f"{table} ({columns})" if columns else table
        self.run(f"DELETE FROM {table}", f"{begin}INSERT INTO {into} SELECT {columns or '*'} FROM {source}{end}")

    def keep(self, name: str, table: str) -> None:
        """Make a table with the columns and rows of another."""
        made = (
            f"SELECT * INTO {name} FROM {table}" if self.is_mssql else f"CREATE TABLE {name} AS SELECT * FROM {table}"
        )
        self.run(made)

    def disconnect(self) -> None:
        """Close what the test opened."""
        for db in self._open:
            db.close()
        self._open.clear()

    def clear(self) -> None:
        """Close what the test opened, and make a database on a server empty again."""
        self.disconnect()
        if not self.is_sqlite:
            try:
                self._empty()
            except DatabaseError:  # the test ended the server or its connections
                self.close()
                if self.mssql:
                    self.mssql.renew(self.url)
                else:
                    self._empty()

    def _empty(self) -> None:
        if self.is_mssql:
            self.run("SELECT 1 AS one")
            assert self._other is not None
            emptied(self._other)
        else:
            self.run(_EMPTY)

    def close(self) -> None:
        if self._other is not None:
            self._other.close()
        self._other = None


_EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$
"""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value as all systems write it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


@pytest.fixture(scope="session", autouse=True)
def _types_are_read_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let connections of this process to a PostgreSQL database share what is known of its types."""
    if request.config.getoption("--long"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowcast.database.postgresql.connection.driver.connect", known_types.connect)
        yield
    known_types.forget()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One server for each test process; it starts in half a second."""
    found = Server()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def sqlserver() -> Iterator[SqlServer]:
    """The server that the environment names."""
    found = named_server()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def sqlserver_databases(sqlserver: SqlServer) -> Iterator[Callable[[int], Place]]:
    """Databases on it by number, made when they are first asked for."""
    made: dict[int, Place] = {}

    def database(number: int) -> Place:
        if number not in made:
            made[number] = Place("mssql", sqlserver.create(f"place{number}"), mssql=sqlserver)
        return made[number]

    yield database
    for place in made.values():
        place.close()


@pytest.fixture(scope="session")
def databases(server: Server) -> Iterator[Callable[[int], Place]]:
    """The server's databases by number, made when they are first asked for."""
    made: dict[int, Place] = {}

    def database(number: int) -> Place:
        if number not in made:
            name = f"place{number}"
            made[number] = Place("postgresql", server.url(name), server)
            admin = Place("postgresql", server.url("postgres"), server)
            admin.run(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
            admin.close()
        return made[number]

    yield database
    for place in made.values():
        place.close()


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Makes empty databases of a named system."""
    made: list[Place] = []

    def make(system: str) -> Place:
        number = len(made) + 1
        if system == "sqlite":
            made.append(Place(system, f"sqlite:///{tmp_path}/place{number}.db"))
        else:
            of_system = "sqlserver_databases" if system == "mssql" else "databases"
            made.append(request.getfixturevalue(of_system)(number))
        return made[-1]

    yield make
    for place in made:
        place.clear()


@pytest.fixture(params=SYSTEMS)
def database(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """An empty database of each system in turn."""
    return make_place(request.param)


@pytest.fixture
def postgresql(make_place: Callable[[str], Place]) -> Place:
    return make_place("postgresql")


@pytest.fixture
def mssql(make_place: Callable[[str], Place]) -> Place:
    return make_place("mssql")


@pytest.fixture
def sqlite(make_place: Callable[[str], Place]) -> Place:
    return make_place("sqlite")


@pytest.fixture
def db(database: Place) -> Database:
    """A connection to an empty database of each system in turn."""
    return database.connect()
