"""What is kept of a model's quality for a person to look at: tables of numbers that are safe for JSON."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from rowcast.config import Task
from rowcast.fit.cross_fitting import LabelledPredictions, Places, row_costs
from rowcast.fit.quality import auc_spread, cost_spread
from rowcast.fit.variation import Scale, Spread, ratio_spread, split_periods

Table = list[dict[str, Any]]

BINS = 10
ROWS_OF_BIN = 50
RARER_OF_BIN = 5
THRESHOLDS = 50


def reliability(judged: LabelledPredictions) -> Table:
    """Return predicted beside observed, in bins of equally many rows: {low, high, rows, predicted, observed,
    observed_low, observed_high}.

    Binary: the probability and share of positives; multiclass: of any class but the first. Regression: the mean value
    and label, with `residual_low` and `residual_high`, between which nine of ten labels lie off the value. The interval
    is where the observed mean of later rows lies.
    """
    predicted, came = judged.probability, judged.target.values
    if judged.target.kind == "multiclass":
        predicted, came = 1 - predicted[:, 0], came > 0
    regression = judged.target.kind == "regression"
    scale: Scale = "any" if regression else "share"
    of = split_periods(judged.fold, judged.block)
    rarer = len(came) if regression else min(int(came.sum()), int((~came).sum()))
    count = max(1, min(BINS, len(came) // ROWS_OF_BIN, rarer // RARER_OF_BIN))
    place = np.searchsorted(np.unique(np.quantile(predicted, np.arange(1, count) / count)), predicted)
    found = []
    for number in np.unique(place):
        here = place == number
        spread = ratio_spread(came * here, here, of, worst=0 if regression else 1)
        value, low, high = _format(spread, scale)
        found.append(
            {
                "low": float(predicted[here].min()),
                "high": float(predicted[here].max()),
                "rows": int(here.sum()),
                "predicted": float(predicted[here].mean()),
                "observed": value,
                "observed_low": low,
                "observed_high": high,
            }
        )
        if regression:
            off = np.quantile((came - predicted)[here], (0.05, 0.95))
            found[-1] |= {"residual_low": float(off[0]), "residual_high": float(off[1])}
    return found


def cost_curve(judged: LabelledPredictions, task: Task) -> Table:
    """Return the cost of other thresholds: {threshold, cost_per_row, cost_low, cost_high, flagged_share, recall}.

    About fifty of them, closer together where few rows are flagged.
    """
    probability, outcome = judged.probability, judged.target.values
    of, every = split_periods(judged.fold, judged.block), np.ones(len(outcome))
    shares = np.linspace(0, 1, THRESHOLDS) ** 2
    found = []
    for threshold in np.unique(np.quantile(probability, 1 - shares)):
        flagged = probability >= threshold
        spread = ratio_spread(
            row_costs(judged.target, flagged, task), every, of, max(task.cost_missed, task.cost_false_alarm)
        )
        value, low, high = _format(spread, "amount")
        found.append(
            {
                "threshold": float(threshold),
                "cost_per_row": value,
                "cost_low": low,
                "cost_high": high,
                "flagged_share": float(flagged.mean()),
                "recall": float(flagged[outcome].mean()),
            }
        )
    return found


def confusion(judged: LabelledPredictions) -> Table:
    """Return as what rows of each class were predicted: {truth, predicted, rows, share of truth, low, high}."""
    of, classes = split_periods(judged.fold, judged.block), judged.target.classes
    truth, predicted = judged.target.values.astype(np.int64), judged.predicted.astype(np.int64)
    found = []
    for true, label in enumerate(classes):
        for taken, other in enumerate(classes):
            both = (truth == true) & (predicted == taken)
            share, low, high = _format(ratio_spread(both, truth == true, of, worst=1), "share")
            cell = {"truth": label, "predicted": other, "rows": int(both.sum())}
            found.append(cell | {"share": share, "low": low, "high": high})
    return found


def over_time(judged: LabelledPredictions, task: Task, when: Places | None) -> Table:
    """Return for each fold {from, to, rows, positives, auc, auc_low, auc_high, cost_per_row, cost_low, cost_high}.

    A regression has `mae` in place of `auc` and no positives. Intervals are of the fold's own figure, by luck alone:
    what folds differ beyond them is drift. `when` is in microseconds since 1970, UTC, shape (m,).
    """
    of, target = split_periods(judged.fold, judged.block), judged.target
    cost, name = cost_spread(judged, task, of), "mae" if target.kind == "regression" else "auc"
    quality = cost if name == "mae" else auc_spread(judged, of)
    scale: Scale = "amount" if name == "mae" else "share"
    found = []
    for number in range(of.count):
        here = of.period == number
        begin, end = (None, None) if when is None else (_day(when[here].min()), _day(when[here].max()))
        positives = int((target.values[here] > 0).sum()) if target.classes else None
        row: dict[str, Any] = {"from": begin, "to": end, "rows": int(here.sum()), "positives": positives}
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), _of_period(quality, number, scale), strict=True))
        row |= dict(zip(("cost_per_row", "cost_low", "cost_high"), _of_period(cost, number, "amount"), strict=True))
        found.append(row)
    return found


def _day(moment: np.int64) -> str:
    return datetime.fromtimestamp(int(moment) / 1e6, UTC).date().isoformat()


def _format(spread: Spread | None, scale: Scale) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if spread is None else (spread.value, *spread.later(scale))


def _of_period(spread: Spread | None, number: int, scale: Scale) -> tuple[float | None, float | None, float | None]:
    if spread is None or number not in spread.period:
        return None, None, None
    place = int(np.flatnonzero(spread.period == number)[0])
    return (float(spread.figure[place]), *spread.of_period(place, scale))
