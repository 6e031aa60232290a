"""Inference by hand publishes as a run does: the same rows, under a lease that is renewed, and none is forgotten."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from jobs import LABELLED, PENDING, SENSORS, Job, wafers

from rowcast import predict
from rowcast.config import load
from rowcast.errors import DatabaseError, EstimatorError
from rowcast.job.opening import open_job
from rowcast.scoring.batch import read_pending, run_batch
from rowcast.scoring.publish import score_and_publish
from rowcast.scoring.request import ScoringRequest
from rowcast.scoring.scorer import Scorer
from rowcast.source import KeyRange
from rowcast.store import lease

pytest_plugins = ("job_fixtures",)

BEFORE = ("data-fetch", "data-check", "data-process")
FIRST = LABELLED + 1  # the first wafer that is to be scored
ALL = (0, LABELLED, PENDING, 0, 0)
Predictions = Callable[..., predict.Predictions]


def prepare(job: Job) -> int:
    """The steps before inference; the number of their run."""
    run: int = [job.ok("step", name) for name in BEFORE][-1]["run"]
    return run


def open_batches(job: Job) -> list[tuple[str, int]]:
    found = job.sql(f"SELECT status, row_count FROM {job.table('batch')} WHERE status IN ('planned', 'claimed')")
    return [(row["status"], row["row_count"]) for row in found]


def figures(job: Job, run: int) -> dict[str, float]:
    found = job.sql(f"SELECT name, value FROM {job.table('metric')} WHERE run_id = {run} AND step = 'inference'")
    return {row["name"]: row["value"] for row in found}


def in_place_of_predictions(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], Any]) -> None:
    """Let something happen before the predictions of each batch are made, which is given the batch's place."""
    honest, calls = predict.predict_batch, iter(range(1000))

    def predictions(*arguments: Any) -> predict.Predictions:
        before(next(calls))
        return honest(*arguments)

    monkeypatch.setattr(predict, "predict_batch", predictions)


