"""How good predictions are: estimated while nobody knows, and held against labels as they come."""

from collections.abc import Callable
from typing import Any

import pytest
from jobs import Job, create, moment, wafers

from rowcast.errors import ModelError

pytest_plugins = ("job_fixtures",)

pytestmark = pytest.mark.turns("fortnight")

Prepared = Callable[..., Job]
WAFERS, TURNED = 2_000, 1_008  # a wafer every ten minutes for two weeks; a week has passed at TURNED
DELAYED = {"label_delay": "2d"}
DAYS = (8, 10, 12, 14)


def scored(job: Job, rows: list[dict[str, Any]], label: str = "INTEGER", **changes: Any) -> Job:
    """A job with a model of the first week, whose wafers of the second were scored every second day."""
    job.estimator("quick", **{"source": DELAYED, "retrain": {"policy": "never"}, **changes})
    create(job.place, label=label)
    job.add(rows)
    job.ok("retrain", "--as-of", "2026-01-08")
    for day in DAYS:
        job.ok("infer", "--as-of", f"2026-01-{day:02d}")
    return job


def turned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """From the second week on, what failed is good and what was good fails."""
    return [{**row, "failed": 1 - row["failed"]} if row["wafer"] > TURNED else row for row in rows]


def shown(job: Job, *arguments: str) -> list[dict[str, Any]]:
    return job.ok("quality", "--json", *(arguments or ("--as-of", "2026-01-15")))["versions"]


