"""The Python API: what the command line does, as calls that return records and tables."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from jobs import LABELLED, PENDING, SENSORS, Job, moment, wafers

import rowcast
from rowcast.errors import ConfigError, ModelError, NotifyError, RunError, UsageError
from rowcast.explain import RowState
from rowcast.store.records import DecisionOutcome, EndCause, PipelineName, RunStatus

pytest_plugins = ("job_fixtures",)
everywhere = pytest.mark.everywhere


def opened(job: Job) -> rowcast.Job:
    return rowcast.open(job.folder / "rowcast.toml")


def test_a_run_scores_what_is_pending_and_says_so(trained: Job) -> None:
    job = opened(trained)
    result = job.infer()
    assert (result.status, result.pipeline, result.champion) == (RunStatus.DONE, PipelineName.INFER, 1)
    assert (result.scored, result.quarantined, result.fetched) == (PENDING, 0, PENDING)
    assert result.ok
    result.raise_for_status()
    assert job.infer().fetched == 0
    newest = job.runs()[0]
    assert (newest.status, newest.end_cause) == (RunStatus.DONE, EndCause.COMPLETED)
    assert {step.name for step in job.steps(newest.run_id)} >= {"data-fetch", "inference", "monitor"}


def test_training_deciding_and_going_back(untrained: Job) -> None:
    job = opened(untrained)
    with pytest.raises(ModelError, match="no model is in service yet"):
        job.champion()
    first = job.retrain()
    assert (first.champion, first.decision.version) == (1, 1)
    with pytest.raises(RunError, match="v1 is champion already"):
        job.promote(1)
    job.retrain()
    made = job.promote(2, by="anna", reason="tried on the line")
    assert (made.version, made.previous, made.now_pending, made.left_to_training) == (2, 1, 0, 0)
    assert [version.status for version in job.models()] == ["champion", "retired"]
    assert job.status().service.decided_by == "anna"
    back = job.rollback(by="anna")
    assert (back.version, back.previous) == (1, 2)
    assert job.champion().version.version == 1


def test_decisions_charts_and_figures_are_records_and_text(trained: Job) -> None:
    with opened(trained) as job:
        until = moment(LABELLED + PENDING)
        job.infer(as_of=until)
        [made] = job.decisions()
        assert (made.version, made.outcome, made.is_by_gate) == (1, DecisionOutcome.PROMOTED, True)
        assert made.reason.startswith("first, unproven")
        assert job.shadow() == ()
        found = job.charts(days=30, columns=[SENSORS[0]], as_of=until)
        assert (found.job, found.days, found.group_by) == ("wafers", 30, None)
        assert SENSORS[0] in {chart.what for chart in found.charts}
        assert [each["chart"] for each in found.to_dict()["charts"]] == [chart.what for chart in found.charts]
        assert 'rowcast_champion_version{job="wafers"} 1' in job.metrics().splitlines()
        for call in (job.notify, job.test_sinks):
            with pytest.raises(NotifyError, match="no sink is configured"):
                call()


@pytest.mark.parametrize("as_of", ["text", "aware", "naive"])
def test_the_moment_that_counts_is_a_datetime_or_text(trained: Job, as_of: str) -> None:
    until = moment(LABELLED + 10)
    aware = datetime.fromisoformat(until)
    given: Any = {"text": until, "aware": aware.astimezone(UTC), "naive": aware.replace(tzinfo=None)}[as_of]
    result = opened(trained).infer(as_of=given)
    assert result.scored == 10
    assert opened(trained).runs()[0].as_of == aware


def test_looks_say_what_the_commands_say(trained: Job) -> None:
    trained.ok("infer")
    with opened(trained) as job:
        status = job.status()
        assert status.champion.version == 1
        assert (status.rows.scored, status.rows.pending) == (PENDING, 0)
        assert status.ok, status.needs_a_person
        assert f"scored          {PENDING}" in str(status)
        assert job.audit().holds
        assert job.audit(full=True).contents.changed == 0
        why = job.explain(LABELLED + 1)
        assert (why.state, why.scored.reproduced, why.scored.model_version) == (RowState.SCORED, True, 1)
        assert job.explain(LABELLED + PENDING + 1).state is RowState.ABSENT
        assert job.drift().champion == 1
        [quality] = job.quality(days=3660).versions
        assert quality.whole.rows == PENDING
    said = trained.ok("status", "--json")
    assert (said["scored"], said["champion"], said["source"]) == (PENDING, "v1", status.source)


@everywhere
def test_predictions_come_as_a_table_with_their_lineage(trained: Job) -> None:
    job = opened(trained)
    assert job.predictions().num_rows == 0
    job.infer()
    found = job.predictions()
    assert found.column("wafer").to_pylist() == list(range(LABELLED + 1, LABELLED + PENDING + 1))
    assert set(found.schema.names) == {
        *("wafer", "model_version", "run_id", "batch_id", "scored_at", "score", "predicted", "threshold"),
        *("contributions", "uncertain", "possible", "low", "high"),
    }
    assert found.schema.field("scored_at").type == pa.timestamp("us", "UTC")
    assert dict(zip(*map(pa.Table.to_pydict(found).get, ("wafer", "score")), strict=True)) == trained.scores()
    newest = found.column("scored_at")[-1].as_py()
    assert job.predictions(until=newest).num_rows + job.predictions(since=newest).num_rows == PENDING
    assert job.predictions(since=newest + timedelta(microseconds=1)).num_rows == 0
    assert job.predictions(version=2).num_rows == 0
    assert job.predictions(columns=["score"]).schema.names == ["score"]
    with pytest.raises(UsageError, match="no column 'sc0re'"):
        job.predictions(columns=["sc0re"])


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows)


@everywhere
def test_rows_in_memory_score_as_the_same_rows_in_the_table(trained: Job) -> None:
    job = opened(trained)
    rows = table(wafers(LABELLED + 1, PENDING, False))
    champion = job.champion()
    assert set(champion.features) <= {*SENSORS, "tool"}
    job.infer()
    stored = job.predictions()
    names = ["score", "predicted", "threshold", "uncertain", "possible"]
    whole = champion.score(rows)
    assert whole.column("reasons").null_count == PENDING
    assert whole.column("wafer").to_pylist() == stored.column("wafer").to_pylist()
    for given in (rows, rows.to_pandas(), rows.combine_chunks().to_batches()[0], rows.select(rows.schema.names[::-1])):
        scored = champion.score(given)
        assert scored.column("score").to_pylist() == pytest.approx(stored.column("score").to_pylist(), abs=1e-9)
        assert scored.select(names[1:]).to_pylist() == stored.select(names[1:]).to_pylist()


def test_what_exports_an_arrow_stream_is_scored(trained: Job) -> None:
    class Stream:
        def __init__(self, rows: pa.Table) -> None:
            self.rows = rows

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.rows.__arrow_c_stream__(requested_schema)

    rows, champion = table(wafers(LABELLED + 1, 5, False)), opened(trained).champion()
    assert champion.score(Stream(rows)).equals(champion.score(rows))
    assert champion.score(rows.slice(0, 0)).num_rows == 0


def test_rows_that_break_the_contract_come_back_with_reasons_in_their_place(trained: Job) -> None:
    rows = wafers(LABELLED + 1, 6, False)
    rows[1]["s01"], rows[4]["s02"] = float("inf"), 1e300
    champion = opened(trained).champion()
    found = champion.score(table(rows))
    assert [reason is None for reason in found.column("reasons").to_pylist()] == [True, False, True, True, False, True]
    assert [score is None for score in found.column("score").to_pylist()] == [False, True, False, False, True, False]
    assert '"s01"' in found.column("reasons")[1].as_py()
    good = [row for place, row in enumerate(rows) if place not in (1, 4)]
    alone = champion.score(table(good))
    assert [score for score in found.column("score").to_pylist() if score is not None] == pytest.approx(
        alone.column("score").to_pylist(), abs=1e-9
    )


def test_rows_that_cannot_be_scored_are_refused_by_name(trained: Job) -> None:
    champion = opened(trained).champion()
    absent = champion.features[0]
    with pytest.raises(UsageError, match=f"the rows lack column '{absent}', which v1 needs"):
        champion.score(table(wafers(1, 3, False)).drop_columns([absent]))
    with pytest.raises(UsageError, match="not from a list"):
        champion.score([1, 2, 3])


def test_a_partial_run_raises_where_an_orchestrator_asks(trained: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    trained.estimator("raising")
    trained.sql(f"UPDATE wafers SET failed = 1 WHERE wafer = {LABELLED + 1}")  # a new label: retraining is due
    monkeypatch.syspath_prepend(trained.folder)
    result = opened(trained).run()
    assert (result.status, result.scored, result.ok) == (RunStatus.PARTIAL, PENDING, False)
    with pytest.raises(RunError, match=f"run {result.run_id} \\(full-pipeline\\) is partial"):
        result.raise_for_status()


def test_two_jobs_are_open_at_once_in_one_process(trained: Job, make_job: Any, system: str) -> None:
    other = make_job(system, "trained")
    with opened(trained) as one, opened(other) as two:
        assert (one.status().rows.pending, two.status().rows.pending) == (PENDING, PENDING)
        assert one.infer().scored == PENDING
        assert two.status().rows.pending == PENDING
        assert two.infer().scored == PENDING
        assert one.audit().holds
        assert two.audit().holds


def test_two_threads_run_one_after_the_other(trained: Job, make_job: Any, system: str) -> None:
    both = [opened(trained), opened(make_job(system, "trained"))]
    scored: list[int] = []
    threads = [threading.Thread(target=lambda job=job: scored.append(job.infer().scored)) for job in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scored == [PENDING, PENDING]
    assert all(job.audit().holds for job in both)


def test_a_job_lets_go_of_its_connections(lite: Job) -> None:
    with opened(lite) as job, job.connection() as inside:
        assert job.status().rows.pending == PENDING
        with job.connection() as again:
            assert again is inside
    with job.connection() as later:
        assert later is not inside
    assert job.status().rows.pending == PENDING


def test_quarantined_rows_are_given_another_chance(lite: Job) -> None:
    lite.sql(f"UPDATE wafers SET s01 = 9e999 WHERE wafer = {LABELLED + 1}")
    job = opened(lite)
    assert job.infer().quarantined == 1
    assert job.explain(LABELLED + 1).quarantined.reasons[0]["rule"] == "finite"
    lite.sql(f"UPDATE wafers SET s01 = 0.5 WHERE wafer = {LABELLED + 1}")
    with pytest.raises(UsageError, match="--all"):
        job.requeue()
    assert job.requeue(LABELLED + 1).requeued == 1
    assert job.infer().scored == 1


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rowcast\.toml"):
        rowcast.open(tmp_path / "rowcast.toml")


def test_the_package_names_what_it_offers() -> None:
    assert {"open", "Job", "RowcastError"} <= set(rowcast.__all__)
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        rowcast.opne  # noqa: B018
