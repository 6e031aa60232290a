"""Two versions held against each other: what their predictions of the same labelled rows cost."""

from datetime import datetime
from typing import Any

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
from rowcast.source import GROUP, LABEL, TIME
from rowcast.store.records import NewDecision

_DAY = 86_400_000_000  # microseconds


def compare(
    job: Job,
    rows: pa.RecordBatch,
    champion: pa.Array,
    challenger: pa.Array,
    models: list[Model],
    allowed: gate.Allowance,
) -> gate.Decision:
    """Return the gate's decision on rows with their `LABEL`, `TIME` and `GROUP`, by what both models predicted of each.

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
    costs = gate.PairedCosts(
        lost[0],
        lost[1],
        positive=truth > 0 if classified else None,
        worst=max(task.cost_missed, task.cost_false_alarm) if classified else None,
        blocks=blocks(job, rows),
    )
    return gate.decide(costs, gate.Rule(min_gain=job.settings.gate.min_gain), allowed)


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
    """What rows share luck: the group where one is named, else the day; without a time column each stands alone."""
    if GROUP in rows.schema.names or job.source.time is None:
        return groups(rows)
    days: npt.NDArray[np.int64] = rows.column(TIME).to_numpy() // _DAY
    return days


def groups(rows: pa.RecordBatch) -> npt.NDArray[np.int64] | None:
    """Which rows belong together, None where no group is named."""
    if GROUP not in rows.schema.names:
        return None
    found = rows.column(GROUP).dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    # Rows without a group stand alone.
    return np.where(found >= 0, found, -1 - np.arange(len(found)))
