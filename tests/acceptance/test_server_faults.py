"""Servers that end, connections that are cut, full disks, locks, signals: the run goes on, or ends and can go on."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest
import sqlalchemy as sa
from conftest import Place
from jobs import ESTIMATORS, LABELLED, LASTING, PENDING, Done, Job, build, train, wafers
from postgres import Server
from proof import batches, ended, eventually, figure, is_exactly_once, slow, statuses

pytest_plugins = ("job_fixtures",)

long = pytest.mark.long

Start = Callable[..., "Popen[str]"]
WAFERS = range(LABELLED + 1, LABELLED + PENDING + 1)  # those that are to be scored
PROMISED = 20  # seconds from a signal to the end of the process


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server for these tests alone: they end it."""
    server = Server()
    # The tests' servers may lose their last commits; what these ones promised to keep must be there.
    admin(server, "ALTER ROLE ALL SET synchronous_commit = on")
    yield server
    server.stop()


def admin(server: Server, *statements: str) -> None:
    place = Place("postgresql", server.url("postgres"), server)
    try:
        place.run(*statements)
    finally:
        place.close()


@pytest.fixture(scope="module")
def template(own_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with a trained job."""
    admin(own_server, "CREATE DATABASE trained TEMPLATE template0")
    job = Job(tmp_path_factory.mktemp("template"), Place("postgresql", own_server.url("trained"), own_server))
    build(job)
    train(job)
    job.place.close()
    return "trained"


@pytest.fixture
def served(own_server: Server, template: str, tmp_path: Path) -> Iterator[Job]:
    """A trained job on the server that may be ended."""
    # Copied by files, between checkpoints: the default copies sequences that a crash would set back.
    admin(own_server, f"CREATE DATABASE fab TEMPLATE {template} STRATEGY file_copy")
    job = Job(tmp_path / "served", Place("postgresql", own_server.url("fab"), own_server))
    yield job
    job.place.disconnect()
    job.place.close()
    admin(own_server, "DROP DATABASE fab WITH (FORCE)")


def is_done(job: Job, process: "Popen[str]") -> None:
    """The run ended well, and every wafer is scored once."""
    done = ended(process)
    assert done.code == 0, done
    is_exactly_once(job.place, WAFERS)
    assert job.counts() == (0, LABELLED, PENDING, 0, 0)
    assert set(statuses(job)) == {"done"}


# A server that ends


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_a_run_goes_on_when_the_server_is_ended_and_started_again(
    served: Job, own_server: Server, start: Start, workers: int
) -> None:
    served.configure({"infer": {"batch_rows": 4, "workers": workers}})
    slow(served)
    process = start(served, "infer")
    for published in (1, 6, 11):
        eventually(lambda least=published: batches(served, "published") >= least, process)
        served.place.close()
        own_server.restart()
    is_done(served, process)
    assert figure(served, "retries") > 0


@pytest.mark.long
@pytest.mark.parametrize("workers", [pytest.param(1, marks=long), 2])
def test_a_run_goes_on_when_its_connections_are_cut_again_and_again(served: Job, start: Start, workers: int) -> None:
    served.configure({"infer": {"batch_rows": 4, "workers": workers}})
    slow(served)
    process = start(served, "infer")
    for published in (1, 4, 7, 10, 13):
        eventually(lambda least=published: batches(served, "published") >= least, process)
        cut(served)
    is_done(served, process)
    assert figure(served, "retries") > 0


def cut(job: Job) -> None:
    """End every connection of rowcast to the job's database but this one."""
    job.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rowcast'"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    )


# Estimators that wait until they are told to go on.
HELD = """

def held():
    open("waiting", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return quick()
"""


@pytest.mark.long
@pytest.mark.parametrize("fault", ["restart", pytest.param("cut", marks=long)])
def test_a_retrain_goes_on_when_the_server_fails_in_its_middle(
    served: Job, own_server: Server, start: Start, fault: str
) -> None:
    served.sql("UPDATE wafers SET failed = CASE WHEN s01 + s02 > 1 THEN 1 ELSE 0 END WHERE wafer <= 340")
    served.estimator("held")
    (served.folder / "mine.py").write_text(ESTIMATORS + HELD)
    process = start(served, "retrain")
    eventually((served.folder / "waiting").exists, process)
    if fault == "restart":
        served.place.close()
        own_server.restart()
    else:
        cut(served)
    (served.folder / "go").touch()
    done = ended(process)
    assert done.code == 0, done
    # Whatever the gate said of v2, it said it once, and one version is in service.
    champions = served.sql(f"SELECT version FROM {served.table('model')} WHERE status = 'champion'")
    assert len(champions) == 1
    decided = served.sql(f"SELECT version, decision FROM {served.table('promotion')} ORDER BY promotion_id")
    assert [row["version"] for row in decided] == [1, 2]
    assert [row["version"] for row in decided if row["decision"] == "promoted"][-1] == champions[0]["version"]
    served.configure()
    assert served.ok("infer")["scored"] == PENDING
    is_exactly_once(served.place, WAFERS)


# Errors that pass: the server raises them twice for one batch, then no more.


PASSING = {
    "40001": "could not serialize access",
    "40P01": "deadlock detected",
    "55P03": "canceling statement due to lock timeout",
    "57P01": "terminating connection due to administrator command",
}


# Deadlocks and lock timeouts have tests of their own.
@pytest.mark.parametrize("state", ["40001", "57P01", *[pytest.param(each, marks=long) for each in ("40P01", "55P03")]])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_an_error_that_passes_is_tried_again(served: Job, start: Start, state: str, workers: int) -> None:
    served.configure({"infer": {"batch_rows": 10, "workers": workers}})
    raises(served, state, "nextval('public.tries') <= 2")
    is_done(served, start(served, "infer"))
    assert figure(served, "retries") == 2


def raises(job: Job, state: str, when: str = "true") -> None:
    """Let the server refuse to write the prediction of one wafer; a sequence counts through rollbacks."""
    job.sql(
        "CREATE SEQUENCE public.tries",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.wafer = {LABELLED + 50} AND {when} THEN"
        f" RAISE EXCEPTION '{PASSING.get(state, 'no')}' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$",
        f"CREATE TRIGGER refuse BEFORE INSERT ON {job.table('wafers_prediction')} FOR EACH ROW"
        " EXECUTE FUNCTION refuse()",
    )


def test_a_deadlock_is_tried_again(served: Job, start: Start) -> None:
    # The run is to be the one that finds it, however late the other session comes to wait for it.
    served.sql("ALTER DATABASE fab SET deadlock_timeout = '3s'")
    served.configure({"infer": {"batch_rows": PENDING}})
    slow(served, 10)
    other = served.place.connect()
    other.execute(sa.text("SET deadlock_timeout = '1h'"))
    wafer, batch = WAFERS[-1], served.table("batch")
    with other.transaction("write"):
        other.execute(
            sa.text(
                f"INSERT INTO {served.table('wafers_prediction')} (wafer, model_version, run_id, batch_id, scored_at,"
                f" row_hash, score, predicted, threshold) VALUES ({wafer}, 1, 1, 1, now(), 0, 0, 0, 0)"
            )
        )
        process = start(served, "infer")
        eventually(lambda: waiting(served), process)  # for the key that was just written
        other.execute(sa.text(f"UPDATE {batch} SET attempts = attempts"))
        # The run has given way.
        other.execute(sa.text(f"DELETE FROM {served.table('wafers_prediction')} WHERE wafer = {wafer}"))
    is_done(served, process)
    assert figure(served, "retries") > 0


def waiting(job: Job) -> set[tuple[int, str]]:
    """Sessions that wait for a lock, and since when."""
    rows = job.sql(
        "SELECT pid, query_start::text AS since FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return {(row["pid"], row["since"]) for row in rows}


@pytest.mark.parametrize(
    ("lock", "begun"),
    [
        pytest.param("LOCK TABLE rowcast.batch IN ACCESS EXCLUSIVE MODE", False, marks=long),
        ("LOCK TABLE rowcast.batch IN ACCESS EXCLUSIVE MODE", True),
        pytest.param("UPDATE rowcast.batch SET attempts = attempts WHERE status <> 'published'", True, marks=long),
        pytest.param("LOCK TABLE rowcast.wafers_prediction IN SHARE MODE", False, marks=long),
        pytest.param("UPDATE rowcast.job SET champion = champion", False, marks=long),
    ],
)
def test_a_lock_that_is_held_for_long_is_waited_for(served: Job, start: Start, lock: str, begun: bool) -> None:
    served.configure({"infer": {"batch_rows": 4}})
    slow(served, 20)
    process = start(served, "infer") if begun else None
    if process:
        eventually(lambda: batches(served, "published") >= 2, process)
    other = served.place.connect()
    with other.transaction("write"):
        other.execute(sa.text(lock))
        process = process or start(served, "infer")
        eventually(lambda: waiting(served), process)
        first = waiting(served)
        eventually(lambda: not first & waiting(served), process)  # the wait has had its limit
    is_done(served, process)
    if begun:
        assert figure(served, "retries") > 0


# SQLite, locked by another program


HOLDER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2])) if len(sys.argv) > 2 else sys.stdin.read()
db.execute("ROLLBACK")
"""


@contextlib.contextmanager
def held_by_another(job: Job, *seconds: str) -> Iterator["Popen[str]"]:
    """The file locked by a process of its own, for so long or until told to end: it has a SQLite of its own."""
    file = job.place.url.removeprefix("sqlite:///")
    with Popen(
        [sys.executable, "-c", HOLDER, file, *seconds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.communicate(timeout=600)
    assert holder.returncode == 0


@pytest.fixture
def held_for(request: pytest.FixtureRequest) -> str:
    """Seconds: with --long more than a single statement waits."""
    return "35" if request.config.getoption("--long") else "5"


@pytest.mark.longer
@pytest.mark.parametrize("begun", [pytest.param(False, marks=long), True])
def test_a_locked_sqlite_file_is_waited_for(lite: Job, start: Start, held_for: str, begun: bool) -> None:
    lite.configure({"infer": {"batch_rows": 4}})
    slow(lite)
    process = start(lite, "infer") if begun else None
    if process:
        eventually(lambda: batches(lite, "published") >= 2, process)
    with held_by_another(lite, held_for) as holder:
        process = process or start(lite, "infer")
        assert ended(process).code == 0
        assert holder.poll() is not None  # nothing could be published before
    is_exactly_once(lite.place, WAFERS)
    assert lite.counts() == (0, LABELLED, PENDING, 0, 0)


# A full disk


@pytest.fixture
def small_disk(own_server: Server) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of a few megabytes, which the server's user may enter."""
    made: list[Path] = []

    def make(megabytes: int) -> Path:
        folder = own_server.folder / f"small{len(made)}"
        folder.mkdir()
        if not shutil.which("mount"):
            pytest.skip("there is no program 'mount' to make a small disk with")
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        done = subprocess.run(["mount", *options], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        made.append(folder)
        if own_server.user:
            shutil.chown(folder, own_server.user)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def fill(folder: Path, leave: int) -> Path:
    """Ballast that leaves about so many bytes free."""
    ballast, free = folder / "ballast", os.statvfs(folder)
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - leave)))
    return ballast


