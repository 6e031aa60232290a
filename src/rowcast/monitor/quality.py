"""Quality of scored rows: estimated while no label is known, realised once they are.

A calibrated probability says how often a decision like this one is wrong; summed over rows, that estimates precision,
recall and cost without a label. It is the confidence-based estimation of NannyML's documentation (CBPE), and the
average confidence of Garg, Balakrishnan, Lipton and others 2022, "Leveraging unlabeled data to predict
out-of-distribution performance" (ICLR). How many decisions turn out wrong is a Poisson binomial (Hong 2013,
Computational Statistics and Data Analysis 59); its quantiles are taken from a Pearson type III distribution of the same
mean, variance and third moment, so that sums over rows are all that need be kept.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.models.target import Kind

Floats = npt.NDArray[np.float64]

CANNOT_SEE = (
    "An estimate takes the model's calibration for granted: "
    "it cannot see a changed relation between sensors and outcome. Only labels can."
)
LEVEL = 0.95
_SUMS = 5
_STEPS = 40  # halvings
_STRAIGHT = 1e-3  # skewness below which a sum is as good as normal
DEVIATIONS = 1.959964  # to each end of a normal 95 % interval


@dataclass(frozen=True)
class Tally:
    """Scored rows, summed by day of scoring, decision and band of the score; m sums of each.

    The probability is that which was stored: of the positive class, or of several classes that of the one decided on.
    """

    day: npt.NDArray[np.datetime64]  # (m,)
    flagged: npt.NDArray[np.bool_]  # (m,)
    band: npt.NDArray[np.int64]  # (m,)
    rows: Floats  # (m,)
    score: Floats  # (m,), of the probability p
    variance: Floats  # (m,), of p (1 - p)
    third: Floats  # (m,), of p (1 - p) (1 - 2 p)
    wrong: Floats  # (m,), of rows that were decided wrongly, where the label is known; else 0

    def of(self, day: np.datetime64) -> "Tally":
        """Return the tally of one day."""
        return self._where(self.day == day)

    def since(self, day: np.datetime64) -> "Tally":
        """Return the tally from a day on."""
        return self._where(self.day >= day)

    def _where(self, here: npt.NDArray[np.bool_]) -> "Tally":
        return Tally(**{name: values[here] for name, values in vars(self).items()})

    @property
    def days(self) -> npt.NDArray[np.datetime64]:
        """Those that have rows, in order."""
        return np.unique(self.day[self.rows > 0])

    @property
    def count(self) -> int:
        return int(self.rows.sum())

    @property
    def flagged_share(self) -> "Figure | None":
        """It is counted, and needs no estimate."""
        return Figure(float(self.rows @ self.flagged / self.rows.sum())) if self.count else None


class TallyBuilder:
    """Adds up a tally from any number of parts."""

    def __init__(self) -> None:
        self._sums: dict[tuple[np.datetime64, bool, int], Floats] = defaultdict(lambda: np.zeros(_SUMS))

    def add(self, day: np.datetime64, flagged: bool, band: int, sums: Sequence[float]) -> None:
        """Add rows; `sums` are rows, score, variance, third, wrong."""
        self._sums[day, flagged, band] += np.asarray(sums, dtype=np.float64)

    def tally(self) -> Tally:
        """Return what was added so far."""
        keys = sorted(self._sums)
        sums = np.array([self._sums[key] for key in keys]).reshape(-1, _SUMS)
        return Tally(
            np.array([key[0] for key in keys], dtype="datetime64[D]"),
            np.array([key[1] for key in keys], dtype=bool),
            np.array([key[2] for key in keys], dtype=np.int64),
            *sums.T,
        )


@dataclass(frozen=True)
class Basis:
    """What an estimate rests on: a version's kind and costs, and how far its calibration may be off.

    Each of b bands of the score has a rate; its standard deviation has a part of its own, since it was measured on so
    many rows, and one that bands may share, since later rows differ from those.
    """

    kind: Kind
    cost_missed: float
    cost_false_alarm: float
    edges: tuple[float, ...] = ()  # the highest score of each band but the last
    own: tuple[float, ...] = (0.0,)  # (b,)
    shared: tuple[float, ...] = (0.0,)  # (b,)

    @property
    def costs(self) -> tuple[float, float]:
        """Of a wrong decision: flagged, and not flagged."""
        return self.cost_false_alarm, self.cost_missed


def make_basis(kind: Kind, cost_missed: float, cost_false_alarm: float, metrics: Mapping[str, Any]) -> Basis:
    """Return the basis of a version, by the figures that it was built with.

    Two classes: its table of reliability; several: its accuracy. Their 95 % intervals are of as many later rows, so
    that they hold the luck of those and of the measured ones, and drift between periods; what is not luck is shared.
    """
    costs = (cost_missed, cost_false_alarm)
    if kind == "binary":
        table = [row for row in metrics.get("reliability") or [] if row["observed_low"] is not None]
        parts = [[row[name] for name in ("rows", "observed", "observed_low", "observed_high")] for row in table]
        edges = tuple(float(row["high"]) for row in table[:-1])
    else:
        found = [metrics.get(name) for name in ("rows_out_of_fold", "accuracy", "accuracy_low", "accuracy_high")]
        parts, edges = [] if None in found else [found], ()
    if not parts:
        return Basis(kind, *costs)
    rows, rate, low, high = np.array(parts, dtype=np.float64).T
    luck = rate * (1 - rate) / rows
    shared = np.sqrt(_beyond(low, high, luck))
    if kind == "binary":
        shared *= _together(costs, metrics, rows, rate, shared)
    return Basis(kind, *costs, edges, tuple(np.sqrt(luck).tolist()), tuple(shared.tolist()))


def _together(
    costs: tuple[float, float], metrics: Mapping[str, Any], rows: Floats, rate: Floats, shared: Floats
) -> float:
    """How much of what bands share shows in the cost of a row, out of fold: all, where the record does not say.

    Each band's interval allows for more drift than its few failures show, and not all bands drift that far at once: the
    interval of the cost per row says how far they did together.
    """
    names = ("flagged_share", "cost_per_row_low", "cost_per_row_high")
    if any(metrics.get(name) is None for name in names):
        return 1.0
    share, low, high = (float(metrics[name]) for name in names)
    above = rows.sum() - np.cumsum(rows)
    flagged = np.clip((share * rows.sum() - above) / rows, 0, 1)  # of each band's rows: the highest scores are
    weight, total = rows / rows.sum(), rows.sum()
    drift = weight * (costs[0] * (1 - flagged) - costs[1] * flagged) * shared
    luck = weight @ (rate * (1 - rate) * (costs[0] ** 2 * (1 - flagged) + costs[1] ** 2 * flagged)) / total
    allowed = max(float(drift.sum() ** 2), float(drift @ drift))
    seen = float(_beyond(np.array(low), np.array(high), luck))
    return min(1.0, float(np.sqrt(seen / allowed))) if allowed else 1.0


def _beyond(low: Floats, high: Floats, luck: Floats) -> Floats:
    """Variance in a 95 % interval beyond the luck of the measured rows and of as many later ones."""
    return np.maximum(((high - low) / (2 * DEVIATIONS)) ** 2 - 2 * luck, 0)


@dataclass(frozen=True)
class Figure:
    """A figure, and where the realised one will lie with 95 % probability."""

    value: float
    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether its interval holds the value."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high


@dataclass(frozen=True)
class Total:
    """A weighted count of wrong decisions, as it is expected: its first three cumulants, and the calibration's part."""

    mean: float
    luck: float  # variance
    third: float
    doubt: float  # variance of the expectation itself, since the calibration is not exact

    def quantile(self, share: float) -> float:
        """Return a quantile, by a Pearson type III distribution."""
        from scipy.special import gammaincinv, ndtri

        deviation = float(np.sqrt(self.luck + self.doubt))
        skewness = self.third / deviation**3 if deviation else 0.0
        if abs(skewness) < _STRAIGHT:
            return self.mean + deviation * float(ndtri(share))
        shape = 4 / skewness**2
        drawn = float(gammaincinv(shape, share if skewness > 0 else 1 - share))
        return self.mean + deviation * skewness / 2 * (drawn - shape)


