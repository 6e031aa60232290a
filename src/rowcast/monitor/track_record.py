"""What the estimate is worth: its track record, and whether a model costs more than was expected.

Rows of a day share their luck, so days are what may vary: t statistics over days, and never a smaller variance than the
luck of independent rows (Liang and Zeger 1986, Biometrika 73(1), with whole days as clusters). What has changed has
changed since some day, and days before it would hide it: the latest 3 days, the latest 7 and all of a window are each
looked at, and share the level (Bonferroni). How much days vary is said by the differences between each and the next,
which a change moves once only (von Neumann, Kent, Bellinson and Hart 1941, Annals of Mathematical Statistics 12(2));
that weeks differ as well is in what the model's own figures may be off by. Both are put together as squares of their
limits (Zou and Donner 2008, Statistics in Medicine 27(10)). A change dates back to the day from which on the sum lies
furthest out.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rowcast.monitor.quality import (
    DEVIATIONS,
    Basis,
    Figure,
    Tally,
    estimate,
    estimate_cost,
    expect_errors,
    realise,
    total_cost,
)

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]

FEWEST, WEEK = 3, 7  # days that are looked at; with fewer nothing is tested
LEVEL = 0.01  # of wrongly withholding an estimate, or of wrongly retraining, at one look


CostKind = Literal["realised", "estimated", "contradicted"]


@dataclass(frozen=True)
class CostExcess:
    """Rows of the latest days cost more than was expected, or otherwise than was estimated, beyond luck."""

    kind: CostKind  # by labels, by scores, or where labels contradict the scores
    cost: float  # per row; by labels unless it is estimated
    expected: float  # per row: out of fold, or where labels contradict the scores, by these
    rows: int
    days: int  # the latest
    since: np.datetime64  # from which day on, as far as can be told

    @property
    def beyond(self) -> float:
        """Cost per row above what was expected; negative where it is below."""
        return self.cost - self.expected


@dataclass(frozen=True)
class MissedInterval:
    """What rows of known label cost, each of them, and the interval of the estimate for them that does not hold it."""

    cost: float
    interval: Figure


@dataclass(frozen=True)
class TrackRecord:
    """Estimated less realised cost per row, over days whose labels are known; None where there are none."""

    days: int
    rows: int
    difference: float | None = None
    contradicted: CostExcess | None = None  # that labels contradict the estimate beyond luck
    missed: MissedInterval | None = None  # that what labels say left the interval, by luck or not

    @property
    def is_withheld(self) -> bool:
        """Return whether an estimate would say what labels deny."""
        return self.contradicted is not None or self.missed is not None


def measure_track_record(judged: Tally, basis: Basis, level: float = LEVEL) -> TrackRecord:
    """Return the record of a version's estimates on the rows whose labels came, each day for itself.

    Where realised and estimated cost lie further apart than luck and the calibration's own error allow at `level`, the
    estimate is contradicted. The interval that is held against all of them is one of 95 %.
    """
    if not judged.count or basis.kind == "regression":
        return TrackRecord(0, judged.count)
    parts = [judged.of(day) for day in judged.days]
    told = np.array([estimate_cost(part, basis).value for part in parts])
    rows = np.array([part.count for part in parts])
    off = np.array([total_cost(part, basis) for part in parts]) - told * rows
    shown = (_find_contradiction(judged, basis, off, rows, days, level) for days in _latest(len(parts)))
    contradicted = next(filter(None, shown), None)
    cost, interval = float(total_cost(judged, basis) / rows.sum()), estimate_cost(judged, basis)
    missed = None if interval.holds(cost) else MissedInterval(cost, interval)
    return TrackRecord(len(parts), judged.count, float(-off.sum() / rows.sum()), contradicted, missed)


def interval_coverage(judged: Tally, basis: Basis) -> dict[str, float]:
    """Return, by figure, the share of the days on which the realised one lay in the estimate's 95 % interval."""
    found = defaultdict[str, list[bool]](list)
    for part in map(judged.of, judged.days):
        came = realise(part, basis)
        for name, told in estimate(part, basis).items():
            if name in came:
                found[name].append(told.holds(came[name].value))
    return {name: float(np.mean(days)) for name, days in found.items()}


def _find_contradiction(
    judged: Tally, basis: Basis, off: Floats, rows: Counts, days: int, level: float
) -> CostExcess | None:
    """In what the latest days contradict the estimate; `off` (n,) is what each day's `rows` (n,) cost beyond it."""
    beyond = float(off[-days:].sum())
    latest = judged.since(judged.days[-days])
    total = expect_errors(latest, basis, *basis.costs)
    variance, freedom = _between(off, rows, days)
    wider, tail = max(total.luck, variance), _share(level, len(judged.days)) / 2
    # Rare failures come with a long side: as skewed as they are, and as much wider as days vary more and are few.
    third = total.third * (wider / total.luck) ** 1.5 if total.luck else 0.0
    luck = replace(total, mean=0.0, luck=wider, third=third, doubt=0.0)
    limit = abs(luck.quantile(1 - tail if beyond > 0 else tail)) * _t(freedom, tail) / _normal(tail)
    if abs(beyond) <= np.hypot(limit, _normal(tail) * np.sqrt(total.doubt)):
        return None
    count = latest.count
    estimate, since = total.mean / count, judged.days[_find_begin(np.sign(beyond) * off, rows)]
    return CostExcess("contradicted", (total.mean + beyond) / count, estimate, count, days, since)


