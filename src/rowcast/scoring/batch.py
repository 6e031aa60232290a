"""One batch from claim to publish: it streams through fetch, check, process and inference, and is published whole."""

import atexit
import multiprocessing
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import pyarrow as pa
import structlog

from rowcast import check, features, logs, predict
from rowcast.config import Settings
from rowcast.database.retry import retry_transient
from rowcast.errors import DatabaseError, EstimatorError, QuarantineError, RowcastError, as_rowcast_error
from rowcast.job.opening import open_job
from rowcast.job.step_record import peak_rss_mb
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.scoring import shadow
from rowcast.scoring.columns import Examined, also_checked, columns_needed, examine
from rowcast.scoring.profiler import Profiler, make_profiler
from rowcast.source import Fetched, KeyRange, row_hash
from rowcast.store import Batch, heartbeat, new_worker

log = structlog.get_logger("rowcast")


@dataclass(frozen=True)
class ScoringRequest:
    """What a worker must know to score a batch; it travels to worker processes."""

    settings: Settings
    run_id: int
    now: datetime
    champion: int = 0
    shadows: tuple[int, ...] = ()  # versions that score in the champion's shadow
    accept_quarantine: bool = False
    sampled: float = 0.0  # the share of rows that are looked at in columns which the model does not use
    since: datetime | None = None  # rows older than late_arrival are looked for back to here
    logging: logs.Present | None = field(default_factory=logs.present)

    @property
    def max_quarantine(self) -> float | None:
        return None if self.accept_quarantine else self.settings.check.max_quarantine


@dataclass
class Outcome:
    """What became of one batch, or of several added up."""

    batches: int = 0
    fetched: int = 0
    scored: int = 0
    flagged: int = 0
    quarantined: int = 0
    columns: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # by step
    broken: Counter[str] = field(default_factory=Counter)  # by column and rule
    peak_rss_mb: float = 0.0
    retries: int = 0  # after a transient error of a database
    shadow_scored: int = 0  # rows that versions scored in the shadow, and that they failed over; each version counts
    shadow_failed: int = 0
    age_h: float | None = None  # hours from the newest row to the run
    failed: dict[int, RowcastError] = field(default_factory=dict)  # batches, given back, whose rows raise this

    def add(self, other: "Outcome") -> None:
        self.batches += other.batches
        self.fetched += other.fetched
        self.scored += other.scored
        self.flagged += other.flagged
        self.quarantined += other.quarantined
        self.columns = max(self.columns, other.columns)
        for step, seconds in other.seconds.items():
            self.seconds[step] += seconds
        self.broken.update(other.broken)
        self.peak_rss_mb = max(self.peak_rss_mb, other.peak_rss_mb)
        self.retries += other.retries
        self.shadow_scored += other.shadow_scored
        self.shadow_failed += other.shadow_failed

    def count_retry(self) -> None:
        self.retries += 1


def score_batch(request: ScoringRequest, batch_id: int) -> Outcome:
    """Claim, fetch, check, process, score and publish one batch; nothing where another worker has it.

    What its rows raise is in the outcome; what stops the whole run is raised. Either way the batch is given back.
    """
    total = Outcome()
    worker = retry_transient(lambda: _worker(request), tell=total.count_retry)
    name = new_worker()
    try:
        total.add(worker.job.retried(lambda: _attempted(worker, request, batch_id, name), total.count_retry))
    except BaseException as error:
        with suppress(RowcastError):  # what stopped the batch tells more than this
            worker.job.store.reconnect()  # an interruption can leave a transaction open
            worker.job.ledger.release(batch_id, name)
        if not isinstance(error, Exception) or not _is_of_rows(error):
            raise
        log.warning("a batch failed", batch=batch_id, error=error)
        log.debug("where it failed", exc_info=True)
        total.failed[batch_id] = as_rowcast_error(error)
    return total


def _is_of_rows(error: Exception) -> bool:
    """Whether fewer rows may fare better, as the whole database, table or model is not at fault."""
    if isinstance(error, DatabaseError):
        return error.reason in ("other", "duplicate")
    return isinstance(error, EstimatorError) or not isinstance(error, RowcastError)


def _attempted(worker: "_Worker", request: ScoringRequest, batch_id: int, name: str) -> Outcome:
    ledger = worker.job.ledger
    for last_try in (False, True):
        batch = ledger.claim(batch_id, request.run_id, request.champion, name)
        if batch is None:
            scored, quarantined = ledger.find_published(batch_id, name) or (0, 0)
            return Outcome(fetched=scored + quarantined, scored=scored, quarantined=quarantined)
        try:
            with heartbeat(worker.job.store, partial(ledger.renewal, batch_id, name)):
                return _scored(worker, request, batch)
        except DatabaseError as error:
            # Somebody scored a row of it in the meantime: what is pending now is read again.
            if error.reason != "duplicate" or last_try:
                raise
    raise AssertionError


