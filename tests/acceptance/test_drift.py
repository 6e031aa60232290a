"""Rows that change are noticed: in which columns, since when and by how much; once, and again when it is over."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from jobs import ESTIMATORS, START, Job, create, wafers

from rowcast.monitor import Edges, Profile
from rowcast.store.records import DriftRecord
from rowcast.watch import drift

pytest_plugins = ("job_fixtures",)

A_DAY = 144  # wafers
TRAINED = 16  # days
CHANGED, MENDED = TRAINED + 7, TRAINED + 11  # the days on which a sensor is recalibrated
MAKE = Callable[[str, str], Job]
Prepared = Callable[..., Job]


def day(number: int, **shift: float) -> list[dict[str, Any]]:
    """The wafers of a day, without labels; sensors shifted by so much."""
    rows = wafers(1 + number * A_DAY, A_DAY, False)
    return [{**row, **{name: row[name] + by for name, by in shift.items()}} for row in rows]


def after(number: int) -> str:
    return f"{START + timedelta(days=number + 1, minutes=10):%Y-%m-%d %H:%M}"


def started(job: Job, **changes: Any) -> Job:
    """A job whose model was trained on the first days."""
    create(job.place)
    (job.folder / "mine.py").write_text(ESTIMATORS)
    configured(job, **changes)
    job.add(wafers(1, TRAINED * A_DAY, True))
    job.ok("retrain", "--as-of", after(TRAINED - 1))
    return job


def usual(make_job: MAKE, system: str, features: int = 0) -> Job:
    """The job that most tests begin with; its model takes at most so many features, or any number."""
    model = {"model": {"estimator": "mine:quick", "max_features": features}} if features else {}
    return started(make_job(system, "empty"), **model)


def configured(job: Job, **changes: Any) -> Job:
    """The same with other settings."""
    usual = {"infer": {"batch_rows": 1000, "workers": 1}, "retrain": {"policy": "never"}}
    job.configure({**usual, "model": {"estimator": "mine:quick"}, **changes})
    return job


def scored(job: Job, days: range, command: str = "infer", **shift: float) -> list[Any]:
    found = []
    for number in days:
        job.add(day(number, **shift))
        found.append(job.ok(command, "--as-of", after(number)))
    return found


def told(job: Job) -> list[dict[str, Any]]:
    """What was told of drift, the oldest first."""
    return list(reversed(job.ok("drift", "--json")["history"]))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, bases: Any) -> Any:
    """Days in the life of a job: quiet ones, some with a sensor that was recalibrated, quiet ones again."""
    job = started(bases.copy("sqlite", "empty", tmp_path_factory.mktemp("watched")))
    scored(job, range(TRAINED, CHANGED))
    quiet = told(job), job.call("status")
    scored(job, range(CHANGED, MENDED), s01=1.5)
    during = job.ok("drift", "--json"), job.call("status"), job.call("drift")
    scored(job, range(MENDED, MENDED + 6))
    yield job, quiet, during
    bases.drop(job)


def test_nothing_is_told_of_days_like_those_before(watched: Any) -> None:
    _, (found, status), _ = watched
    assert found == []
    assert status.code == 0, status.out


def test_a_shift_is_told_with_its_column_its_size_and_since_when(watched: Any) -> None:
    job, _, (found, status, shown) = watched
    [event] = found["history"]
    [first, *_] = event["findings"]
    assert (event["what"], first["column"], first["kind"]) == ("started", "s01", "location")
    assert first["since"].startswith(f"{START + timedelta(days=CHANGED):%Y-%m-%d}")  # of the first such rows
    assert first["change"] == pytest.approx(1.5, abs=0.3)
    assert event["size"] > 1
    assert "s01 is 1." in found["drift"]
    assert "SD higher" in found["drift"]
    cost = "avg(CASE WHEN score >= threshold THEN 1 - score ELSE 20 * score END)"
    since = min(each["since_run"] for each in event["findings"])
    rows = f"FROM {job.table('wafers_prediction')} WHERE run_id <= {event['run_id']}"
    found_by_sql = job.stored(f"SELECT run_id >= {since} AS since, {cost} AS cost {rows} GROUP BY 1")
    expected = {row["since"]: row["cost"] for row in found_by_sql}
    told = re.search(r"A row is expected to cost ([\d.]+), was ([\d.]+)", event["sentence"])
    assert told
    assert "Flagged are" in event["sentence"]  # beside the runs before, as blocks of training rows have no decisions
    assert [float(each) for each in told.groups()] == pytest.approx([expected[1], expected[0]], rel=0.03)
    assert "drift in s01" in status.out
    assert status.code == 1  # somebody should look
    assert "s01" in shown.out


@pytest.mark.parametrize(("values", "where"), [(True, "only in tool B"), (False, "only in 1 of the 3 groups by tool")])
def test_where_one_tool_moved_the_alert_says_which(prepared: Prepared, values: bool, where: str) -> None:
    job = prepared(usual, "sqlite")
    configured(job, monitor={"group_by": "tool"}, notify={"values": values})
    scored(job, range(TRAINED, CHANGED))
    for number in range(CHANGED, MENDED):
        job.add([{**row, "s01": row["s01"] + 4 * (row["tool"] == "B")} for row in day(number)])
        job.ok("infer", "--as-of", after(number))
    [alert] = job.stored(f"SELECT what FROM {job.table('alert')} WHERE topic LIKE 'drift %'")
    assert where in alert["what"]
    assert where in job.call("status").out
    assert "only in tool B" in job.ok("drift", "--json")["drift"]


def test_a_drift_that_began_under_the_version_before_is_dated_from_there(prepared: Prepared) -> None:
    job = prepared(usual, "sqlite")
    scored(job, range(TRAINED, CHANGED))
    scored(job, range(CHANGED, CHANGED + 3), s01=1.5)
    job.ok("retrain")  # by the same labels: it has not learned the shift
    assert job.call("promote", "2").code == 0
    scored(job, range(CHANGED + 3, CHANGED + 5), s01=1.5)
    found = {event["version"]: event for event in told(job)}
    [before, since] = [
        next(one for one in found[version]["findings"] if (one["column"], one["kind"]) == ("s01", "location"))
        for version in ("v1", "v2")
    ]
    assert (since["since"], since["since_run"]) == (before["since"], before["since_run"])
    assert f"since {before['since'][:10]}" in found["v2"]["sentence"]
    columns = {(each["column"], each["what"]): each for each in job.ok("drift", "--json")["columns"]}
    assert columns["s01", "location"]["since_run"] == str(before["since_run"])
    told_since = f"SELECT since FROM {job.table('alert')} WHERE topic LIKE 'drift%' AND state = 'begins'"
    assert {row["since"][:10] for row in job.stored(told_since)} == {before["since"][:10]}


def test_it_is_told_once_and_again_when_it_is_over(watched: Any) -> None:
    job, _, _ = watched
    assert [event["what"] for event in told(job)] == ["started", "ended"]
    rows = job.stored(f"SELECT state FROM {job.table('alert')} WHERE topic LIKE 'drift %' ORDER BY alert_id")
    assert [row["state"] for row in rows] == ["begins", "ended"]
    assert job.call("status").code == 0


def test_each_run_has_a_step_that_watched(watched: Any) -> None:
    job, _, _ = watched
    [newest, *_] = job.ok("runs", "--json")
    [step] = [step for step in newest["steps"] if step["name"] == "monitor"]
    assert (step["status"], step["row_set"]) == ("done", "score")


def test_a_retrain_follows_by_policy_and_says_what_made_it_due(prepared: Prepared) -> None:
    job = prepared(usual, "sqlite")
    configured(job, retrain={"policy": "on-drift", "every": "1d", "min_new_labels": 1})
    labelled = "UPDATE wafers SET failed = CASE WHEN s01 + s02 > 1 THEN 1 ELSE 0 END"
    scored(job, range(TRAINED, TRAINED + 1), "run")
    job.sql(labelled)
    [calm] = scored(job, range(TRAINED + 1, TRAINED + 2), "run")
    assert calm["retrain"] == "not due: nothing drifts"
    for number in range(TRAINED + 2, TRAINED + 5):
        [done] = scored(job, range(number, number + 1), "run", s01=2.0)
        job.sql(labelled)
    assert done["retrain"].startswith("v")
    assert any("s01 is" in event.get("reason", "") for event in job.log() if event["event"] == "retraining")


@pytest.mark.parametrize("system", ["sqlite", "postgresql"])
def test_rows_are_counted_alike_however_they_are_batched_and_whoever_scores_them(
    system: str, prepared: Prepared
) -> None:
    found = []
    for options in ({"batch_rows": 1000, "workers": 1}, {"batch_rows": 37, "workers": 2}):
        job = configured(prepared(usual, system), infer=options)
        job.add([{**row, "tool": "new" if row["wafer"] % 7 == 0 else None} for row in day(TRAINED, s03=30.0)])
        job.add([{**row, "s02": None} for row in day(TRAINED + 1)])
        job.ok("infer")
        [model] = job.stored(f"SELECT edges FROM {job.table('model')}")
        edges = Edges.from_bytes(bytes(model["edges"]))
        batches = {row["batch_id"]: row for row in job.stored(f"SELECT * FROM {job.table('batch')}")}
        total = np.zeros(edges.starts[-1], np.int64)
        for row in job.stored(f"SELECT * FROM {job.table('profile')}"):
            counts = Profile.from_bytes(bytes(row["counts"]), edges).counts
            by_column = np.add.reduceat(counts, edges.starts[:-1])
            assert (by_column == batches[row["batch_id"]]["scored"]).all()
            total += counts
        assert total[edges.starts[edges.names.index("s02")]] == A_DAY  # missing
        found.append(total)
    assert len(batches) > 1
    np.testing.assert_array_equal(*found)


def unused_counts(job: Job) -> tuple[Edges, np.ndarray[Any, Any]]:
    """Of the columns that the model does not use, over all batches."""
    [model] = job.stored(f"SELECT reference FROM {job.table('model')}")
    edges = Edges.from_bytes(pa.ipc.open_stream(bytes(model["reference"])).schema.metadata[b"unused"])
    profiles = job.stored(f"SELECT unused FROM {job.table('profile')} WHERE unused IS NOT NULL")
    return edges, sum(Profile.from_bytes(bytes(row["unused"]), edges).counts for row in profiles)


@pytest.mark.parametrize("system", ["sqlite", "postgresql"])
def test_columns_that_the_model_does_not_use_are_counted_on_the_same_sample_by_whoever_scores(
    system: str, prepared: Prepared
) -> None:
    found, few = [], {"estimator": "mine:quick", "max_features": 2}
    for options in ({"batch_rows": 5000, "workers": 1}, {"batch_rows": 237, "workers": 2}):
        job = configured(prepared(usual, system, 2), infer=options, model=few)
        days = [day(number) for number in range(TRAINED, TRAINED + 14)]
        job.add([{**row, "tool": "new" if row["wafer"] % 3 == 0 else None} for rows in days for row in rows])
        job.ok("infer")
        edges, counts = unused_counts(job)
        found.append(counts)
    np.testing.assert_array_equal(*found)
    sampled = np.add.reduceat(counts, edges.starts[:-1])
    assert set(sampled) == {sampled[0]}
    assert abs(sampled[0] - 1000) < 6 * np.sqrt(1000)
    tool = edges.starts[edges.names.index("tool")]
    missing, unseen = counts[tool : tool + 2] / sampled[0]
    assert (missing, unseen) == pytest.approx((2 / 3, 1 / 3), abs=0.1)


def test_what_happens_to_a_column_that_the_model_does_not_use_is_shown_and_told_to_nobody(prepared: Prepared) -> None:
    job = prepared(usual, "sqlite", 2)
    scored(job, range(TRAINED, TRAINED + 3))
    scored(job, range(TRAINED + 3, TRAINED + 8), s05=2.0)
    found = job.ok("drift", "--json")
    assert (found["drift"], found["history"]) == ("none", [])
    [shifted] = [row for row in found["columns"] if row["what"] == "location"]
    assert (shifted["column"], shifted["weight"]) == ("s05", 0)
    assert shifted["now"] - shifted["baseline"] == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE wafers DROP COLUMN s05", "UPDATE wafers SET s05 = 'broken'", "UPDATE wafers SET s05 = 9e999"],
)
def test_a_column_that_the_model_does_not_use_stops_nothing(change: str, prepared: Prepared) -> None:
    job = prepared(usual, "sqlite", 2)
    job.add(day(TRAINED))
    job.sql(change)
    assert job.ok("infer")["scored"] == A_DAY
    edges, counts = unused_counts(job)
    assert counts[edges.starts[edges.names.index("s05")]] == A_DAY  # missing in each row
    assert (np.add.reduceat(counts, edges.starts[:-1]) == A_DAY).all()


def test_blocks_of_training_rows_are_as_long_as_runs_are_apart(prepared: Prepared) -> None:
    job = prepared(usual, "sqlite")
    scored(job, range(TRAINED, TRAINED + 3))
    job.sql("UPDATE wafers SET failed = CASE WHEN s01 + s02 > 1 THEN 1 ELSE 0 END")
    job.ok("retrain", "--as-of", after(TRAINED + 2))
    before_any_run, of_daily_runs = (
        pa.ipc.open_stream(bytes(model["reference"])).read_all().column("at").to_pylist()[1:]
        for model in job.stored(f"SELECT reference FROM {job.table('model')} ORDER BY version")
    )
    apart = [np.median(np.diff(times)) for times in (before_any_run, of_daily_runs)]
    assert apart[0] == 50 * timedelta(minutes=10)  # fifty rows are more than four hours
    assert apart[0] < apart[1] <= timedelta(days=1)


def test_a_model_without_edges_scores_and_says_that_its_rows_are_not_watched(prepared: Prepared) -> None:
    job = prepared(usual, "sqlite")
    job.sql(f"UPDATE {job.table('model')} SET edges = NULL")
    scored(job, range(TRAINED, TRAINED + 1))
    assert "next retrain" in job.call("drift").out
    job.sql(f"UPDATE {job.table('model')} SET edges = X'00'")
    job.add(day(TRAINED + 1))
    done = job.call("infer", "--as-of", after(TRAINED + 1))
    assert (done.code, done.json["scored"]) == (1, A_DAY)
    assert "edges" in done.json["error"]
    assert job.audit()["pending"] == 0


def test_who_looks_while_another_run_tells_of_drift_says_nothing(lite: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = drift._look

    def beside_another(job: Any, *given: Any) -> Any:
        job.profiles.record_drift(1, [DriftRecord(1, 1, 1, "started", START, 2.0, "s01 is higher", ())], 0)
        return looked(job, *given)

    monkeypatch.setattr(drift, "_look", beside_another)
    lite.ok("infer")
    [note] = [event["note"] for event in lite.log() if event["event"] == "monitor (score) done"]
    assert note == "another run has looked meanwhile, and may have seen more"
