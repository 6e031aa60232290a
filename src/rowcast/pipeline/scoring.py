"""The scoring steps: each batch streams through fetch, check, process and inference, and is published whole."""

import atexit
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import pyarrow as pa
import structlog

from rowcast import check, fetch, infer, process
from rowcast.config import Settings
from rowcast.database import Column
from rowcast.engines import Engine
from rowcast.errors import DatabaseError, RowcastError, RunError
from rowcast.fetch import Fetched
from rowcast.ledger import Batch
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.pipeline.job import Job, opened
from rowcast.pipeline.record import Recorded, peak_rss_mb, said, write

log = structlog.get_logger("rowcast")

STEPS = ("data-fetch", "data-check", "data-process", "inference")


@dataclass(frozen=True)
class Order:
    """What a worker must know to score a batch; it travels to worker processes."""

    settings: Settings
    run_id: int
    now: datetime
    champion: int
    accept_quarantine: bool = False


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


@dataclass(frozen=True)
class Examined:
    """A batch that went through data-check."""

    checked: check.Checked
    keys: pa.RecordBatch  # of all fetched rows
    values: pa.RecordBatch  # of all fetched rows, as read


def infer_all(job: Job, order: Order, engine: Engine, progress: Callable[[int, int], None]) -> Outcome:
    """Score what is pending: batches that another run left behind, then what is newly planned.

    `progress` is told rows done and rows in all. Raises what stopped a batch; the batches before it stay published.
    """
    if not job.ledger.state().has_scope:
        raise no_champion(job)
    newest = fetch.newest_event(job.source, order.now)
    total = Outcome()
    started_at = job.store.now()
    try:
        left_behind = job.ledger.open_batches()
        if left_behind:
            log.info("taking up batches that an earlier run left", batches=len(left_behind))
            for outcome in _mapped(order, engine, left_behind):
                total.add(outcome)
        begun = time.perf_counter()
        planned, rows = plan(job, order.run_id, order.now, order.champion)
        total.seconds["data-fetch"] += time.perf_counter() - begun
        rows += total.fetched
        progress(total.fetched, rows)
        for outcome in _mapped(order, engine, planned):
            total.add(outcome)
            progress(total.fetched, rows)
        # A run as of the future has not seen what arrives until then.
        if newest is not None and order.now <= job.store.now() and not job.ledger.open_ranges():
            job.ledger.set_state(complete_to=newest)
    except BaseException as error:
        with suppress(DatabaseError):  # the first error tells more
            record(job, order.run_id, total, started_at, error)
        raise
    record(job, order.run_id, total, started_at, None)
    return total


def plan(job: Job, run_id: int, now: datetime, version: int | None) -> tuple[list[int], int]:
    """Record batches for all pending rows that no open batch covers: their ids, and how many rows they have."""
    settings = job.settings
    with job.ledger.planning():
        skip = job.ledger.open_ranges()
        ranges = job.pending.plan(
            job.ledger.state(), now, settings.source.late_arrival, settings.infer.batch_rows, skip
        )
        batches = job.ledger.add_batches(run_id, ranges, version)
    return batches, sum(keys.rows for keys in ranges)


def no_champion(job: Job) -> RunError:
    return RunError(
        f"job '{job.settings.name}' has no champion yet", hint="train the first model with 'rowcast retrain'"
    )


def _mapped(order: Order, engine: Engine, batches: list[int]) -> Iterator[Outcome]:
    try:
        for outcome in engine.map(partial(score_batch, order), batches):
            if outcome is not None:
                yield outcome
    finally:
        _close()


def score_batch(order: Order, batch_id: int) -> Outcome | None:
    """Claim, fetch, check, process, score and publish one batch. None where another worker has it."""
    worker = _worker(order.settings)
    for last_try in (False, True):
        batch = worker.job.ledger.claim(batch_id, order.run_id, order.champion)
        if batch is None:
            return None
        try:
            return _scored(worker, order, batch)
        except DatabaseError as error:
            worker.job.ledger.release(batch)
            # Somebody scored a row of it in the meantime: what is pending now is read again.
            if error.reason != "duplicate" or last_try:
                raise
        except BaseException:
            worker.job.ledger.release(batch)
            raise
    raise AssertionError


