"""retrain, infer and full-pipeline: the only place that knows the order of steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import structlog

from rowcast import by_hand, retention
from rowcast.alerts import raising
from rowcast.config import Settings
from rowcast.engines import Engine
from rowcast.engines.dask import open_dask
from rowcast.engines.local import Local
from rowcast.engines.spark import open_spark
from rowcast.errors import BusyError, RowcastError, RunError, UsageError
from rowcast.job.meaning import require_same_meaning
from rowcast.job.opening import Job, open_job, parse_moment, resolve_now
from rowcast.job.run import Run
from rowcast.job.workdir import work_root as work_root
from rowcast.messages.decisions import describe_record
from rowcast.messages.events import (
    HELD_BACK_TOPIC,
    SET_ASIDE_TOPIC,
)
from rowcast.messages.retraining import Due, DueCause, describe_due
from rowcast.models import imported
from rowcast.monitor_step import watch_rows
from rowcast.recorded_run import Result, begin_run, go_on_after, open_work
from rowcast.scoring import infer, shadow
from rowcast.scoring.in_database import require_able
from rowcast.scoring.request import ScoringRequest
from rowcast.scoring.requeue import RequeueFilter, requeue_changed, requeue_quarantined
from rowcast.scoring.required_columns import check_columns, check_overrides
from rowcast.source import Scope
from rowcast.store.records import (
    PipelineName,
    RunOptions,
    RunRecord,
    RunStatus,
    StepStatus,
)
from rowcast.training import import_file, policy, shadow_evaluation, steps
from rowcast.training.guards import list_held_back
from rowcast.training.set_aside import list_set_aside

log = structlog.get_logger("rowcast")

Pipeline = Literal["retrain", "infer", "full-pipeline"]
_TRAINS = (PipelineName.RETRAIN, PipelineName.IMPORT)  # and nothing else
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Extra:
    """What a run scores beside rows that are pending and keep the contract."""

    since: str | None = None  # the event time back to which rows older than `late_arrival` are looked for
    rescore: bool = False  # whether rows are scored once more whose values at the source have changed
    accept_quarantine: bool = False  # whether batches are published however many of their rows break the contract


NOTHING_EXTRA = Extra()


def ignore_progress(_done: int, _total: int) -> None:
    """Do nothing with the progress of a run that nobody watches."""


def run(
    settings: Settings,
    pipeline: Pipeline,
    *,
    as_of: str | None = None,
    extra: Extra = NOTHING_EXTRA,
    by: str | None = None,
    progress: Progress = ignore_progress,
) -> Result:
    """Execute a pipeline; `by` is whoever wants it, for the record.

    What stops it is raised once the run has been recorded as failed; what did not stop it is in the result.
    """
    result = Result(PipelineName(pipeline))
    with raising.alert_unbegun(settings, result), open_job(settings) as job:
        now = resolve_now(settings, as_of, job.store)
        since = None if extra.since is None else _event_time(job, extra.since)
        options = RunOptions(since, extra.rescore, by=by)
        request = ScoringRequest(settings, 0, now, accept_quarantine=extra.accept_quarantine, since=since)
        return _run(job, result, request, options, progress)


def replay(job: Job, now: datetime) -> Result:
    """Run the full pipeline as of a moment of the past, in a job that stays open for the moments after it.

    It decides what `run` would. What scores stays open too: `scoring.batch.close_worker` lets go of it. What only a
    person could act on is not looked for: late and unusable rows, and values that changed since they were scored.
    """
    result, request = Result(PipelineName.FULL), ScoringRequest(job.settings, 0, now, is_replay=True)
    return _run(job, result, request, RunOptions(), ignore_progress)


def _run(job: Job, result: Result, request: ScoringRequest, options: RunOptions, progress: Progress) -> Result:
    pipeline, now = result.pipeline, request.now
    if pipeline is PipelineName.INFER and job.registry.champion() is None:
        raise infer.no_champion(job)
    with begin_run(job, result, now, options=options):
        as_of = now.isoformat(timespec="seconds")
        log.info(f"{pipeline} begins", run=result.run_id, job=job.settings.name, as_of=as_of)
        if pipeline is not PipelineName.INFER:
            _train(job, result, now, forced=pipeline is PipelineName.RETRAIN)
        if pipeline is not PipelineName.RETRAIN:
            scoring = replace(request, run_id=result.run_id)
            _score(job, result, scoring, progress, rescore=options.rescore)
        if not request.is_replay:
            _prune(job)
    return result


def _event_time(job: Job, text: str) -> datetime:
    if job.source.time is None:
        raise UsageError("--since needs source.time", hint="without a time column the whole table is searched anyway")
    return parse_moment("--since", text, job.settings.source.timezone)


def resume(settings: Settings, run_id: int | None = None, *, progress: Progress = ignore_progress) -> Result:
    """Go on with a run that did not finish, from its first unfinished step, on the same inputs."""
    with open_job(settings) as job:
        found = job.runs.get(run_id) if run_id is not None else _find_unfinished(job)
        if found.status is RunStatus.DONE:
            raise RunError(f"run {found.run_id} is done: there is nothing to resume", hint="'rowcast runs' lists them")
        if not found.pipeline.is_pipeline:
            again = f"repeat the 'rowcast {found.pipeline}' that it was"
            raise RunError(f"run {found.run_id} has no steps to resume", hint=again)
        result, now = Result(found.pipeline), found.as_of
        recorded_steps = job.runs.steps(found.run_id)
        done = {(step.name, step.row_set) for step in recorded_steps if step.status is StepStatus.DONE}
        with begin_run(job, result, now, found):
            as_of = now.isoformat(timespec="seconds")
            log.info("resume begins", run=result.run_id, pipeline=result.pipeline, as_of=as_of)
            if result.pipeline is PipelineName.STEP:
                by_hand.resume(Run(job, result.run_id, now, open_work(job, result.run_id)), done)
                return result
            begun = [step for step in recorded_steps if step.row_set != "score"]
            if result.pipeline is not PipelineName.INFER and ("gate", "-") not in done:
                if result.pipeline is PipelineName.IMPORT and import_file.load(open_work(job, result.run_id)) is None:
                    raise RunError("the model's file is no longer kept", hint="'rowcast models import' takes it again")
                if begun or result.pipeline in _TRAINS:
                    _train_or_go_on(job, result, now, done, result.pipeline in _TRAINS)
                else:
                    _train(job, result, now, forced=False)
            if result.pipeline not in _TRAINS:
                request = ScoringRequest(settings, result.run_id, now, since=found.options.since)
                # Once more: what was planned for it already is no longer among the predictions, or no longer differs.
                _score(job, result, request, progress, rescore=found.options.rescore)
        return result


def import_model(settings: Settings, path: Path, trained_to: str, *, as_of: str | None = None) -> Result:
    """A model that was fitted elsewhere as a challenger: calibrated on rows later than `trained_to`, then the gate."""
    data = import_file.read(path)
    with open_job(settings) as job:
        if job.source.time is None:
            raise UsageError(
                "a model can be imported only where source.time is named: else nobody knows which rows it has not seen"
            )
        seen = parse_moment("--trained-to", trained_to, settings.source.timezone)
        imported.check_file(path.name, data)  # before anything is recorded or copied
        now = resolve_now(settings, as_of, job.store)
        result = Result(PipelineName.IMPORT)
        with begin_run(job, result, now):
            import_file.keep(open_work(job, result.run_id), import_file.ImportedFile(path.name, data, seen))
            _train_or_go_on(job, result, now, set(), forced=True)
        return result


def step(
    settings: Settings,
    name: str,
    *,
    as_of: str | None = None,
    run_id: int | None = None,
    accept_quarantine: bool = False,
) -> Result:
    """Run one step by hand, on what the step before saved; data-fetch begins a new run."""
    if name not in by_hand.STEPS:
        raise RunError(f"there is no step '{name}'", hint=f"the steps are {', '.join(by_hand.STEPS)}")
    if accept_quarantine and name != "inference":
        raise UsageError(
            f"{name} sets no rows aside: --accept-quarantine is for the step that publishes",
            hint="'rowcast step inference --accept-quarantine'",
        )
    with open_job(settings) as job:
        if name == "data-fetch":
            now = resolve_now(settings, as_of, job.store)
            result, found = Result(PipelineName.STEP), None
        else:
            found = job.runs.get(run_id) if run_id is not None else by_hand.latest(job, work_root(settings))
            if as_of is not None:
                raise UsageError(
                    f"{name} works as of its run's data-fetch", hint="give --as-of to 'rowcast step data-fetch'"
                )
            result, now = Result(found.pipeline), found.as_of
        with begin_run(job, result, now, found):
            work = open_work(job, result.run_id)
            by_hand.step(Run(job, result.run_id, now, work), name, accept_quarantine=accept_quarantine)
            if name == "gate":
                result.decision = steps.read_decision(Run(job, result.run_id, now, work))
        return result


def requeue(settings: Settings, chosen: RequeueFilter, *, by: str | None = None) -> Result:
    """Give quarantined rows another chance: they are pending again, and planned however old they are.

    `by` is whoever wants it, for the record.
    """
    with open_job(settings) as job:
        if chosen.key:
            job.source.interpret_key(chosen.key)  # a mistyped one is no run
        now = job.store.now()
        result = Result(PipelineName.REQUEUE)
        with begin_run(job, result, now, options=RunOptions(by=by)):
            run = Run(job, result.run_id, now, open_work(job, result.run_id))
            made = job.retry(lambda: requeue_quarantined(run, chosen))
            result.requeued, result.left_to_training = made.rows, made.learned
        return result


def _find_unfinished(job: Job) -> RunRecord:
    for found in job.runs.newest(10_000):
        if found.status is not RunStatus.DONE and found.pipeline.is_pipeline:
            return found
    raise RunError(f"every run of job '{job.settings.name}' is done", hint="'rowcast run' starts another")


def _train(job: Job, result: Result, now: datetime, *, forced: bool) -> None:
    """Judge what scored in the shadow, then retrain where due; where either fails, a champion scores all the same."""
    due = Due(DueCause.ASKED) if forced else _due(job, now, result)
    _evaluate_shadow(job, result, now, training=due.now)
    reason = describe_due(due, values=job.settings.notify.values)
    if not due.now:
        result.retrain = reason
        log.info("retraining is not due", reason=reason)
        return
    log.info("retraining", reason=reason)
    before = job.retry(job.ledger.state).scope
    _train_or_go_on(job, result, now, set(), forced)
    _count_left(job, result, before)


def _count_left(job: Job, result: Result, before: Scope) -> None:
    """Count rows that waited to be scored, and are left to training since the new champion could learn from them."""
    made = result.decision
    if made is None or not made.outcome.changes_champion or not before.is_fixed:
        return
    try:
        moved = job.retry(lambda: job.pending.count_moved(before, job.ledger.state().scope))
    except Exception as error:
        go_on_after(result, error, "rows that are left to training could not be counted")
        return
    result.left_to_training = moved.left
    if moved.left:
        hint = (
            "their labels are known, and the new version could learn from them: 'rowcast infer' first scores such rows"
        )
        log.info("rows that waited are left to training", rows=moved.left, hint=hint)


def _evaluate_shadow(job: Job, result: Result, now: datetime, *, training: bool) -> None:
    try:
        with raising.note_failure(result.failures, "gate"):
            result.shadow_evaluation = shadow_evaluation.evaluate(job, result.run_id, now, training=training)
    except Exception as error:
        go_on_after(result, error, "what was scored in the shadow could not be judged")


def _train_or_go_on(job: Job, result: Result, now: datetime, done: set[tuple[str, str]], forced: bool) -> None:
    try:
        with raising.note_failure(result.failures, "import" if result.pipeline is PipelineName.IMPORT else "retrain"):
            job.retry(lambda: job.runs.begin_training(result.run_id))
            _train_from(job, result, now, done)
            job.retry(lambda: job.runs.end_training(result.run_id))
    except BusyError as busy:
        if forced or job.registry.champion() is None:
            raise
        result.retrain = f"not now: {busy.what}"
        log.info("retraining is under way elsewhere", reason=busy.what)
    except Exception as error:
        if forced or job.registry.champion() is None:
            raise
        result.retrain = f"failed: {go_on_after(result, error, 'retraining failed, the champion goes on scoring').what}"


def _train_from(job: Job, result: Result, now: datetime, done: set[tuple[str, str]]) -> None:
    """Train from the first step that is not done, or whose input is gone."""
    run = Run(job, result.run_id, now, open_work(job, result.run_id))
    steps.train(run, steps.first_unfinished(done, run.work))
    result.decision = steps.read_decision(run)
    result.retrain = f"v{result.decision.version} {describe_record(result.decision)}"
    raising.alert_watched(job, SET_ASIDE_TOPIC, list_set_aside(run, result.decision.version))
    raising.alert_watched(job, HELD_BACK_TOPIC, list_held_back(run, result.decision))


def _due(job: Job, now: datetime, result: Result) -> Due:
    due = job.retry(lambda: policy.check_time(job, now))
    if not due.now:
        return due
    try:
        with raising.note_failure(result.failures, "quality"):
            return policy.check_figures(job, now, result.run_id, due)
    except Exception as error:
        known = go_on_after(result, error, "quality could not be measured")
        return Due(DueCause.UNMEASURED, error=known)


def _score(job: Job, result: Result, request: ScoringRequest, progress: Progress, *, rescore: bool = False) -> None:
    def check_champion() -> int:
        """The champion. A damaged one, a column that is gone, a check that cannot be: all stop before the planning."""
        champion = job.registry.champion()
        if champion is None:
            raise infer.no_champion(job)
        job.registry.verify(champion)
        serving = job.registry.version(champion)
        check_columns(job, job.registry.load(champion))
        require_same_meaning(serving, job.source, job.settings.task)
        check_overrides(job, champion)
        if request.is_in_database:
            require_able(job, job.registry.load(champion))
        return champion

    with raising.note_failure(result.failures, "infer"):
        request = replace(request, champion=job.retry(check_champion))
        result.scored_by = request.champion
        request = replace(request, shadows=job.retry(lambda: shadow.find_versions(job, request.now)))
        shadow.forget(job, request.now)
        if rescore:
            run = Run(job, result.run_id, request.now, open_work(job, result.run_id))
            result.requeued = job.retry(lambda: requeue_changed(run))
            log.info("changed rows are scored once more", rows=result.requeued)
        with _open_engine(request) as engine:
            outcome = result.outcome = infer.score_pending(job, request, engine, progress)
    if outcome.shadow_failed:
        what = f"{outcome.shadow_failed} rows could not be scored in the shadow; the champion scored them"
        result.failures["shadow"] = RunError(what, hint="the log names the version and what it lacks")
    elif outcome.shadow_scored or not request.shadows:
        result.failures["shadow"] = None
    if outcome.failed:
        first, batches = next(iter(outcome.failed.values())), len(outcome.failed)
        result.failures["infer"] = first
        what = f"{batches} batch{'es' if batches > 1 else ''} could not be scored and stay pending: {first.what}"
        result.status, result.error = RunStatus.PARTIAL, RunError(what, hint=first.hint, detail=first.detail)
    run = Run(job, result.run_id, request.now, open_work(job, result.run_id))
    watch_rows(run, result, is_replay=request.is_replay)


def _prune(job: Job) -> None:
    """Delete what `[store] keep` says was kept long enough; a run whose work is done does not fail over it."""
    try:
        pruned = retention.prune(job)
    except RowcastError as error:  # the next run does it
        log.warning("what is old could not be pruned", error=error)
        return
    if pruned.rows:
        log.info("what was kept long enough is pruned", **vars(pruned))


@contextmanager
def _open_engine(request: ScoringRequest) -> Iterator[Engine]:
    about = request.settings.infer
    if about.engine in ("local", "database") or request.is_replay:
        yield Local(about.workers)
        return
    opening = (
        open_spark(about.master, about.workers)
        if about.engine == "spark"
        else open_dask(about.scheduler, about.workers, ("rowcast", "lightgbm"))
    )
    with opening as engine:
        yield engine