def expect_errors(tally: Tally, basis: Basis, flagged: float, other: float) -> Total:
    """Return how many decisions are wrong by the scores; those to flag and those not to weigh so much each."""
    binary = basis.kind == "binary"
    weight = np.where(tally.flagged, flagged, other)
    # The stored probability is that of being right, but for a row of two classes that is not flagged.
    right = np.ones_like(tally.flagged) if not binary else tally.flagged
    sign = np.where(right, -1.0, 1.0)
    wrong = np.where(right, tally.rows - tally.score, tally.score)
    moved = np.bincount(tally.band, weights=weight * sign * tally.rows, minlength=len(basis.own))
    drift = moved * np.array(basis.shared)
    return Total(
        mean=float(weight @ wrong),
        luck=float(weight**2 @ tally.variance),
        third=float((weight**3 * sign) @ tally.third),
        # Whether bands drift together is not known: the worse of both.
        doubt=float(moved**2 @ np.array(basis.own) ** 2 + max(drift.sum() ** 2, drift @ drift)),
    )


def estimate(tally: Tally, basis: Basis) -> dict[str, Figure]:
    """Return the figures that can be estimated; empty for a regression.

    Two classes: `precision`, `recall`, `cost_per_row`. Several: `accuracy` in place of precision and recall, for of a
    row's probabilities only that of the class decided on is stored. What has no rows is left out.
    """
    if basis.kind == "regression" or not tally.count:
        return {}
    rows, flagged = tally.rows.sum(), float(tally.rows @ tally.flagged)
    found: dict[str, Figure] = {}
    if basis.kind == "multiclass":
        found["accuracy"] = _complement(expect_errors(tally, basis, 1 / rows, 1 / rows))
    else:
        if flagged:
            found["precision"] = _complement(expect_errors(tally, basis, 1 / flagged, 0.0))
        found["recall"] = _recall(tally, basis, flagged)
    found["cost_per_row"] = estimate_cost(tally, basis)
    return found


