"""Two versions held against each other: what their predictions of the same labelled rows cost, and which serves."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast import features, gate
from rowcast.config import Task
from rowcast.errors import ModelError
from rowcast.job.opening import Job
from rowcast.messages.decisions import explain_decision
from rowcast.models.artifact import Model
from rowcast.models.decision import Costs, decision_costs
from rowcast.scoring import shadow
from rowcast.source import GROUP, LABEL, RENDERED, TIME
from rowcast.store.records import DecisionRecord, NewDecision
from rowcast.store.registry import Version

_DAY = 86_400_000_000  # microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Recipe = Literal["same", "changed", "imported"]


def pair_costs(
    job: Job, rows: pa.RecordBatch, champion: pa.Array, challenger: pa.Array, models: list[Model]
) -> gate.PairedCosts:
    """Return what rows with their `LABEL`, `TIME` and `GROUP` cost, by what both models predicted of each.

    Raise ModelError where one of them does something else than the config's task.
    """
    task = job.settings.task
    for model in models:
        if model.kind != task.kind:
            raise ModelError(f"one is a {model.kind} model, and [task] kind is {task.kind}")
    classes = tuple(dict.fromkeys(label for model in models for label in model.classes))
    truth, *said = (_in_form(labels, task, classes) for labels in (rows.column(LABEL), champion, challenger))
    classified = task.kind != "regression"
    lost = [decision_costs(truth, each, Costs.of(task) if classified else None) for each in said]
    return gate.PairedCosts(
        lost[0],
        lost[1],
        positive=truth > 0 if classified else None,
        worst=max(task.cost_missed, task.cost_false_alarm) if classified else None,
        blocks=blocks(job, rows),
    )


def decide(
    job: Job,
    costs: gate.PairedCosts,
    now: datetime,
    decisions: Sequence[DecisionRecord],
    recipe: Recipe,
    growth: gate.Growth,
) -> gate.Decision:
    """Return the decision of the config's rule about a challenger, as of `now` and the decisions on record by then.

    A version that was fitted elsewhere must be proven better, whatever the rule: no earlier retraining tells of it.
    """
    settings = job.settings.gate
    if settings.rule == "proven" or recipe == "imported":
        return gate.decide(costs, gate.Rule(min_gain=settings.min_gain), shadow.find_allowance(job, now, decisions))
    by_then = [each for each in decisions if each.decided_at <= now]
    prior = gate.make_prior(gate.learn_curve(by_then), growth) if recipe == "same" else gate.UNLIKE
    yearly = settings.yearly_error
    allowed = gate.find_harm_allowance(yearly, now, by_then) if settings.rule == "fresh" else None
    return gate.decide_by_expectation(costs, prior, allowed, max_harm=settings.max_harm, min_gain=settings.min_gain)


def tell_recipe(champion: Version, challenger: Version) -> Recipe:
    """Return whether the challenger was made as the champion was."""
    if not challenger.rows:  # those that an imported model was fitted on are not known
        return "imported"
    return "same" if champion.estimator == challenger.estimator else "changed"


def make_record(decision: gate.Decision, now: datetime) -> NewDecision:
    """Return what is kept of a gate's decision as of `now`."""
    reason, evidence = explain_decision(decision), decision.evidence.to_dict()
    return NewDecision(decision.outcome, reason, evidence, decided_at=now, decided_by="gate")


def _in_form(labels: pa.Array, task: Task, classes: tuple[Any, ...]) -> npt.NDArray[Any]:
    """Labels as places of classes, of which the first needs no action, or as values."""
    if task.kind == "regression":
        return np.asarray(labels.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if task.kind == "binary":
        return features.match_positive(labels, task.positive).astype(np.int64)
    return features.encode_labels(labels, classes)


def blocks(job: Job, rows: pa.RecordBatch) -> npt.NDArray[np.int64] | None:
    """Return which rows share luck, as numbers (n,): those of a group where one is named, else those of a day.

    Return None where each row stands alone, since neither a group nor a time is known.
    """
    if GROUP in rows.schema.names or job.source.time is None:
        return groups(rows)
    days: npt.NDArray[np.int64] = rows.column(TIME).to_numpy() // _DAY
    return days


def groups(rows: pa.RecordBatch) -> npt.NDArray[np.int64] | None:
    """Return which rows belong together, as numbers (n,); None where no group is named."""
    if GROUP not in rows.schema.names:
        return None
    found = rows.column(GROUP).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    # Rows without a group stand alone.
    return np.where(found >= 0, found, -1 - np.arange(len(found)))


def find_window(job: Job, rows: pa.RecordBatch) -> dict[str, Any]:
    """Return from when to when a model was trained; without a time column, up to which key."""
    if job.source.time is None:
        last = rows.slice(rows.num_rows - 1)
        return {"trained_to_key": [last.column(f"{RENDERED}{n}")[0].as_py() for n in range(len(job.source.key))]}
    times = rows.column(TIME).to_numpy()
    return {"trained_from": _moment(times[0]), "trained_to": _moment(times[-1])}


def _moment(microseconds: Any) -> datetime:
    return _EPOCH + timedelta(microseconds=int(microseconds))
