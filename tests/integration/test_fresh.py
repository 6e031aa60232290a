"""The version in service learned from everything known; its recipe was judged on rows that its fits had not seen."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from conftest import Place, literal

from rowcast import config, gate, pipeline
from rowcast.gate.expected_gain import DEFAULT
from rowcast.init import quote
from rowcast.job.opening import open_job
from rowcast.recorded_run import Result
from rowcast.store.records import DecisionOutcome
from rowcast.training.comparison import decide
from rowcast.watch import quality

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 700  # one an hour


def settings(place: Place, folder: Path, **sections: dict[str, object]) -> config.Settings:
    source = {"url": place.url, "table": "t", "key": ["id"], "time": "ts", "label": "failed"}
    given = {"source": source, "model": {"budget": "0s", "min_train_rows": 50}, "infer": {"workers": 1}, **sections}
    lines = ['name = "t"']
    for name, values in given.items():
        lines += [f"[{name}]", *[f"{key} = {quote(value)}" for key, value in values.items()]]
    path = folder / "rowcast.toml"
    path.write_text("\n".join(lines))
    return config.load(path)


def fill(place: Place, flipped: range = range(0), kind: str = "binary") -> None:
    """A table whose label follows s1; of rows `flipped` it says the contrary."""
    stamp = "TEXT" if place.is_sqlite else "timestamptz"
    place.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, ts {stamp}, s1 REAL, s2 REAL, failed REAL)")
    random = np.random.default_rng(5)
    rows = []
    for n in range(ROWS):
        first, second = random.normal(size=2)
        failed = float(first + 0.5 * random.normal() > 0.8)
        label = {"binary": failed, "regression": first, "multiclass": failed + float(second > 1)}[kind]
        rows.append((n, moment(n), first, second, label if n not in flipped else 1 - label))
    place.run(f"INSERT INTO t VALUES {', '.join('(' + ', '.join(map(literal, row)) + ')' for row in rows)}")


def moment(row: int) -> str:
    return f"{START + timedelta(hours=row):%Y-%m-%dT%H:%M:%SZ}"


def retrain(found: config.Settings, row: int) -> Result:
    return pipeline.run(found, "retrain", as_of=moment(row))


@pytest.mark.parametrize("kind", ["binary", "regression", "multiclass"])
def test_what_is_put_in_service_was_trained_on_every_matured_row(database: Place, tmp_path: Path, kind: str) -> None:
    fill(database, kind=kind)
    found = settings(database, tmp_path, task={"kind": kind})
    retrain(found, 400)
    done = retrain(found, 600)
    assert done.decision.outcome is DecisionOutcome.PROMOTED
    with open_job(found) as job:
        serving = job.registry.version(job.registry.champion())
    assert (serving.version, serving.rows) == (2, 601)
    assert serving.trained_to == START + timedelta(hours=600)
    evidence = done.decision.evidence
    assert evidence["rows"] == 100  # the later half of what came after the champion's training
    assert evidence["cost_challenger"] is not None
    assert evidence["judged_to"] == serving.trained_to.isoformat()
    assert "the newer model cost" in done.decision.reason


def test_by_the_rule_proven_the_gates_rows_train_nobody(database: Place, tmp_path: Path) -> None:
    fill(database)
    found = settings(database, tmp_path, gate={"rule": "proven"})
    retrain(found, 400)
    retrain(found, 600)
    with open_job(found) as job:
        challenger = job.registry.version(2)
    assert challenger.trained_to == START + timedelta(hours=500)
    assert challenger.rows == 501


def test_the_gates_rows_do_not_help_to_predict_themselves(database: Place, tmp_path: Path) -> None:
    """The newest labels are turned round: a fit that had seen them would predict them, one that had not cannot."""
    fill(database, flipped=range(501, 601))
    found = settings(database, tmp_path, gate={"rule": "better"})
    retrain(found, 400)
    evidence = retrain(found, 600).decision.evidence
    assert evidence["cost_challenger"] >= evidence["cost_champion"] * 0.8
    assert evidence["cost_challenger"] > 0.5


def test_a_decision_by_the_gate_that_is_asked_again_stands(database: Place, tmp_path: Path) -> None:
    fill(database)
    found = settings(database, tmp_path)
    retrain(found, 400)
    run = retrain(found, 600).run_id
    again = pipeline.step(found, "gate", run_id=run).decision
    with open_job(found) as job:
        assert [each.version for each in job.registry.decisions()] == [2, 1]
    assert again.outcome is DecisionOutcome.PROMOTED


@pytest.mark.parametrize(("rule", "serving"), [("fresh", 1), ("better", 2)])
def test_only_fresh_limits_how_often_a_promotion_may_do_harm(
    database: Place, tmp_path: Path, rule: str, serving: int
) -> None:
    """Nobody can say that so little more would be lost."""
    fill(database)
    found = settings(database, tmp_path, gate={"rule": rule, "max_harm": 0.001})
    retrain(found, 400)
    done = retrain(found, 600)
    with open_job(found) as job:
        assert job.registry.champion() == serving
    if rule == "fresh":
        assert done.decision.outcome is DecisionOutcome.UNDECIDED
        assert "may be risked by now" in done.decision.reason


def test_a_retrain_without_a_new_label_replaces_nobody(database: Place, tmp_path: Path) -> None:
    fill(database)
    found = settings(database, tmp_path, gate={"rule": "better"})
    retrain(found, 400)
    again = retrain(found, 400).decision
    assert again.outcome is DecisionOutcome.UNDECIDED
    assert again.reason.startswith("no label has come")


def test_a_decision_as_of_an_earlier_day_knows_nothing_of_later_ones(database: Place, tmp_path: Path) -> None:
    fill(database)
    found = settings(database, tmp_path, gate={"rule": "better"})
    retrain(found, 300)
    later = retrain(found, 650).decision
    assert later.evidence["relative_error"] is not None
    with open_job(found) as job:
        decisions, costs = job.registry.decisions(), gate.PairedCosts(*np.random.default_rng(0).random((2, 50)))
        more = gate.Growth(2.0, 2.0)
        then = decide(job, costs, START + timedelta(hours=500), decisions, "same", more).evidence
        now = decide(job, costs, START + timedelta(hours=650), decisions, "same", more).evidence
    assert then.prior_gain == DEFAULT.slope * np.log(2) != now.prior_gain


def test_what_the_version_before_scored_still_tells_how_good_it_was(database: Place, tmp_path: Path) -> None:
    """The newer version learned from those rows, the one before did not."""
    fill(database)
    found = settings(database, tmp_path)
    retrain(found, 400)
    database.run("UPDATE t SET failed = NULL WHERE id > 400")
    pipeline.run(found, "infer", as_of=moment(600))
    database.run("UPDATE t SET failed = CASE WHEN s1 > 0.8 THEN 1 ELSE 0 END WHERE id > 400")
    assert retrain(found, 600).decision.outcome is DecisionOutcome.PROMOTED
    with open_job(found) as job:
        [before] = [each for each in quality.quality(job, START + timedelta(hours=600), 30) if each.version == 1]
    assert before.whole.rows == before.whole.labelled == 200


def test_a_first_version_whose_gate_never_ran_stops_no_later_run(
    database: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    found = settings(database, tmp_path)
    with monkeypatch.context() as patch:
        patch.delattr(gate, "first")
        with pytest.raises(AttributeError):
            pipeline.run(found, "full-pipeline", as_of=moment(400))
    done = pipeline.run(found, "full-pipeline", as_of=moment(401))
    assert done.champion == 2
