"""Runs and their steps: what is recorded, who is at it, and who may train."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from conftest import Place
from test_ledger import opened, runner, runs_of  # noqa: F401 (a fixture)

from rowcast.errors import BusyError
from rowcast.messages.health import RunNotDone, describe_need
from rowcast.store import Ledger, Runs
from rowcast.store.lease import LEASE
from rowcast.store.process import process_name
from rowcast.store.records import BatchStatus, EndCause, PipelineName, RunOptions, RunStatus, StepRecord, StepStatus

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ELSEWHERE, THERE = "elsewhere:12345678:1:1:1", "process 1 on elsewhere"


@pytest.fixture
def ledger(database: Place) -> Ledger:
    return opened(database.connect())


@pytest.fixture
def runs(ledger: Ledger) -> Runs:
    return runs_of(ledger)


def begun_elsewhere(runs: Runs, lease: timedelta = LEASE) -> int:
    """A run of another machine, whose lease ends in this time."""
    run_id = runs.start(PipelineName.RETRAIN, NOW, "x")
    table = runs.tables.run
    values = {"host": ELSEWHERE, "lease_until": runs.db.now() + lease}
    runs.db.execute(table.update().where(table.c.run_id == run_id).values(values))
    return run_id


def test_a_run_is_recorded_from_start_to_end(runs):
    run_id = runs.start(PipelineName.RETRAIN, NOW, "abc")
    found = runs.get(run_id)
    assert (found.job, found.pipeline, found.status) == ("wafers", PipelineName.RETRAIN, RunStatus.RUNNING)
    assert (found.as_of, found.config_sha256, found.end_cause) == (NOW, "abc", None)
    assert found.lease_until > found.started_at
    runs.finish(run_id, RunStatus.FAILED, EndCause.ERROR, "it's broken")
    found = runs.get(run_id)
    assert (found.status, found.end_cause, found.error) == (RunStatus.FAILED, EndCause.ERROR, "it's broken")
    assert found.lease_until is None
    assert found.started_at <= found.finished_at
    runs.reopen(found)
    found = runs.get(run_id)
    assert (found.status, found.end_cause, found.error, found.finished_at) == (RunStatus.RUNNING, None, None, None)
    assert found.lease_until is not None


def test_what_a_run_was_asked_for_is_there_for_whoever_resumes_it(runs):
    asked = RunOptions(since=NOW, rescore=True)
    assert runs.get(runs.start(PipelineName.INFER, NOW, "x", asked)).options == asked
    assert runs.get(runs.start(PipelineName.INFER, NOW, "x")).options == RunOptions()


def test_the_newest_runs_come_first(runs):
    started = [runs.start(PipelineName.INFER, NOW, "x") for _ in range(4)]
    assert [run.run_id for run in runs.newest(3)] == started[:0:-1]


def test_a_run_that_its_own_process_could_not_close_is_closed_when_it_begins_the_next(runs):
    first = runs.start(PipelineName.INFER, NOW, "x")
    runs.start(PipelineName.INFER, NOW, "x")
    assert (runs.get(first).status, runs.get(first).end_cause) == (RunStatus.INTERRUPTED, EndCause.UNRECORDED)


def test_a_run_of_another_machine_is_alive_for_as_long_as_its_lease(runs):
    alive, dead = begun_elsewhere(runs), begun_elsewhere(runs, -timedelta(seconds=1))
    runs.settle()
    assert runs.get(alive).status is RunStatus.RUNNING
    assert (runs.get(dead).status, runs.get(dead).end_cause) == (RunStatus.INTERRUPTED, EndCause.DIED)
    with pytest.raises(BusyError, match=f"run {alive} is under way: {THERE}"):
        runs.reopen(runs.get(alive))


def test_a_run_of_a_clock_that_was_ahead_keeps_nobody_from_training(runs: Runs) -> None:
    other = begun_elsewhere(runs, timedelta(days=400))
    assert runs.get(other).status is RunStatus.INTERRUPTED
    mine = runs.start(PipelineName.RETRAIN, NOW, "x")
    runs.begin_training(mine)


def test_a_run_whose_process_is_gone_is_seen_as_dead_before_the_next_one_begins(runs: Runs) -> None:
    alive, dead = begun_elsewhere(runs), begun_elsewhere(runs, -timedelta(seconds=1))
    [newest, before] = runs.newest()
    assert (before.run_id, before.status, before.is_dead) == (alive, RunStatus.RUNNING, False)
    assert (newest.run_id, newest.status, newest.is_dead) == (dead, RunStatus.INTERRUPTED, True)
    assert "its lease passed at" in str(newest.error)
    gone = runs.start(PipelineName.INFER, NOW, "x")
    table, here = runs.tables.run, process_name().rpartition(":")[0].rpartition(":")[0]
    runs.db.execute(table.update().where(table.c.run_id == gone).values(host=f"{here}:1:1"))
    assert runs.get(gone).is_dead  # though its lease has not passed
    runs.reopen(runs.get(gone))  # it is taken up as ever
    assert runs.get(gone).status is RunStatus.RUNNING


def test_a_run_that_died_over_a_batch_names_the_model_that_it_was_at_work_with(ledger: Ledger, runs: Runs) -> None:
    run_id = runs.start(PipelineName.INFER, NOW, "x")
    batch = ledger.tables.batch
    about = {"job": "wafers", "status": BatchStatus.CLAIMED, "plan": 1, "row_count": 1, "attempts": 1}
    keys = {"key_from": '["1"]', "key_to": '["2"]', "model_version": 7, "run_id": run_id}
    ledger.db.execute(batch.insert().values(**about, **keys, worker=ELSEWHERE))
    table = runs.tables.run
    runs.db.execute(table.update().where(table.c.run_id == run_id).values(host=ELSEWHERE, lease_until=NOW))
    assert "at work with model v7" in str(runs.get(run_id).error)
    assert "v7" in describe_need(RunNotDone(runs.get(run_id)))
    runs.settle()
    assert "at work with model v7" in str(runs.get(run_id).error)


def test_that_a_run_died_is_seen_by_its_cause_and_not_by_the_wording_of_its_error(runs):
    dead = begun_elsewhere(runs, -timedelta(seconds=1))
    failed = runs.start(PipelineName.INFER, NOW, "x")
    assert runs.find_death_before(failed).run_id == dead
    runs.finish(failed, RunStatus.FAILED, EndCause.ERROR, runs.get(dead).error)
    assert runs.find_death_before(runs.start(PipelineName.INFER, NOW, "x")) is None


def test_a_run_is_taken_up_by_one_only(ledger, runs, database):
    run_id = runs.start(PipelineName.INFER, NOW, "x")
    runs.finish(run_id, RunStatus.INTERRUPTED, EndCause.STOPPED)
    seen = runs.get(run_id)
    other = runs_of(opened(database.connect()))
    other.reopen(seen)
    table = runs.tables.run
    runs.db.execute(table.update().where(table.c.run_id == run_id).values(host=ELSEWHERE))
    with pytest.raises(BusyError, match=f"run {run_id} is under way"):
        runs.reopen(seen)


def test_only_a_live_run_is_renewed(runs):
    theirs, mine = begun_elsewhere(runs), runs.start(PipelineName.INFER, NOW, "x")
    until = runs.db.now() + 3 * LEASE
    for run_id in (mine, theirs):
        runs.db.execute(runs.renewal(run_id, until))
    assert abs(runs.get(mine).lease_until - until) < timedelta(seconds=1)
    assert runs.get(theirs).lease_until < until - LEASE
    runs.finish(mine, RunStatus.DONE, EndCause.COMPLETED)
    runs.db.execute(runs.renewal(mine, until))
    assert runs.get(mine).lease_until is None


def test_one_run_trains_at_a_time(runs):
    theirs = begun_elsewhere(runs)
    runs.begin_training(theirs)
    mine = runs.start(PipelineName.RETRAIN, NOW, "x")
    with pytest.raises(BusyError, match=f"run {theirs} is training already: {THERE}") as caught:
        runs.begin_training(mine)
    assert "wait" in caught.value.hint
    runs.end_training(theirs)
    runs.begin_training(mine)
    runs.begin_training(mine)  # asked again, it is the same
    runs.finish(mine, RunStatus.FAILED, EndCause.ERROR, "no labels")
    runs.begin_training(theirs)


def test_who_died_in_training_is_in_nobodys_way(runs):
    dead = begun_elsewhere(runs, -timedelta(seconds=1))
    runs.begin_training(dead)
    runs.begin_training(runs.start(PipelineName.RETRAIN, NOW, "x"))


def test_a_step_tried_again_replaces_its_row_and_its_figures(runs):
    run_id = runs.start(PipelineName.INFER, NOW, "x")
    fetch = partial(StepRecord, run_id, "data-fetch")
    runs.record_step(fetch("score", StepStatus.FAILED, NOW, error="it's away"), {"rows": 1})
    runs.record_step(fetch("train", StepStatus.DONE, NOW + timedelta(1), rows_in=4), {})
    runs.record_step(fetch("score", StepStatus.DONE, NOW, rows_in=5), {"rows": 5})
    found = [(step.row_set, step.status, step.rows_in, step.error) for step in runs.steps(run_id)]
    assert found == [("train", StepStatus.DONE, 4, None), ("score", StepStatus.DONE, 5, None)]
    assert figures(runs) == {"rows": [5.0]}


def test_figures_are_kept_and_what_is_no_number_is_left_out(runs):
    run_id = runs.start(PipelineName.RETRAIN, NOW, "x")
    values = {"auc": 0.75, "rows": 12, "won": True, "text": "x", "none": None}
    runs.record_step(StepRecord(run_id, "gate", "-", StepStatus.DONE, NOW), values)
    assert figures(runs) == {"auc": [0.75], "rows": [12.0]}


def figures(runs: Runs) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in runs.db.rows(sa.select(runs.tables.metric)):
        found.setdefault(row["name"], []).append(row["value"])
    return found