def _scored(worker: "_Worker", request: ScoringRequest, batch: Batch) -> Outcome:
    job, found = worker.job, Outcome(batches=1)
    model = worker.model(batch.model_version)
    columns = columns_needed(job, model)
    names = [column.name for column in columns]
    versions = [version for version in request.shadows if version != batch.model_version]
    with _timed(found, "data-fetch"):
        # One row more tells whether others, which the plan did not count, have taken its rows' room.
        scope, most_rows = job.ledger.state().scope, request.settings.infer.batch_rows
        read = partial(job.pending.read, batch.keys, scope=scope, now=request.now, batch_rows=most_rows + 1)
        fetched, shadows = shadow.read(lambda chosen: read(columns=chosen), columns, worker.shadows.able(versions))
        found.fetched, found.columns = fetched.rows.num_rows, fetched.rows.num_columns - 2 * len(job.source.key)
    with _timed(found, "data-check"):
        examined = examine(job, model, fetched, names)
    with _timed(found, "data-process"):
        matrix = features.process(examined.checked.good, model.contract, model.features)
    with _timed(found, "inference"):
        predictions, quarantined = make_results(model, matrix, examined, fetched, names)
        found.broken.update(count_broken(examined.checked))
        try:
            most, also_read = request.max_quarantine, also_checked(job, model)
            left: Callable[[], list[KeyRange]] = list
            if found.fetched > most_rows:
                left = partial(job.pending.plan, scope, request.now, None, most_rows, [], batch.keys)
            profiler, good = worker.profiler(batch.model_version), examined.checked.good
            keys = job.source.rendered(fetched.rows).take(pa.array(examined.checked.passed))
            profile = profiler.profile(matrix, predictions.rows, good, keys, request.sampled) if profiler else None
            if not job.ledger.publish(batch, predictions.rows, quarantined, most, also_read, left, profile):
                log.info("another worker took over", batch=batch.batch_id)
                return Outcome()
        except QuarantineError as error:
            error.step = "data-check"
            if found.broken:
                error.what += "; most often " + ", ".join(f"{what} ({n})" for what, n in found.broken.most_common(3))
            raise
    found.scored, found.quarantined = predictions.rows.num_rows, quarantined.num_rows
    found.flagged = predictions.flagged
    with _timed(found, "shadow"):
        beside = shadow.score(job, batch, shadows, fetched, examined.checked, predictions.rows)
    found.shadow_scored = beside.rows
    found.shadow_failed = beside.failed + (len(versions) - len(shadows)) * predictions.rows.num_rows
    found.peak_rss_mb = peak_rss_mb()
    return found


def make_results(
    model: Model, matrix: Matrix, examined: Examined, fetched: Fetched, names: list[str]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Predictions of the good rows and quarantine entries of the bad ones."""
    hashes = row_hash(fetched.rows, fetched.misfits, names)
    passed = examined.checked.passed
    whole = len(passed) == len(hashes)
    keys = examined.keys if whole else examined.keys.take(pa.array(passed))
    predictions = predict.predictions(model, matrix, keys, hashes if whole else hashes[passed])
    originals = {(misfit.row, misfit.column): misfit.value for misfit in fetched.misfits}
    quarantined = predict.quarantined(
        examined.keys, examined.values, originals, examined.checked.failures, hashes, check.reasons
    )
    return predictions, quarantined


def count_broken(checked: check.Checked) -> Counter[str]:
    return Counter(f"{f.column}: {f.rule}" for failures in checked.failures.values() for f in failures)


@contextmanager
def _timed(found: Outcome, step: str) -> Iterator[None]:
    begun = time.perf_counter()
    try:
        yield
    except RowcastError as error:
        error.step = error.step or step
        raise
    finally:
        found.seconds[step] += time.perf_counter() - begun


class _Worker:
    """What a process keeps open between batches."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self.job = self._stack.enter_context(open_job(settings, prepare=False))
        self._models: dict[int, Model] = {}
        self._profilers: dict[int, Profiler | None] = {}
        self.shadows = shadow.Shadows(self.job, self.model)

    def model(self, version: int) -> Model:
        if version not in self._models:
            self._models[version] = self.job.registry.load(version)
        return self._models[version]

    def profiler(self, version: int) -> Profiler | None:
        if version not in self._profilers:
            self._profilers[version] = make_profiler(self.job, version, self.model(version))
        return self._profilers[version]

    def close(self) -> None:
        self._stack.close()


_workers: list[_Worker] = []  # at most one in each process


def _worker(request: ScoringRequest) -> _Worker:
    if _workers and _workers[0].settings != request.settings:
        close_worker()
    if not _workers:
        if multiprocessing.parent_process() is not None and request.logging is not None:
            given = request.logging
            logs.configure(given.level, file=given.file, secrets=given.secrets, rotates=False, values=given.values)
        _workers.append(_Worker(request.settings))
    return _workers[0]


@atexit.register
def close_worker() -> None:
    """Let go of what this process kept open between batches."""
    while _workers:
        _workers.pop().close()
