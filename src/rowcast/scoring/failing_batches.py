"""What fails is narrowed down: a failing batch is halved until it succeeds, or a row that fails alone is set aside."""

from functools import partial

import pyarrow as pa
import structlog

from rowcast import check, predict
from rowcast.contract import Failure
from rowcast.errors import DeadWorkerError, RowcastError, describe
from rowcast.job.opening import Job
from rowcast.scoring.batch import run_batch
from rowcast.scoring.plan import plan_halves
from rowcast.scoring.publish import publish
from rowcast.scoring.request import Outcome, ScoringRequest
from rowcast.scoring.required_columns import columns_needed, complete, names_checked
from rowcast.scoring.workers import Failed, Workers
from rowcast.source import KeyRange, hash_rows
from rowcast.store import Batch, BatchResult

log = structlog.get_logger("rowcast")

_ROW = "(row)"  # in a reason, where no single column is at fault
_FRUITLESS = 4  # times that a failing batch is halved without any part of it succeeding, before it is left


def narrow_down(workers: Workers, failed: Failed) -> Failed:
    """Find the rows for which batches fail, set them aside, and return what is left with its error.

    Where nothing at all succeeds, one batch stands for all.
    """
    left: Failed = {}
    for batch_id, error in failed.items():
        if left and not workers.total.scored:
            left[batch_id] = error
        else:
            left |= _narrow_batch(workers, batch_id, error)
    return left


def _narrow_batch(workers: Workers, batch_id: int, error: RowcastError) -> Failed:
    """Halve a failing batch while some part succeeds, down to rows that fail alone."""
    job = workers.job
    parts, left, fruitless = {batch_id: error}, {}, 0
    while parts and fruitless < _FRUITLESS:
        smaller: list[int] = []
        for part, reason in parts.items():
            keys = job.retry(partial(job.ledger.planned_range, part))
            if keys is not None and keys.first == keys.last:
                if isinstance(reason, DeadWorkerError) and not workers.score([part], apart=True):
                    continue  # it was not this row
                if not workers.total.scored or not _set_aside(workers, part, reason):
                    left[part] = reason
            elif keys is not None:
                smaller += _halve(workers, part, keys)
        apart = any(isinstance(reason, DeadWorkerError) for reason in parts.values())
        tried, parts = parts, workers.score(smaller, apart=apart)
        fruitless = fruitless + 1 if smaller and len(parts) == len(smaller) else 0
        log.info("halved what failed", batch=batch_id, parts=len(smaller), failing=len(parts), before=len(tried))
    return left | parts


def _halve(workers: Workers, batch_id: int, keys: KeyRange) -> list[int]:
    return workers.job.retry(lambda: plan_halves(workers.job, workers.request, batch_id, keys))


def _set_aside(workers: Workers, batch_id: int, error: RowcastError) -> bool:
    """Quarantine a row that fails alone, with the error; return False where that fails too."""
    job, request = workers.job, workers.request
    try:
        outcome = run_batch(job, request, batch_id, partial(_publish_row_aside, job, request, error))
    except RowcastError as second:
        log.warning("a row that fails alone cannot be set aside", batch=batch_id, error=second)
        return False
    workers.total.add(outcome)
    return not outcome.failed


def _publish_row_aside(job: Job, request: ScoringRequest, error: RowcastError, batch: Batch) -> Outcome:
    """Publish a claimed batch of one row: nothing scored, the row in quarantine."""
    model = job.registry.load(batch.model_version)
    columns = columns_needed(job, model)
    scope = job.ledger.state().scope
    try:
        fetched = complete(job, [model], job.pending.read(batch.keys, columns, scope, request.now, 1))
        names = names_checked(job, model)
    except RowcastError:  # reading it may be what fails
        names, fetched = [], job.pending.read(batch.keys, [], scope, request.now, 1)
    keys = fetched.rows.select([column.name for column in job.source.key])
    failures = {0: [Failure(0, _ROW, "error", describe(error, details=True))]} if keys.num_rows else {}
    hashes = hash_rows(fetched.rows, fetched.misfits, names)
    row = predict.make_quarantine_rows(keys, fetched.rows.select(names), {}, failures, hashes, check.format_reasons)
    none = pa.RecordBatch.from_pylist([], schema=pa.schema([]))
    outcome = Outcome(batches=1, fetched=keys.num_rows)
    outcome.broken[f"{_ROW}: error"] += keys.num_rows
    return outcome if publish(job, request, batch, BatchResult(none, row, tuple(names)), outcome) else Outcome()
