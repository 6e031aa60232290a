"""What a tracking server is sent: everything once and in order, whatever becomes of it and of the run that sends it."""

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from jobs import Job

import rowcast
from rowcast.errors import NotifyError
from rowcast.store.mirror import Mirror
from rowcast.store.records import EndCause, PipelineName, RunStatus
from rowcast.tracking import mirroring
from rowcast.tracking.facts import RunFacts, VersionFacts

pytest_plugins = ("job_fixtures",)

MLFLOW = {"mlflow": {"tracking_uri": "http://user:s3cret@127.0.0.1:9"}}


class Recorder:
    """A server that keeps what it takes, and is away for what it is told to refuse."""

    taken: list[str]
    refuses: str

    def __init__(self, settings: Any, store_id: str) -> None:
        self._take("hello")

    def send_run(self, run: RunFacts) -> str:
        self._take(f"run {run.run_id} {run.state}")
        return run.name

    def send_version(self, version: VersionFacts, run: str) -> None:
        self._take(f"v{version.version} of {run}")

    def send_decision(self, version: int, tags: Mapping[str, str], *, serves: bool) -> None:
        self._take(f"v{version} {tags['rowcast.decision']}{' serves' if serves else ''}")

    def _take(self, what: str) -> None:
        if what == self.refuses:
            raise NotifyError(f"the MLflow server did not take {what}")
        if what != "hello":
            self.taken.append(what)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "taken", [], raising=False)
    monkeypatch.setattr(Recorder, "refuses", "", raising=False)
    monkeypatch.setattr(mirroring, "Server", Recorder)
    return Recorder


@pytest.fixture
def mirrored(trained: Job) -> Job:
    trained.configure(MLFLOW)
    return trained


ALL = ["run 1 FINISHED", "v1 of retrain 1", "run 2 FINISHED", "v1 promoted serves"]


def test_a_run_sends_itself_and_what_was_before_it_once_and_in_order(mirrored: Job, recorder: type[Recorder]) -> None:
    mirrored.ok("infer")
    assert recorder.taken == ALL
    mirrored.ok("infer")
    assert recorder.taken == [*ALL, "run 3 FINISHED"]
    assert mirrored.ok("mlflow", "--json") == {"sent": 0, "waiting": 0}


@pytest.mark.parametrize("refused", ["hello", "run 1 FINISHED", "v1 of retrain 1", "run 2 FINISHED"])
def test_what_a_server_did_not_take_is_sent_later_and_the_run_does_not_mind(
    mirrored: Job, recorder: type[Recorder], refused: str
) -> None:
    recorder.refuses = refused
    assert mirrored.ok("infer")["scored"] == 100
    mirrored.ok("infer")  # too early for another try
    done = mirrored.call("mlflow", "--json")
    assert (done.code, "did not take" in done.json["error"]) == (1, True)
    recorder.refuses = ""
    mirrored.ok("mlflow", "--json")
    order = [each for place, each in enumerate(recorder.taken) if each not in recorder.taken[:place]]
    assert order == [*ALL[:3], "run 3 FINISHED", ALL[3]]
    assert all(recorder.taken.count(each) == 1 for each in order if each != "run 1 FINISHED")


def test_a_run_that_goes_on_is_sent_once_more(mirrored: Job, recorder: type[Recorder]) -> None:
    mirrored.ok("infer")
    mirrored.stored(
        f"UPDATE {mirrored.table('run')} SET status = 'interrupted', end_cause = 'stopped' WHERE run_id = 2"
    )
    mirrored.ok("resume", "2")
    assert recorder.taken[-1] == "run 2 FINISHED"
    assert recorder.taken.count("run 2 FINISHED") == 2


def test_one_process_sends_at_a_time_and_nothing_of_a_run_that_is_under_way(mirrored: Job) -> None:
    with rowcast.open(mirrored.folder / "rowcast.toml").connection() as job:
        cursor = Mirror(job.store, job.tables, "wafers")
        state = cursor.claim()
        assert state is not None
        assert cursor.claim(at_once=True) is None
        open_run = job.runs.start(PipelineName.INFER, job.store.now(), "")
        job.store.execute(job.tables.run.update().where(job.tables.run.c.run_id == open_run).values(host="elsewhere"))
        later = job.runs.start(PipelineName.INFER, job.store.now(), "")
        job.runs.finish(later, RunStatus.DONE, EndCause.COMPLETED)
        assert [run.run_id for run in cursor.list_ended(0, 10)] == [1]
        job.runs.finish(open_run, RunStatus.DONE, EndCause.COMPLETED)
        assert [run.run_id for run in cursor.list_ended(0, 10)] == [1, open_run, later]
        waits = []
        for _ in range(3):
            cursor.release(state, failed=True)
            due = job.store.scalar(sa.select(job.tables.mirror.c.next_try))
            waits.append(due - job.store.now())
        assert waits[0] > timedelta(minutes=1)
        assert waits[2] > 3 * waits[1] > 9 * waits[0]
        assert cursor.claim() is None
        assert cursor.claim(at_once=True) is not None


def test_without_mlflow_the_run_is_done_and_people_read_what_is_missing(
    mirrored: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    done = mirrored.call("infer")
    assert done.code == 0
    assert "mlflow-skinny is not installed" in done.err
    mirrored.shows_no_secret(done)
    told = mirrored.call("mlflow")
    assert (told.code, "mlflow-skinny is not installed" in told.out) == (1, True)


def test_without_a_server_people_read_where_to_name_it(lite: Job) -> None:
    assert "no MLflow server is named" in lite.refused("mlflow")
    lite.configure({"mlflow": {"tracking_uri": "ftp://elsewhere"}})
    assert "http://" in lite.refused("mlflow")
