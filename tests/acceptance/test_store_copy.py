"""A job's store moves to another database: whole, or not at all, and nothing is scored twice for it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Place
from jobs import LABELLED, PENDING, Job, create, environment, train, wafers

from rowcast.store_copy import copying

pytest_plugins = ("job_fixtures",)
pytestmark = pytest.mark.everywhere

MakeJob = Callable[[str, str], Job]
SHARED = ["job", "run", "step", "batch", "metric", "model", "profile", "drift", "promotion", "shadow_batch", "alert"]
SHARED += ["api_key", "mirror"]
OWN = ["prediction", "quarantine", "history", "shadow", "forgotten", "online"]
KEY = "k" * 40
WAITS = {"retrain": {"policy": "never", "every": "7d"}}


def now() -> str:
    return datetime.now(UTC).isoformat()


def fill(job: Job) -> None:
    """Give the store rows in each of its tables, but for the one about drift."""
    spoil(job, 310, 350)
    job.ok("infer")
    job.ok("forget", "--before", now(), "--yes")
    job.configure(WAITS)
    train(job, seed=1)
    job.add(wafers(LABELLED + PENDING + 1, 60, False))
    spoil(job, 420, 430)
    job.ok("infer")
    job.sql("UPDATE wafers SET s01 = s01 + 1 WHERE wafer IN (405, 406)")
    job.ok("infer", "--rescore")
    assert job.call("keys", "create", "line-3").code == 0
    assert job.call("promote", "7").code == 1
    sent = "INSERT INTO {} (job, store_id, run_id, promotion_id, attempts) VALUES ('wafers', 'a1', 2, 1, 0)"
    job.stored(sent.format(job.table("mirror")))
    columns = "wafer, online_request, online_client, place, model_version, online_at, row_hash, score, flagged"
    values = f"401, 'a', '', 0, 1, '2026-05-01 00:00:00.000000Z', 5, 0.25, {'0' if job.store.is_sqlite else 'false'}"
    job.stored(f"INSERT INTO {job.table('wafers_online')} ({columns}) VALUES ({values})")


def spoil(job: Job, *numbers: int) -> None:
    ids = ", ".join(map(str, numbers))
    job.sql(f"UPDATE wafers SET s01 = 1e30, s02 = 1e30, s03 = 1e30, s04 = 1e30 WHERE wafer IN ({ids})")


def go_on(job: Job, place: Place) -> None:
    """Let the job go on with a store in another place."""
    job.store = place
    job.configure(WAITS)


def move(job: Job, place: Place) -> dict[str, int]:
    """Copy the store of a job, and let it go on with the copy. Return the rows by table."""
    made = job.ok("store", "copy", "--to", place.url, "--json")
    assert made["done"]
    go_on(job, place)
    rows: dict[str, int] = made["rows"]
    return rows


def audit(job: Job) -> dict[str, Any]:
    """What a full audit that holds says of every row."""
    found: dict[str, Any] = job.ok("audit", "--full", "--all", "--json")
    return found


def drop_store(job: Job) -> None:
    names = [*(f"wafers_{name}" for name in OWN), *SHARED, "version"]
    job.stored(*[f"DROP TABLE {job.table(name)}" for name in names])


@pytest.mark.parametrize(("system", "other"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_a_store_moves_there_and_back_and_nothing_is_scored_twice(system: str, other: str, make_job: MakeJob) -> None:
    job, apart = make_job(system, "trained"), make_job(other, "empty")
    fill(job)
    before, scores = audit(job), job.scores()
    original = job.ok("store", "copy", "--to", apart.place.url, "--dry-run", "--json")["rows"]

    rows = move(job, apart.place)

    assert rows == original
    assert all(rows[table] for table in [*SHARED, *OWN] if table != "drift"), rows
    assert audit(job) == before
    assert job.scores() == scores
    job.add(wafers(1000, 5, False))
    assert job.ok("infer")["scored"] == 5
    assert audit(job)["scored"] == before["scored"] + 5

    job.store = job.place
    drop_store(job)  # or it would hold the job already
    go_on(job, apart.place)
    move(job, job.place)
    job.add(wafers(1010, 3, False))
    assert job.ok("infer")["scored"] == 3
    assert audit(job)["scored"] == before["scored"] + 8


def test_keys_that_only_the_source_can_declare_come_back_as_they_are(make_job: MakeJob) -> None:
    job, apart = make_job("postgresql", "untrained"), make_job("sqlite", "empty")
    job.sql(
        "ALTER TABLE wafers ADD COLUMN lot uuid DEFAULT gen_random_uuid(), ADD COLUMN part numeric(8, 2),"
        " ADD COLUMN day date DEFAULT '2026-05-01', ADD COLUMN whole boolean DEFAULT true, ADD COLUMN at timestamptz",
        "UPDATE wafers SET part = wafer / 4.0, at = measured_at",
    )
    job.configure({"source": {"key": ["lot", "part", "at", "day", "whole"], "exclude": ["wafer"]}})
    job.ok("run")
    before, config = audit(job), (job.folder / "rowcast.toml").read_text()
    assert before["scored"] == PENDING
    job.ok("store", "copy", "--to", apart.place.url, "--json")
    drop_store(job)
    (job.folder / "rowcast.toml").write_text(f'{config}[store]\nurl = "{apart.place.url}"\n')
    assert audit(job) == before
    assert job.ok("infer")["scored"] == 0
    job.ok("store", "copy", "--to", job.place.url, "--json")
    (job.folder / "rowcast.toml").write_text(config)
    assert audit(job) == before
    assert job.ok("infer")["scored"] == 0


def test_keys_of_several_types_in_one_column_stay_apart(make_job: MakeJob) -> None:
    job, apart = make_job("sqlite", "empty"), make_job("sqlite", "empty")
    create(job.place, key="")
    job.add([*wafers(1, LABELLED, True), *wafers(LABELLED + 1, 4, False)])
    job.sql("UPDATE wafers SET wafer = '301' WHERE wafer = 302", "UPDATE wafers SET wafer = 301.5 WHERE wafer = 303")
    job.ok("run")
    before = audit(job)
    assert before["scored"] == 4
    move(job, apart.place)
    assert audit(job) == before
    postgresql = make_job("postgresql", "empty")
    assert "several types" in job.refused("store", "copy", "--to", postgresql.place.url)


def test_jobs_whose_numbers_meet_in_one_store_are_numbered_and_signed_anew(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWCAST_SIGNING_KEY", KEY)
    jobs = [make_job("sqlite", "untrained"), make_job("sqlite", "untrained")]
    store = make_job("postgresql", "empty").place
    for name, job in zip(("first", "second"), jobs, strict=True):
        job.configure({"task": {}}, name=name)
        job.ok("run")
        job.ok("store", "copy", "--to", store.url, "--json")
        job.store = store
        job.configure(name=name)
    for job in (*jobs, *jobs):
        job.add(wafers(int(job.sql("SELECT max(wafer) AS n FROM wafers")[0]["n"]) + 1, 2, False))
        assert job.ok("infer")["scored"] == 2
        found = audit(job)
        assert (found["scored"] - PENDING) % 2 == 0
        assert (found["batches_unsigned"], found["batches_forged"], found["broken_references"]) == (0, 0, 0)
    numbers = store.run("SELECT count(*) AS n, count(DISTINCT run_id) AS ids FROM rowcast.run")[0]
    assert numbers == {"n": 6, "ids": 6}

    third = make_job("sqlite", "untrained")
    third.ok("run")
    monkeypatch.delenv("ROWCAST_SIGNING_KEY")
    assert "must be signed anew" in third.refused("store", "copy", "--to", store.url)
    assert store.run("SELECT count(*) AS n FROM rowcast.job") == [{"n": 2}]


@pytest.mark.parametrize(
    "table", [pytest.param("run", marks=pytest.mark.long), "prediction", pytest.param("online", marks=pytest.mark.long)]
)
def test_a_copy_that_is_killed_leaves_nothing_that_anybody_believes(table: str, make_job: MakeJob) -> None:
    job, apart = make_job("sqlite", "trained"), make_job("postgresql", "empty").place
    job.ok("infer")
    command = [sys.executable, str(Path(__file__).parent / "deadly_copy.py"), "store", "copy", "--to", apart.url]
    died = subprocess.run(command, cwd=job.folder, env={**environment(), "DIES_AFTER": table}, capture_output=True)
    assert died.returncode == -signal.SIGKILL
    for name in ("job", "run", "batch", "wafers_prediction"):
        assert apart.run(f'SELECT count(*) AS n FROM rowcast."{name}"') == [{"n": 0}]
    before = audit(job)
    move(job, apart)
    assert audit(job) == before


def test_what_stands_in_the_way_is_said_and_nothing_is_copied(make_job: MakeJob) -> None:
    job, apart = make_job("sqlite", "trained"), make_job("postgresql", "empty").place
    command = ("store", "copy", "--to", apart.url)
    assert "is the store itself" in job.refused("store", "copy", "--to", job.place.url, code=2)
    assert "the database URL is empty" in job.refused("store", "copy", "--to", "")
    nowhere = job.folder / "new.db"
    assert job.call("store", "copy", "--to", f"sqlite:///{nowhere}", "--dry-run").code == 0
    assert not nowhere.exists()
    job.stored(
        f"INSERT INTO {job.table('run')} (job, pipeline, status, started_at, as_of, host, lease_until) VALUES"
        " ('wafers', 'infer', 'running', '2026-01-01 00:00:00.000000Z', '2026-01-01 00:00:00.000000Z', 'elsewhere',"
        " strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 minute') || '000Z')"
    )
    assert "is under way: elsewhere" in job.refused(*command)
    job.stored(f"DELETE FROM {job.table('run')} WHERE host = 'elsewhere'")
    job.ok("infer")
    score, prediction = job.scores()[320], job.table("wafers_prediction")
    job.stored(f"UPDATE {prediction} SET score = score + 0.001 WHERE wafer = 320")
    assert "1 batch in" in job.refused(*command)
    job.stored(f"UPDATE {prediction} SET score = {score!r} WHERE wafer = 320")
    job.stored(f"INSERT INTO {job.table('version')} VALUES (99, '2026-11-01 00:00:00.000000Z')")
    assert "has version 99" in job.refused(*command)
    job.stored(f"DELETE FROM {job.table('version')} WHERE version = 99")
    job.ok(*command, "--json")
    assert "already holds job 'wafers'" in job.refused(*command)
    apart.run("DELETE FROM rowcast.job", "UPDATE rowcast.version SET version = 3")
    assert "has version 3" in job.refused(*command)
    empty = make_job("sqlite", "untrained")
    assert "holds no store of job 'wafers'" in empty.refused(*command)


def test_what_is_written_while_the_store_is_copied_is_not_left_behind(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, apart = make_job("sqlite", "trained"), make_job("postgresql", "empty").place

    def scores_meanwhile(*_: Any) -> None:
        copying._refuse_other_counts = honest
        assert job.run("infer").code == 0

    honest = copying._refuse_other_counts
    monkeypatch.setattr(copying, "_refuse_other_counts", scores_meanwhile)
    assert "was written to while it was copied" in job.refused("store", "copy", "--to", apart.url)
    assert apart.run("SELECT count(*) AS n FROM rowcast.job") == [{"n": 0}]


def test_people_read_what_was_copied_and_what_to_do_next(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job, apart = make_job("sqlite", "trained"), make_job("postgresql", "empty").place
    monkeypatch.setenv("NEW_STORE_URL", apart.url)
    would = job.call("store", "copy", "--to", "${NEW_STORE_URL}", "--dry-run")
    assert "nothing was written" in would.out
    assert apart.run("SELECT count(*) AS n FROM pg_namespace WHERE nspname = 'rowcast'") == [{"n": 0}]
    done = job.call("store", "copy", "--to", "${NEW_STORE_URL}")
    job.shows_no_secret(would, done)
    assert "each was read back and is as it was" in done.out
    assert 'under [store]: url = "${NEW_STORE_URL}"' in done.out
