"""A batch that a cluster hands out twice: who comes second waits, and does what the first leaves undone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from jobs import LABELLED, PENDING
from jobs import Job as Fab
from proof import is_exactly_once

from rowcast.config import load
from rowcast.errors import RunError
from rowcast.job.opening import Job, open_job
from rowcast.recorded_run import Result, begin_run
from rowcast.scoring import remote
from rowcast.scoring.batch import close_worker, score_batch
from rowcast.scoring.plan import plan_request
from rowcast.scoring.remote import Order, make_order, score_remotely
from rowcast.scoring.request import ScoringRequest
from rowcast.store import Batch, new_worker
from rowcast.store.records import PipelineName

pytest_plugins = ("job_fixtures",)


@dataclass(frozen=True)
class Twins:
    """A batch that a worker of the run has claimed, and the order for its twin."""

    job: Job
    order: Order
    batch: Batch


@contextmanager
def claimed(fab: Fab) -> Iterator[Twins]:
    fab.configure({"infer": {"batch_rows": PENDING}, "source": {"url": "${FAB_URL}"}})
    settings, result = load(fab.folder / "rowcast.toml"), Result(PipelineName.INFER)
    with open_job(settings) as job:
        now = job.store.now()
        with begin_run(job, result, now):
            request = ScoringRequest(settings, result.run_id, now, champion=1)
            plan_request(job, request)
            [batch_id] = job.ledger.open_batches(result.run_id)
            batch = job.ledger.claim(batch_id, result.run_id, 1, new_worker())
            assert batch is not None
            try:
                yield Twins(job, make_order(request), batch)
            finally:
                close_worker()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], list[float]]:
    """Lets something happen while the twin waits for its second look."""

    def let(happen: Callable[[], None]) -> list[float]:
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 2:
                happen()

        monkeypatch.setattr(remote.time, "sleep", sleep)
        return waited

    return let


@pytest.fixture
def fab(trained: Fab, monkeypatch: pytest.MonkeyPatch) -> Fab:
    monkeypatch.setenv("FAB_URL", trained.place.url)
    monkeypatch.setattr(remote, "_filled", [])  # as in a process of its own
    return trained


Looks = Callable[[Callable[[], None]], list[float]]


def test_who_comes_second_scores_what_the_first_gives_back(fab: Fab, looks: Looks) -> None:
    with claimed(fab) as twins:
        waited = looks(lambda: twins.job.ledger.release(twins.batch.batch_id, twins.batch.worker))
        outcome = score_remotely(twins.order, twins.batch.batch_id)
    assert (outcome.batches, outcome.scored, len(waited)) == (1, PENDING, 2)
    is_exactly_once(fab.place, range(LABELLED + 1, LABELLED + PENDING + 1))


def test_who_comes_second_does_nothing_where_the_first_has_done_it(fab: Fab, looks: Looks) -> None:
    with claimed(fab) as twins:
        ledger, batch = twins.job.ledger, twins.batch

        def publish() -> None:
            ledger.release(batch.batch_id, batch.worker)
            request = ScoringRequest(twins.job.settings, batch.run_id, twins.order.now, champion=1)
            assert score_batch(request, batch.batch_id).scored == PENDING

        looks(publish)
        outcome = score_remotely(twins.order, batch.batch_id)
    assert (outcome.batches, outcome.scored) == (0, 0)
    is_exactly_once(fab.place, range(LABELLED + 1, LABELLED + PENDING + 1))


def test_who_comes_second_waits_for_no_other_run(fab: Fab, looks: Looks) -> None:
    with claimed(fab) as twins:
        waited = looks(lambda: None)
        other = Result(PipelineName.INFER)
        with begin_run(twins.job, other, twins.order.now):
            order = replace(twins.order, run_id=other.run_id)
            assert score_remotely(order, twins.batch.batch_id).batches == 0
    assert waited == []


def test_a_store_that_does_not_know_the_run_is_another_one(fab: Fab) -> None:
    with claimed(fab) as twins, pytest.raises(RunError, match="has no run 99"):
        score_remotely(replace(twins.order, run_id=99), twins.batch.batch_id)
