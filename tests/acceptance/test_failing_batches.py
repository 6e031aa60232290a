"""A batch that fails is narrowed down to the rows that are at fault; all others are scored."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from deadly import DEADLY
from jobs import LABELLED, PENDING, Done, Job, wafers

pytest_plugins = ("job_fixtures",)

pytestmark = pytest.mark.turns("a fragile model")

MakeJob = Callable[..., Job]
FIRST = LABELLED + PENDING + 1  # of wafers that a test adds


def torn(first: int, count: int, at_fault: Callable[[int], bool]) -> list[dict[str, Any]]:
    """Unlabelled wafers; where a sensor is missing, the fragile estimator raises."""
    rows = wafers(first, count, False)
    for row in rows:
        if at_fault(row["wafer"]):
            row["s01"] = None
    return rows


@pytest.fixture
def fragile(system: str, prepared: Callable[..., Job]) -> Job:
    """A job with a champion that cannot score a row without its first sensor."""
    return prepared(make_fragile, system)


def make_fragile(make_job: MakeJob, system: str) -> Job:
    job = make_job(system, "untrained")
    job.estimator("fragile", retrain={"policy": "never"})
    job.ok("retrain")
    job.ok("infer")
    return job


def newest_run(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = job.ok("runs", "--json")[0]
    return found


def test_rows_that_fail_alone_are_quarantined_with_the_error_and_all_others_scored(fragile: Job) -> None:
    job = fragile
    job.add(torn(FIRST, 90, lambda wafer: wafer in (FIRST + 3, FIRST + 50)))
    done = job.ok("infer")
    assert (done["status"], done["scored"], done["quarantined"]) == ("done", 88, 2)
    assert job.reasons() == {FIRST + 3: [("(row)", "error")], FIRST + 50: [("(row)", "error")]}
    explained = job.ok("explain", str(FIRST + 3), "--json")
    assert "raised while scoring" in explained["reasons"][0]["value"]
    assert explained["row_values"]["s02"] is not None
    assert job.counts() == (0, LABELLED, PENDING + 88, 2, 0)


@pytest.mark.long
def test_its_scores_are_those_of_whole_batches(fragile: Job) -> None:
    job = fragile
    job.add(torn(FIRST, 40, lambda wafer: wafer == FIRST + 7))
    job.ok("infer")
    halved = job.scores()
    job.sql(f"DELETE FROM {job.table('wafers_prediction')}", f"DELETE FROM {job.table('batch')}")
    job.sql(f"UPDATE {job.table('job')} SET complete_to = NULL")
    job.ok("infer")
    assert job.scores() == pytest.approx(halved, rel=1e-12)  # a BLAS product's last bits depend on the rows


def test_where_nothing_succeeds_no_row_is_blamed_and_the_run_fails(fragile: Job) -> None:
    job = fragile
    job.add(torn(FIRST, 90, lambda wafer: True))
    said = job.refused("infer")
    assert "raised while scoring" in said
    assert newest_run(job)["status"] == "failed"
    assert job.counts() == (0, LABELLED, PENDING, 0, 90)


def test_a_lonely_failing_row_waits_until_others_prove_it_to_be_at_fault(fragile: Job) -> None:
    job = fragile
    job.add(torn(FIRST, 1, lambda wafer: True))
    for _ in range(2):
        job.refused("infer")
        assert job.counts() == (0, LABELLED, PENDING, 0, 1)
    job.add(wafers(FIRST + 1, 3, False))
    assert job.ok("infer")["scored"] == 3
    assert job.counts() == (0, LABELLED, PENDING + 3, 1, 0)


def test_a_batch_in_which_too_much_fails_is_left_and_the_others_go_on(fragile: Job) -> None:
    job = fragile
    job.add(torn(FIRST, 80, lambda wafer: wafer < FIRST + 40 and wafer % 2 == 0))
    done = job.call("infer")
    assert (done.code, done.json["status"], done.json["scored"]) == (1, "partial", 40)
    assert "stay pending" in done.json["error"]
    run = newest_run(job)
    assert run["status"] == "partial"
    [step] = [step for step in run["steps"] if step["name"] == "inference"]
    assert (step["status"], step["rows_out"]) == ("partial", 40)
    assert job.counts() == (0, LABELLED, PENDING + 40, 0, 40)


def test_resume_takes_up_just_what_is_left(fragile: Job) -> None:
    job = fragile
    job.add(torn(FIRST, 80, lambda wafer: wafer < FIRST + 40 and wafer % 2 == 0))
    partial = job.call("infer").json["run"]
    before = job.scores()
    job.sql("UPDATE wafers SET s01 = 0 WHERE s01 IS NULL")
    done = job.ok("resume")
    assert (done["run"], done["status"], done["scored"]) == (partial, "done", 40)
    assert before.items() <= job.scores().items()
    assert job.counts() == (0, LABELLED, PENDING + 80, 0, 0)


@pytest.mark.long
def test_it_is_the_same_with_several_workers(fragile: Job) -> None:
    job = fragile
    job.estimator("fragile", infer={"batch_rows": 10, "workers": 2}, retrain={"policy": "never"})
    job.add(torn(FIRST, 90, lambda wafer: wafer in (FIRST + 3, FIRST + 50)))
    done = job.run("infer")
    assert (done.code, done.json["scored"], done.json["quarantined"]) == (0, 88, 2), done.err
    assert job.counts() == (0, LABELLED, PENDING + 88, 2, 0)


def test_a_row_that_the_database_itself_cannot_compute_is_set_aside(make_job: MakeJob) -> None:
    job = make_job("postgresql", "untrained")
    job.sql("CREATE VIEW shown AS SELECT *, 1 / (s03 - 0.1234567) AS ratio FROM wafers")
    job.configure({"source": {"table": "shown"}, "model": {"max_features": 100}}, name="wafers")
    job.ok("retrain")
    job.ok("infer")
    rows = wafers(FIRST, 60, False)
    rows[5]["s03"] = 0.1234567
    job.add(rows)
    done = job.ok("infer")
    assert (done["scored"], done["quarantined"]) == (59, 1)
    assert job.reasons() == {FIRST + 5: [("(row)", "error")]}
    assert "division by zero" in job.ok("explain", str(FIRST + 5), "--json")["reasons"][0]["value"]
    assert job.counts() == (0, LABELLED, PENDING + 59, 1, 0)
    job.sql(f"UPDATE wafers SET s03 = 0 WHERE wafer = {FIRST + 5}")
    assert job.ok("requeue", str(FIRST + 5))["requeued"] == 1
    assert job.ok("infer")["scored"] == 1


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.long)], ids=["together", "apart"])
def test_rows_that_the_database_can_no_longer_compute_are_counted_and_the_others_compared(
    make_job: MakeJob, apart: bool
) -> None:
    job = make_job("postgresql", "untrained")
    job.sql("CREATE VIEW shown AS SELECT *, 1 / (s03 - 0.1234567) AS ratio FROM wafers")
    if apart:
        job.store = make_job("postgresql", "empty").place
    job.configure({"source": {"table": "shown"}, "model": {"max_features": 100}}, name="wafers")
    job.ok("retrain")
    job.sql(f"UPDATE wafers SET s01 = 1e9 WHERE wafer IN ({FIRST - 1}, {FIRST - 2})")
    job.ok("infer")
    job.sql(f"UPDATE wafers SET s03 = 0.1234567 WHERE wafer IN ({FIRST - 1}, {FIRST - 30}, {FIRST - 60}, {FIRST - 61})")
    job.sql(f"UPDATE wafers SET s02 = 0.5 WHERE wafer IN ({FIRST - 2}, {FIRST - 31}, {FIRST - 62})")
    found = job.ok("audit", "--full", "--json")
    assert (found["changed"], found["changed_quarantined"], found["not_comparable"]) == (2, 1, 4)
    assert job.ok("requeue", "--changed")["requeued"] == 1
    assert job.ok("infer", "--rescore", "--accept-quarantine")["requeued"] == 2
    assert job.ok("audit", "--full", "--json")["not_comparable"] == 4


def test_where_no_row_can_be_computed_the_audit_does_not_try_each(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rowcast.store.reading.held_rows._MOST_FAILING", 3)
    job = make_job("postgresql", "untrained")
    job.sql("CREATE TABLE zero AS SELECT 1 AS z")
    job.sql("CREATE VIEW shown AS SELECT wafers.*, s03 * s04 / z AS ratio FROM wafers, zero")
    job.configure({"source": {"table": "shown"}, "model": {"max_features": 100}}, name="wafers")
    job.ok("retrain")
    job.ok("infer")
    job.sql("UPDATE zero SET z = 0")
    assert job.ok("audit", "--full", "--json")["not_comparable"] == PENDING


def deadly(job: Job, *arguments: str) -> Done:
    """The command, with rows that kill whichever process scores them."""
    return job.script("deadly.py", *arguments)


def test_a_row_that_kills_its_worker_each_time_is_set_aside_and_all_others_scored(lite: Job) -> None:
    lite.configure({"infer": {"batch_rows": 4, "workers": 2}})
    lite.sql(
        f"DELETE FROM wafers WHERE wafer > {LABELLED + 12}",
        f"UPDATE wafers SET s01 = {DEADLY} WHERE wafer = {LABELLED + 6}",
    )
    done = deadly(lite, "infer")
    assert (done.code, done.json["status"], done.json["scored"]) == (0, "done", 11), done.err
    assert lite.reasons() == {LABELLED + 6: [("(row)", "error")]}
    assert "a worker process died" in lite.ok("explain", str(LABELLED + 6), "--json")["reasons"][0]["value"]
    assert lite.counts() == (0, LABELLED, 11, 1, 0)


def test_a_row_that_kills_the_run_itself_is_found_by_the_next_run(lite: Job) -> None:
    lite.configure({"infer": {"batch_rows": 4, "workers": 1}})
    lite.sql(
        f"DELETE FROM wafers WHERE wafer > {LABELLED + 12}",
        f"UPDATE wafers SET s01 = {DEADLY} WHERE wafer = {LABELLED + 2}",
    )
    assert deadly(lite, "infer").code == -signal.SIGKILL
    done = deadly(lite, "infer")
    assert (done.code, done.json["status"], done.json["quarantined"]) == (0, "done", 1), done.err
    assert lite.counts() == (0, LABELLED, 11, 1, 0)


def test_where_every_row_kills_its_worker_the_run_fails_and_blames_none(lite: Job) -> None:
    lite.configure({"infer": {"batch_rows": 1, "workers": 2}})
    lite.sql(
        f"DELETE FROM wafers WHERE wafer > {LABELLED + 3}", f"UPDATE wafers SET s01 = {DEADLY} WHERE wafer > {LABELLED}"
    )
    done = deadly(lite, "infer")
    assert "a worker process died" in lite.refused(done=done)
    assert lite.counts() == (0, LABELLED, 0, 0, 3)