def names_the_full_disk(job: Job, process: "Popen[str]") -> None:
    said = job.refused(done=ended(process))
    assert len(said.splitlines()) <= 2, said
    assert "free some space" in said or "the disk is full" in said, said


@pytest.mark.parametrize("leave", [pytest.param(0, marks=long), 300_000])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_a_full_disk_under_sqlite_is_named_and_the_next_run_finishes(
    lite: Job, start: Start, small_disk: Callable[[int], Path], leave: int, workers: int
) -> None:
    disk = small_disk(4)
    shutil.copy(lite.folder / "fab.db", disk / "fab.db")
    lite.place = lite.store = Place("sqlite", f"sqlite:///{disk}/fab.db")
    lite.configure({"infer": {"batch_rows": 4, "workers": workers}})
    ballast = fill(disk, leave)
    names_the_full_disk(lite, start(lite, "infer"))
    ballast.unlink()  # without any room SQLite cannot even be read
    _, _, scored, quarantined, pending = lite.counts()
    assert (scored + pending, quarantined) == (PENDING, 0)
    assert pending > 0
    assert ended(start(lite, "infer")).code == 0
    is_exactly_once(lite.place, WAFERS)
    assert lite.counts() == (0, LABELLED, PENDING, 0, 0)
    lite.place.close()


