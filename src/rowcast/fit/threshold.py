"""Where to draw the line between two classes: a threshold on a probability."""

import numpy as np
import numpy.typing as npt

from rowcast.config import Task

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TOLERATED = 1.0  # standard errors


def choose_threshold(probability: Floats, outcome: Bools, task: Task) -> float:
    """Return the threshold in [0, 1] that the task asks for, by the rows (n,) given; 0 flags every row, 1 none.

    `max_flagged` is a capacity: the riskiest rows up to that share are flagged, as many as it holds and never more,
    whatever they cost. `min_recall` flags as few rows as let a later positive be flagged with that probability. With
    neither, the rows' costs decide. It lies in the middle between two scores, so that no last bit of a score matters.
    """
    if task.max_flagged is not None:
        return _capacity(probability, task.max_flagged)
    if task.min_recall is not None:
        return _recall(probability, outcome, task.min_recall)
    return _cheapest(probability, outcome, task)


def _cheapest(probability: Floats, outcome: Bools, task: Task) -> float:
    """The least cost on these rows, but for luck.

    A few positives put the cheapest place where they happen to lie. Of those that are no more than a standard
    error dearer the one is taken that is nearest to where the costs alone would put it (Elkan 2001, "The foundations of
    cost-sensitive learning"): docs/models-method.md has what each costs on later rows.
    """
    score, place = np.unique(probability, return_inverse=True)
    positive, negative = (np.bincount(place, weights=each, minlength=len(score)) for each in (outcome, ~outcome))
    missed, alarms = positive * task.cost_missed, negative * task.cost_false_alarm
    # Place k flags score[k] and all above it.
    cost = np.concatenate([[0.0], np.cumsum(missed)]) + np.concatenate([np.cumsum(alarms[::-1])[::-1], [0.0]])
    line = _between(score)
    off = np.abs(line - task.cost_false_alarm / (task.cost_false_alarm + task.cost_missed))
    cheapest = _first(off, cost <= cost.min() * (1 + 1e-12))
    # Only rows between two places cost otherwise under one than under the other.
    square = np.concatenate([[0.0], np.cumsum(missed * task.cost_missed + alarms * task.cost_false_alarm)])
    luck = TOLERATED * np.sqrt(np.abs(square - square[cheapest]))
    return float(line[_first(off, cost <= cost[cheapest] * (1 + 1e-12) + luck)])


def _first(off: Floats, allowed: Bools) -> int:
    """The least of those allowed."""
    return int(np.argmin(np.where(allowed, off, np.inf)))


def _capacity(probability: Floats, most: float) -> float:
    score, count = np.unique(probability, return_counts=True)
    flagged = np.concatenate([np.cumsum(count[::-1])[::-1], [0]])
    return float(_between(score)[np.argmax(flagged <= most * len(probability) + 1e-9)])


def _recall(probability: Floats, outcome: Bools, least: float) -> float:
    """Of n positives the m-th lowest is the last to be flagged: a next one lies below it with chance m / (n + 1)."""
    positive = np.sort(probability[outcome])
    m = int((1 - least) * (len(positive) + 1) + 1e-9)
    if not m:
        return 0.0  # too few to know where a share of them lies
    score = np.unique(probability)
    return float(_between(score)[np.searchsorted(score, positive[m - 1])])


def _between(score: Floats) -> Floats:
    """Thresholds that part k ascending scores in all ways, shape (k + 1,): the first flags all, the last none."""
    return np.concatenate([[0.0], (score[1:] + score[:-1]) / 2, [1.0]])
