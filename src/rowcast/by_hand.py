"""Single steps, triggered by hand: each reads what the step before saved and saves its own, for both row sets."""

import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import structlog

from rowcast import check, features, fetch, history
from rowcast.contract import Contract, Failure
from rowcast.errors import RunError
from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.saved import SAVED, read_contract, read_matrix
from rowcast.job.step_record import StepReport, record_step
from rowcast.job.workdir import WorkDir
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.scoring import infer, shadow
from rowcast.scoring.batch import read_pending, run_batch
from rowcast.scoring.plan import plan_batches
from rowcast.scoring.publish import BatchRows, score_and_publish
from rowcast.scoring.request import Outcome, ScoringRequest
from rowcast.scoring.required_columns import check_overrides, names_checked
from rowcast.scoring.scorer import Scorer
from rowcast.scoring.unused_columns import choose_share
from rowcast.source import Fetched
from rowcast.store import Batch, JobState
from rowcast.store.records import RunRecord
from rowcast.training import steps
from rowcast.training.past import list_past
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


def step(run: Run, name: str, *, accept_quarantine: bool = False) -> None:
    """Run one step on its saved input; `accept_quarantine` lets inference set aside any share of bad rows."""
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
    score: dict[str, Callable[[Run, StepReport], object]] = {
        "data-fetch": _fetch,
        "data-check": _check,
        "data-process": _process,
        "inference": partial(_infer, accept_quarantine=accept_quarantine),
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
    since = state.search_start(settings.source.late_arrival, run.now)
    planned = plan_batches(run.job, run.run_id, run.now, state, since, None)
    champion = run.job.registry.champion()
    needed = run.job.registry.version(champion).features if champion is not None else ()
    wanted = {*run.job.checked_columns, *needed}
    columns = [column for column in run.job.source.relation.columns if column.name in wanted]
    past = list_past(run.job, champion)
    columns += history.list_needed(past)
    about.rows_in = 0
    for batch_id, keys in planned:
        fetched = run.job.pending.read(keys, columns, state.scope, run.now, settings.infer.batch_rows + 1)
        fetched = history.complete_rows(run.job.source, past, fetched)
        run.work.save_rows(f"score/{batch_id}/fetched.arrow", fetched)
        about.rows_in += fetched.rows.num_rows
    run.work.save_json("score/batches.json", [batch_id for batch_id, _ in planned])
    about.rows_out, about.columns = about.rows_in, len(columns)


def _state(job: Job, now: datetime) -> JobState:
    """The job's scope, or, before the first promotion, what it would be by now."""
    state = job.ledger.state()
    if state.scope.is_fixed:
        return state
    return JobState(fetch.find_initial_scope(job.source, now, job.settings.infer.since))


def _check(run: Run, about: StepReport) -> None:
    contract = _contract(run.job, run.work)
    about.rows_in = about.rows_out = 0
    about.columns = len(contract.rules)
    for batch_id in run.work.json("score/batches.json"):
        fetched = run.work.rows(f"score/{batch_id}/fetched.arrow")
        checked = _check_all(run.job, contract, fetched)
        places = pa.array(checked.passed)
        run.work.save_rows(f"score/{batch_id}/checked.arrow", Fetched(checked.good.append_column(_PLACE, places), []))
        failures = {row: json.loads(check.format_reasons(found)) for row, found in checked.failures.items()}
        run.work.save_json(f"score/{batch_id}/failures.json", failures)
        about.rows_in += fetched.rows.num_rows
        about.rows_out += checked.good.num_rows
    run.work.save_json("score/contract.json", contract.to_json())
    about.metrics = {"quarantined": about.rows_in - about.rows_out}


def _contract(job: Job, work: WorkDir) -> Contract:
    """That of the model which will score: a fresh challenger's where nobody is champion yet."""
    champion = job.registry.champion()
    return read_contract(work) if champion is None else job.registry.load(champion).contract


def _check_all(job: Job, contract: Contract, fetched: Fetched) -> check.CheckResult:
    there = [name for name in contract.names if name in fetched.rows.schema.names]
    in_force = check.apply_overrides(contract.select(there), job.settings.check.columns)
    return check.check(fetched.rows, in_force, fetched.misfits, job.settings.source.reading)


def _process(run: Run, about: StepReport) -> None:
    contract = Contract.from_json(run.work.json("score/contract.json"))
    about.rows_in = about.rows_out = 0
    for batch_id in run.work.json("score/batches.json"):
        rows = run.work.rows(f"score/{batch_id}/checked.arrow").rows
        names = [name for name in contract.names if name in rows.schema.names]
        matrix = features.process(rows, contract, names)
        columns = {name: pa.array(matrix.values[:, place]) for place, name in enumerate(names)}
        columns[_PLACE] = rows.column(_PLACE)
        run.work.save_rows(f"score/{batch_id}/matrix.arrow", Fetched(pa.RecordBatch.from_pydict(columns), []))
        about.rows_in += rows.num_rows
        about.rows_out += len(matrix)
        about.columns = len(names)


def _infer(run: Run, about: StepReport, *, accept_quarantine: bool) -> None:
    """Publish the batches that data-fetch planned. Raise what the rows of one raised once the others are published."""
    job = run.job
    champion = job.registry.champion()
    if champion is None:
        raise infer.no_champion(job)
    if not run.work.has("score/batches.json"):
        raise RunError(f"run {run.run_id} has no saved rows to score", hint="begin with 'rowcast step data-fetch'")
    check_overrides(job, champion)
    request = ScoringRequest(
        job.settings,
        run.run_id,
        run.now,
        champion,
        shadow.find_versions(job, run.now),
        accept_quarantine=accept_quarantine,
        sampled=choose_share(job),
    )
    scorer, total = Scorer(job), Outcome()
    publish = partial(score_and_publish, scorer, request, partial(_read_saved, run.work, scorer, request))
    for batch_id in run.work.json("score/batches.json"):
        outcome = run_batch(job, request, batch_id, publish)
        total.add(outcome)
        total.failed |= outcome.failed
        what = "published" if outcome.batches else "failed" if outcome.failed else "taken up by another run"
        seconds = {step: round(seconds, 2) for step, seconds in outcome.seconds.items()}
        log.info(f"batch {what}", batch=batch_id, rows=outcome.scored, seconds=seconds)
    about.rows_in, about.rows_out = total.fetched - total.quarantined, total.scored
    about.columns, about.metrics = len(scorer.model(champion).features), total.figures()
    if total.failed:
        raise next(iter(total.failed.values()))


def _read_saved(work: WorkDir, scorer: Scorer, request: ScoringRequest, batch: Batch) -> BatchRows:
    """Read a batch's rows as data-fetch saved them, with what data-check and data-process made of them.

    They are read from the source where they are no longer what is pending, or lack a column that the model needs.
    """
    job, model = scorer.job, scorer.model(batch.model_version)
    fetched = work.rows(f"score/{batch.batch_id}/fetched.arrow")
    most_rows = job.settings.infer.batch_rows + 1
    pending = job.pending.read(batch.keys, [], job.ledger.state().scope, request.now, most_rows)
    names = names_checked(job, model)
    is_current = job.source.take_rendered_key(fetched.rows).equals(job.source.take_rendered_key(pending.rows))
    if not is_current or not set(names) <= set(fetched.rows.schema.names):
        log.info("reading again: other rows are pending than data-fetch saved", batch=batch.batch_id)
        return read_pending(scorer, request, batch)
    shadows = scorer.shadows.load([version for version in request.shadows if version != batch.model_version])
    checked = _read_checked(work, batch.batch_id, model, names)
    if checked is None:
        log.info("checking again: data-check has not looked by this model's contract", batch=batch.batch_id)
        return BatchRows(fetched, shadows)
    return BatchRows(fetched, shadows, checked, _read_matrix(work, batch.batch_id, model, checked))


def _read_checked(work: WorkDir, batch_id: int, model: Model, names: list[str]) -> check.CheckResult | None:
    """Return what data-check found; None where it looked by another contract, or set rows aside for other columns."""
    folder = f"score/{batch_id}"
    if not work.has("score/contract.json") or not work.has(f"{folder}/failures.json"):
        return None
    if Contract.from_json(work.json("score/contract.json")) != model.contract:
        return None
    saved: dict[str, list[dict[str, Any]]] = work.json(f"{folder}/failures.json")
    failures = {int(row): [_failure(int(row), one) for one in found] for row, found in saved.items()}
    if any(failure.column not in names for found in failures.values() for failure in found):
        return None
    rows = work.rows(f"{folder}/checked.arrow").rows
    passed = rows.column(_PLACE).to_numpy()
    return check.CheckResult(rows, passed, np.array(sorted(failures), dtype=np.int64), failures)


def _read_matrix(work: WorkDir, batch_id: int, model: Model, checked: check.CheckResult) -> Matrix | None:
    """Return the matrix that data-process saved; None where it is of other rows than those that passed."""
    name = f"score/{batch_id}/matrix.arrow"
    if not work.has(name):
        return None
    saved = work.rows(name).rows
    if _PLACE not in saved.schema.names or not np.array_equal(saved.column(_PLACE).to_numpy(), checked.passed):
        return None
    return read_matrix(saved, model.contract).select(model.features)


def _failure(row: int, saved: dict[str, Any]) -> Failure:
    return Failure(row, saved["column"], saved["rule"], saved["value"], saved.get("limit"))
