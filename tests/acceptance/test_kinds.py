"""Several outcomes, and amounts: trained, judged, scored and explained as two outcomes are."""

from collections.abc import Callable
from typing import Any

import pytest
from jobs import LABELLED, PENDING, Job, create, wafers

pytest_plugins = ("job_fixtures",)

CLASSES = ("ok", "scratch", "void")


def several(rows: list[dict[str, Any]], labelled: bool) -> list[dict[str, Any]]:
    """A high s01 is a scratch, a high s02 a void."""
    return [{**row, "failed": _outcome(row) if labelled else None} for row in rows]


def _outcome(row: dict[str, Any]) -> str:
    return "scratch" if row["s01"] > 0.8 else "void" if row["s02"] > 1 else "ok"


def amounts(rows: list[dict[str, Any]], labelled: bool) -> list[dict[str, Any]]:
    """The label is an amount that s01 and s02 make."""
    return [{**row, "failed": _amount(row) if labelled else None} for row in rows]


def _amount(row: dict[str, Any]) -> float:
    return round(10 + 2 * row["s01"] - row["s02"], 3)


EVERY_CANDIDATE = {"model": {"min_train_rows": 50, "budget": None}}

KINDS: dict[str, Any] = {
    "classes": (several, {"task": {"kind": "multiclass", "cost_missed": 5.0}}),
    "values": (amounts, {"task": {"kind": "regression", "high": 13.0}}),
}


@pytest.fixture
def classes(empty: Job) -> Job:
    return filled(empty, "classes")


@pytest.fixture
def values(empty: Job) -> Job:
    return filled(empty, "values")


def filled(job: Job, what: str) -> Job:
    outcome, settings = KINDS[what]
    label = "TEXT" if what == "classes" else "REAL" if job.place.is_sqlite else "double precision"
    create(job.place, label=label)
    job.add(outcome(wafers(1, 2 * LABELLED, True), True))
    job.add(outcome(wafers(2 * LABELLED + 1, PENDING, False), False))
    job.configure(settings)
    return job


def predictions(job: Job) -> dict[int, dict[str, Any]]:
    return {row["wafer"]: row for row in job.stored(f"SELECT * FROM {job.table('wafers_prediction')}")}


def pending(job: Job) -> dict[int, dict[str, Any]]:
    return {row["wafer"]: row for row in job.sql("SELECT * FROM wafers WHERE failed IS NULL")}


def test_several_outcomes_are_predicted_by_name_and_those_that_need_action_flagged(classes: Job) -> None:
    classes.configure({**KINDS["classes"][1], **EVERY_CANDIDATE})
    done = classes.ok("run")
    found, rows = predictions(classes), pending(classes)
    assert found.keys() == rows.keys()
    assert {row["predicted"] for row in found.values()} == set(CLASSES)
    right = sum(found[wafer]["predicted"] == _outcome(rows[wafer]) for wafer in rows)
    assert right > 0.85 * PENDING
    assert done["flagged"] == sum(row["predicted"] != "ok" for row in found.values())
    assert all((row["contributions"] is None) == (row["predicted"] == "ok") for row in found.values())
    assert all(0 < row["score"] <= 1 and row["threshold"] is None for row in found.values())
    assert classes.counts()[2:] == (PENDING, 0, 0)
    why = classes.ok("explain", str(next(iter(rows))), "--json")
    assert why["reproduced"]


def test_amounts_are_predicted_in_their_unit_and_flagged_outside_their_limits(values: Job) -> None:
    values.configure({**KINDS["values"][1], **EVERY_CANDIDATE})
    done = values.ok("run")
    found, rows = predictions(values), pending(values)
    assert found.keys() == rows.keys()
    off = [abs(row["predicted"] - _amount(rows[wafer])) for wafer, row in found.items()]
    assert sum(off) / len(off) < 0.5  # of a standard deviation of 2.2
    assert all(row["predicted"] == row["score"] for row in found.values())
    assert done["flagged"] == sum(row["score"] > 13 for row in found.values()) > 0
    assert values.counts()[2:] == (PENDING, 0, 0)
    assert values.ok("explain", str(next(iter(rows))), "--json")["reproduced"]


@pytest.mark.parametrize("what", ["classes", pytest.param("values", marks=pytest.mark.long)])
def test_a_challenger_of_any_kind_meets_the_champion_in_the_gate(what: str, empty: Job) -> None:
    job = filled(empty, what)
    job.ok("retrain")
    job.add(KINDS[what][0](wafers(2 * LABELLED + PENDING + 1, 2_000, True), True))
    job.ok("retrain")
    newest = job.ok("models", "--json")["promotions"][0]
    assert newest["version"] == 2
    assert newest["evidence"]["rows"] > 900
    assert newest["evidence"]["cost_challenger"] is not None
    assert job.call("models").code == 0
    assert job.call("models", "show", "2", "--html", str(job.folder / "card.html")).code == 0


def test_a_class_that_was_hardly_ever_seen_is_left_out_and_said_so(classes: Job) -> None:
    classes.sql("UPDATE wafers SET failed = 'new' WHERE wafer <= 3")
    classes.ok("run")
    [run] = classes.ok("runs", "--json")
    step = next(each for each in run["steps"] if (each["name"], each["row_set"]) == ("data-process", "train"))
    assert (step["rows_in"], step["rows_out"]) == (2 * LABELLED, 2 * LABELLED - 3)
    assert {row["predicted"] for row in predictions(classes).values()} == set(CLASSES)


def test_a_label_that_is_not_of_the_tasks_kind_is_refused(make_job: Callable[[str, str], Job]) -> None:
    classes, values = (filled(make_job("sqlite", "empty"), what) for what in KINDS)
    classes.configure({"task": {"kind": "regression"}})
    assert "a regression needs numbers" in classes.refused("retrain")
    values.configure({"task": {"kind": "multiclass"}})
    assert "the label has 5" in values.refused("retrain")


def test_another_task_needs_a_name_of_its_own_and_the_champion_does_not_score_for_it(
    make_job: Callable[[str, str], Job],
) -> None:
    job = filled(make_job("sqlite", "empty"), "classes")
    job.ok("retrain")
    job.configure({"task": {"kind": "binary", "positive": "void"}})
    for command in ("retrain", "infer"):
        assert "is a multiclass model, and [task] kind is 'binary'" in job.refused(command)
    job.configure({"task": {"kind": "multiclass"}})
    job.ok("infer")
    assert {row["predicted"] for row in predictions(job).values()} == set(CLASSES)
