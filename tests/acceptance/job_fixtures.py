"""Jobs for the acceptance tests: a trained one is built once and copied for each test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import forked
import pytest
from conftest import SYSTEMS, Place
from jobs import Job, build, create, train
from postgres import Server
from sqlserver import SqlServer, database_of, quoted


class Bases:
    """Databases made once, of which each test gets a copy."""

    def __init__(self, folder: Path, server: Callable[[], Server], sqlserver: Callable[[], SqlServer]) -> None:
        self.folder = folder
        self._server = server
        self._sqlserver = sqlserver
        self._ddl: list[str] = []  # of a trained job's store on SQL Server
        self._made: dict[str, Job] = {}
        self._copies = 0
        self._admin: Place | None = None

    def copy(self, system: str, what: str, folder: Path) -> Job:
        """A job with an empty database, an untrained one with the usual table, or a trained one."""
        base = self._base(system, what)
        self._copies += 1
        place = self._place(system, f"copy{self._copies}", folder, base.place if base else None)
        return Job(folder, place)

    def _base(self, system: str, what: str) -> Job | None:
        if what == "empty":
            return None
        name = f"{system}_{what}"
        if name not in self._made:
            job = Job(self.folder / name, self._place(system, f"base_{what}", self.folder / name, None))
            build(job)
            if what == "trained":
                if job.place.is_mssql:
                    self._ddl = [statement for statement in job.call("ddl").out.split(";\n\n") if statement.strip()]
                train(job)
            if job.place.is_sqlite:
                job.sql("PRAGMA wal_checkpoint(TRUNCATE)")
            job.place.close()
            self._made[name] = job
        return self._made[name]

    def _place(self, system: str, name: str, folder: Path, base: Place | None) -> Place:
        if system == "sqlite":
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / "fab.db"
            if base:
                shutil.copy(base.url.removeprefix("sqlite:///"), file)
            return Place(system, f"sqlite:///{file}")
        if system == "mssql":
            place = Place(system, self._sqlserver().create(name), mssql=self._sqlserver())
            if base:
                self._refill(base, place)
            return place
        server = self._server()
        self._admin = self._admin or Place(system, server.url("postgres"), server)
        template = base.url.rpartition("/")[2] if base else "template0"
        self._admin.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return Place(system, server.url(name), server)

    def _refill(self, base: Place, place: Place) -> None:
        """SQL Server has no templates: the same tables are made, and filled with the same rows."""
        create(place)
        if "rowcast" in [schema["name"] for schema in base.run("SELECT name FROM sys.schemas")]:
            place.run(*self._ddl)
        for table in place.run("SELECT SCHEMA_NAME(schema_id) AS owner, name FROM sys.tables"):
            name = f"{quoted(table['owner'])}.{quoted(table['name'])}"
            place.refill(name, f"{quoted(database_of(base.url))}.{name}")
        base.close()

    def drop(self, job: Job) -> None:
        job.place.disconnect()
        job.place.close()
        if job.place.mssql:
            job.place.mssql.drop(job.place.url)
        elif self._admin and not job.place.is_sqlite:
            self._admin.run(f"DROP DATABASE {job.place.url.rpartition('/')[2]} WITH (FORCE)")

    def close(self) -> None:
        if self._admin:
            self._admin.close()


@pytest.fixture(scope="session")
def bases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bases]:
    def fixture(name: str) -> Callable[[], Any]:
        return lambda: request.getfixturevalue(name)

    found = Bases(tmp_path_factory.mktemp("bases"), fixture("server"), fixture("sqlserver"))
    yield found
    found.close()


@pytest.fixture(scope="session", autouse=True)
def _forked_unless_long(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let commands begin where everything is imported."""
    forked.is_used &= not request.config.getoption("--long")
    yield
    forked.close()


@pytest.fixture
def make_job(bases: Bases, tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Makes jobs: of a system, and empty, untrained or trained."""
    made: list[Job] = []

    def make(system: str, what: str) -> Job:
        made.append(bases.copy(system, what, tmp_path / f"job{len(made) + 1}"))
        return made[-1]

    yield make
    for job in made:
        bases.drop(job)


@pytest.fixture
def start() -> Iterator[Callable[..., "Popen[str]"]]:
    """Starts commands of a job, of which none outlives the test."""
    started: list[Popen[str]] = []

    def begin(job: Job, *arguments: str, **options: Any) -> "Popen[str]":
        started.append(job.start(*arguments, **options))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        if process.stdout and not process.stdout.closed:
            process.communicate(timeout=30)


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def trained(system: str, make_job: Callable[..., Job]) -> Job:
    """A job with a champion and 100 pending wafers, on each system in turn."""
    return make_job(system, "trained")


@pytest.fixture
def untrained(system: str, make_job: Callable[..., Job]) -> Job:
    """A job with 300 labelled wafers and 100 others, on each system in turn."""
    return make_job(system, "untrained")


@pytest.fixture
def empty(system: str, make_job: Callable[..., Job]) -> Job:
    """A job whose database holds nothing, on each system in turn."""
    return make_job(system, "empty")


@pytest.fixture
def lite(make_job: Callable[..., Job]) -> Job:
    """A trained job on SQLite."""
    return make_job("sqlite", "trained")


@pytest.fixture
def plain(make_job: Callable[..., Job]) -> Job:
    """An untrained job on SQLite."""
    return make_job("sqlite", "untrained")
