"""Running, going on after a kill, sharing the work, deciding, and looking."""

import json
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from jobs import LABELLED, PENDING, Job, wafers

pytest_plugins = ("job_fixtures",)

HAND_STEPS = ("data-fetch", "data-check", "data-process", "model-build", "gate", "inference")


def steps(job: Job, run: int) -> dict[tuple[str, str], dict[str, object]]:
    """The recorded steps of a run by name and row set."""
    [found] = [each for each in job.ok("runs", "--json") if each["run_id"] == run]
    return {(step["name"], step["row_set"]): step for step in found["steps"]}


def eventually(holds: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until something has happened in a process that goes on."""
    deadline = time.monotonic() + 50
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate(timeout=30)


# Running


def test_a_run_trains_and_scores_and_a_second_one_finds_nothing_new(untrained: Job) -> None:
    first = untrained.ok("run")
    assert (first["status"], first["champion"], first["scored"], first["quarantined"]) == ("done", "v1", PENDING, 0)
    assert "first, unproven" in first["retrain"]
    assert untrained.counts() == (0, LABELLED, PENDING, 0, 0)
    before = untrained.scores()
    second = untrained.ok("run")
    assert (second["scored"], second["note"]) == (0, "nothing new to score")
    assert "not due before" in second["retrain"]
    assert untrained.scores() == before
    assert untrained.audit()["batches"] == 3


def test_the_model_tells_good_wafers_from_bad_ones(trained: Job) -> None:
    trained.ok("infer")
    score = trained.scores()
    fails = {row["wafer"]: row["s01"] + row["s02"] > 1 for row in trained.sql("SELECT wafer, s01, s02 FROM wafers")}
    ranked = sorted(score, key=score.__getitem__)
    assert sum(fails[wafer] for wafer in ranked[-20:]) >= 15
    assert sum(fails[wafer] for wafer in ranked[:50]) <= 2


def test_a_late_row_is_found_by_the_next_run(trained: Job) -> None:
    trained.ok("infer")
    trained.add(
        [
            {**wafers(1, 1, False)[0], "wafer": -5, "measured_at": "2026-01-03 02:15:00Z"},  # in scope, first by key
            {**wafers(1, 1, False)[0], "wafer": 345000, "measured_at": "2026-01-03 09:00:00Z"},
        ]
    )
    assert trained.ok("run")["scored"] == 2
    assert trained.counts() == (0, LABELLED, PENDING + 2, 0, 0)


def test_a_row_later_than_as_of_is_invisible_until_then(untrained: Job) -> None:
    found = untrained.ok("run", "--as-of", "2026-01-03T04:00:00+00:00")  # wafer 312
    assert found["scored"] == 12
    assert untrained.counts() == (0, LABELLED, 12, 0, 88)
    found = untrained.ok("infer", "--as-of", "2026-01-03 10:00")
    assert found["scored"] == 36
    assert max(untrained.scores()) == 348
    assert untrained.ok("run")["scored"] == 52
    as_of = [run["as_of"][:16] for run in untrained.ok("runs", "--json")]
    assert as_of[1:] == ["2026-01-03T10:00", "2026-01-03T04:00"]


def test_labels_known_later_than_as_of_train_nothing(plain: Job) -> None:
    plain.estimator("quick", source={**tomllib_source(plain), "label_delay": "1d"})
    plain.ok("retrain", "--as-of", "2026-01-02T06:00:00Z")  # wafer 180; labels up to wafer 36 are known