@pytest.mark.long
@pytest.mark.parametrize("leave", [pytest.param(0, marks=long), 100_000])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_a_full_disk_under_postgresql_is_named_and_the_next_run_finishes(
    own_server: Server,
    template: str,
    tmp_path: Path,
    start: Start,
    small_disk: Callable[[int], Path],
    leave: int,
    workers: int,
) -> None:
    # The tables' disk; were the disk of its log full, the server itself would end.
    disk = small_disk(40)
    space = disk / "tables"
    space.mkdir()
    if own_server.user:
        shutil.chown(space, own_server.user)
    admin(own_server, f"CREATE TABLESPACE small LOCATION '{space}'")
    try:
        admin(own_server, f"CREATE DATABASE narrow TEMPLATE {template} TABLESPACE small STRATEGY file_copy")
        job = Job(tmp_path / "narrow", Place("postgresql", own_server.url("narrow"), own_server))
        job.add(wafers(LABELLED + PENDING + 1, 300, False))
        job.configure({"infer": {"batch_rows": 4, "workers": workers}})
        ballast = fill(disk, leave)
        names_the_full_disk(job, start(job, "infer"))
        _, _, scored, quarantined, pending = job.counts()
        assert (scored + pending, quarantined) == (PENDING + 300, 0)
        assert pending > 0
        ballast.unlink()
        assert ended(start(job, "infer")).code == 0
        is_exactly_once(job.place, range(LABELLED + 1, LABELLED + PENDING + 301))
        assert job.counts() == (0, LABELLED, PENDING + 300, 0, 0)
        job.place.close()
    finally:
        admin(own_server, "DROP DATABASE IF EXISTS narrow WITH (FORCE)", "DROP TABLESPACE small")


