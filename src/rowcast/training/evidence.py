"""What the gate judges a challenger by: rows that came after the champion's training, predicted by both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rowcast import features, fit, gate, predict
from rowcast.errors import ModelError, RunError, SourceError
from rowcast.job.meaning import require_same_meaning
from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.saved import SAVED
from rowcast.job.step_record import StepReport
from rowcast.job.workdir import WorkDir
from rowcast.source import FRESH, LABEL, Fetched
from rowcast.store.records import DecisionOutcome, DecisionRecord
from rowcast.store.registry import Version
from rowcast.training import import_file
from rowcast.training.comparison import decide, find_window, pair_costs, tell_recipe
from rowcast.training.guards import find_held_back
from rowcast.training.import_file import GATE

PART = "rowcast.part"  # beside each training row: what it serves
CHECKED = "rowcast.checked"  # a row's place among those that data-check saved
FORWARD = "train/forward.arrow"  # what the recipe decides about the gate's rows, beside their `CHECKED`
PREDICTED = "predicted"


def refits(run: Run) -> bool:
    """Return whether the version is fitted on all matured rows: not one that was fitted elsewhere."""
    return run.job.settings.gate.refits and import_file.load(run.work) is None


def save_forward(work: WorkDir, checked: pa.Array, serves_gate: npt.NDArray[np.bool_], built: fit.FitResult) -> None:
    """Save what the recipe decides about the gate's rows, in the form of the source's labels; no rows where nothing."""
    forward, model = built.forward, built.model
    rows, values = (np.empty(0, np.int64), np.empty(0)) if forward is None else (forward.rows, forward.predicted)
    kept = serves_gate[rows]
    decided = pa.array(values[kept])
    if model.classes:
        decided = pa.array(model.classes).take(pa.array(values[kept].astype(np.int64)))
    columns = {CHECKED: checked.take(pa.array(rows[kept])), PREDICTED: decided}
    work.save_rows(FORWARD, Fetched(pa.RecordBatch.from_pydict(columns), []))


def judge(
    run: Run, champion: Version, challenger: Version, decisions: Sequence[DecisionRecord], about: StepReport
) -> gate.Decision:
    """Return the gate's decision by what both versions predict of rows later than what the champion was trained on."""
    job, rows, predicted = run.job, run.work.rows(SAVED["data-check"]).rows, None
    growth = _measure_growth(rows, champion.rows)
    if refits(run):
        if not rows.column(FRESH).to_numpy().any():
            return gate.Decision(DecisionOutcome.UNDECIDED, gate.Cause.NOTHING_NEW, gate.Evidence(rows=0))
        forward = run.work.rows(FORWARD).rows
        rows, predicted = rows.take(forward.column(CHECKED)), forward.column(PREDICTED)
    else:
        rows = _select_gate_rows(job, rows)
    try:
        require_same_meaning(champion, job.source, job.settings.task)
        models = [job.registry.load(version.version) for version in (champion, challenger)]
        scoring = models if predicted is None else models[:1]  # what the recipe predicts was saved when it was fitted
        scored = [model.score(features.process(rows, model.contract, model.features)) for model in scoring]
        said = [predict.predict_labels(model, found) for model, found in zip(scoring, scored, strict=True)]
        costs = pair_costs(job, rows, said[0], said[1] if predicted is None else predicted, models)
    except (ModelError, RunError, SourceError) as error:  # a champion that cannot score cannot be compared with
        evidence, cause = gate.Evidence(rows=rows.num_rows), gate.Cause.NOT_COMPARABLE
        return gate.Decision(DecisionOutcome.UNDECIDED, cause, evidence, champion=champion.version, error=error)
    decision = decide(job, costs, run.now, decisions, tell_recipe(champion, challenger), growth)
    if decision.promote:
        pair = said[0], said[1] if predicted is None else predicted
        held = find_held_back(run, (champion, challenger), models, rows, pair)
        decision = decision if held is None else gate.hold_back(decision, held)
    about.rows_in = about.rows_out = rows.num_rows
    added: dict[str, Any] = {"judged_to": _newest(job, rows)}
    if models[0].kind == "binary" and predicted is None:
        positive = features.match_positive(rows.column(LABEL), job.settings.task.positive)
        aucs = [gate.auc(positive, found.score) for found in scored]
        added |= {"auc_champion": aucs[0], "auc_challenger": aucs[1]}
    return replace(decision, evidence=replace(decision.evidence, **added))


def _measure_growth(rows: pa.RecordBatch, learned: int) -> gate.Growth:
    """How many times the champion's rows, which are `learned`, the judged fits and the version learned from.

    Where no more rows are taken, new ones stand for as many more.
    """
    fresh, gates = rows.column(FRESH).to_numpy(), rows.column(PART).to_numpy() == GATE
    ratios = [
        max(1.0, int(used.sum()) / max(1, learned), 1 + int((used & fresh).sum()) / max(1, learned))
        for used in (~gates, np.ones(len(fresh), dtype=bool))
    ]
    return gate.Growth(ratios[0], max(ratios))


def _select_gate_rows(job: Job, rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that serve the gate alone, but those with a label that is neither outcome."""
    gates = rows.filter(pc.equal(rows.column(PART), GATE))
    if job.settings.task.kind != "binary":  # the others judge what they can say
        return gates
    odd = features.find_odd_labels(rows.column(LABEL), job.settings.task.positive)
    return gates.filter(pc.invert(pc.is_in(gates.column(LABEL), pa.array(odd, gates.column(LABEL).type))))


def _newest(job: Job, rows: pa.RecordBatch) -> Any:
    """The newest of these rows, as JSON takes it: its time, or without a time column its key."""
    if not rows.num_rows:
        return None
    window = find_window(job, rows)
    return window["trained_to"].isoformat() if "trained_to" in window else window["trained_to_key"]
