"""What the estimate is worth: its track record, and whether a model costs more than it promised.

Rows of a day share their luck, so days are what may vary: t statistics over days, and never a smaller variance than the
luck of independent rows (Liang and Zeger 1986, Biometrika 73(1), with whole days as clusters). What has changed has
changed since some day, and days before it would hide it: the latest 3 days, the latest 7 and all of a window are each
looked at, and share the level (Bonferroni). What days are off by and what the model's own figures may be off by are put
together as squares of their limits (Zou and Donner 2008, Statistics in Medicine 27(10)).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.monitor.quality import DEVIATIONS, Basis, Tally, cost, expected, spent
from rowcast.shown import number

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FEWEST, WEEK = 3, 7  # days that are looked at; with fewer nothing is tested
LEVEL = 0.01  # of wrongly withholding an estimate, or of wrongly calling a model too dear, at one look


@dataclass(frozen=True)
class Track:
    """Estimated less realised cost per row, over days of scoring whose labels are known; None where there are none."""

    days: int
    rows: int
    difference: float | None = None
    held: float | None = None  # share of the days whose realised cost lay in the estimate's 95 % interval
    withheld: str | None = None  # why the estimate is not shown


def track(judged: Tally, basis: Basis) -> Track:
    """The record of a version's estimates on the rows whose labels came, each day for itself.

    Where realised and estimated cost lie further apart than luck and the calibration's own error allow at 1 %, the
    estimate is contradicted.
    """
    if not judged.count or basis.kind == "regression":
        return Track(0, judged.count)
    parts = [judged.of(day) for day in judged.days]
    told = [cost(part, basis) for part in parts]
    came = np.array([spent(part, basis) for part in parts])
    rows = np.array([part.count for part in parts])
    held = [each.holds(paid / n) for each, paid, n in zip(told, came, rows, strict=True)]
    off = came - np.array([each.value for each in told]) * rows
    withheld = next(
        (why for days in _latest(len(parts)) if (why := _contradicted(judged, basis, off[-days:], rows[-days:]))), None
    )
    return Track(len(parts), judged.count, float(-off.sum() / rows.sum()), float(np.mean(held)), withheld)


def _contradicted(judged: Tally, basis: Basis, off: Floats, rows: Counts) -> str:
    """In what the latest days contradict the estimate; `off` (k,) is what each day's `rows` (k,) cost beyond it."""
    days, beyond = len(off), float(off.sum())
    latest = judged.since(judged.days[-days])
    total = expected(latest, basis, *basis.costs)
    luck, tail = max(total.luck, _between(off, rows)), _share(len(judged.days)) / 2
    if abs(beyond) <= np.hypot(_t(days, tail) * np.sqrt(luck), _normal(tail) * np.sqrt(total.doubt)):
        return ""
    count = latest.count
    return (
        f"contradicted by labels: {number(total.mean / count)} per row was estimated for {count:,} rows of the latest "
        f"{days} days with labels, and they cost {number((total.mean + beyond) / count)}"
    )


def _latest(days: int) -> list[int]:
    """How many days are looked at, one way after the other."""
    return sorted({days, *(each for each in (FEWEST, WEEK) if each <= days)}) if days >= FEWEST else []


def _share(days: int) -> float:
    """Of the level, for each of these ways."""
    return LEVEL / len(_latest(days))


@dataclass(frozen=True)
class Promise:
    """Out-of-fold cost per row of a version, and the upper end of its 95 % interval for later rows."""

    cost: float
    high: float

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> "Promise | None":
        """None where the record lacks it."""
        value, high = metrics.get("cost_per_row"), metrics.get("cost_per_row_high")
        return None if value is None or high is None else cls(float(value), float(high))

    @property
    def deviation(self) -> float:
        return max(0.0, self.high - self.cost) / DEVIATIONS


def loss(scored: Tally, judged: Tally, basis: Basis, promise: Promise) -> str:
    """Which figure of a window shows that a version costs more than it promised, beyond luck at 1 %; empty if none.

    The realised cost is asked first, then the estimated one, unless it is withheld.
    """
    parts = [judged.of(day) for day in judged.days]
    came = np.array([spent(part, basis) for part in parts])
    # Of wrong decisions the variance is at least that of as many rare events.
    luck = np.array([part.wrong @ np.where(part.flagged, *basis.costs) ** 2 for part in parts])
    if reason := realised_loss(came, np.array([part.count for part in parts]), promise, luck):
        return reason
    if track(judged, basis).withheld:
        return ""
    days = scored.days
    return next((why for k in _latest(len(days)) if (why := _estimated(scored, days[-k:], basis, promise))), "")


def _estimated(scored: Tally, days: npt.NDArray[np.datetime64], basis: Basis, promise: Promise) -> str:
    latest = scored.since(days[0])
    total = expected(latest, basis, *basis.costs)
    deviation = float(np.hypot(np.sqrt(total.luck + total.doubt) / latest.count, promise.deviation))
    value = total.mean / latest.count
    if value - promise.cost <= _normal(_share(len(scored.days))) * deviation:
        return ""
    rows = f"{latest.count:,} rows of the latest {len(days)} days"
    return f"the estimated cost of {number(value)} per row on {rows} {_above(promise)}"


def realised_loss(came: Floats, rows: Counts, promise: Promise, luck: Floats | None = None) -> str:
    """The same of realised costs alone: `came` in all on each of k days, of `rows` rows, both (k,).

    `luck` (k,) is the least variance of each.
    """
    least = np.zeros(len(came)) if luck is None else luck
    for days in _latest(len(came)):
        paid, count = came[-days:], rows[-days:]
        value = float(paid.sum() / count.sum())
        deviation = np.sqrt(max(float(least[-days:].sum()), _between(paid, count))) / count.sum()
        tail = _share(len(came))
        if value - promise.cost > np.hypot(_t(days, tail) * deviation, _normal(tail) * promise.deviation):
            labelled = f"{int(count.sum()):,} labelled rows of the latest {days} days"
            return f"the realised cost of {number(value)} per row on {labelled} {_above(promise)}"
    return ""


def _above(promise: Promise) -> str:
    return f"is above the {number(promise.cost)} that the model promised, beyond luck"


def _between(off: Floats, rows: Counts) -> float:
    """Variance of a sum over k days, each `off` of `rows` rows, both (k,), from how much their means vary."""
    apart = off - off.sum() / rows.sum() * rows
    return float(len(off) / (len(off) - 1) * (apart @ apart))


def _t(days: int, tail: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(days - 1, 1 - tail))


def _normal(tail: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(1 - tail))
