"""The training steps: each reads what the one before saved, and saves its own. A repeat and a resume are the same."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from rowcast import check, features, fetch, fit, gate, history, monitor
from rowcast.errors import TrainingError
from rowcast.formatting import count
from rowcast.job.meaning import make_meaning, require_same_task
from rowcast.job.run import Run
from rowcast.job.saved import SAVED, read_contract, read_matrix
from rowcast.job.step_record import StepReport, record_step
from rowcast.job.workdir import WorkDir, importable
from rowcast.messages.decisions import describe_record
from rowcast.models import imported
from rowcast.models.target import Target
from rowcast.source import FRESH, GROUP, KNOWN, LABEL, TIME, Fetched, take_rows
from rowcast.store.records import DecisionOutcome, DecisionRecord
from rowcast.training import import_file
from rowcast.training.comparison import blocks, find_window, groups, make_record
from rowcast.training.evidence import CHECKED, PART, judge, refits, save_forward
from rowcast.training.guards import count_categories
from rowcast.training.import_file import GATE, NEITHER, TRAIN
from rowcast.training.newest_rows import read_newest_rows
from rowcast.training.past import (
    add_rules,
    list_learned,
    list_past,
    read_past,
    save_past,
    try_auto,
    watch_past,
    with_past,
)
from rowcast.training.unusable_rows import FAILING, require_times, tell_failing
from rowcast.watch import drift

log = structlog.get_logger("rowcast")

OUTCOME = "rowcast.outcome"
UNDECIDED = DecisionOutcome.UNDECIDED
_EXAMPLES = 20

STEPS = tuple(SAVED)


def train(run: Run, first: str = "data-fetch", last: str = "gate") -> None:
    """Run the training steps from `first` to `last`, each recorded."""
    functions: dict[str, Callable[[Run, StepReport], None]] = {
        "data-fetch": _fetch,
        "data-check": _check,
        "data-process": _process,
        "model-build": _build,
        "gate": _gate,
    }
    for name in STEPS[STEPS.index(first) : STEPS.index(last) + 1]:
        row_set = "-" if name in ("model-build", "gate") else "train"
        with record_step(run.job.runs, run.run_id, name, row_set) as about:
            run.job.retry(partial(functions[name], run, about))


def _fetch(run: Run, about: StepReport) -> None:
    champion = run.job.registry.champion_as_of(run.now)
    until = None
    if champion is not None:
        serving = run.job.registry.version(champion)
        require_same_task(serving, run.job.source, run.job.settings.task)
        until = serving.trained_until
    run.work.save_json("train/champion.json", champion)
    past, most = list_past(run.job, champion), run.job.settings.model.max_train_rows
    beside = history.list_needed(past, with_time=False)
    found = fetch.fetch_training_rows(run.job.source, run.now, most, until, beside)
    fetched = history.complete_rows(run.job.source, past, found.fetched, dated=True)
    tell_failing(run, found.failing, about)
    require_times(run.job, fetched.rows)
    model = import_file.load(run.work)
    parts = _parts(fetched.rows, run.job.settings.model.window, None if model is None else model.seen_to)
    if model is not None:
        import_file.require_enough(fetched.rows, parts, model, run.job.settings.model.min_train_rows)
    part = pa.array(parts, pa.int8())
    run.work.save_rows(SAVED["data-fetch"], Fetched(fetched.rows.append_column(PART, part), fetched.misfits))
    save_past(run, past)
    about.rows_in = about.rows_out = fetched.rows.num_rows
    about.columns = len(run.job.source.features) + len(past)
    about.metrics["labels_known"] = fetch.count_known_labels(run.job.source, run.now)


def _parts(rows: pa.RecordBatch, window: timedelta | None, seen_to: int | None = None) -> npt.NDArray[np.int8]:
    """The later half of what came after the champion's training serves the gate, the rest trains.

    Where the gate's rule refits, the gate's rows and those between train the version too, once its recipe is judged.
    What trains was known when the gate's first row came, and no older than `window`: between both lies as much time as
    labels take. Neither ties in time nor groups are split: a group that reaches over the border serves neither on its
    later side. Rows up to `seen_to` serve nothing: a model that was fitted elsewhere may have seen them. The border is
    then where both sides have rows, since labels may come late.
    """
    parts = np.full(rows.num_rows, TRAIN, dtype=np.int8)
    time, fresh = rows.column(TIME).to_numpy(), np.flatnonzero(rows.column(FRESH).to_numpy())
    if seen_to is not None:
        parts[time <= seen_to] = NEITHER
        fresh = fresh[time[fresh] > seen_to]
    border = rows.num_rows
    if len(fresh) > 1:
        known = rows.column(KNOWN).to_numpy()
        middle = len(fresh) // 2 if seen_to is None else import_file.find_border(time, known, fresh, seen_to)
        border = int(np.searchsorted(time, time[fresh[middle]]))
        parts[border:] = GATE
        parts[:border][known[:border] > time[border]] = NEITHER
        if GROUP in rows.schema.names:
            group = rows.column(GROUP).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
            reaching = np.isin(group, group[:border]) & (group >= 0)
            parts[border:][reaching[border:]] = NEITHER
    if window is not None and border:
        oldest = time[min(border, rows.num_rows - 1)] - window // timedelta(microseconds=1)
        parts[:border][time[:border] < oldest] = NEITHER
    return parts


def _check(run: Run, about: StepReport) -> None:
    fetched, reading = run.work.rows(SAVED["data-fetch"]), run.job.settings.source.reading
    rows = fetched.rows
    if not rows.num_rows:
        raise TrainingError("no row has a known label yet", hint="a model needs labelled rows; check [source] label")
    parts = rows.column(PART).to_numpy()
    learned_from = np.ones(len(parts), dtype=bool) if refits(run) else parts == TRAIN
    trains, judges = (take_rows(fetched, np.flatnonzero(rows)) for rows in (learned_from, parts == GATE))
    failing: list[str] = run.work.json(FAILING)
    overrides = {name: rule for name, rule in run.job.settings.check.columns.items() if name not in failing}
    columns = [name for name in run.job.checked_columns if name not in failing] + list_learned(run)
    learned = check.learn(trains.rows, columns, overrides, reading, trains.misfits)
    dropped = dict.fromkeys(failing, "the database cannot compute it") | learned.dropped
    learned = replace(learned, dropped=dropped, unreadable=tuple(failing))
    learned = replace(learned, contract=add_rules(run, learned.contract))
    for part in (trains, judges):  # a column that cannot be read would cost the rows of either
        learned = check.leave_out_unreadable(learned, part.rows, part.misfits, reading)
    for name in learned.unreadable:
        log.warning("a column that cannot be read is left out", column=name, why=learned.dropped[name])
    checked = check.check(rows, learned.contract, fetched.misfits, reading)
    run.work.save_rows(SAVED["data-check"], Fetched(checked.good, []))
    broken = Counter(f"{f.column}: {f.rule}" for failures in checked.failures.values() for f in failures)
    examples = [check.format_reasons(failures) for failures in list(checked.failures.values())[:_EXAMPLES]]
    run.work.save_json(
        "train/contract.json",
        {
            "contract": learned.contract.to_json(),
            "dropped": learned.dropped,
            "unreadable": learned.unreadable,
            "bad_rows": len(checked.failures),
            "broken": dict(broken.most_common()),
            "examples": examples,
        },
    )
    about.rows_in, about.rows_out, about.columns = rows.num_rows, checked.good.num_rows, len(learned.contract.rules)
    about.metrics["bad_rows"] = len(checked.failures)
    if not checked.good.num_rows:
        raise TrainingError(
            f"none of {rows.num_rows:,} labelled rows keeps the contract; most often broken: {_most_common(broken)}",
            hint="[check.columns] sets what is allowed: see docs/configuration.md",
        )
    unreadable_first = sorted(learned.dropped.items(), key=lambda pair: pair[0] not in learned.unreadable)
    notes = [f"not used: {name} ({why})" for name, why in unreadable_first[:3]]
    if broken:
        notes.append(f"dropped bad rows: {_most_common(broken)}")
    about.note = "; ".join(notes)


def _most_common(broken: Counter[str]) -> str:
    return ", ".join(f"{what} ({n})" for what, n in broken.most_common(3))


def _process(run: Run, about: StepReport) -> None:
    rows, contract = run.work.rows(SAVED["data-check"]).rows, read_contract(run.work)
    task, known = run.job.settings.task, set(contract.names)
    learnable = features.find_learnable(rows.column(LABEL), task, fit.MIN_CLASS_ROWS)
    about.rows_in, about.detail = rows.num_rows, _list_left_out(rows.column(LABEL).filter(pa.array(~learnable)))
    left_out = int((~learnable).sum())
    about.note = f"not learned from {count(left_out, 'label')}: odd or rare values, or no numbers" if left_out else ""
    about.metrics["odd_labels"] = left_out
    if left_out:
        hint = "[source] label_missing lists values that mean 'not known'"
        log.warning("labels that are odd or rare are not learned from", rows=left_out, hint=hint)
    rows = rows.filter(pa.array(learnable))
    target = features.make_target(rows.column(LABEL), task)
    names = [column.name for column in run.job.source.features if column.name in known]
    names += [column.name for column in read_past(run) if column.name in known]
    matrix = features.process(rows, contract, names)
    columns = {name: pa.array(matrix.values[:, place]) for place, name in enumerate(names)}
    columns |= {OUTCOME: pa.array(target.values), **{name: rows.column(name) for name in (TIME, KNOWN, PART)}}
    columns[CHECKED] = pa.array(np.flatnonzero(learnable))
    if GROUP in rows.schema.names:
        columns[GROUP] = rows.column(GROUP).dictionary_encode().indices
    run.work.save_rows(SAVED["data-process"], Fetched(pa.RecordBatch.from_pydict(columns), []))
    run.work.save_json("train/classes.json", target.classes)
    about.rows_out, about.columns = len(matrix), len(names)


def _list_left_out(labels: pa.Array) -> str:
    """Outcomes that no model can learn from, and how often each was seen."""
    shown = [f"{pair['values']!r} ({pair['counts']})" for pair in labels.value_counts().to_pylist()[:5]]
    return ", ".join(shown)


def _build(run: Run, about: StepReport) -> None:
    rows, contract = run.work.rows(SAVED["data-process"]).rows, read_contract(run.work)
    is_refit = refits(run)
    trains = rows if is_refit else rows.filter(pc.equal(rows.column(PART), TRAIN))
    matrix, settings = read_matrix(trains, contract), run.job.settings
    values = trains.column(OUTCOME).to_numpy(zero_copy_only=False)
    target = Target(settings.task.kind, values, tuple(run.work.json("train/classes.json")))
    event, known = (trains.column(name).to_numpy() for name in (TIME, KNOWN))
    is_dated = run.job.source.time is not None
    serves_gate = trains.column(PART).to_numpy() == GATE
    border = int(serves_gate.argmax()) if is_refit and serves_gate.any() else None
    newest = read_newest_rows(run, [(contract, matrix.names)], read_past(run))
    alike = groups(trains), blocks(run.job, trains)
    training = fit.TrainingData(matrix, target, event, known, *alike, is_dated, border, newest[0] if newest else None)
    model = import_file.load(run.work)
    tried: tuple[fit.SetTrial, ...] = ()
    if model is None and settings.features.auto:
        training, tried = try_auto(run, training)
        matrix = training.matrix
    if model is None:
        with importable(settings.folder):
            confidence = settings.infer.confidence
            built = fit.fit_challenger(
                training, contract, settings.model, settings.task, confidence, limit=fit.TrialLimit(_clock(), _ran(run))
            )
    else:
        theirs = imported.read_estimator(model.name, model.data, target.kind, target.classes)
        built = fit.calibrate_imported(
            training, contract, theirs, settings.model, settings.task, settings.infer.confidence
        )
    built = replace(built, model=with_past(run, built.model))
    for period in built.metrics.get("set_aside", []):
        log.warning("labelled rows, or their values of a column, are not learned from", **period)
    save_forward(run.work, trains.column(CHECKED), serves_gate, built)
    last = run.work.rows(SAVED["data-fetch"]).rows
    if is_refit:
        last = last.slice(fit.find_latest(last.column(TIME).to_numpy(), settings.model.window).start or 0)
        latest = fit.find_latest(event, settings.model.window)
        matrix, event = matrix.take(latest), event[latest]
    else:
        last = last.filter(pc.equal(last.column(PART), TRAIN))
    window = find_window(run.job, last)
    # A connection may have been cut while it was idle: that is no reason to train again.
    labels_known = run.job.retry(lambda: fetch.count_known_labels(run.job.source, run.now))
    unlearned = run.work.json("train/contract.json")
    about_it = {
        **built.metrics,
        "labels_known": labels_known,
        "candidates": [each.to_dict() for each in built.candidates],
        "dropped": {**unlearned["dropped"], **built.dropped},
        "unreadable": unlearned["unreadable"],
        "importance": built.features_ranked,
        "categories": count_categories(matrix),
    }
    if tried:
        about_it["history"] = [trial.to_dict() for trial in tried]
    apart = run.job.retry(lambda: drift.cadence(run.job, run.now))
    watched = watch_past(run, built.model, matrix)
    held_against = monitor.make_reference(built.model, built.contributions, watched, event if is_dated else None, apart)
    version = run.job.retry(
        lambda: run.job.registry.save(
            built.model,
            held_against,
            created_at=run.now,
            run_id=run.run_id,
            estimator=settings.model.estimator if model is None else model.name,
            rows=built.metrics["rows"] if model is None else 0,  # those that it was fitted on are not known
            metrics=about_it,
            meaning=make_meaning(run.job.source, settings.task, built.model).to_json(),
            **window,
        )
    )
    run.work.save_json(
        SAVED["model-build"], {"version": version, **built.metrics, "candidates": about_it["candidates"]}
    )
    about.rows_in, about.rows_out, about.columns = len(matrix), built.metrics["rows"], len(built.model.features)
    about.metrics = {name: value for name, value in built.metrics.items() if not isinstance(value, list)}
    about.note = f"v{version}: {built.metrics['candidate']}, out of fold {_quality(built.metrics)}"


def _quality(figures: dict[str, Any]) -> str:
    """The figure that people know, with its interval."""
    name = "auc" if "auc" in figures else "mae"
    value, low, high = (figures[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{name.upper()} unknown" if value is None else f"{name.upper()} {value:.3g} ({low:.3g} to {high:.3g})"


def _clock() -> Callable[[], float]:
    """Seconds since now."""
    begun = time.monotonic()
    return lambda: time.monotonic() - begun


def _ran(run: Run) -> int | None:
    """How many candidates ran where this very moment was trained as of before, whatever the time they took."""
    same = [each for each in run.job.registry.versions() if each.created_at == run.now]
    return next((each.metrics["ran"] for each in same if "ran" in each.metrics), None)


def _gate(run: Run, about: StepReport) -> None:
    version = run.job.registry.version(run.work.json(SAVED["model-build"])["version"])
    champion, decisions = run.job.registry.champion(), run.job.registry.decisions()
    if stands := _find_standing(version.version, champion, decisions):
        about.note = f"v{version.version} was decided on before: {describe_record(stands)}"
        _save_decision(run.work, stands)
        return
    fetched_for = run.work.json("train/champion.json")
    if champion != fetched_for:
        changed = gate.Cause.CHAMPION_CHANGED
        decision = gate.Decision(UNDECIDED, changed, champion=fetched_for, challenger=champion)
    elif champion is None:
        decision = gate.first(version.metrics)
    else:
        decision = judge(run, run.job.registry.version(champion), version, decisions, about)
    if decision.promote and champion is None and not run.job.ledger.state().scope.is_fixed:
        run.job.ledger.fix_scope(fetch.find_initial_scope(run.job.source, run.now, run.job.settings.infer.since))
    if decision.promote and not run.job.registry.promote(
        version.version, make_record(decision, run.now), against=champion, knowing=len(decisions)
    ):
        decision = gate.Decision(UNDECIDED, gate.Cause.OVERTAKEN)
    if not decision.promote:
        run.job.registry.keep(version.version, make_record(decision, run.now))
    made = next(each for each in run.job.registry.decisions() if each.version == version.version)
    _save_decision(run.work, made)
    about.metrics = decision.evidence.to_dict()
    about.note = f"v{version.version} {describe_record(made)}"


def _find_standing(version: int, champion: int | None, decisions: list[DecisionRecord]) -> DecisionRecord | None:
    """The decision that a gate asked again lets stand: to test on the same rows twice would be a second chance.

    That is what made the version champion, be it this gate or a person, or a test of this gate's that it did not pass.
    """
    about_it = [made for made in decisions if made.version == version]
    if champion == version:
        return about_it[0]
    return next((made for made in about_it if made.is_by_gate and made.outcome is not UNDECIDED), None)


def _save_decision(work: WorkDir, made: DecisionRecord) -> None:
    about = {"promotion_id": made.promotion_id, "version": made.version, "decision": made.outcome}
    work.save_json(SAVED["gate"], {**about, "reason": made.reason, **made.evidence})


def read_decision(run: Run) -> DecisionRecord:
    """Return the gate's decision in a run whose gate is done."""
    return run.job.registry.decision(run.work.json(SAVED["gate"])["promotion_id"])


def first_unfinished(done: set[tuple[str, str]], work: WorkDir) -> str:
    """The first step that is not done, or an earlier one where what it must read is gone."""
    first = next((name for name in STEPS if not {(name, "train"), (name, "-")} & done), STEPS[-1])
    place = STEPS.index(first)
    while place and not work.has(SAVED[STEPS[place - 1]]):
        place -= 1
    if STEPS[place] != first:
        log.warning(f"what {first} needs is gone from the work directory: going back to {STEPS[place]}")
    return STEPS[place]
