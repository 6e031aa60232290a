"""A run and its record: it begins, keeps its lease, ends in whatever way, and what went wrong becomes an alert."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog

from rowcast.alerts import raising
from rowcast.errors import BusyError, RowcastError, as_rowcast_error, describe
from rowcast.job.opening import Job
from rowcast.job.step_record import emit_run_figures
from rowcast.job.workdir import WorkDir, work_root
from rowcast.scoring.request import Outcome
from rowcast.store import heartbeat
from rowcast.store.records import DecisionRecord, EndCause, PipelineName, RunOptions, RunRecord, RunStatus
from rowcast.training.shadow_evaluation import ShadowDecision

log = structlog.get_logger("rowcast")


@dataclass
class Result:
    """What a run came to."""

    pipeline: PipelineName
    run_id: int = 0  # given when it has begun
    status: RunStatus = RunStatus.DONE
    retrain: str = ""  # what became of retraining, or why it was not due
    decision: DecisionRecord | None = None  # the gate's, where it decided
    shadow_evaluation: list[ShadowDecision] = field(default_factory=list)
    requeued: int | None = None  # rows that are scored once more
    left_to_training: int = 0  # rows that waited or were to be requeued, and whose label the champion could learn from
    outcome: Outcome | None = None  # of scoring
    scored_by: int | None = None  # the version that scored
    champion: int | None = None  # the version in service at its end
    error: RowcastError | None = None
    failures: raising.Failures = field(default_factory=dict)  # what was tried, and why it failed where it did


@contextmanager
def begin_run(
    job: Job,
    result: Result,
    now: datetime,
    found: RunRecord | None = None,
    options: RunOptions | None = None,
) -> Iterator[None]:
    """Begin a run, or go on with the one found; keep its lease while it lasts, and close its record in any case."""
    begun = time.perf_counter()
    try:
        if found is None:
            result.run_id = job.retry(lambda: job.runs.start(result.pipeline, now, job.settings.sha256(), options))
        else:
            job.runs.reopen(found)
            result.run_id = found.run_id
        with heartbeat(job.store, partial(job.runs.renewal, result.run_id)):
            raising.alert_death_before(job, result.run_id, now)
            yield
    except BaseException as error:
        if isinstance(error, BusyError) and not result.run_id:
            raise
        failed = isinstance(error, Exception)
        result.status = RunStatus.FAILED if failed else RunStatus.INTERRUPTED
        written = bool(result.run_id) and raising.alert_end(job, result, now, error)
        with suppress(RowcastError):  # a database that is away cannot be told so
            job.store.reconnect()  # an interruption can leave a transaction open
            if result.run_id:
                cause = EndCause.ERROR if failed else EndCause.STOPPED
                job.runs.finish(result.run_id, result.status, cause, describe(error, details=True))
            else:
                job.runs.settle()  # it may have begun unheard
        log.error(f"{result.pipeline} {result.status}", run=result.run_id or None, error=error)
        emit_run_figures(job.settings.name, result.pipeline, result.status, time.perf_counter() - begun, result.outcome)
        if written:
            raising.deliver(job)
        raise
    result.champion = job.retry(job.registry.champion)
    what = describe(result.error, details=True) if result.error else None
    raising.alert_end(job, result, now)
    job.retry(lambda: job.runs.finish(result.run_id, result.status, EndCause.COMPLETED, what))
    log.info(f"{result.pipeline} {result.status}", run=result.run_id)
    emit_run_figures(job.settings.name, result.pipeline, result.status, time.perf_counter() - begun, result.outcome)
    raising.deliver(job)


def go_on_after(result: Result, error: Exception, what: str) -> RowcastError:
    """Record what failed, and return it: the champion can still score, and if it cannot it says so itself."""
    known = as_rowcast_error(error)
    result.status, result.error = RunStatus.PARTIAL, result.error or known
    log.error(what, error=known)
    log.debug("where it failed", exc_info=True)
    return known


def open_work(job: Job, run_id: int) -> WorkDir:
    """Return the work directory of a run; those of old runs are removed."""
    work = WorkDir(work_root(job.settings), run_id)
    work.prune()
    return work
