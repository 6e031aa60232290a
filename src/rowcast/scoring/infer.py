"""The scoring steps of a run: what is pending is planned into batches, and what fails is narrowed down to its rows."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import structlog

from rowcast import check, fetch, predict
from rowcast.contract import Failure
from rowcast.engines import Engine
from rowcast.errors import DeadWorkerError, RowcastError, RunError, describe
from rowcast.job.opening import Job
from rowcast.job.step_record import peak_rss_mb, write_step
from rowcast.scoring import sample
from rowcast.scoring.batch import Outcome, ScoringRequest, close_worker, score_batch
from rowcast.scoring.columns import columns_needed
from rowcast.source import KeyRange, row_hash
from rowcast.store import JobState, new_worker
from rowcast.store.records import StepRecord, StepStatus

log = structlog.get_logger("rowcast")

STEPS = ("data-fetch", "data-check", "data-process", "inference")
_ROW = "(row)"  # in a reason, where no single column is at fault
_DEADLY = 3  # processes that die over a batch before it counts as failing; from the first on it is worked on apart
_FRUITLESS = 4  # times that a failing batch is halved without any part of it succeeding, before it is left


def score_pending(job: Job, request: ScoringRequest, engine: Engine, progress: Callable[[int, int], None]) -> Outcome:
    """Score what is pending: batches that another run left behind, then what is newly planned.

    `progress` is told rows done and rows in all. Raises what stops the run; the batches before it stay published.
    """
    if not job.retried(job.ledger.state).scope.is_fixed:
        raise no_champion(job)
    newest = job.retried(lambda: fetch.newest_event(job.source, request.now))
    total = Outcome(age_h=None if newest is None else (request.now - newest) / timedelta(hours=1))
    started_at = job.retried(job.store.now)
    scoring = _Scoring(job, request, engine, total)
    try:
        left_behind = job.retried(lambda: job.ledger.open_batches(as_of=request.now))
        if left_behind:
            log.info("taking up batches that an earlier run left", batches=len(left_behind))
            scoring.request = replace(request, sampled=job.retried(lambda: sample.share(job)))
            scoring.score(left_behind)
        begun = time.perf_counter()
        rows = total.fetched + job.retried(lambda: _plan(job, request), total.count_retry)
        total.seconds["data-fetch"] += time.perf_counter() - begun
        progress(total.fetched, rows)
        scoring.request = replace(scoring.request, sampled=job.retried(lambda: sample.share(job)))
        # Asked for, not remembered: a plan whose commit was not heard of is in the store all the same, and a batch
        # that has not room for all its rows leaves another.
        tried: set[int] = set()
        while planned := set(job.retried(lambda: job.ledger.open_batches(request.run_id))) - tried - set(total.failed):
            tried |= planned
            scoring.score(sorted(planned), lambda: progress(total.fetched, rows))
        scoring.narrow_down()
        # A run as of the future has not seen what arrives until then.
        is_past = request.now <= job.retried(job.store.now)
        if newest is not None and is_past and not job.retried(job.ledger.open_ranges):
            job.retried(lambda: job.ledger.set_state(complete_to=newest))
        if total.failed and not total.scored:
            raise next(iter(total.failed.values()))
    except BaseException as error:
        with suppress(RowcastError):  # the first error tells more
            job.store.reconnect()  # an interruption can leave a transaction open
            job.ledger.give_back(request.run_id)
            record(job, request.run_id, total, started_at, error)
        raise
    job.retried(lambda: record(job, request.run_id, total, started_at, None))
    return total


def plan(
    job: Job, run_id: int, now: datetime, state: JobState, since: datetime | None, version: int | None
) -> list[tuple[int, KeyRange]]:
    """Record batches for all pending rows that no open batch covers; their ids and keys.

    What is pending is looked for before the lock is taken, and again under it only where somebody else has planned in
    between: whoever else works on the table does not wait for it.
    """
    ledger, rows = job.ledger, job.settings.infer.batch_rows
    newest = ledger.newest_batch()
    ranges = job.pending.plan(state.scope, now, since, rows, ledger.open_ranges())
    with ledger.planning():
        if ledger.newest_batch() != newest:
            ranges = job.pending.plan(state.scope, now, since, rows, ledger.open_ranges())
        batches = ledger.add_batches(run_id, ranges, version)
    return list(zip(batches, ranges, strict=True))


def _plan(job: Job, request: ScoringRequest) -> int:
    """How many rows are newly planned."""
    state = job.ledger.state()
    since = state.looked_back_to(job.settings.source.late_arrival)
    if since is not None and request.since is not None:
        since = min(
            since, request.since
        )  # further back than usual, never less far: what is left out is not looked for again
    planned = plan(job, request.run_id, request.now, state, since, request.champion)
    return sum(keys.rows for _, keys in planned)


def no_champion(job: Job) -> RunError:
    return RunError(
        f"job '{job.settings.name}' has no champion yet", hint="train the first model with 'rowcast retrain'"
    )


class _Scoring:
    """Batches scored by an engine, and what became of them."""

    def __init__(self, job: Job, request: ScoringRequest, engine: Engine, total: Outcome) -> None:
        self.job = job
        self.request = request
        self.engine = engine
        self.total = total
        self._before = job.retried(lambda: job.ledger.count_published(request.run_id))  # by the run that is resumed

    def score(self, batches: Sequence[int], progress: Callable[[], None] = lambda: None) -> None:
        """Score batches; those that fail are in the total, given back."""
        self.total.failed |= self._mapped(batches, progress)

    def narrow_down(self) -> None:
        """Find the rows for which batches fail; where nothing at all succeeds, one batch stands for all."""
        failed, self.total.failed = self.total.failed, {}
        for batch_id, error in failed.items():
            if self.total.failed and not self.total.scored:
                self.total.failed[batch_id] = error
            else:
                self.total.failed |= self._narrowed(batch_id, error)

    def _mapped(
        self, batches: Sequence[int], progress: Callable[[], None] = lambda: None, *, apart: bool = False
    ) -> dict[int, RowcastError]:
        """Add up what becomes of batches; those that fail, each with its error.

        Where a worker process dies, the others go on. The batch over which it died is worked on apart from then on:
        in a process of its own, so that it takes no other batch and not the run itself with it.
        """
        failed: dict[int, RowcastError] = {}
        died = set(batches) if apart else self._died_over(batches, 1)
        enough = 1 if apart else _DEADLY
        for is_apart in (False, True):
            left, idle = [b for b in batches if (b in died) == is_apart and b not in failed], 0
            while left:
                try:
                    failed |= self._engaged(left, progress, apart=is_apart)
                    break
                except DeadWorkerError as error:
                    self._leave_the_shadow()
                    dead = self._buried(progress)
                    idle += not dead
                    if idle == _DEADLY:  # whatever kills them, it is no batch
                        raise
                    died |= set(dead)
                    failed |= dict.fromkeys(self._died_over(dead, enough), error)
                left = [b for b in self._open(left) if b not in failed and (is_apart or b not in died)]
                if not is_apart and len(left) <= self.request.settings.infer.workers:
                    died |= set(left)  # so few would be worked on in this process
                    left = []
        return failed

    def _engaged(
        self, batches: Sequence[int], progress: Callable[[], None], *, apart: bool = False
    ) -> dict[int, RowcastError]:
        failed: dict[int, RowcastError] = {}
        try:
            # Closed here and now: workers must have ended before what they held is given back.
            with closing(self.engine.map(partial(score_batch, self.request), batches, apart=apart)) as outcomes:
                for outcome in outcomes:
                    self.total.add(outcome)
                    failed |= outcome.failed
                    progress()
        finally:
            close_worker()
        return failed

    def _died_over(self, batches: Sequence[int], least: int) -> set[int]:
        return set(batches) & self.job.retried(lambda: self.job.ledger.find_deadly(least))

    def _open(self, batches: Sequence[int]) -> list[int]:
        still_open = set(self.job.retried(self.job.ledger.open_batches))
        return [batch_id for batch_id in batches if batch_id in still_open]

    def _leave_the_shadow(self) -> None:
        """Go on without versions that score in the shadow: they may be what a worker died of."""
        if self.request.shadows:
            log.warning("nobody scores in the shadow any more in this run", versions=list(self.request.shadows))
            self.request = replace(self.request, shadows=())

    def _buried(self, progress: Callable[[], None]) -> list[int]:
        """The batches over which workers have just died, given back; and what others published without being heard."""
        job, run_id = self.job, self.request.run_id
        dead = job.retried(lambda: job.ledger.give_back(run_id))
        log.warning("a worker process died", batches=dead or None)
        now = job.retried(lambda: job.ledger.count_published(run_id))
        batches, scored, quarantined = (new - old for new, old in zip(now, self._before, strict=True))
        unheard = Outcome(
            batches - self.total.batches,
            scored=scored - self.total.scored,
            quarantined=quarantined - self.total.quarantined,
        )
        unheard.fetched = unheard.scored + unheard.quarantined
        self.total.add(unheard)
        progress()
        return dead

    def _narrowed(self, batch_id: int, error: RowcastError) -> dict[int, RowcastError]:
        """Halve a failing batch while some part succeeds, down to rows that fail alone; what is left with its error."""
        parts, left, fruitless = {batch_id: error}, {}, 0
        while parts and fruitless < _FRUITLESS:
            smaller: list[int] = []
            for part, reason in parts.items():
                keys = self.job.retried(partial(self.job.ledger.planned_range, part))
                if keys is not None and keys.first == keys.last:
                    if isinstance(reason, DeadWorkerError) and not self._mapped([part], apart=True):
                        continue  # it was not this row
                    if not self.total.scored or not self._set_aside(part, reason):
                        left[part] = reason
                elif keys is not None:
                    smaller += self._halved(part, keys)
            apart = any(isinstance(reason, DeadWorkerError) for reason in parts.values())
            tried, parts = parts, self._mapped(smaller, apart=apart)
            fruitless = fruitless + 1 if smaller and len(parts) == len(smaller) else 0
            log.info("halved what failed", batch=batch_id, parts=len(smaller), failing=len(parts), before=len(tried))
        return left | parts

    def _halved(self, batch_id: int, keys: KeyRange) -> list[int]:
        """Smaller batches in place of a planned one."""
        job, request = self.job, self.request

        def halved() -> list[int]:
            with job.ledger.planning():
                rows = max(1, (keys.rows + 1) // 2)
                around = job.ledger.open_ranges(but=batch_id)
                ranges = job.pending.plan(job.ledger.state().scope, request.now, None, rows, around, keys)
                return job.ledger.halve(batch_id, request.run_id, ranges)

        return job.retried(halved)

    def _set_aside(self, batch_id: int, error: RowcastError) -> bool:
        """Quarantine a row that fails alone, with the error."""
        job, name = self.job, new_worker()
        try:
            return job.retried(lambda: self._quarantined(batch_id, name, error))
        except RowcastError as second:
            log.warning("a row that fails alone cannot be set aside", batch=batch_id, error=second)
            with suppress(RowcastError):
                job.ledger.release(batch_id, name)
            return False

    def _quarantined(self, batch_id: int, name: str, error: RowcastError) -> bool:
        job, request = self.job, self.request
        batch = job.ledger.claim(batch_id, request.run_id, request.champion, name)
        if batch is None:
            return True  # another worker took it up, or this one's commit was not heard of
        columns = columns_needed(job, job.registry.load(batch.model_version))
        read = partial(job.pending.read, batch.keys, scope=job.ledger.state().scope, now=request.now, batch_rows=1)
        try:
            fetched = read(columns=columns)
        except RowcastError:  # reading it may be what fails
            columns, fetched = [], read(columns=[])
        names = [column.name for column in columns]
        keys = fetched.rows.select([column.name for column in job.source.key])
        failures = {0: [Failure(0, _ROW, "error", describe(error, details=True))]} if keys.num_rows else {}
        hashes = row_hash(fetched.rows, fetched.misfits, names)
        row = predict.quarantined(keys, fetched.rows.select(names), {}, failures, hashes, check.reasons)
        none = pa.RecordBatch.from_pylist([], schema=pa.schema([]))
        if not job.ledger.publish(batch, none, row, request.max_quarantine, names):
            return True
        self.total.add(Outcome(batches=1, fetched=keys.num_rows, quarantined=keys.num_rows))
        self.total.broken[f"{_ROW}: error"] += keys.num_rows
        return True


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
        metrics: dict[str, Any] = {}
        note = ""
        if name == "data-check":
            metrics = {"quarantined": total.quarantined}
            if total.broken:
                note = "set aside: " + ", ".join(f"{what} ({n})" for what, n in total.broken.most_common(3))
        status: StepStatus = StepStatus.DONE
        error: BaseException | None = None
        if name == "inference":
            metrics = {"scored": total.scored, "flagged": total.flagged, "batches": total.batches}
            metrics |= {"retries": total.retries, "batches_left": len(total.failed)}
            if total.shadow_scored or total.shadow_failed:
                metrics |= {"shadow_scored": total.shadow_scored, "shadow_failed": total.shadow_failed}
                metrics["shadow_s"] = round(total.seconds["shadow"], 3)
            if total.age_h is not None:
                metrics["age_h"] = round(total.age_h, 4)
            if total.failed:
                status, error = StepStatus.PARTIAL, next(iter(total.failed.values()))
        if failed is not None and place == broken_at:
            status = StepStatus.FAILED if isinstance(failed, Exception) else StepStatus.INTERRUPTED
            error = failed
        figures = (total.seconds[name], rows_in, rows_out, total.columns, total.peak_rss_mb or peak_rss_mb(), None)
        write_step(job.runs, StepRecord(run_id, name, "score", status, started_at, *figures), metrics, note, "", error)
