"""The one way in which a batch is published: checked, scored, profiled and made visible in one transaction.

Where its rows come from differs: they are read from the source, an earlier step by hand has saved them, or the database
has scored them itself, but for a few.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import structlog

from rowcast import check, features, monitor, predict
from rowcast.errors import QuarantineError, RowcastError
from rowcast.job.opening import Job
from rowcast.job.step_record import peak_rss_mb
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.predict import Predictions
from rowcast.scoring import shadow
from rowcast.scoring.request import Outcome, ScoringRequest
from rowcast.scoring.required_columns import also_checked, check_rows, names_checked
from rowcast.scoring.scorer import Scorer
from rowcast.scoring.shadow import Shadow
from rowcast.source import Fetched, KeyRange, RowHash, hash_rows
from rowcast.store import Batch, BatchProfile, BatchResult, StagedRows

log = structlog.get_logger("rowcast")


@dataclass(frozen=True)
class ScoredRows:
    """Rows of a batch that the database has checked and scored by itself."""

    staged: StagedRows
    keys: pa.RecordBatch  # as the source rendered them
    flagged: int
    slots: Sequence[tuple[int, int, int]]  # place of a feature, slot of its profile, and rows in it
    beside: shadow.InDatabase  # the same rows for versions in the shadow


@dataclass(frozen=True)
class BatchRows:
    """A batch's rows, and what earlier steps by hand have already made of them."""

    fetched: Fetched
    shadows: Sequence[Shadow] = ()  # versions in the shadow whose columns were read too
    checked: check.CheckResult | None = None  # None: by the contract of the batch's model, they are still to be checked
    matrix: Matrix | None = None  # of the rows that passed, with the model's features; None: still to be made
    staged: ScoredRows | None = None  # further rows, which the database has scored
    hashed_by: RowHash = RowHash.MIXED  # how the rows' hashes are made


Reader = Callable[[Batch], BatchRows]


def score_and_publish(scorer: Scorer, request: ScoringRequest, read: Reader, batch: Batch) -> Outcome:
    """Check, score, profile and publish a claimed batch's rows; then let versions in the shadow score them.

    Nothing is published, and the outcome is empty, where the claim was lost to another worker. An error carries the
    step in which it was raised.
    """
    job, outcome = scorer.job, Outcome(batches=1)
    model = scorer.model(batch.model_version)
    with time_step(outcome, "data-fetch"):
        rows = read(batch)
        fetched = rows.fetched
        outcome.fetched, outcome.columns = fetched.rows.num_rows, fetched.rows.num_columns - 2 * len(job.source.key)
        staged = rows.staged
        outcome.fetched += staged.staged.count if staged else 0
    with time_step(outcome, "data-check"):
        checked = check_rows(job, model, fetched, names_checked(job, model)) if rows.checked is None else rows.checked
        outcome.broken.update(count_broken(checked))
    with time_step(outcome, "data-process"):
        matrix = rows.matrix
        if matrix is None:
            matrix = features.process(checked.good, model.contract, model.features)
        rows = replace(rows, checked=checked, matrix=matrix)
    with time_step(outcome, "inference"):
        predictions, quarantined = make_results(job, model, matrix, checked, fetched, rows.hashed_by)
        profile = _profile(scorer, request, batch, rows, predictions.rows)
        result = BatchResult(
            predictions.rows,
            quarantined,
            tuple(also_checked(job, model)),
            profile,
            staged.staged if staged else None,
            rows.hashed_by,
        )
        if not publish(job, request, batch, result, outcome):
            return Outcome()
        outcome.flagged = predictions.flagged + (staged.flagged if staged else 0)
    with time_step(outcome, "shadow"):
        beside = shadow.score_batch(
            job, batch, rows.shadows, fetched, checked, predictions.rows, staged.beside if staged else None
        )
    asked = [version for version in request.shadows if version != batch.model_version]
    outcome.shadow_scored = beside.scored
    outcome.shadow_failed = beside.failed + (len(asked) - len(rows.shadows)) * result.scored
    outcome.peak_rss_mb = peak_rss_mb()
    return outcome


