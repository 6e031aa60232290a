"""The scoring steps of a run: what is pending is planned into batches, scored by workers, and recorded."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from rowcast import fetch
from rowcast.engines import Engine
from rowcast.errors import RowcastError, RunError
from rowcast.job.opening import Job
from rowcast.scoring.failing_batches import narrow_down
from rowcast.scoring.plan import plan_request
from rowcast.scoring.record import record_steps
from rowcast.scoring.request import Outcome, ScoringRequest
from rowcast.scoring.unused_columns import choose_share
from rowcast.scoring.workers import Workers

log = structlog.get_logger("rowcast")


def score_pending(job: Job, request: ScoringRequest, engine: Engine, progress: Callable[[int, int], None]) -> Outcome:
    """Score what is pending: batches that another run left behind, then what is newly planned.

    `progress` is given rows done and rows in all. Raise what stops the run; the batches before it stay published.
    """
    if not job.retry(job.ledger.state).scope.is_fixed:
        raise no_champion(job)
    newest = job.retry(lambda: fetch.find_newest_event(job.source, request.now))
    total = Outcome(age_h=None if newest is None else (request.now - newest) / timedelta(hours=1))
    started_at = job.retry(job.store.now)
    workers = Workers(job, request, engine, total)
    try:
        _score_left_behind(workers)
        _score_planned(workers, progress)
        total.failed = narrow_down(workers, total.failed)
        # A run as of the future has not seen what arrives until then.
        is_past = request.now <= job.retry(job.store.now)
        if newest is not None and is_past and not job.retry(job.ledger.open_ranges):
            job.retry(lambda: job.ledger.set_state(complete_to=newest))
        if total.failed and not total.scored:
            raise next(iter(total.failed.values()))
    except BaseException as error:
        with suppress(RowcastError):  # the first error tells more
            job.store.reconnect()  # an interruption can leave a transaction open
            job.ledger.give_back(request.run_id)
            record_steps(job, request.run_id, total, started_at, error)
        raise
    job.retry(lambda: record_steps(job, request.run_id, total, started_at, None))
    return total


def no_champion(job: Job) -> RunError:
    """Return the error of a job that has no model in service."""
    return RunError(
        f"job '{job.settings.name}' has no champion yet", hint="train the first model with 'rowcast retrain'"
    )


def _score_left_behind(workers: Workers) -> None:
    job, as_of = workers.job, workers.request.now
    left_behind = job.retry(lambda: find_left_behind(job, as_of))
    if left_behind:
        log.info("taking up batches that an earlier run left", batches=len(left_behind))
        _sample(workers)
        workers.total.failed |= workers.score(left_behind)


def find_left_behind(job: Job, as_of: datetime) -> list[int]:
    """Return the open batches of earlier runs; of a run as of later those alone whose rows were all there by now.

    What a requeue has planned is as of its own moment, and seen as of an earlier one too.
    """
    later = job.ledger.later_batches(as_of)
    seen = [batch_id for batch_id, keys in later if not job.pending.has_later_rows(keys, as_of)]
    return sorted([*job.ledger.open_batches(as_of=as_of), *seen])


def _score_planned(workers: Workers, progress: Callable[[int, int], None]) -> None:
    job, total, run_id = workers.job, workers.total, workers.request.run_id
    begun = time.perf_counter()
    rows = total.fetched + job.retry(lambda: plan_request(job, workers.request), total.count_retry)
    total.seconds["data-fetch"] += time.perf_counter() - begun
    progress(total.fetched, rows)
    _sample(workers)
    # Asked for, not remembered: a plan whose commit was not heard of is in the store all the same, and a batch that
    # has not room for all its rows leaves another.
    tried: set[int] = set()
    while planned := set(job.retry(lambda: job.ledger.open_batches(run_id))) - tried - set(total.failed):
        tried |= planned
        total.failed |= workers.score(sorted(planned), lambda: progress(total.fetched, rows))


def _sample(workers: Workers) -> None:
    """Decide which share of what is open is sampled."""
    share = workers.job.retry(lambda: choose_share(workers.job))
    workers.request = replace(workers.request, sampled=share)