def _latest(days: int) -> list[int]:
    """How many days are looked at, one way after the other."""
    return sorted({days, *(each for each in (FEWEST, WEEK) if each <= days)}) if days >= FEWEST else []


def _share(level: float, days: int) -> float:
    """Of the level, for each of these ways."""
    return level / len(_latest(days))


@dataclass(frozen=True)
class ExpectedCost:
    """Out-of-fold cost per row of a version, and the upper end of its 95 % interval for later rows."""

    cost: float
    high: float

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "ExpectedCost | None":
        """Return the expected cost on record; None where the record lacks it."""
        value, high = metrics.get("cost_per_row"), metrics.get("cost_per_row_high")
        return None if value is None or high is None else cls(float(value), float(high))

    @property
    def deviation(self) -> float:
        return max(0.0, self.high - self.cost) / DEVIATIONS


def find_estimated_loss(scored: Tally, basis: Basis, baseline: ExpectedCost, level: float = LEVEL) -> CostExcess | None:
    """Return how far the estimated cost of the latest days is above what was expected; None within luck."""
    days = scored.days
    for k in _latest(len(days)):
        latest = scored.since(days[-k])
        total = expect_errors(latest, basis, *basis.costs)
        deviation = float(np.hypot(np.sqrt(total.luck + total.doubt) / latest.count, baseline.deviation))
        value = total.mean / latest.count
        if value - baseline.cost > _normal(_share(level, len(days))) * deviation:
            return CostExcess("estimated", value, baseline.cost, latest.count, k, days[-k])
    return None


def find_realised_loss(judged: Tally, basis: Basis, baseline: ExpectedCost, level: float = LEVEL) -> CostExcess | None:
    """Return the same of the realised cost of rows whose labels came."""
    parts = [judged.of(day) for day in judged.days]
    came = np.array([total_cost(part, basis) for part in parts])
    # Of wrong decisions the variance is at least that of as many rare events.
    luck = np.array([part.wrong @ np.where(part.flagged, *basis.costs) ** 2 for part in parts])
    return find_daily_loss(judged.days, came, np.array([part.count for part in parts]), baseline, level, luck)


def find_daily_loss(
    when: Days,
    came: Floats,
    rows: Counts,
    baseline: ExpectedCost,
    level: float = LEVEL,
    luck: Floats | None = None,
) -> CostExcess | None:
    """Return the same of k days: `came` in all on each, of `rows` rows, all (k,).

    `luck` (k,) is the least variance of each.
    """
    least = np.zeros(len(came)) if luck is None else luck
    for days in _latest(len(came)):
        paid, count = came[-days:], rows[-days:]
        value = float(paid.sum() / count.sum())
        variance, freedom = _between(came, rows, days)
        deviation = np.sqrt(max(float(least[-days:].sum()), variance)) / count.sum()
        tail = _share(level, len(came))
        if value - baseline.cost > np.hypot(_t(freedom, tail) * deviation, _normal(tail) * baseline.deviation):
            since = when[_find_begin(came - baseline.cost * rows, rows)]
            return CostExcess("realised", value, baseline.cost, int(count.sum()), days, since)
    return None


def _between(off: Floats, rows: Counts, latest: int) -> tuple[float, int]:
    """Variance of the sum over the latest of n days, and its degrees of freedom; each is `off` of `rows` rows, (n,).

    By successive differences, which are worth two thirds of as many values; of a week or less by the latest alone.
    """
    if len(off) > WEEK:
        steps = np.diff(off / rows) ** 2 / (1 / rows[1:] + 1 / rows[:-1])
        return float(steps.mean() * rows[-latest:].sum()), 2 * len(steps) // 3
    told, count = off[-latest:], rows[-latest:]
    apart = told - told.sum() / count.sum() * count
    return float(apart @ (apart / count) / (latest - 1) * count.sum()), latest - 1


def _find_begin(off: Floats, rows: Counts) -> int:
    """The most likely of n days from which on each day's `rows` (n,) are `off` (n,) in all by a constant each."""
    sums, counts = (np.cumsum(each[::-1])[::-1] for each in (off, rows))
    return int(np.argmax(sums * abs(sums) / counts))


def _t(freedom: int, tail: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - tail))


def _normal(tail: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(1 - tail))
