"""A job whose model looks at the last outcomes of a row's tool: the same in training, scoring and when asked again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jobs import LABELLED, PENDING, Job, train, wafers

pytest_plugins = ("job_fixtures",)

MakeJob = Callable[[str, str], Job]
DECLARED = """
[[features.history]]
of = "failed"
by = ["tool"]
last = [1, 5]
statistics = ["mean", "count", "age"]

[[features.since]]
events = "cleaned"
event_time = "at"
by = ["tool"]

[[features.join]]
table = "recipes"
time = "at"
by = ["tool"]
columns = ["gas", "pressure"]
"""
LAST = "last failed by tool"


def declare(job: Job, *changes: str, **sections: Any) -> None:
    """Write rowcast.toml with labels that are known a day after the event."""
    job.configure({"source": {"label_delay": "24h"}, "model": {"min_train_rows": 50}, **sections})
    path = job.folder / "rowcast.toml"
    path.write_text(path.read_text() + DECLARED + "\n".join(changes))


def make_with_memory(make_job: MakeJob, system: str) -> Job:
    """A trained job whose tools fail several times in a row."""
    job = make_job(system, "untrained")
    random, state, failing = np.random.default_rng(7), dict.fromkeys("ABC", False), []
    for row in wafers(1, LABELLED, labelled=True):
        changes = random.random() < 0.01
        state[row["tool"]] ^= changes
        failing += [row["wafer"]] * state[row["tool"]]
    job.sql(
        f"UPDATE wafers SET failed = CASE WHEN wafer IN ({', '.join(map(str, failing))}) THEN 1 ELSE 0 END"
        f" WHERE wafer <= {LABELLED}",
        "CREATE TABLE cleaned (at timestamp, tool TEXT)",
        "CREATE TABLE recipes (at timestamp, tool TEXT, gas TEXT, pressure double precision)",
    )
    days = [f"2026-01-0{day} 00:00:00" for day in (1, 2, 3)]
    job.place.fill("recipes", at=days, tool=list("ABA"), gas=["N2", "Ar", "Ar"], pressure=[1.0, 2.0, 3.0])
    job.place.fill("cleaned", at=["2026-01-01 12:00:00", "2026-01-02 12:00:00"], tool=["A", None])
    declare(job)
    train(job)
    return job


@pytest.fixture
def remembering(system: str, prepared: Callable[..., Job]) -> Job:
    """A job with a champion that uses what its tools did before, and 100 pending wafers."""
    return prepared(make_with_memory, system)


def explain(job: Job, wafer: int, code: int = 0) -> dict[str, Any]:
    done = job.call("explain", str(wafer), "--json")
    assert done.code == code, done.err
    found: dict[str, Any] = done.json
    return found


def audit(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = job.ok("audit", "--json", "--full", "--all")
    return found


def test_scores_come_out_again_and_name_the_rows_that_they_came_from(remembering: Job) -> None:
    remembering.ok("infer")
    found = audit(remembering)
    assert (found["scored"], found["recomputed"], found["changed"], found["results_wrong"]) == (PENDING, PENDING, 0, 0)
    why = explain(remembering, 350)
    assert (why["reproduced"], why["changed"]) == (True, False)
    assert LAST in why["contributions"]
    # Wafers are ten minutes apart: those of a day before are known by then, and the tools take turns.
    [came] = why["came_from"][LAST]
    assert came["key"] == {"wafer": "203"}
    assert came["value"] == why["values"][LAST]


def test_batches_and_steps_by_hand_give_the_same_scores(remembering: Job) -> None:
    remembering.ok("infer")
    whole, hashes = remembering.scores(), hash_of(remembering)
    for table in ("prediction", "quarantine"):
        remembering.stored(f"DELETE FROM {remembering.table(f'wafers_{table}')}")
    declare(remembering, infer={"batch_rows": 7})
    for name in ("data-fetch", "data-check", "data-process", "inference"):
        if name == "inference":
            remembering.ok("step", name)
        else:
            by_hand(remembering, name)
    assert remembering.scores() == pytest.approx(whole, abs=1e-9)
    assert hash_of(remembering) == hashes


def by_hand(job: Job, name: str) -> None:
    done = job.call("step", name)
    assert done.code == 0, done.err


def hash_of(job: Job) -> dict[Any, int]:
    rows = job.stored(f"SELECT wafer, row_hash FROM {job.table('wafers_prediction')}")
    return {row["wafer"]: row["row_hash"] for row in rows}


def test_a_label_that_is_corrected_later_moves_nothing_until_rows_are_scored_again(remembering: Job) -> None:
    remembering.ok("infer")
    before = remembering.scores()
    remembering.sql("UPDATE wafers SET failed = 1 - failed WHERE wafer = 203")  # known when wafer 348 came
    found = audit(remembering)
    assert 0 < found["changed"] < PENDING
    assert found["results_wrong"] == 0
    why = explain(remembering, 350)
    assert (why["changed"], why["score"]) == (True, before[350])
    assert not explain(remembering, 340)["changed"]
    assert remembering.scores() == before
    remembering.ok("infer", "--rescore")
    assert audit(remembering)["changed"] == 0
    assert explain(remembering, 350)["reproduced"]


def test_a_label_that_comes_after_a_row_changes_nothing_about_it(remembering: Job) -> None:
    remembering.ok("infer")
    remembering.sql("UPDATE wafers SET failed = 1 WHERE wafer > 300")
    assert audit(remembering)["changed"] == 0


def test_a_version_computes_what_it_was_trained_with_whatever_is_declared_by_now(remembering: Job) -> None:
    remembering.configure({"source": {"label_delay": "24h"}})
    remembering.ok("infer")
    assert LAST in explain(remembering, 350)["contributions"]
    remembering.configure(
        {"source": {"label_delay": "24h"}, "gate": {"rule": "fresh"}, "model": {"min_train_rows": 50}}
    )
    remembering.sql("UPDATE wafers SET failed = 0 WHERE failed IS NULL")
    found = train(remembering)  # the gate lets the champion score the rows that the challenger is judged by
    assert "labelled rows to compare on" in found["retrain"]


def test_auto_keeps_last_outcomes_that_help_and_says_what_they_brought(remembering: Job) -> None:
    remembering.configure({"source": {"label_delay": "1h"}, "gate": {"rule": "fresh"}, "features": {"history": "auto"}})
    train(remembering)
    tried = remembering.ok("models", "show", "2", "--json")["metrics"]["history"]
    assert {each["name"] for each in tried} == {"of all rows", "by tool"}
    assert any(each["is_kept"] for each in tried)
    assert "loss saved per row" in remembering.call("models", "show", "2").out
    remembering.sql("UPDATE wafers SET failed = 0 WHERE failed IS NULL AND wafer < 350")
    remembering.ok("infer")
    assert audit(remembering)["results_wrong"] == 0


def test_a_column_that_history_needs_is_named_where_it_is_gone(remembering: Job) -> None:
    remembering.sql("DROP TABLE cleaned")
    assert "cleaned" in remembering.refused("infer")


def test_what_one_row_cannot_tell_is_refused(remembering: Job) -> None:
    assert "earlier rows" in remembering.refused("models", "sql", "1")
