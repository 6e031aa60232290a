"""How good out-of-fold scores are: figures, and where each will lie on later rows."""

from collections.abc import Callable

import numpy as np

from rowcast.config import Task
from rowcast.fit.cross_fitting import Bools, Floats, LabelledPredictions, Places, row_costs
from rowcast.fit.variation import Periods, Scale, Spread, jackknife_spread, ratio_spread, split_periods

Metrics = dict[str, float | int | str | None]


def measure_quality(judged: LabelledPredictions, task: Task) -> Metrics:
    """Return figures of out-of-fold rows, each with `_low` and `_high`: where that of as many later rows lies, 95 %.

    `interval_rows` says how many rows that is. They are of all rows, but that AUC, average precision and balanced
    accuracy are those of a fold's rows on average: scores of two folds are two models'. Costs are per row, in the units
    of the config; what costs the same whoever predicts (flag none, flag all, the median) stands beside. A figure that
    no fold has is None.
    """
    of = split_periods(judged.fold, judged.block)
    rows = len(judged.target)
    found: Metrics = {"rows_out_of_fold": rows, "interval_rows": rows}
    of_kind = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[judged.target.kind]
    return found | of_kind(judged, task, of)


def _binary(judged: LabelledPredictions, task: Task, of: Periods) -> Metrics:
    outcome, flagged, probability = judged.target.values, judged.predicted, judged.probability
    every = np.ones(len(outcome))
    average = spread_of_ranking(average_precision, judged.raw, outcome, of, lambda positives, _: positives)
    none, all_ = (float(row_costs(judged.target, np.full(len(outcome), each), task).mean()) for each in (False, True))
    return {
        "positives_out_of_fold": int(outcome.sum()),
        **_with_interval("auc", auc_spread(judged, of), "share"),
        **_with_interval("average_precision", average, "share"),
        **_with_interval("brier", ratio_spread((probability - outcome) ** 2, every, of), "share"),
        **_with_interval(
            "log_loss", ratio_spread(-np.log(np.where(outcome, probability, 1 - probability)), every, of), "amount"
        ),
        **_with_interval("cost_per_row", cost_spread(judged, task, of), "amount"),
        "cost_per_row_flag_none": none,
        "cost_per_row_flag_all": all_,
        **_with_interval("flagged_share", ratio_spread(flagged, every, of, worst=1), "share"),
        **_with_interval("precision", ratio_spread(outcome & flagged, flagged, of, worst=1), "share"),
        **_with_interval("recall", ratio_spread(outcome & flagged, outcome, of, worst=1), "share"),
    }


def _multiclass(judged: LabelledPredictions, task: Task, of: Periods) -> Metrics:
    truth, predicted = judged.target.values, judged.predicted
    every, right = np.ones(len(truth)), truth == predicted
    likelihood = np.take_along_axis(judged.probability, truth[:, None], axis=1)[:, 0]
    balanced = class_spread(lambda rows: _measure_balanced(truth[rows], right[rows]), truth, of)
    return {
        "positives_out_of_fold": int((truth > 0).sum()),
        **_with_interval("auc", auc_spread(judged, of), "share"),
        **_with_interval("log_loss", ratio_spread(-np.log(likelihood), every, of), "amount"),
        **_with_interval("accuracy", ratio_spread(right, every, of, worst=1), "share"),
        **_with_interval("balanced_accuracy", balanced, "share"),
        **_with_interval("cost_per_row", cost_spread(judged, task, of), "amount"),
        "cost_per_row_flag_none": float(row_costs(judged.target, np.zeros_like(truth), task).mean()),
    }


def _regression(judged: LabelledPredictions, task: Task, of: Periods) -> Metrics:
    label, value = judged.target.values, judged.predicted
    every, off = np.ones(len(label)), np.abs(label - value)
    one, two = _standard_ranks(label), _standard_ranks(value)
    size = (one**2 + two**2) / 2  # of equal variance, so that the ratio is the correlation of the ranks, from 0 to 1
    rank = _with_interval("spearman", ratio_spread((one * two + size) / 2, size, of), "share")
    error = _with_interval("mae", ratio_spread(off, every, of), "amount")
    square = _with_interval("rmse", ratio_spread(off**2, every, of), "amount")
    return {
        **error,
        **{name.replace("mae", "cost_per_row"): figure for name, figure in error.items()},
        **{name: None if figure is None else float(np.sqrt(figure)) for name, figure in square.items()},
        **_variance_explained(ratio_spread(off**2, (label - label.mean()) ** 2, of)),
        **{name: None if each is None else 2 * float(each) - 1 for name, each in rank.items()},
        "cost_per_row_median": float(row_costs(judged.target, judged.blind, task).mean()),
    }