# Errors that do not pass


def is_not_tried_again(job: Job, done: Done, *words: str) -> None:
    said = job.refused(done=done)
    for word in words:
        assert word in said, said
    assert figure(job, "retries") == 0
    assert job.sql(f"SELECT max(attempts) AS most FROM {job.table('batch')}") == [{"most": 1}]
    assert statuses(job)[-1] == "failed"
    assert batches(job, "claimed") == 0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_a_column_that_is_missing_in_the_store_is_not_tried_again(trained: Job, start: Start, workers: int) -> None:
    trained.configure({"infer": {"batch_rows": 40, "workers": workers}})
    prediction = trained.table("wafers_prediction")
    trained.sql(f"ALTER TABLE {prediction} RENAME COLUMN score TO lost")
    is_not_tried_again(trained, ended(start(trained, "infer")), "score")
    trained.sql(f"ALTER TABLE {prediction} RENAME COLUMN lost TO score")
    assert trained.ok("infer")["scored"] == PENDING
    is_exactly_once(trained.place, WAFERS)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_a_right_that_was_revoked_is_not_tried_again(
    served: Job, own_server: Server, start: Start, workers: int
) -> None:
    served.sql(
        "DROP ROLE IF EXISTS clerk",
        "CREATE ROLE clerk LOGIN PASSWORD 's3cret'",
        "GRANT SELECT ON wafers TO clerk",
        "GRANT USAGE ON SCHEMA rowcast TO clerk",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rowcast TO clerk",
        "REVOKE INSERT ON rowcast.wafers_prediction FROM clerk",
    )
    url = own_server.url("fab", "clerk", "s3cret")
    served.configure({"source": {"url": url}, "infer": {"batch_rows": 40, "workers": workers}})
    is_not_tried_again(served, ended(start(served, "infer")), "permission denied for table wafers_prediction")
    served.sql("GRANT INSERT ON rowcast.wafers_prediction TO clerk")
    assert served.ok("infer")["scored"] == PENDING
    is_exactly_once(served.place, WAFERS)
    served.sql("DROP OWNED BY clerk", "DROP ROLE clerk")