def counted(job: Job, known_to: int, seen_to: int) -> dict[str, float]:
    """The realised figures, from the tables themselves."""
    labels = {row["wafer"]: row["failed"] for row in job.sql("SELECT wafer, failed FROM wafers")}
    rows = job.stored(f"SELECT wafer, predicted FROM {job.table('wafers_prediction')}")
    rows = [row for row in rows if seen_to < row["wafer"] <= known_to]
    found = sum(row["predicted"] and labels[row["wafer"]] for row in rows)
    flagged, failed = sum(row["predicted"] for row in rows), sum(labels[row["wafer"]] for row in rows)
    return {
        "rows": len(rows),
        "precision": found / flagged,
        "recall": found / failed,
        "cost_per_row": (20 * (failed - found) + flagged - found) / len(rows),
    }


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested figures under one name each."""
    if not isinstance(value, dict | list):
        return {path: value}
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return {name: each for key, item in inner for name, each in flat(item, f"{path}/{key}").items()}


def fortnight(make_job: Callable[[str, str], Job], system: str, *how: str) -> Job:
    """The usual one of these jobs; "turned" or not, and with a store in another database or not."""
    job, rows = make_job(system, "empty"), wafers(1, WAFERS, True)
    for store in set(how) - {"turned"}:
        job.store = make_job(store, "empty").place
    return scored(job, turned(rows) if "turned" in how else rows)


@pytest.fixture
def week(system: str, prepared: Prepared) -> Job:
    return prepared(fortnight, system)


def test_what_is_printed_says_of_which_days_it_is(week: Job) -> None:
    said = week.call("quality", "--as-of", "2026-01-15").out
    assert "scored on " in said.splitlines()[1]
    assert "estimate  over 8 days of events with labels" in said
    assert "days of scoring on which its interval held: " in said


def test_both_sides_stand_side_by_side_for_each_version_and_day(week: Job) -> None:
    [found] = shown(week)
    known = counted(week, known_to=12 * 144, seen_to=5 * 144)  # labels take two days; v1 learned from the first five
    assert found["labelled"] == known.pop("rows") > 900
    assert {name: each["value"] for name, each in found["realised"].items()} == pytest.approx(known)
    for name, figure in found["estimated"].items():
        assert figure["low"] <= found["realised"][name]["value"] <= figure["high"]
    days = found["by_day"]
    assert [day["day"] for day in days] == [f"2026-01-{day:02d}" for day in DAYS]
    assert sum(day["rows"] for day in days) == found["rows"]
    assert [day["labelled"] == day["rows"] for day in days] == [True, True, True, False]
    assert found["track_record"]["days"] == 8  # of events, from the 5th to the 12th; they were scored on four days
    assert found["track_record"]["withheld"] is None
    assert found["loss"] is None
    said = week.call("quality", "--as-of", "2026-01-15").out
    assert "it cannot see a changed relation" in said
    assert "2026-01-14" in said


def test_later_labels_and_runs_are_invisible_and_so_are_runs_before_the_window(week: Job) -> None:
    [found] = shown(week, "--as-of", "2026-01-11")
    assert [day["day"] for day in found["by_day"]] == ["2026-01-08", "2026-01-10"]
    assert found["labelled"] == counted(week, known_to=8 * 144, seen_to=5 * 144)["rows"]
    [found] = shown(week, "--as-of", "2026-01-15", "--days", "3")
    assert [day["day"] for day in found["by_day"]] == ["2026-01-14"]
    assert shown(week, "--as-of", "2025-12-31") == []
    assert "no version scored a row" in week.call("quality", "--as-of", "2025-12-31").out


def test_rows_that_the_version_was_trained_on_count_on_neither_side(make_job: Callable[[str, str], Job]) -> None:
    job = make_job("sqlite", "empty")
    scored(job, wafers(1, WAFERS, True), infer={"since": "2026-01-03", "batch_rows": 500, "workers": 1})
    [stored] = job.stored(f"SELECT COUNT(*) AS n, MIN(wafer) AS first FROM {job.table('wafers_prediction')}")
    assert stored["first"] == 2 * 144
    [found] = shown(job)
    assert found["rows"] == stored["n"] - (3 * 144 + 1)  # v1 learned from the first five days
    assert found["labelled"] == counted(job, known_to=12 * 144, seen_to=5 * 144)["rows"]


def test_a_row_whose_label_came_after_the_training_counts_however_old_it_is(
    make_job: Callable[[str, str], Job],
) -> None:
    job, late = make_job("sqlite", "empty"), range(400, 410)
    rows = [
        {**row, "labelled_at": moment(1_300 if row["wafer"] in late else row["wafer"])}
        for row in wafers(1, 1_500, True)
    ]
    create(job.place)
    job.sql("ALTER TABLE wafers ADD COLUMN labelled_at TEXT")
    job.add(rows)
    infer = {"since": "2026-01-03", "batch_rows": 500, "workers": 1}
    job.estimator("quick", source={"label_time": "labelled_at"}, retrain={"policy": "never"}, infer=infer)
    job.ok("retrain", "--as-of", "2026-01-08")
    job.ok("infer", "--as-of", "2026-01-08")
    assert shown(job, "--as-of", "2026-01-08")[0]["labelled"] == 0
    [found] = shown(job, "--as-of", "2026-01-11")
    assert (found["rows"], found["labelled"]) == (len(late), len(late))


def test_without_a_time_column_rows_count_by_their_keys(plain: Job) -> None:
    plain.estimator("quick", source={"time": None}, retrain={"policy": "never"})
    plain.ok("retrain")
    plain.ok("infer")
    assert [found["labelled"] for found in shown(plain, "--days", "1")] == [0]
    plain.sql("UPDATE wafers SET failed = 0 WHERE wafer > 350")
    [found] = shown(plain, "--days", "1")
    assert (found["rows"], found["labelled"], found["track_record"]["days"]) == (100, 50, 1)


def test_a_changed_relation_withholds_the_estimate(prepared: Prepared) -> None:
    job = prepared(fortnight, "sqlite", "turned")
    [found] = shown(job)
    assert found["estimated"] == {}
    assert found["realised"]["precision"]["value"] < 0.5
    assert "labels left its interval" in found["track_record"]["withheld"]
    assert "withheld: labels left its interval" in job.call("quality", "--as-of", "2026-01-15").out
    [later] = shown(job, "--as-of", "2026-01-18")
    assert "contradicted by labels" in later["track_record"]["withheld"]


def test_a_run_that_scored_many_days_at_once_is_judged_by_the_days_of_its_events(
    make_job: Callable[[str, str], Job],
) -> None:
    job = make_job("sqlite", "empty")
    job.estimator("quick", source=DELAYED, retrain={"policy": "never"})
    create(job.place)
    job.add(turned(wafers(1, WAFERS, True)))
    job.ok("retrain", "--as-of", "2026-01-08")
    job.ok("infer", "--as-of", "2026-01-15")
    [found] = shown(job, "--as-of", "2026-01-18")
    assert [day["day"] for day in found["by_day"]] == ["2026-01-15"]
    assert found["track_record"]["days"] > 7
    assert "of the latest 3 days" in found["loss"]


def told(job: Job) -> list[tuple[str, str]]:
    name = job.table("alert")
    rows = job.stored(f"SELECT topic, state FROM {name} WHERE topic IN ('cost', 'monitor') ORDER BY alert_id")
    return [(row["topic"], row["state"]) for row in rows]


def test_a_champion_that_costs_more_than_it_promised_is_told_once_until_another_serves(
    system: str, prepared: Prepared
) -> None:
    job = prepared(fortnight, system, "turned")  # labels of days that turned come from the 10th on
    for hour in (12, 18):  # of a day that has been looked at
        job.ok("infer", "--as-of", f"2026-01-14T{hour}:00:00Z")
    for day in (15, 16, 17):
        job.ok("infer", "--as-of", f"2026-01-{day}")
    job.ok("infer", "--as-of", "2026-01-10")  # knows less
    assert told(job) == [("cost", "begins")]
    [alert] = job.stored(f"SELECT * FROM {job.table('alert')} WHERE topic = 'cost'")
    assert alert["what"].startswith("The realised cost of ")
    assert "that the model promised, by more than luck" in alert["what"]
    assert "v1 costs more than it promised since 2026-01-" in job.call("status", "--json").json["needs_a_person"]
    job.ok("retrain", "--as-of", "2026-01-17")
    assert job.call("promote", "2", "--reason", "it has seen the change").code == 0
    job.ok("infer", "--as-of", "2026-01-18")
    assert told(job) == [("cost", "begins"), ("cost", "ended")]


def test_a_look_that_fails_is_made_up_for_on_the_same_day(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    job = prepared(fortnight, "sqlite", "turned")
    assert told(job) == [("cost", "begins")]

    def broken(*_: Any) -> None:
        raise ModelError("its reliability cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr("rowcast.watch.quality.champion", broken)
        assert job.call("infer", "--as-of", "2026-01-17").code == 1
    assert told(job) == [("cost", "begins"), ("monitor", "begins")]
    job.ok("infer", "--as-of", "2026-01-17T01:00:00Z")
    assert told(job) == [("cost", "begins"), ("monitor", "begins"), ("monitor", "ended")]


def test_on_loss_heeds_labels_that_contradict_the_scores_before_they_break_the_promise(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rowcast.watch.quality.find_realised_loss", lambda *_: None)
    job = on_loss(prepared(fortnight, "sqlite", "turned"))
    assert job.ok("run", "--as-of", "2026-01-14T12:00:00Z")["retrain"].startswith("v2 ")
    assert any("per row was estimated for" in event.get("reason", "") for event in job.log())


def test_labels_that_keep_to_the_promise_tell_nobody(week: Job) -> None:
    for day in (15, 16, 17):
        week.ok("infer", "--as-of", f"2026-01-{day}")
    assert shown(week, "--as-of", "2026-01-17")[0]["labelled"] > 900
    assert told(week) == []


@pytest.mark.parametrize(("source", "store"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_two_databases_say_the_same_as_one(prepared: Prepared, source: str, store: str) -> None:
    one, two = prepared(fortnight, source), prepared(fortnight, source, store)
    here, there = flat(shown(one)), flat(shown(two))
    assert there.keys() == here.keys()
    assert there == {name: pytest.approx(value) for name, value in here.items()}


@pytest.mark.long
def test_several_classes_and_values_show_what_can_be_known(make_job: Callable[[str, str], Job]) -> None:
    rows = wafers(1, WAFERS, True)
    kinds = [{**row, "failed": "void" if row["s02"] > 1 else "ok" if row["s01"] < 0.8 else "scratch"} for row in rows]
    default = {"model": {"min_train_rows": 50, "budget": None}}
    classes = scored(make_job("sqlite", "empty"), kinds, "TEXT", task={"kind": "multiclass"}, **default)
    [found] = shown(classes)
    assert set(found["estimated"]) == set(found["realised"]) == {"accuracy", "cost_per_row"}
    assert found["estimated"]["accuracy"]["value"] == pytest.approx(found["realised"]["accuracy"]["value"], abs=0.05)
    amounts = [{**row, "failed": 10 + 2 * row["s01"] - row["s02"]} for row in rows]
    values = scored(make_job("sqlite", "empty"), amounts, "REAL", task={"kind": "regression"}, **default)
    [found] = shown(values)
    assert found["estimated"] == {}
    assert 0 < found["realised"]["cost_per_row"]["value"] < 0.5
    assert found["labelled"] > 900
    assert "a regression has no probability" in values.call("quality", "--as-of", "2026-01-15").out


# The policy


ON_LOSS = {"policy": "on-loss", "every": "2d", "min_new_labels": 1}


def on_loss(job: Job) -> Job:
    job.estimator("quick", source=DELAYED, retrain=ON_LOSS)
    return job


def test_a_champion_that_keeps_its_promise_is_not_retrained(prepared: Prepared) -> None:
    job = on_loss(prepared(fortnight, "sqlite"))
    found = job.ok("run", "--as-of", "2026-01-14T12:00:00Z")
    assert found["retrain"] == "not due: no figure shows that the champion costs more than it promised"
    [step] = [step for step in job.ok("runs", "--json")[0]["steps"] if step["name"] == "quality"]
    assert (step["status"], step["row_set"]) == ("done", "score")


def test_a_champion_that_costs_more_than_it_promised_is_retrained_and_the_figure_recorded(prepared: Prepared) -> None:
    job = on_loss(prepared(fortnight, "sqlite", "turned"))
    found = job.ok("run", "--as-of", "2026-01-14T12:00:00Z")
    assert found["retrain"].startswith("v2 ")
    [reason] = [
        event["reason"]
        for event in job.log()
        if event["event"] == "retraining" and event.get("reason", "").startswith("v1:")
    ]
    assert "the realised cost of" in reason
    assert "that the model promised, by more than luck" in reason
    name = job.table("metric")
    kept = {row["name"]: row["value"] for row in job.stored(f"SELECT * FROM {name} WHERE step = 'quality'")}
    assert kept["realised_cost_per_row"] > kept["promised_cost_per_row"]


def test_quality_that_cannot_be_measured_does_not_keep_the_champion_from_scoring(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = on_loss(prepared(fortnight, "sqlite"))

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("rowcast.watch.quality.champion", broken)
    done = job.call("run", "--as-of", "2026-01-14T12:00:00Z")
    assert (done.code, done.json["status"], done.json["scored"]) == (1, "partial", 72)
    assert done.json["error"] == "unexpected ZeroDivisionError"
    assert "ZeroDivisionError: by nothing" in (job.folder / "pipeline.log").read_text()


def test_where_quality_cannot_be_measured_the_champion_scores_and_somebody_is_told(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = on_loss(prepared(fortnight, "sqlite"))

    def broken(*_: Any) -> None:
        raise ModelError("its reliability cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr("rowcast.training.policy.quality.champion", broken)
        done = job.call("run", "--as-of", "2026-01-14T12:00:00Z")
    assert (done.code, done.json["status"], done.json["scored"]) == (1, "partial", 72)
    assert "its reliability cannot be read" in done.json["retrain"]
    assert "quality failed" in job.call("status").out
    job.ok("run", "--as-of", "2026-01-14T13:00:00Z")
    assert "quality failed" not in job.call("status").out