def auc_spread(judged: LabelledPredictions, of: Periods) -> Spread | None:
    """Return the area under the ROC curve; of more than two classes the mean of each against the rest."""
    if judged.target.kind == "binary":
        return spread_of_ranking(
            auc, judged.raw, judged.target.values, of, lambda pos, neg: pos * neg / max(pos + neg, 1)
        )
    truth = judged.target.values

    def macro(rows: Places) -> float:
        each = [auc(judged.probability[rows, place], truth[rows] == place) for place in np.unique(truth[rows])]
        return float(np.mean(each))

    return class_spread(macro, truth, of)


def cost_spread(judged: LabelledPredictions, task: Task, of: Periods) -> Spread | None:
    """Return the cost of a row, in the config's units."""
    worst = 0.0 if judged.target.kind == "regression" else max(task.cost_missed, task.cost_false_alarm)
    return ratio_spread(row_costs(judged.target, judged.predicted, task), np.ones(len(judged.target)), of, worst)


def class_spread(figure: Callable[[Places], float], truth: Places, of: Periods) -> Spread | None:
    """Return a mean over the classes that a period has. Rows that lack one of them tell nothing of its variance."""
    classes = [len(np.unique(truth[of.period == period])) for period in range(of.count)]

    def complete(rows: Places) -> float:
        whole = len(rows) > 0 and len(np.unique(truth[rows])) == classes[of.period[rows[0]]]
        return figure(rows) if whole else float("nan")

    return jackknife_spread(complete, lambda rows: float((truth[rows] > 0).sum()), of, worst=0.5)


def spread_of_ranking(
    figure: Callable[[Floats, Bools], float],
    score: Floats,
    outcome: Bools,
    of: Periods,
    support: Callable[[float, float], float],
) -> Spread | None:
    """Return a figure of how scores rank outcomes; `support` is computed from positives and negatives."""

    def support_of(rows: Places) -> float:
        positives = float(outcome[rows].sum())
        return support(positives, len(rows) - positives)

    found = jackknife_spread(lambda rows: figure(score[rows], outcome[rows]), support_of, of, worst=0.5)
    # Where no period has both classes, the rows as a whole still do.
    return found or jackknife_spread(lambda rows: figure(score[rows], outcome[rows]), support_of, of.whole, worst=0.5)


def auc(score: Floats, outcome: Bools) -> float:
    """Return the chance that a positive scores above a negative, ties counted half; NaN where a class is missing."""
    from scipy.stats import rankdata

    positives = int(outcome.sum())
    negatives = len(outcome) - positives
    if not positives or not negatives:
        return float("nan")
    above = float(rankdata(score)[outcome].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def average_precision(score: Floats, outcome: Bools) -> float:
    """Return the mean precision at the positives, ties taken together; NaN where there is none."""
    if not outcome.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found = np.cumsum(outcome[order])[last]
    return float(np.diff(found, prepend=0) @ (found / (last + 1)) / found[-1])


def _measure_balanced(truth: Places, right: Bools) -> float:
    count = np.bincount(truth)
    return float((np.bincount(truth, weights=right)[count > 0] / count[count > 0]).mean())


def _standard_ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks = rankdata(values)
    return np.asarray((ranks - ranks.mean()) / (ranks.std() or 1.0), dtype=np.float64)


def _variance_explained(unexplained: Spread | None) -> Metrics:
    """1 less what is left of the variance."""
    left = _with_interval("left", unexplained, "amount")
    turned = {"r2": left["left"], "r2_low": left["left_high"], "r2_high": left["left_low"]}
    return {name: None if each is None else 1 - float(each) for name, each in turned.items()}


def _with_interval(name: str, spread: Spread | None, scale: Scale) -> Metrics:
    low, high = (None, None) if spread is None else spread.later(scale)
    return {name: None if spread is None else spread.value, f"{name}_low": low, f"{name}_high": high}
