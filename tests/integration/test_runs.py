"""Runs and their steps: what is recorded, who is at it, and who may train."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from conftest import Place
from test_ledger import opened, runner, runs_of  # noqa: F401 (a fixture)

from rowcast.errors import BusyError
from rowcast.store import Ledger, Runs
from rowcast.store.lease import LEASE

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ELSEWHERE = "elsewhere:12345678:1:1:1"


@pytest.fixture
def ledger(database: Place) -> Ledger:
    return opened(database.connect())


@pytest.fixture
def runs(ledger: Ledger) -> Runs:
    return runs_of(ledger)


def begun_elsewhere(runs: Runs, lease: timedelta = LEASE) -> int:
    """A run of another machine, whose lease ends in this time."""
    run_id = runs.start("retrain", NOW, "x")
    table = runs.tables.run
    values = {"host": ELSEWHERE, "lease_until": runs.db.now() + lease}
    runs.db.execute(table.update().where(table.c.run_id == run_id).values(values))
    return run_id


def test_a_run_is_recorded_from_start_to_end(runs):
    run_id = runs.start("retrain", NOW, "abc")
    found = runs.get(run_id)
    wanted = {"job": "wafers", "pipeline": "retrain", "status": "running", "as_of": NOW, "config_sha256": "abc"}
    assert wanted.items() <= found.items()
    assert found["lease_until"] > found["started_at"]
    runs.finish(run_id, "failed", "it's broken")
    found = runs.get(run_id)
    assert (found["status"], found["error"], found["lease_until"]) == ("failed", "it's broken", None)
    assert found["started_at"] <= found["finished_at"]
    runs.reopen(found)
    found = runs.get(run_id)
    assert (found["status"], found["error"], found["finished_at"]) == ("running", None, None)
    assert found["lease_until"] is not None


def test_the_newest_runs_come_first(runs):
    started = [runs.start("infer", NOW, "x") for _ in range(4)]
    assert [run["run_id"] for run in runs.newest(3)] == started[:0:-1]


def test_a_run_that_its_own_process_could_not_close_is_closed_when_it_begins_the_next(runs):
    first = runs.start("infer", NOW, "x")
    runs.start("infer", NOW, "x")
    assert runs.get(first)["status"] == "interrupted"


def test_a_run_of_another_machine_is_alive_for_as_long_as_its_lease(runs):
    alive, dead = begun_elsewhere(runs), begun_elsewhere(runs, -timedelta(seconds=1))
    runs.settle()
    assert runs.get(alive)["status"] == "running"
    assert runs.get(dead)["status"] == "interrupted"
    with pytest.raises(BusyError, match=f"run {alive} is under way as {ELSEWHERE}"):
        runs.reopen(runs.get(alive))


def test_a_run_is_taken_up_by_one_only(ledger, runs, database):
    run_id = runs.start("infer", NOW, "x")
    runs.finish(run_id, "interrupted")
    seen = runs.get(run_id)
    other = runs_of(opened(database.connect()))
    other.reopen(seen)
    table = runs.tables.run
    runs.db.execute(table.update().where(table.c.run_id == run_id).values(host=ELSEWHERE))
    with pytest.raises(BusyError, match=f"run {run_id} is under way"):
        runs.reopen(seen)


def test_only_a_live_run_is_renewed(runs):
    theirs, mine = begun_elsewhere(runs), runs.start("infer", NOW, "x")
    until = runs.db.now() + 3 * LEASE
    for run_id in (mine, theirs):
        runs.db.execute(runs.renewal(run_id, until))
    assert abs(runs.get(mine)["lease_until"] - until) < timedelta(seconds=1)
    assert runs.get(theirs)["lease_until"] < until - LEASE
    runs.finish(mine, "done")
    runs.db.execute(runs.renewal(mine, until))
    assert runs.get(mine)["lease_until"] is None


def test_one_run_trains_at_a_time(runs):
    theirs = begun_elsewhere(runs)
    runs.begin_training(theirs)
    mine = runs.start("retrain", NOW, "x")
    with pytest.raises(BusyError, match=f"run {theirs} is training already, as {ELSEWHERE}") as caught:
        runs.begin_training(mine)
    assert "wait" in caught.value.hint
    runs.end_training(theirs)
    runs.begin_training(mine)
    runs.begin_training(mine)  # asked again, it is the same
    runs.finish(mine, "failed", "no labels")
    runs.begin_training(theirs)


def test_who_died_in_training_is_in_nobodys_way(runs):
    dead = begun_elsewhere(runs, -timedelta(seconds=1))
    runs.begin_training(dead)
    runs.begin_training(runs.start("retrain", NOW, "x"))


def test_a_step_tried_again_replaces_its_row_and_its_figures(runs):
    run_id = runs.start("infer", NOW, "x")
    runs.record_step(run_id, "data-fetch", "score", {"rows": 1}, status="failed", started_at=NOW, error="it's away")
    runs.record_step(run_id, "data-fetch", "train", {}, status="done", started_at=NOW + timedelta(1), rows_in=4)
    runs.record_step(run_id, "data-fetch", "score", {"rows": 5}, status="done", started_at=NOW, rows_in=5)
    found = [(step["row_set"], step["status"], step["rows_in"], step["error"]) for step in runs.steps(run_id)]
    assert found == [("train", "done", 4, None), ("score", "done", 5, None)]
    assert figures(runs) == {"rows": [5.0]}


def test_figures_are_kept_and_what_is_no_number_is_left_out(runs):
    run_id = runs.start("retrain", NOW, "x")
    values = {"auc": 0.75, "rows": 12, "won": True, "text": "x", "none": None}
    runs.record_step(run_id, "gate", "-", values, status="done", started_at=NOW)
    assert figures(runs) == {"auc": [0.75], "rows": [12.0]}


def figures(runs: Runs) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in runs.db.rows(sa.select(runs.tables.metric)):
        found.setdefault(row["name"], []).append(row["value"])
    return found