def _scored(worker: "_Worker", order: Order, batch: Batch) -> Outcome | None:
    job, found = worker.job, Outcome(batches=1)
    model = worker.model(batch.model_version)
    columns = columns_needed(job, model)
    with _timed(found, "data-fetch"):
        fetched = job.pending.read(batch.keys, columns, job.ledger.state(), order.now, order.settings.infer.batch_rows)
        found.fetched, found.columns = fetched.rows.num_rows, len(columns)
    with _timed(found, "data-check"):
        examined = examine(job, model, fetched, [column.name for column in columns])
    with _timed(found, "data-process"):
        matrix = process.process(examined.checked.good, model.contract, model.features)
    with _timed(found, "inference"):
        predictions, quarantined = results(model, matrix, examined, fetched, [c.name for c in columns])
        most = None if order.accept_quarantine else order.settings.check.max_quarantine
        found.broken.update(broken(examined.checked))
        try:
            if not job.ledger.publish(batch, predictions, quarantined, most):
                return None
        except RowcastError as error:
            if found.broken:
                error.what += "; most often " + ", ".join(f"{what} ({n})" for what, n in found.broken.most_common(3))
            raise
    found.scored, found.quarantined = predictions.num_rows, quarantined.num_rows
    found.flagged = int((predictions.column("score").to_numpy() >= model.threshold).sum())
    found.peak_rss_mb = peak_rss_mb()
    return found


def columns_needed(job: Job, model: Model) -> list[Column]:
    """Only what the model uses and what the config's checks name is read."""
    wanted = set(model.features) | (set(job.settings.check.columns) & set(model.contract.names))
    check_columns(job, model.features)
    return [column for column in job.source.relation.columns if column.name in wanted]


def check_columns(job: Job, features: Sequence[str]) -> None:
    """Raise RunError where the source lacks a column that a model needs."""
    missing = [name for name in features if name not in job.source.relation.names]
    if missing:
        raise RunError(
            f"the source no longer has column '{missing[0]}', which the model needs",
            hint="give it back; or 'rowcast retrain' trains without it, and 'rowcast promote V' puts that in service",
        )


def examine(job: Job, model: Model, fetched: Fetched, names: list[str]) -> Examined:
    contract = check.in_force(model.contract.select(names), job.settings.check.columns)
    checked = check.check(fetched.rows, contract, fetched.misfits, job.settings.source.missing)
    keys = fetched.rows.select([column.name for column in job.source.key])
    return Examined(checked, keys, fetched.rows.select(names))


def results(
    model: Model, matrix: Matrix, examined: Examined, fetched: Fetched, names: list[str]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Predictions of the good rows and quarantine entries of the bad ones."""
    hashes = fetch.row_hash(fetched.rows, fetched.misfits, names)
    kept = examined.checked.kept
    whole = len(kept) == len(hashes)
    keys = examined.keys if whole else examined.keys.take(pa.array(kept))
    predictions = infer.predictions(model, matrix, keys, hashes if whole else hashes[kept])
    originals = {(misfit.row, misfit.column): misfit.value for misfit in fetched.misfits}
    quarantined = infer.quarantined(
        examined.keys, examined.values, originals, examined.checked.failures, hashes, check.reasons
    )
    return predictions, quarantined


def broken(checked: check.Checked) -> Counter[str]:
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


def record(job: Job, run_id: int, total: Outcome, started_at: datetime, failed: BaseException | None) -> None:
    """The rows of the scoring steps, added up over all batches and workers."""
    good = total.fetched - total.quarantined
    counts = {
        "data-fetch": (total.fetched, total.fetched),
        "data-check": (total.fetched, good),
        "data-process": (good, good),
        "inference": (good, total.scored),
    }
    broken_at = STEPS.index(failed.step) if isinstance(failed, RowcastError) and failed.step in STEPS else 0
    for place, (name, (rows_in, rows_out)) in enumerate(counts.items()):
        if failed is not None and place > broken_at and not total.batches:
            return
        about = Recorded(rows_in, rows_out, total.columns)
        if name == "data-check":
            about.metrics = {"quarantined": total.quarantined}
            if total.broken:
                about.note = "set aside: " + ", ".join(f"{what} ({n})" for what, n in total.broken.most_common(3))
        if name == "inference":
            about.metrics = {"scored": total.scored, "flagged": total.flagged, "batches": total.batches}
        at_fault = failed is not None and place == broken_at
        status = "done" if not at_fault else "failed" if isinstance(failed, Exception) else "interrupted"
        what = said(failed) if failed is not None and at_fault else None
        peak = total.peak_rss_mb or None
        write(
            job.ledger, run_id, name, "score", about, status, started_at, total.seconds[name], peak_mb=peak, error=what
        )


class _Worker:
    """What a process keeps open between batches."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = ExitStack()
        self.job = self._stack.enter_context(opened(settings, prepare=False))
        self._models: dict[int, Model] = {}

    def model(self, version: int) -> Model:
        if version not in self._models:
            self._models[version] = self.job.registry.load(version)
        return self._models[version]

    def close(self) -> None:
        self._stack.close()


_workers: list[_Worker] = []  # at most one in each process


def _worker(settings: Settings) -> _Worker:
    if _workers and _workers[0].settings != settings:
        _close()
    if not _workers:
        _workers.append(_Worker(settings))
    return _workers[0]


@atexit.register
def _close() -> None:
    while _workers:
        _workers.pop().close()
