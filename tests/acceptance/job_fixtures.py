"""Jobs for the acceptance tests: a trained one is built once and copied for each test."""

import json
import shutil
from collections.abc import Callable, Hashable, Iterator
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
        self._prepared: dict[Hashable, Job] = {}
        self._copies = 0
        self._admin: Place | None = None

    def copy(self, system: str, what: str, folder: Path) -> Job:
        """A job with an empty database, an untrained one with the usual table, or a trained one."""
        base = self._base(system, what)
        self._copies += 1
        place = self._place(system, f"copy{self._copies}", folder, base.place if base else None)
        return Job(folder, place)

    def copy_prepared(self, key: Hashable, prepare: Callable[[], Job], folder: Path) -> Job:
        """A copy of a job that `prepare` makes once: its folder, and the databases of its source and its store."""
        if key not in self._prepared:
            base = prepare()
            if base.place.is_mssql or base.store.is_mssql:  # which has no templates: each test makes its own
                return base
            for place in {base.place, base.store}:
                place.disconnect()
                if place.is_sqlite:
                    place.run("PRAGMA wal_checkpoint(TRUNCATE)")
                place.close()
            self._prepared[key] = base
        base = self._prepared[key]
        shutil.copytree(base.folder, folder, ignore=shutil.ignore_patterns("*.db", "*.db-*"))
        config = (folder / "rowcast.toml").read_text()
        places: dict[Place, Place] = {}
        for place in {base.place, base.store}:
            self._copies += 1
            inner = folder if place is base.place else folder / "store"
            places[place] = self._place(place.system, f"copy{self._copies}", inner, place)
            config = config.replace(json.dumps(place.url), json.dumps(places[place].url))
        job = Job(folder, places[base.place])
        job.store, job.is_bare = places[base.store], base.is_bare
        (folder / "rowcast.toml").write_text(config)
        if job.store is not job.place:  # which remembers of which source it is
            was, now = (_path(place) for place in (base.place, job.place))
            job.stored(f"UPDATE {job.table('job')} SET source = REPLACE(source, '{was}', '{now}')")
        return job

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
        self.drop_place(job.place)

    def drop_place(self, place: Place) -> None:
        place.disconnect()
        place.close()
        if place.mssql:
            place.mssql.drop(place.url)
        elif self._admin and not place.is_sqlite:
            self._admin.run(f"DROP DATABASE {place.url.rpartition('/')[2]} WITH (FORCE)")

    def close(self) -> None:
        if self._admin:
            self._admin.close()


def _path(place: Place) -> str:
    """What only this database has in its URL."""
    return place.url.removeprefix("sqlite://") if place.is_sqlite else f"/{place.url.rpartition('/')[2]}"


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


@pytest.fixture(scope="module", autouse=True)
def _workers_forked_unless_long(request: pytest.FixtureRequest, _forked_unless_long: None) -> Iterator[None]:
    """The same for workers of these tests; those of engines begin as they do for users."""
    if not forked.is_used or "acceptance" not in request.path.parts:
        yield
        return
    with forked.fork_workers():
        yield


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
def prepared(
    request: pytest.FixtureRequest, bases: Bases, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Job]]:
    """Gives a copy of the job that a function makes, which is done once for each choice of its arguments.

    The function makes its databases by its first argument, which is as `make_job`, and nothing else needs to be open
    when it returns.
    """
    made: list[Job] = []

    def give(prepare: Callable[..., Job], *arguments: Hashable) -> Job:
        def make(system: str, what: str) -> Job:
            return bases.copy(system, what, tmp_path_factory.mktemp("prepared"))

        key = (request.path, prepare.__qualname__, arguments)
        made.append(bases.copy_prepared(key, lambda: prepare(make, *arguments), tmp_path / f"copy{len(made) + 1}"))
        return made[-1]

    yield give
    for job in made:
        for place in {job.place, job.store}:
            bases.drop_place(place)


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
            process.communicate(timeout=60)


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
