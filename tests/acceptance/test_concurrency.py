"""Several processes at work on one table that is written meanwhile: nothing is lost, nothing is done twice."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from subprocess import Popen

import pytest
import sqlalchemy as sa
from conftest import Place, literal, quoted
from jobs import LABELLED, PENDING, SENSORS, Job, moment, train, wafers
from proof import ended, eventually, is_exactly_once, named, statuses
from sqlserver import in_tsql

from rowcast.database import Database

pytest_plugins = ("job_fixtures",)

Start = Callable[..., "Popen[str]"]

RUNNERS, RUNS = 4, 3  # processes at a time, and the least number of runs of each in a row
MOST_RUNS = 40  # after which the test has failed to test anything
MOST = 4000  # rows that arrive
ACROSS = 2  # runs that end while a transaction is held open

# An estimator that waits until it is told to go on.
HELD = """

def held():
    open("waiting", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return quick()
"""


@dataclass
class Held:
    """A transaction that is still open."""

    db: Database
    good: set[int]
    bad: set[int]
    since: int  # runs that had ended when it began


@dataclass
class Arrivals:
    """Writes as a fab does: in no order of keys, now and then late or taken back.

    Only rowcast's own connections are used: a second SQLite library in this process would drop the first one's locks.
    """

    place: Place
    may_hold: bool  # whether a transaction can stay open without keeping the runs from their work
    good: set[int] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)  # rolled back
    late: int = 0  # transactions committed after several runs had ended
    held: list[Held] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(7)
        numbers = range(-1_000_000, 1_000_000)
        self.keys = iter([n for n in self.random.sample(numbers, MOST) if not 1 <= n <= LABELLED + PENDING])
        self.db = self.place.connect()
        columns = wafers(1, 1, False)[0]
        self.into = f"INSERT INTO wafers ({', '.join(map(quoted, columns))}) VALUES "

    def write(self, ended: int) -> None:
        """One transaction more, given how many runs have ended."""
        for each in [each for each in self.held if ended - each.since >= ACROSS]:
            self._end(each, ended)
        if self.place.is_sqlite and self.held:
            return  # it has one writer at a time
        what = self.random.choice(("commit", "commit", "commit", "roll back", "hold"))
        if what == "hold" and self.may_hold and len(self.held) < 3:
            db = self.place.connect()
            self.held.append(Held(db, *self._insert(db), ended))
            return
        good, bad = self._insert(self.db)
        self.db.execute(sa.text("ROLLBACK" if what == "roll back" else "COMMIT"))
        if what == "roll back":
            self.gone |= good | bad
        else:
            self.good |= good
            self.bad |= bad

    def stop(self, ended: int) -> None:
        for each in self.held[:]:
            self._end(each, ended)

    def _end(self, each: Held, ended: int) -> None:
        taken_back = self.random.random() < 0.25
        each.db.execute(sa.text("ROLLBACK" if taken_back else "COMMIT"))
        self.held.remove(each)
        if taken_back:
            self.gone |= each.good | each.bad
            return
        self.good |= each.good
        self.bad |= each.bad
        self.late += bool(each.good) and ended - each.since >= ACROSS

    def _insert(self, db: Database) -> tuple[set[int], set[int]]:
        """Begin a transaction with a few wafers, of which some break the contract."""
        good: set[int] = set()
        bad: set[int] = set()
        rows = []
        for key in [key for key, _ in zip(self.keys, range(self.random.randint(1, 8)), strict=False)]:
            broken = self.random.random() < 0.1
            time = moment(self.random.randint(LABELLED + 1, LABELLED + 1000))
            row = {**wafers(abs(key), 1, False)[0], "wafer": key, "measured_at": time}
            rows.append({**row, **(dict.fromkeys(SENSORS, 1e30) if broken else {})})
            (bad if broken else good).add(key)
        begin = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN", "mssql": "BEGIN TRANSACTION"}
        db.execute(sa.text(begin[self.place.system]))
        if rows:
            values = ", ".join(f"({', '.join(map(literal, row.values()))})" for row in rows)
            sql = in_tsql(self.into + values) if self.place.is_mssql else self.into + values
            db.execute(sa.text(sql.replace(":", "\\:")))
        return good, bad


class Runner:
    """One `rowcast infer` after the other, until enough was seen."""

    def __init__(self, begin: "Callable[[], Popen[str]]", is_enough: Callable[[], bool]) -> None:
        self.begin = begin
        self.is_enough = is_enough
        self.process: Popen[str] | None = begin()
        self.done = 0

    def goes_on(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            found = ended(self.process)
            assert found.code == 0, found
            self.done += 1
            over = self.done >= RUNS and (self.is_enough() or self.done >= MOST_RUNS)
            self.process = None if over else self.begin()
        return self.process is not None


def is_shared_among_four(job: Job, store: Place, start: Start) -> None:
    """Four processes score what a writer writes; then one undisturbed run, and every row is where it belongs."""
    arrivals = Arrivals(job.place, may_hold=not job.place.is_sqlite or store is not job.place)

    def has_tested() -> bool:
        """Rows came and went, some late, and more than one process published at a time."""
        came = arrivals.bad and arrivals.gone and (arrivals.late or not arrivals.may_hold)
        return bool(came) and any(one < other["finished_at"] for one, other in overlapping(store))

    runners = [Runner(lambda: start(job, "infer"), has_tested) for _ in range(RUNNERS)]
    while sum([runner.goes_on() for runner in runners]):
        arrivals.write(sum(runner.done for runner in runners))
        time.sleep(0.1)  # the processors are for the runs
    assert has_tested()
    arrivals.stop(sum(runner.done for runner in runners))
    done = job.run("infer")
    assert done.code == 0, done.err
    is_exactly_once(store, {*range(LABELLED + 1, LABELLED + PENDING + 1), *arrivals.good}, arrivals.bad)
    rows = job.sql("SELECT count(*) AS n FROM wafers")[0]["n"]
    assert rows == LABELLED + PENDING + len(arrivals.good) + len(arrivals.bad)
    assert job.counts() == (0, LABELLED, PENDING + len(arrivals.good), len(arrivals.bad), 0)


def overlapping(store: Place) -> Iterator[tuple[str, dict[str, str]]]:
    """When a run that published began, and each run before it that published."""
    run, batch = named(store, "run"), named(store, "batch")
    runs = store.run(
        f"SELECT started_at, finished_at FROM {run} r WHERE EXISTS"
        f" (SELECT 1 FROM {batch} b WHERE b.run_id = r.run_id AND b.status = 'published') ORDER BY started_at"
    )
    for place, later in enumerate(runs):
        for earlier in runs[:place]:
            yield later["started_at"], earlier


# Scoring


def test_four_processes_and_a_writer_leave_every_row_scored_or_quarantined_once(trained: Job, start: Start) -> None:
    # On SQLite an open transaction would keep the runs from writing, so there each is committed at once.
    trained.configure({"infer": {"batch_rows": 7}, "check": {"max_quarantine": 1.0}})
    is_shared_among_four(trained, trained.place, start)


@pytest.mark.long
@pytest.mark.parametrize(
    ("source", "store"),
    [
        pytest.param("sqlite", "postgresql", marks=pytest.mark.long),
        ("postgresql", "sqlite"),
        pytest.param("sqlite", "sqlite", marks=pytest.mark.long),
        ("mssql", "sqlite"),
        ("sqlite", "mssql"),
    ],
)
def test_four_processes_keep_the_promise_where_source_and_store_are_two_databases(
    make_job: Callable[[str, str], Job], make_place: Callable[[str], Place], start: Start, source: str, store: str
) -> None:
    job, place = make_job(source, "untrained"), make_place(store)
    changes = {"store": {"url": place.url}, "infer": {"batch_rows": 7}, "check": {"max_quarantine": 1.0}}
    job.configure(changes)
    train(job)
    is_shared_among_four(job, place, start)
    ours = {
        "sqlite": "sqlite_master WHERE name LIKE 'rowcast%'",
        "postgresql": "pg_namespace WHERE nspname = 'rowcast'",
        "mssql": "sys.schemas WHERE name = 'rowcast'",
    }
    assert job.sql(f"SELECT 1 AS found FROM {ours[source]}") == []  # the source holds nothing of ours


def test_two_full_pipelines_at_once_share_the_work(trained: Job, start: Start) -> None:
    trained.configure({"infer": {"batch_rows": 4}})
    both = [ended(process) for process in [start(trained, "run"), start(trained, "run")]]
    assert [done.code for done in both] == [0, 0], both
    assert sum(done.json["scored"] for done in both) == PENDING
    is_exactly_once(trained.place, range(LABELLED + 1, LABELLED + PENDING + 1))
    assert trained.counts() == (0, LABELLED, PENDING, 0, 0)


@pytest.mark.everywhere
def test_a_run_that_is_started_twice_from_two_places_scores_once_and_has_one_champion(
    make_job: Callable[[str, str], Job], start: Start
) -> None:
    """As by a scheduler that delivers at least once: two containers, each with its own work directory, from nothing."""
    job = make_job("postgresql", "untrained")
    job.configure({"infer": {"batch_rows": 4}})
    twin = Job(job.folder.parent / "twin", job.place)
    twin.configure({"infer": {"batch_rows": 4}})
    both = [ended(process) for process in [start(job, "run"), start(twin, "run")]]
    # Where one trains when the other wants to, that one leaves; there is nothing yet that it could score with.
    assert sorted(done.code for done in both) in ([0, 0], [0, 1]), both
    has_one_champion(job, versions=len(job.sql(f"SELECT version FROM {job.table('model')}")))
    job.audit()
    job.add(wafers(LABELLED + PENDING + 1, 40, False))
    again = [ended(process) for process in [start(job, "run"), start(twin, "run")]]
    assert [done.code for done in again] == [0, 0], again
    is_exactly_once(job.place, range(LABELLED + 1, LABELLED + PENDING + 41))
    assert job.ok("audit", "--full", "--json")["scored"] == PENDING + 40


# Training


def held(job: Job, start: Start) -> "Popen[str]":
    """A retrain that has begun to build its model and waits."""
    job.estimator("quick", model={"estimator": "mine:held", "min_train_rows": 50})
    with (job.folder / "mine.py").open("a") as file:
        file.write(HELD)
    process = start(job, "retrain")
    eventually((job.folder / "waiting").exists, process)
    return process


def has_one_champion(job: Job, versions: int = 1) -> None:
    model, promotion = job.table("model"), job.table("promotion")
    assert job.sql(f"SELECT version FROM {model} WHERE status = 'champion'") == [{"version": 1}]
    assert len(job.sql(f"SELECT version FROM {model}")) == versions
    assert job.sql(f"SELECT version FROM {promotion} WHERE decision = 'promoted'") == [{"version": 1}]


def test_a_retrain_beside_another_leaves_and_names_the_run_that_is_training(untrained: Job, start: Start) -> None:
    first = held(untrained, start)
    second = start(untrained, "retrain")
    eventually(lambda: second.poll() is not None, first)
    said = untrained.refused(done=ended(second))
    assert "run 1" in said, said
    assert len(said.splitlines()) <= 2
    (untrained.folder / "go").touch()
    done = ended(first)
    assert done.code == 0, done
    has_one_champion(untrained)
    assert untrained.ok("infer")["scored"] == PENDING


def test_two_retrains_at_the_same_moment_make_one_champion(untrained: Job, start: Start) -> None:
    untrained.estimator("quick")
    both = [ended(process) for process in [start(untrained, "retrain"), start(untrained, "retrain")]]
    # Where one began when the other was over, both have trained; else one has left.
    codes = sorted(done.code for done in both)
    assert codes in ([0, 0], [0, 1]), both
    has_one_champion(untrained, versions=2 - codes[1])
    assert "running" not in statuses(untrained)


def test_a_retrain_that_was_killed_keeps_no_other_from_training(untrained: Job, start: Start) -> None:
    first = held(untrained, start)
    first.kill()
    first.wait(timeout=600)
    (untrained.folder / "go").touch()
    assert untrained.ok("retrain")["champion"] == "v1"
    has_one_champion(untrained)
    assert statuses(untrained) == ["interrupted", "done"]


def test_a_retrain_beside_a_run_that_scores_disturbs_neither(trained: Job, start: Start) -> None:
    trained.configure({"infer": {"batch_rows": 3}})
    trained.is_bare = False  # the challenger may score in the shadow
    trained.sql("UPDATE wafers SET failed = CASE WHEN s01 + s02 > 1 THEN 1 ELSE 0 END WHERE wafer <= 340")
    both = [ended(process) for process in [start(trained, "retrain"), start(trained, "infer")]]
    assert [done.code for done in both] == [0, 0], both
    is_exactly_once(trained.place, range(LABELLED + 1, LABELLED + PENDING + 1))
