"""Out-of-fold rows, each judged by choices that it took no part in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.config import Task
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.selection import Selection
from rowcast.fit.threshold import choose_threshold
from rowcast.models.decision import Costs, cheapest_class, decision_costs
from rowcast.models.target import Target

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Calibrate = Callable[[Floats, Target], Callable[[Floats], Floats]]  # raw scores and outcomes to a map of raw scores
Choose = Callable[[OutOfFold], Selection]


@dataclass(frozen=True)
class LabelledPredictions:
    """m rows in time order: candidate, calibration and threshold of each were chosen on other folds' rows."""

    target: Target
    fold: Places  # (m,)
    block: Places  # (m,)
    raw: Floats  # (m,) or (m, k), of the candidate that was chosen for the row
    probability: Floats  # (m,) of the positive class, or (m, k); a regression's value
    predicted: npt.NDArray[Any]  # (m,), as the target's values: flagged, place, or value
    blind: Floats  # (m,), for a regression the median of the other rows' labels, else empty


def cross_fit(scores: OutOfFold, choose: Choose, task: Task, calibrate: Calibrate) -> LabelledPredictions:
    """Cross-fit all that is chosen on out-of-fold rows, so that no row is judged by a choice that it took part in."""
    shape = next(iter(scores.raw.values())).shape
    raw, probability = np.empty(shape), np.empty(shape)
    predicted = np.empty_like(scores.target.values)
    blind = np.empty(len(raw) if scores.target.kind == "regression" else 0)
    parts, whole = _parts(scores)
    for here in parts:
        others = scores.take(~here)
        name = choose(others if whole else scores).name
        raw[here] = scores.raw[name][here]
        probability[here], predicted[here] = decide_rows(raw[here], others.raw[name], others.target, task, calibrate)
        if scores.target.kind == "regression":
            blind[here] = np.median(others.target.values)
    return LabelledPredictions(scores.target, scores.fold, scores.block, raw, probability, predicted, blind)


def decide_rows(
    raw: Floats, known: Floats, target: Target, task: Task, calibrate: Calibrate
) -> tuple[Floats, npt.NDArray[Any]]:
    """Return probabilities and decisions of rows by their raw scores, calibration and threshold from other rows.

    `known` are the raw scores of those, `target` their outcomes.
    """
    calibrated = calibrate(known, target)
    probability = calibrated(raw)
    if target.kind == "binary":
        return probability, probability >= choose_threshold(calibrated(known), target.values, task)
    if target.kind == "multiclass":
        return probability, cheapest_class(probability, Costs.of(task))
    return probability, probability


def row_costs(target: Target, predicted: npt.NDArray[Any], task: Task) -> Floats:
    """Return what each row costs, shape (m,): by the task's costs, or a regression's absolute error."""
    return decision_costs(target.values, predicted, None if target.kind == "regression" else Costs.of(task))


def _parts(scores: OutOfFold) -> tuple[list[Bools], bool]:
    """Masks of rows that are judged together, and whether they are whole folds.

    They are, unless a class would be missing from the rest: then every second row of each class.
    """
    folds = [scores.fold == fold for fold in np.unique(scores.fold)]
    seen = (scores.target.counts > 0).sum()
    if len(folds) > 1 and all((scores.target.take(~here).counts > 0).sum() == seen for here in folds):
        return folds, True
    kind = scores.target.values if scores.target.classes else np.zeros(len(scores.target))
    rank = np.empty(len(kind), dtype=np.int64)
    for each in np.unique(kind):
        rank[kind == each] = np.arange(int((kind == each).sum()))
    return [rank % 2 == 0, rank % 2 == 1], False
