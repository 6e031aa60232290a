"""One batch from claim to publish: claimed, its lease renewed, its rows read and published, or given back."""

import atexit
import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

import structlog

from rowcast import logs
from rowcast.config import Settings
from rowcast.database.retry import retry_transient
from rowcast.errors import DatabaseError, EstimatorError, RowcastError, as_rowcast_error
from rowcast.job.opening import Job, open_job
from rowcast.scoring import shadow
from rowcast.scoring.in_database import read_undecided
from rowcast.scoring.publish import BatchRows, score_and_publish
from rowcast.scoring.request import Outcome, ScoringRequest
from rowcast.scoring.required_columns import columns_needed, complete
from rowcast.scoring.scorer import Scorer
from rowcast.store import Batch, RowCounts, heartbeat, new_worker

log = structlog.get_logger("rowcast")

Work = Callable[[Batch], Outcome]


def score_batch(request: ScoringRequest, batch_id: int) -> Outcome:
    """Score one batch of the source's rows in this process, whose connections stay open for the next one."""
    opening = Outcome()
    scorer = retry_transient(lambda: open_scorer(request), tell=opening.count_retry)
    read = partial(_choose_reader(request), scorer, request)
    outcome = run_batch(scorer.job, request, batch_id, partial(score_and_publish, scorer, request, read))
    outcome.add(opening)
    return outcome


def _choose_reader(request: ScoringRequest) -> Callable[[Scorer, ScoringRequest, Batch], BatchRows]:
    return read_undecided if request.is_in_database else read_pending


def run_batch(job: Job, request: ScoringRequest, batch_id: int, work: Work) -> Outcome:
    """Claim a batch and let `work` publish it; the outcome is empty where another worker has it.

    The lease is renewed meanwhile, and after a transient error the work is done again over new connections. What the
    batch's rows raise is in the outcome; what stops the whole run is raised. Either way the batch is given back.
    """
    total, worker = Outcome(), new_worker()
    try:
        total.add(job.retry(lambda: _attempt(job, request, batch_id, worker, work), total.count_retry))
    except BaseException as error:
        with suppress(RowcastError):  # what stopped the batch tells more than this
            job.store.reconnect()  # an interruption can leave a transaction open
            job.ledger.release(batch_id, worker)
        if not isinstance(error, Exception) or not _is_of_rows(error):
            raise
        log.warning("a batch failed", batch=batch_id, error=error)
        log.debug("where it failed", exc_info=True)
        total.failed[batch_id] = as_rowcast_error(error)
    return total


def read_pending(scorer: Scorer, request: ScoringRequest, batch: Batch) -> BatchRows:
    """Read what is pending of a batch from the source, with the columns that its model and the shadows need."""
    job = scorer.job
    versions = [version for version in request.shadows if version != batch.model_version]
    # One row more tells whether others, which the plan did not count, have taken its rows' room.
    most_rows, scope = job.settings.infer.batch_rows + 1, job.ledger.state().scope
    model = scorer.model(batch.model_version)
    fetched, shadows = shadow.read_rows(
        lambda chosen: job.pending.read(batch.keys, chosen, scope, request.now, most_rows),
        columns_needed(job, model),
        scorer.shadows.load(versions),
    )
    models = [model, *(each.model for each in shadows)]
    return BatchRows(complete(job, models, fetched, scorer.past(request)), shadows)


def _attempt(job: Job, request: ScoringRequest, batch_id: int, worker: str, work: Work) -> Outcome:
    ledger = job.ledger
    for last_try in (False, True):
        batch = ledger.claim(batch_id, request.run_id, request.champion, worker)
        if batch is None:
            return _count_unheard(ledger.find_published(batch_id, worker))
        try:
            with heartbeat(job.store, partial(ledger.renewal, batch_id, worker)):
                return work(batch)
        except DatabaseError as error:
            # Somebody scored a row of it in the meantime: what is pending now is read again.
            if error.reason != "duplicate" or last_try:
                raise
    raise AssertionError


def _count_unheard(published: RowCounts | None) -> Outcome:
    """Return the outcome of a batch that this worker published without hearing of it; else an empty one."""
    found = published or RowCounts()
    rows = found.scored + found.quarantined
    return Outcome(found.batches, fetched=rows, scored=found.scored, quarantined=found.quarantined)


def _is_of_rows(error: Exception) -> bool:
    """Return whether fewer rows may fare better, as the whole database, table or model is not at fault."""
    if isinstance(error, DatabaseError):
        return error.reason in ("other", "duplicate")
    return isinstance(error, EstimatorError) or not isinstance(error, RowcastError)


class _OpenScorer:
    """A scorer on connections of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self.scorer = Scorer(self._stack.enter_context(open_job(settings, prepare=False)))

    def close(self) -> None:
        self._stack.close()


_open: list[_OpenScorer] = []  # at most one in each process


def open_scorer(request: ScoringRequest) -> Scorer:
    """Return the scorer that this process keeps open for a request's job; another job's is closed."""
    if _open and _open[0].settings != request.settings:
        close_worker()
    if not _open:
        if multiprocessing.parent_process() is not None and request.logging is not None:
            given = request.logging
            file = None if given.file is None else logs.LogFile(given.file, rotates=False)
            logs.configure(given.level, file=file, secrets=given.secrets, values=given.values)
        _open.append(_OpenScorer(request.settings))
    return _open[0].scorer


@atexit.register
def close_worker() -> None:
    """Let go of what this process kept open between batches."""
    while _open:
        _open.pop().close()
