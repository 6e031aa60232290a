"""Single steps, triggered by hand: each reads what the step before saved and saves its own, for both row sets."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import structlog

from rowcast import check, features, fetch
from rowcast.contract import Contract, Failure
from rowcast.errors import RunError
from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.saved import SAVED, saved_contract, saved_matrix
from rowcast.job.step_record import StepReport, record_step
from rowcast.job.workdir import WorkDir
from rowcast.models.artifact import Model
from rowcast.scoring import batch as batches
from rowcast.scoring import infer, profiler, sample, shadow
from rowcast.scoring.columns import Examined, also_checked, check_overrides, columns_needed
from rowcast.source import Fetched
from rowcast.store import Batch, JobState
from rowcast.store.records import RunRecord
from rowcast.training import steps
from rowcast.watch import drift

log = structlog.get_logger("rowcast")
STEPS = (*steps.STEPS, "inference", "monitor")
_PLACE = "rowcast.place"  # a good row's place among the fetched ones


def latest(job: Job, root: Path) -> RunRecord:
    """Return the newest run that has saved something. Raise RunError where there is none."""
    for found in job.runs.newest():
        if WorkDir(root, found.run_id).has(SAVED["data-fetch"]):
            return found
    raise RunError("no run has saved anything yet", hint="begin with 'rowcast step data-fetch'")


def step(run: Run, name: str) -> None:
    """Run one step on its saved input."""
    before = {
        "data-check": "data-fetch",
        "data-process": "data-check",
        "model-build": "data-process",
        "gate": "model-build",
    }
    if name in before and not run.work.has(SAVED[before[name]]):
        raise RunError(f"run {run.run_id} has no saved {before[name]}", hint=f"run 'rowcast step {before[name]}' first")
    if name in steps.STEPS:
        run.job.runs.begin_training(run.run_id)
        steps.train(run, name, name)
    score = {
        "data-fetch": _fetch,
        "data-check": _check,
        "data-process": _process,
        "inference": _infer,
        "monitor": drift.watch,
    }
    if name in score:
        with record_step(run.job.runs, run.run_id, name, "score") as about:
            score[name](run, about)


def resume(run: Run, done: set[tuple[str, str]]) -> None:
    """Every step that did not finish, in order."""
    first = steps.first_unfinished(done, run.work)
    for name in STEPS[STEPS.index(first) :]:
        step(run, name)


def _fetch(run: Run, about: StepReport) -> None:
    """Plan what is pending and save it with every column: which model will score it is decided at inference."""
    state = _state(run.job, run.now)
    settings = run.job.settings
    since = state.looked_back_to(settings.source.late_arrival)
    planned = infer.plan(run.job, run.run_id, run.now, state, since, None)
    champion = run.job.registry.champion()
    needed = run.job.registry.version(champion).features if champion is not None else ()
    wanted = {*run.job.checked_columns, *needed}
    columns = [column for column in run.job.source.relation.columns if column.name in wanted]
    about.rows_in = 0
    for batch_id, keys in planned:
        fetched = run.job.pending.read(keys, columns, state.scope, run.now, settings.infer.batch_rows)
        run.work.save_rows(f"score/{batch_id}/fetched.arrow", fetched)
        about.rows_in += fetched.rows.num_rows
    run.work.save_json("score/batches.json", [batch_id for batch_id, _ in planned])
    about.rows_out, about.columns = about.rows_in, len(columns)


def _state(job: Job, now: datetime) -> JobState:
    """The job's scope, or, before the first promotion, what it would be by now."""
    state = job.ledger.state()
    if state.scope.is_fixed:
        return state
    return JobState(fetch.initial_scope(job.source, now, job.settings.infer.since))


def _check(run: Run, about: StepReport) -> None:
    contract = _contract(run.job, run.work)
    about.rows_in = about.rows_out = 0
    about.columns = len(contract.rules)
    for batch_id in run.work.json("score/batches.json"):
        fetched = run.work.rows(f"score/{batch_id}/fetched.arrow")
        checked = _checked(run.job, contract, fetched)
        kept = pa.array(checked.passed)
        run.work.save_rows(f"score/{batch_id}/checked.arrow", Fetched(checked.good.append_column(_PLACE, kept), []))
        failures = {row: json.loads(check.reasons(found)) for row, found in checked.failures.items()}
        run.work.save_json(f"score/{batch_id}/failures.json", failures)
        about.rows_in += fetched.rows.num_rows
        about.rows_out += checked.good.num_rows
    run.work.save_json("score/contract.json", contract.to_json())
    about.metrics = {"quarantined": about.rows_in - about.rows_out}


def _contract(job: Job, work: WorkDir) -> Contract:
    """That of the model which will score: a fresh challenger's where nobody is champion yet."""
    champion = job.registry.champion()
    return saved_contract(work) if champion is None else job.registry.load(champion).contract