def estimate_cost(tally: Tally, basis: Basis) -> Figure:
    """Return the expected cost of a row, in the config's units."""
    rows = float(tally.rows.sum())
    total = expect_errors(tally, basis, basis.cost_false_alarm / rows, basis.cost_missed / rows)
    low, high = (max(0.0, total.quantile(share)) for share in _ends())
    return Figure(total.mean, low, high)


def realise(tally: Tally, basis: Basis) -> dict[str, Figure]:
    """Return the same figures, counted, of rows whose label is known."""
    if basis.kind == "regression" or not tally.count:
        return {}
    rows, flagged = tally.rows.sum(), float(tally.rows @ tally.flagged)
    false_alarms, missed = float(tally.wrong @ tally.flagged), float(tally.wrong @ ~tally.flagged)
    found: dict[str, Figure] = {}
    if basis.kind == "multiclass":
        found["accuracy"] = Figure(1 - (false_alarms + missed) / rows)
    else:
        if flagged:
            found["precision"] = Figure(1 - false_alarms / flagged)
        if failures := flagged - false_alarms + missed:
            found["recall"] = Figure((flagged - false_alarms) / failures)
    found["cost_per_row"] = Figure(float(total_cost(tally, basis) / rows))
    return found


def total_cost(tally: Tally, basis: Basis) -> float:
    """Return what the wrong decisions cost in all, in the config's units."""
    return float(tally.wrong @ np.where(tally.flagged, *basis.costs))


def cost_trivial(tally: Tally, basis: Basis) -> dict[str, float]:
    """Return what a row of known label would have cost if none, or all, had been flagged; empty but for two classes."""
    if basis.kind != "binary" or not tally.count:
        return {}
    rows, flagged = float(tally.rows.sum()), float(tally.rows @ tally.flagged)
    positives = flagged - float(tally.wrong @ tally.flagged) + float(tally.wrong @ ~tally.flagged)
    return {"none": basis.cost_missed * positives / rows, "all": basis.cost_false_alarm * (rows - positives) / rows}


def _complement(wrong: Total) -> Figure:
    """The share that is right."""
    low, high = (float(np.clip(1 - wrong.quantile(share), 0, 1)) for share in _ends()[::-1])
    return Figure(1 - wrong.mean, low, high)


def _recall(tally: Tally, basis: Basis, flagged: float) -> Figure:
    """Found failures of all; its quantile r is where that of (1 - r) found - r missed is 0."""

    def above(share: float, recall: float) -> bool:
        """Return whether recall is above this with a probability of more than `share`."""
        lost = expect_errors(tally, basis, 1 - recall, recall)
        return (1 - recall) * flagged > lost.quantile(share)

    def bound(share: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if above(share, middle) else (low, middle)
        return low if share > 0.5 else high

    found = flagged - expect_errors(tally, basis, 1.0, 0.0).mean
    missed = expect_errors(tally, basis, 0.0, 1.0).mean
    low, high = (bound(share) for share in _ends()[::-1])
    return Figure(found / (found + missed), low, high)


def _ends() -> tuple[float, float]:
    return (1 - LEVEL) / 2, (1 + LEVEL) / 2