def test_a_row_that_the_store_refuses_is_set_aside_and_not_tried_again(served: Job, start: Start) -> None:
    served.configure({"infer": {"batch_rows": 40}})
    raises(served, "23514")
    done = ended(start(served, "infer"))
    assert done.code == 0, done
    refused = LABELLED + 50
    is_exactly_once(served.place, set(WAFERS) - {refused}, [refused])
    assert figure(served, "retries") == 0


# Signals


def send(process: "Popen[str]", number: int, to_all: bool) -> None:
    """To the process alone, as a supervisor does, or to its group, as a terminal's Ctrl-C does."""
    os.killpg(process.pid, number) if to_all else process.send_signal(number)


def is_interrupted(job: Job, process: "Popen[str]") -> None:
    """The process ended by itself, said so, and left nothing claimed."""
    done = ended(process, PROMISED)
    assert done.code == 1, done
    assert done.error.startswith("error: interrupted"), done
    assert len(done.error.splitlines()) <= 2
    assert statuses(job)[-1] == "interrupted"
    claimed = job.sql(f"SELECT * FROM {job.table('batch')} WHERE status = 'claimed'")
    assert claimed == [], done


USUAL_SIGNALS = ((signal.SIGINT, True, 2),)  # of a terminal; a supervisor's is in the other tests


@pytest.mark.parametrize(
    ("number", "to_all", "workers"),
    [
        pytest.param(*given, marks=() if given in USUAL_SIGNALS else long)
        for given in itertools.product((signal.SIGTERM, signal.SIGINT), (False, True), (1, 2))
    ],
)
def test_a_signal_ends_a_run_which_can_go_on(
    trained: Job, start: Start, number: signal.Signals, to_all: bool, workers: int
) -> None:
    trained.configure({"infer": {"batch_rows": 4, "workers": workers}})
    slow(trained)
    process = start(trained, "infer", start_new_session=True)
    for published in (0, 4, 8):  # at several moments; the first is that of planning or of the workers' start
        eventually(lambda: statuses(trained)[-1] == "running", process)
        eventually(lambda least=published: batches(trained, "published") >= least, process)
        send(process, number, to_all)
        is_interrupted(trained, process)
        process = start(trained, "resume", start_new_session=True)
    done = ended(process)
    assert done.code == 0, done
    is_exactly_once(trained.place, WAFERS)
    assert trained.counts() == (0, LABELLED, PENDING, 0, 0)
    assert statuses(trained) == ["done", "done"]


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_a_second_signal_does_no_harm(trained: Job, start: Start, workers: int) -> None:
    trained.configure({"infer": {"batch_rows": 4, "workers": workers}})
    slow(trained)
    process = start(trained, "infer", start_new_session=True)
    eventually(lambda: batches(trained, "published") >= 2, process)
    for _ in range(3):
        send(process, signal.SIGINT, to_all=True)
    assert ended(process, PROMISED).code == 1
    assert ended(start(trained, "resume")).code == 0
    is_exactly_once(trained.place, WAFERS)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=long)])