def test_the_lease_is_renewed_while_a_step_by_hand_scores(lite: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(lite)
    monkeypatch.setattr(lease, "HEARTBEAT", timedelta(milliseconds=20))
    claimed = f"SELECT lease_until FROM {lite.table('batch')} WHERE status = 'claimed'"

    def wait_for_renewal(_place: int) -> None:
        first, deadline = lite.sql(claimed), time.monotonic() + 20
        assert len(first) == 1
        while lite.sql(claimed) == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    in_place_of_predictions(monkeypatch, wait_for_renewal)
    lite.ok("step", "inference")
    assert lite.counts() == ALL


def test_rows_that_a_batch_has_no_room_for_are_planned_anew(lite: Job) -> None:
    late = [dict(row) for row in lite.sql(f"SELECT * FROM wafers WHERE wafer BETWEEN {FIRST + 1} AND {FIRST + 3}")]
    lite.sql(f"DELETE FROM wafers WHERE wafer BETWEEN {FIRST + 1} AND {FIRST + 3}")
    prepare(lite)
    lite.add(late)
    lite.ok("step", "inference")
    assert lite.counts() == (0, LABELLED, PENDING - 2, 0, 2)  # a batch has room for 40 rows, and tells by one more
    assert open_batches(lite) == [("planned", 2)]
    assert lite.ok("infer")["scored"] == 2
    assert lite.counts() == ALL


def test_any_share_of_bad_rows_may_be_accepted(lite: Job) -> None:
    spoiled = ", ".join(f"{name} = 1e30" for name in SENSORS)
    lite.sql(f"UPDATE wafers SET {spoiled} WHERE wafer BETWEEN {FIRST} AND {FIRST + 29}")
    prepare(lite)
    said = lite.refused("step", "inference")
    assert "30 of 40 rows break the contract (75.0%; max_quarantine is 10.0%)" in said
    assert "most often s" in said
    assert lite.counts() == (0, LABELLED, 0, 0, PENDING)
    lite.ok("step", "inference", "--accept-quarantine")
    assert lite.counts() == (0, LABELLED, PENDING - 30, 30, 0)
    assert set(lite.reasons()) == set(range(FIRST, FIRST + 30))


@pytest.mark.parametrize("name", [*BEFORE, "model-build", "gate"])
def test_only_inference_sets_rows_aside(lite: Job, name: str) -> None:
    assert f"{name} sets no rows aside" in lite.refused("step", name, "--accept-quarantine", code=2)


def test_a_transient_error_is_tried_again(lite: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepare(lite)

    def away_at_first(place: int) -> None:
        if place == 0:
            raise DatabaseError("it is away", reason="unreachable")

    in_place_of_predictions(monkeypatch, away_at_first)
    lite.ok("step", "inference")
    assert lite.counts() == ALL
    assert figures(lite, run)["retries"] == 1


def test_a_batch_that_fails_does_not_stop_the_others(lite: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(lite)

    def fail_at_first(place: int) -> None:
        if place == 0:
            raise EstimatorError("no licence for this model")

    in_place_of_predictions(monkeypatch, fail_at_first)
    assert "no licence for this model" in lite.refused("step", "inference")
    assert lite.counts() == (0, LABELLED, PENDING - 40, 0, 40)
    assert open_batches(lite) == [("planned", 40)]
    lite.ok("step", "inference")
    assert lite.counts() == ALL


def test_a_row_that_was_set_aside_since_data_fetch_is_not_scored(lite: Job) -> None:
    """Another batch may cover it: one that 'rowcast requeue' planned, for example."""
    prepare(lite)
    lite.sql(f"UPDATE wafers SET {', '.join(f'{name} = 1e30' for name in SENSORS)} WHERE wafer = {FIRST + 5}")
    settings = load(lite.folder / "rowcast.toml")
    with open_job(settings) as job:
        scorer = Scorer(job)
        request = ScoringRequest(settings, 1, job.store.now(), champion=1, accept_quarantine=True)
        keys = (str(FIRST + 5),)
        [batch_id] = job.ledger.add_batches(1, [KeyRange(keys, keys, 1)], None)
        read = partial(read_pending, scorer, request)
        assert run_batch(job, request, batch_id, partial(score_and_publish, scorer, request, read)).quarantined == 1
    lite.ok("step", "inference")
    assert lite.counts() == (0, LABELLED, PENDING - 1, 1, 0)


def test_rows_are_set_aside_for_the_columns_that_the_model_uses_and_no_other(untrained: Job) -> None:
    untrained.estimator("quick", model={"estimator": "mine:quick", "max_features": 3, "min_train_rows": 50})
    untrained.ok("retrain")
    used = untrained.ok("models", "--json")["models"][0]["features"]
    [unused, *_] = [name for name in SENSORS if name not in used]
    untrained.sql(
        f"UPDATE wafers SET {unused} = 1e30 WHERE wafer = {FIRST}",
        f"UPDATE wafers SET {used[0]} = 1e30 WHERE wafer = {FIRST + 50}",
    )
    prepare(untrained)
    untrained.ok("step", "inference")
    assert untrained.reasons() == {FIRST + 50: [(used[0], "max")]}
    assert untrained.counts() == (0, LABELLED, PENDING - 1, 1, 0)


def test_what_the_steps_before_saved_is_what_is_scored(lite: Job) -> None:
    """Not what stands in the source by then: a step by hand can be looked at and repeated."""
    whole = wafers(FIRST, PENDING, False)
    prepare(lite)
    lite.sql("UPDATE wafers SET s01 = 0, s02 = 0 WHERE failed IS NULL")
    lite.ok("step", "inference")
    assert lite.counts() == ALL
    assert lite.ok("audit", "--full", "--json")["changed"] == len(whole)


def test_a_matrix_of_rows_that_data_check_no_longer_lets_pass_is_not_scored(lite: Job) -> None:
    prepare(lite)
    lite.configure({"check.columns.s01": {"max": 0.5}, "check": {"max_quarantine": 1.0}})
    lite.ok("step", "data-check")
    lite.ok("step", "inference")
    above = {row["wafer"] for row in lite.sql("SELECT wafer FROM wafers WHERE failed IS NULL AND s01 > 0.5")}
    assert set(lite.reasons()) == above
    assert lite.counts() == (0, LABELLED, PENDING - len(above), len(above), 0)
