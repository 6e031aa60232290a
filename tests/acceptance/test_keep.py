"""`[store] keep` prunes what rowcast noted about old runs; results and their proof stay. Doctor tells the growth."""

import re

import pytest
from jobs import LABELLED, PENDING, Job, wafers

from rowcast.store import pruning

pytest_plugins = ("job_fixtures",)

NOTES = ("profile", "metric", "step")


def runs_of(job: Job, table: str) -> set[int]:
    return {row["run_id"] for row in job.sql(f"SELECT DISTINCT run_id FROM {job.table(table)}")}


def age(job: Job, *runs: int) -> None:
    """Let runs, and the alerts of them, be of the year 2020."""
    among = ", ".join(map(str, runs))
    job.sql(
        f"UPDATE {job.table('run')} SET started_at = '2020-01-01 00:00:00.000000Z' WHERE run_id IN ({among})",
        f"UPDATE {job.table('alert')} SET created_at = '2020-01-01 00:00:00.000000Z'",
    )


@pytest.fixture
def aged(trained: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose first two runs were long ago: they trained and scored."""
    monkeypatch.setattr(pruning, "_LEFT", 1)
    assert trained.call("infer").code == 0
    age(trained, 1, 2)
    trained.add(wafers(LABELLED + PENDING + 1, 20, False))
    return trained


def test_notes_about_old_runs_are_pruned_and_results_stay(aged: Job) -> None:
    scored = aged.scores()
    aged.configure({"store": {"keep": "400d"}})
    assert aged.call("infer").code == 0
    assert {table: runs_of(aged, table) for table in NOTES} == {table: {3} for table in NOTES}
    assert runs_of(aged, "run") == {1, 2, 3}
    assert {key: aged.scores()[key] for key in scored} == scored
    aged.audit()
    assert aged.call("audit", "--full").code == 0
    for command in (("status",), ("runs",), ("models",), ("models", "show"), ("quality",)):
        assert aged.call(*command).code == 0


def test_by_default_nothing_is_pruned(aged: Job) -> None:
    assert aged.call("infer").code == 0
    assert runs_of(aged, "step") == {1, 2, 3}
    assert runs_of(aged, "profile") == {2, 3}


def test_the_last_word_on_each_topic_stays(aged: Job) -> None:
    alert = aged.table("alert")
    about = "'wafers', {topic}, '{state}', 'warning', 'x', '{{}}', '2020-01-01', '2020-01-01 00:00:00Z', '[]', 0"
    names = "job, topic, state, severity, what, detail, since, created_at, waiting, attempts"
    for topic, state in (("a", "begins"), ("a", "changed"), ("b", "begins"), ("b", "ended"), ("c", "once")):
        values = about.format(topic=f"'{topic}'", state=state)
        aged.sql(f"INSERT INTO {alert} ({names}) VALUES ({values})")
    aged.configure({"store": {"keep": "400d"}})
    assert aged.call("infer").code == 0
    left = [(row["topic"], row["state"]) for row in aged.sql(f"SELECT topic, state FROM {alert}")]
    assert [each for each in left if each[0] in "abc"] == [("a", "changed"), ("b", "ended")]


def test_doctor_tells_how_fast_the_store_grows(aged: Job) -> None:
    job = aged.table("job")
    aged.sql(f"UPDATE {job} SET created_at = '2020-01-01 00:00:00.000000Z'")
    done = aged.call("doctor")
    held = re.search(r"the store holds ([\d.]+) [kM]B of this job's rows, and ([\d.]+) [kM]B about", done.out)
    assert held is not None
    assert all(float(size) > 0 for size in held.groups())
    assert "at the pace of the last 28 days a year takes" in done.out
    aged.configure({"store": {"keep": "90d"}})
    assert "'keep' is 180d at least" in aged.refused("status")