def _checked(job: Job, contract: Contract, fetched: Fetched) -> check.Checked:
    there = [name for name in contract.names if name in fetched.rows.schema.names]
    in_force = check.in_force(contract.select(there), job.settings.check.columns)
    return check.check(fetched.rows, in_force, fetched.misfits, job.settings.source.missing)


def _process(run: Run, about: StepReport) -> None:
    contract = Contract.from_json(run.work.json("score/contract.json"))
    about.rows_in = about.rows_out = 0
    for batch_id in run.work.json("score/batches.json"):
        rows = run.work.rows(f"score/{batch_id}/checked.arrow").rows
        names = [name for name in contract.names if name in rows.schema.names]
        matrix = features.process(rows, contract, names)
        columns = {name: pa.array(matrix.values[:, place]) for place, name in enumerate(names)}
        run.work.save_rows(f"score/{batch_id}/matrix.arrow", Fetched(pa.RecordBatch.from_pydict(columns), []))
        about.rows_in += rows.num_rows
        about.rows_out += len(matrix)
        about.columns = len(names)


def _infer(run: Run, about: StepReport) -> None:
    champion = run.job.registry.champion()
    if champion is None:
        raise infer.no_champion(run.job)
    if not run.work.has("score/batches.json"):
        raise RunError(f"run {run.run_id} has no saved rows to score", hint="begin with 'rowcast step data-fetch'")
    check_overrides(run.job, champion)
    model = run.job.registry.load(champion)
    counter = profiler.make_profiler(run.job, champion, model)
    shadows = shadow.Shadows(run.job, run.job.registry.load).able(shadow.versions(run.job, run.now))
    about.rows_in = about.rows_out = 0
    share = sample.share(run.job)
    for batch_id in run.work.json("score/batches.json"):
        batch = run.job.ledger.claim(batch_id, run.run_id, champion)
        if batch is None:
            log.info("already taken by another run", batch=batch_id)
            continue
        try:
            scored = _published(run, model, counter, share, shadows, batch)
        except BaseException:
            run.job.ledger.release(batch.batch_id, batch.worker)
            raise
        about.rows_in += scored
        about.rows_out += scored
    about.columns = len(model.features)
    about.metrics = {"scored": about.rows_out}


def _published(
    run: Run,
    model: Model,
    counter: profiler.Profiler | None,
    share: float,
    shadows: list[shadow.Shadow],
    batch: Batch,
) -> int:
    job, work = run.job, run.work
    folder = f"score/{batch.batch_id}"
    fetched = work.rows(f"{folder}/fetched.arrow")
    names = [column.name for column in columns_needed(job, model)]
    begun = time.perf_counter()
    contract = Contract.from_json(work.json("score/contract.json")) if work.has("score/contract.json") else None
    if contract == model.contract and work.has(f"{folder}/matrix.arrow"):
        rows = work.rows(f"{folder}/checked.arrow").rows
        saved = work.json(f"{folder}/failures.json")
        failures = {int(row): [_failure(int(row), one) for one in found] for row, found in saved.items()}
        kept = rows.column(_PLACE).to_numpy()
        checked = check.Checked(rows, kept, np.array(sorted(failures), dtype=np.int64), failures)
        matrix = saved_matrix(work.rows(f"{folder}/matrix.arrow").rows, contract).select(model.features)
    else:
        log.info("checking again: the champion changed since data-check", batch=batch.batch_id)
        checked = _checked(job, model.contract, fetched)
        matrix = features.process(checked.good, model.contract, model.features)
    keys = fetched.rows.select([column.name for column in job.source.key])
    examined = Examined(checked, keys, fetched.rows.select(names))
    predictions, quarantined = batches.make_results(model, matrix, examined, fetched, names)
    most, also_read = job.settings.check.max_quarantine, also_checked(job, model)
    rendered = job.source.rendered(fetched.rows).take(pa.array(checked.passed))
    counted = counter.profile(matrix, predictions.rows, checked.good, rendered, share) if counter else None
    if not job.ledger.publish(batch, predictions.rows, quarantined, most, also_read, counted=counted):
        raise RunError(
            f"batch {batch.batch_id} was taken over by another run", hint="nothing is lost: it scores the rows"
        )
    shadow.score(job, batch, shadows, fetched, checked, predictions.rows)
    log.info(
        "published", batch=batch.batch_id, rows=predictions.rows.num_rows, seconds=round(time.perf_counter() - begun, 2)
    )
    return int(predictions.rows.num_rows)


def _failure(row: int, saved: dict[str, Any]) -> Failure:
    return Failure(row, saved["column"], saved["rule"], saved["value"], saved.get("limit"))