def publish(job: Job, request: ScoringRequest, batch: Batch, result: BatchResult, outcome: Outcome) -> bool:
    """Publish what was made of a batch's rows, and plan anew what the batch had no room for, in one transaction.

    Return False, with nothing published, where the claim was lost. Raise QuarantineError where too many rows are bad.
    """
    most_rows = job.settings.infer.batch_rows

    def replan() -> Sequence[KeyRange]:
        # Whoever reads asks for one row more than the batch has room for: others took the room of rows it planned.
        if outcome.fetched <= most_rows:
            return ()
        return job.pending.plan(job.ledger.state().scope, request.now, None, most_rows, [], batch.keys)

    try:
        published = job.ledger.publish(batch, result, request.max_quarantine, replan)
    except QuarantineError as error:
        error.step = "data-check"
        if outcome.broken:
            error.what += f"; most often {outcome.most_broken()}"
        raise
    if not published:
        log.info("another worker took over", batch=batch.batch_id)
        return False
    outcome.scored, outcome.quarantined = result.scored, result.quarantined.num_rows
    return True


def make_results(
    job: Job,
    model: Model,
    matrix: Matrix,
    checked: check.CheckResult,
    fetched: Fetched,
    hashed_by: RowHash = RowHash.MIXED,
) -> tuple[Predictions, pa.RecordBatch]:
    """Return the predictions of the rows that passed, and the quarantine entries of the bad ones."""
    names = names_checked(job, model)
    keys = fetched.rows.select([column.name for column in job.source.key])
    hashes = hash_rows(fetched.rows, fetched.misfits, names, hashed_by)
    passed = checked.passed
    whole = len(passed) == len(hashes)
    predictions = predict.predict_batch(
        model, matrix, keys if whole else keys.take(pa.array(passed)), hashes if whole else hashes[passed]
    )
    originals = {(misfit.row, misfit.column): misfit.value for misfit in fetched.misfits}
    values = fetched.rows.select(names)
    return predictions, predict.make_quarantine_rows(
        keys, values, originals, checked.failures, hashes, check.format_reasons
    )


def count_broken(checked: check.CheckResult) -> Counter[str]:
    """Return how often each rule of a column was broken, by "column: rule"."""
    return Counter(f"{f.column}: {f.rule}" for failures in checked.failures.values() for f in failures)


@contextmanager
def time_step(outcome: Outcome, step: str) -> Iterator[None]:
    """Add what the work takes to the step's seconds; an error raised in it carries the step's name."""
    begun = time.perf_counter()
    try:
        yield
    except RowcastError as error:
        error.step = error.step or step
        raise
    finally:
        outcome.seconds[step] += time.perf_counter() - begun


def _profile(
    scorer: Scorer, request: ScoringRequest, batch: Batch, rows: BatchRows, predictions: pa.RecordBatch
) -> BatchProfile | None:
    """Return the profiles of a batch whose rows are checked and processed; None where it is not known how."""
    profiler = scorer.profiler(batch.model_version)
    if profiler is None:
        return None
    assert rows.checked is not None
    assert rows.matrix is not None
    counted = profiler.count(rows.matrix, predictions, rows.checked.good)
    keys = scorer.job.source.take_rendered_key(rows.fetched.rows).take(pa.array(rows.checked.passed))
    hashes = predictions.column("row_hash").to_numpy()
    if rows.staged is not None:
        score, others = (rows.staged.staged.rows.column(name).to_numpy() for name in ("score", "row_hash"))
        counted = monitor.add_profiles(counted, monitor.count_slots(profiler.edges, rows.staged.slots, score))
        keys, hashes = pa.concat_batches([keys, rows.staged.keys]), np.concatenate([hashes, others])
    return profiler.finish(counted, keys, hashes, request.sampled)
