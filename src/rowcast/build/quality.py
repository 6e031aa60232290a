"""How good out-of-fold scores are, and where to draw the line."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rowcast.config import Task
from rowcast.models import calibration
from rowcast.models.calibration import Floats
from rowcast.models.target import Target

Bools = npt.NDArray[np.bool_]
Metrics = dict[str, float | int | str | None]


@dataclass(frozen=True)
class OutOfFold:
    """Rows that were predicted by a model that had not seen them, and what each candidate said."""

    outcome: Bools  # (m,)
    fold: npt.NDArray[np.int64]  # (m,), which model predicted the row
    raw: dict[str, Floats]  # candidate -> score before calibration, (m,)


@dataclass(frozen=True)
class Honest:
    """For each row a probability and a decision by calibration, choice and threshold of the other folds' rows."""

    probability: Floats  # (m,)
    flagged: Bools  # (m,)


def cheapest_threshold(probability: Floats, outcome: Bools, task: Task) -> float:
    """The threshold with the least cost on these rows, in [0, 1]; 0 flags every row, 1 none.

    It lies in the middle between two neighbouring scores. Of equally cheap places the one nearest to where the costs
    alone would put it (Elkan 2001, "The foundations of cost-sensitive learning") is taken.
    """
    score, place = np.unique(probability, return_inverse=True)
    missed = np.bincount(place, weights=outcome, minlength=len(score)) * task.cost_missed
    alarms = np.bincount(place, weights=~outcome, minlength=len(score)) * task.cost_false_alarm
    # Place k flags score[k] and all above it.
    cost = np.concatenate([[0.0], np.cumsum(missed)]) + np.concatenate([np.cumsum(alarms[::-1])[::-1], [0.0]])
    threshold = np.concatenate([[0.0], (score[1:] + score[:-1]) / 2, [1.0]])
    ideal = task.cost_false_alarm / (task.cost_false_alarm + task.cost_missed)
    cheapest = threshold[cost <= cost.min() * (1 + 1e-12)]
    return float(cheapest[np.argmin(np.abs(cheapest - ideal))])


def best(scores: OutOfFold) -> str:
    """The candidate with the least log loss after calibration; of equals the simpler, which is named first."""
    return min(scores.raw, key=lambda name: round(_calibrated_loss(scores.raw[name], scores.outcome), 9))


def honest(scores: OutOfFold, task: Task) -> Honest:
    """Cross-fit all that is chosen on out-of-fold rows, so that no row is judged by a choice that it took part in."""
    probability, flagged = np.empty(len(scores.outcome)), np.zeros(len(scores.outcome), dtype=bool)
    for here in _parts(scores):
        others = OutOfFold(scores.outcome[~here], scores.fold[~here], {n: raw[~here] for n, raw in scores.raw.items()})
        raw = scores.raw[best(others)]
        to_probability = calibration.fit(raw[~here], Target("binary", others.outcome, (0, 1)))
        threshold = cheapest_threshold(to_probability(raw[~here]), others.outcome, task)
        probability[here] = to_probability(raw[here])
        flagged[here] = probability[here] >= threshold
    return Honest(probability, flagged)


def _parts(scores: OutOfFold) -> list[Bools]:
    """Masks of rows that are judged together: the folds, or halves in time where the rest would lack a class."""
    folds = [scores.fold == fold for fold in np.unique(scores.fold)]
    if len(folds) > 1 and all(len(np.unique(scores.outcome[~here])) == 2 for here in folds):
        return folds
    # Every second row of each class: the time order is lost, that no row judges itself is not.
    rank = np.empty(len(scores.outcome), dtype=np.int64)
    for side in (scores.outcome, ~scores.outcome):
        rank[side] = np.arange(int(side.sum()))
    return [rank % 2 == 0, rank % 2 == 1]


def _calibrated_loss(raw: Floats, outcome: Bools) -> float:
    return log_loss(calibration.fit(raw, Target("binary", outcome, (0, 1)))(raw), outcome)


def log_loss(probability: Floats, outcome: Bools) -> float:
    """Mean negative log-likelihood in nats."""
    return float(-np.mean(np.log(np.where(outcome, probability, 1 - probability))))


def auc_interval(raw: Floats, outcome: Bools) -> tuple[float, float, float]:
    """Area under the ROC curve with its 95 % interval.

    DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44(3), by the ranks of Sun and Xu 2014, IEEE Signal Processing
    Letters 21(11).
    """
    from scipy.stats import rankdata

    positive, negative = raw[outcome], raw[~outcome]
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    auc = float(above.mean())
    variance = sum(float(part.var(ddof=1)) / len(part) for part in (above, below) if len(part) > 1)
    reach = 1.96 * float(np.sqrt(variance))
    return auc, max(0.0, auc - reach), min(1.0, auc + reach)


def metrics(scores: OutOfFold, chosen: str, judged: Honest, task: Task) -> Metrics:
    """Figures of the out-of-fold rows. AUC and average precision are of the chosen candidate's scores; the others are
    of the cross-fitted probabilities and decisions. Costs are per row, in the units of the config."""
    from sklearn.metrics import average_precision_score

    outcome, flagged, rows = scores.outcome, judged.flagged, len(scores.outcome)
    positives, hits = int(outcome.sum()), int((outcome & flagged).sum())
    auc, low, high = auc_interval(scores.raw[chosen], outcome)
    return {
        "rows_out_of_fold": rows,
        "positives_out_of_fold": positives,
        "auc": auc,
        "auc_low": low,
        "auc_high": high,
        "average_precision": float(average_precision_score(outcome, scores.raw[chosen])),
        "brier": float(np.mean((judged.probability - outcome) ** 2)),
        "log_loss": log_loss(judged.probability, outcome),
        "cost_per_row": cost(outcome, flagged, task),
        "cost_per_row_flag_none": cost(outcome, np.zeros_like(flagged), task),
        "cost_per_row_flag_all": cost(outcome, np.ones_like(flagged), task),
        "flagged_share": float(flagged.mean()),
        "precision": hits / int(flagged.sum()) if flagged.any() else None,
        "recall": hits / positives,
    }


def cost(outcome: Bools, flagged: Bools, task: Task) -> float:
    """Mean cost of a row."""
    missed, alarms = int((outcome & ~flagged).sum()), int((~outcome & flagged).sum())
    return (missed * task.cost_missed + alarms * task.cost_false_alarm) / len(outcome)