@pytest.mark.parametrize("begun", [pytest.param(False, marks=long), True])
def test_a_signal_ends_a_run_that_waits_for_a_locked_sqlite_file(
    lite: Job, start: Start, number: signal.Signals, begun: bool
) -> None:
    lite.configure({"infer": {"batch_rows": 4}})
    slow(lite)
    process = start(lite, "infer") if begun else None
    if process:
        eventually(lambda: batches(lite, "published") >= 2, process)
    with held_by_another(lite):
        process = process or start(lite, "infer")
        log = lite.folder / "pipeline.log"
        eventually(log.exists, process)  # made once signals are listened to, just before the file is opened
        process.send_signal(number)
        assert ended(process, PROMISED).code == 1  # the store cannot be told: the next run finds out
    assert ended(start(lite, "infer")).code == 0
    is_exactly_once(lite.place, WAFERS)
    assert "running" not in statuses(lite)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=long)])
@pytest.mark.parametrize("begun", [pytest.param(False, marks=long), True])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
def test_a_signal_ends_a_run_that_waits_for_a_lock_of_postgresql(
    served: Job, start: Start, number: signal.Signals, begun: bool, workers: int
) -> None:
    served.configure({"infer": {"batch_rows": 4, "workers": workers}})
    slow(served)
    process = start(served, "infer") if begun else None
    if process:
        eventually(lambda: batches(served, "published") >= 2, process)
    other = served.place.connect()
    with other.transaction("write"):
        other.execute(sa.text("LOCK TABLE rowcast.batch IN ACCESS EXCLUSIVE MODE"))
        process = process or start(served, "infer")
        eventually(lambda: waiting(served), process)
        process.send_signal(number)
        assert ended(process, PROMISED).code == 1
    assert ended(start(served, "infer")).code == 0
    is_exactly_once(served.place, WAFERS)
    assert "running" not in statuses(served)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_in_which_one_statement_lasts(served: Job, start: Start, number: signal.Signals) -> None:
    served.sql(
        "CREATE FUNCTION lasting() RETURNS boolean LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(600); RETURN true; END $$"
    )
    served.configure({"source": {"where": "lasting()"}})
    process = start(served, "infer")
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    eventually(lambda: bool(served.sql(sleeping)), process)
    process.send_signal(number)
    is_interrupted(served, process)


def test_a_signal_ends_a_run_in_a_statement_of_sqlite_which_no_driver_can_end(lite: Job, start: Start) -> None:
    lite.configure({"source": {"where": LASTING}})
    process = start(lite, "infer")
    eventually(lambda: "running" in statuses(lite), process)
    time.sleep(1)  # the first look at the source follows
    process.send_signal(signal.SIGTERM)
    done = ended(process, PROMISED)
    assert done.code == 1
    assert done.error.startswith("error: interrupted"), done
    assert len(done.error.splitlines()) <= 2
    lite.configure()
    assert ended(start(lite, "infer")).code == 0
    is_exactly_once(lite.place, WAFERS)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=long)])
@pytest.mark.parametrize("to_all", [pytest.param(False, marks=long), True], ids=["alone", "group"])
def test_watch_that_is_told_to_stop_in_the_middle_of_a_run_marks_it_interrupted(
    trained: Job, start: Start, to_all: bool, workers: int
) -> None:
    trained.configure({"infer": {"batch_rows": 4, "workers": workers}})
    slow(trained)
    process = start(trained, "watch", "--every", "1h", start_new_session=True)
    eventually(lambda: batches(trained, "published") >= 2, process)
    send(process, signal.SIGTERM, to_all)
    done = ended(process, PROMISED)
    assert done.code == 0, done
    assert statuses(trained) == ["done", "interrupted"]
    assert batches(trained, "claimed") == 0
    assert ended(start(trained, "resume")).code == 0
    is_exactly_once(trained.place, WAFERS)
    assert trained.counts() == (0, LABELLED, PENDING, 0, 0)
