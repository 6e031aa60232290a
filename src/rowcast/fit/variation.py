"""Where a figure will lie on later rows, from the same figure of several periods in time order.

Rows of later periods differ by more than luck: a line drifts. A later period is therefore taken as one more draw from
what the periods seen so far were drawn from, a random effect, beside the luck of its own rows: the prediction interval
of Higgins, Thompson and Spiegelhalter 2009, Journal of the Royal Statistical Society A 172(1), in its Bayesian form. A
handful of periods says little of how much periods differ. So that is not put at its best estimate but averaged over
what the periods leave possible, from a weak expectation with a heavy tail (Roever, Bender, Dias and others 2021,
Research Synthesis Methods 12(4)). The luck of the rows is a jackknife of runs of whole blocks: Kuensch 1989, Annals of
Statistics 17(3).

`python -m studies coverage` measures how often it holds; docs/models-method.md has the figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Scale = Literal["share", "amount", "any"]  # between 0 and 1; 0 and more; any number

LEVEL = 0.95
PERIODS = 5  # that rows are cut into where folds are too few to tell periods apart
FEWEST = 3
RUNS = 20  # of each period, left out in turn
MIN_BLOCKS = 5  # of a period, that its runs be made of whole blocks
DRIFT = 0.25  # of the spread among single rows: the deviation between periods that is exceeded as often as not
_DRAWS = 128  # of that deviation, evenly likely before the periods are looked at
_STEPS = 32  # halvings


@dataclass(frozen=True)
class Periods:
    """For each of m rows its period and, within it, its run; both count from 0 over all periods, in time order."""

    period: Places
    run: Places
    period_of_run: Places  # (r,)

    @property
    def count(self) -> int:
        return int(self.period_of_run[-1]) + 1

    @property
    def whole(self) -> "Periods":
        """All of it as one period."""
        return Periods(np.zeros_like(self.period), self.run, np.zeros_like(self.period_of_run))


def split_periods(fold: Places, block: Places) -> Periods:
    """Return the folds, or equal parts where folds are fewer than three, each cut into runs of about equal rows.

    `fold` and `block` have shape (m,), in time order; rows of a block share their luck and stay together.
    """
    rows = len(fold)
    _, period = np.unique(fold, return_inverse=True)
    if period[-1] + 1 < FEWEST:
        period = np.arange(rows) * min(PERIODS, rows) // rows
    run, of_run = np.empty(rows, dtype=np.int64), list[int]()
    for number in range(int(period[-1]) + 1):
        here = np.flatnonzero(period == number)
        place = _runs(block[here])
        run[here] = place + len(of_run)
        of_run += [number] * (int(place.max()) + 1)
    return Periods(period.astype(np.int64), run, np.array(of_run))


def _runs(block: Places) -> Places:
    """The run of each row of one period, (n,), from 0 without a gap."""
    rows = len(block)
    _, first, kind, count = np.unique(block, return_index=True, return_inverse=True, return_counts=True)
    if len(first) < MIN_BLOCKS:
        return np.arange(rows) * min(RUNS, rows) // rows
    order = np.argsort(first)
    before = np.empty(len(first), dtype=np.int64)
    before[order] = np.cumsum(count[order]) - count[order]
    _, place = np.unique((before * RUNS // rows)[kind], return_inverse=True)
    return np.asarray(place, dtype=np.int64)


@dataclass(frozen=True)
class Spread:
    """A figure of k periods, those that have it, and how it varies."""

    period: Places  # (k,)
    figure: Floats  # (k,)
    support: Floats  # (k,), what carries the figure: rows, positives, flagged rows
    unit: float  # variance that luck alone gives the figure of one unit of support

    @property
    def value(self) -> float:
        """The figure of a period, on average by support; of a mean that is the mean of all rows."""
        return float(self.support @ self.figure / self.support.sum())

    def of_period(self, place: int, scale: Scale) -> tuple[float, float]:
        """Return the 95 % interval of one period's figure, by luck alone."""
        value = float(self.figure[place])
        return interval_of(value, 1.96 * float(np.sqrt(self.unit / self.support[place])), scale)

    def later(self, scale: Scale) -> tuple[float | None, float | None]:
        """Return where the figure of a later period with as much support as all of these lies, with 95 % probability.

        Where fewer than two periods have the figure, how much they differ is not known: a share may then be any, and
        of what has no upper limit nothing is said.
        """
        if len(self.figure) < 2:
            return (0.0, 1.0) if scale == "share" else (None, None)
        return interval_of(self.value, self._reach(float(self.support.sum())), scale)

    def _reach(self, ahead: float) -> float:
        """Half the interval's width: drift and luck of these periods and of the later one, of support `ahead`."""
        from scipy.special import ndtr

        luck, weight = self.unit / self.support, self.support / self.support.sum()
        drift, likely = self._drift(luck)
        deviation = np.sqrt(drift * (1 + weight @ weight) + weight**2 @ luck + self.unit / ahead)
        low, high = 0.0, 12 * float(deviation.max())
        for _ in range(_STEPS):
            middle = (low + high) / 2
            outside = float(likely @ ndtr(-middle / np.maximum(deviation, 1e-300)))
            low, high = (middle, high) if outside > (1 - LEVEL) / 2 else (low, middle)
        return high

    def _drift(self, luck: Floats) -> tuple[Floats, Floats]:
        """Variances between periods, and how likely each is given theirs: a half-Cauchy before, a normal likelihood."""
        expected = DRIFT * np.sqrt(self.unit) or float(self.figure.std())
        evenly = (np.arange(_DRAWS) + 0.5) / _DRAWS
        drift = (expected * np.tan(np.pi / 2 * evenly)) ** 2
        variance = np.maximum(luck + drift[:, None], 1e-300)
        total = (1 / variance).sum(axis=1)
        centre = (self.figure / variance).sum(axis=1) / total
        misfit = ((self.figure - centre[:, None]) ** 2 / variance).sum(axis=1)
        logarithm = -(np.log(variance).sum(axis=1) + np.log(total) + misfit) / 2
        likely = np.exp(logarithm - logarithm.max())
        return drift, likely / likely.sum()


def interval_of(value: float, reach: float, scale: Scale) -> tuple[float, float]:
    """Return `value` -+ `reach`; near a limit further on the side that has room, for there figures vary more.

    Amounts go by the square root, shares by the logit (both by the delta method), at most twice as far as `reach`. A
    share goes no less far than `reach` towards its limit: in few rows it may well lie on it.
    """
    low, high = value - reach, value + reach
    if scale == "amount":
        root, step = np.sqrt(max(value, 1e-12)), reach / (2 * np.sqrt(max(value, 1e-12)))
        low, high = float(max(root - step, 0.0) ** 2), min(float((root + step) ** 2), value + 2 * reach)
    if scale == "share":
        inside = min(max(value, 1e-3), 1 - 1e-3)
        centre, step = np.log(inside / (1 - inside)), reach / (inside * (1 - inside))
        below, above = (float(1 / (1 + np.exp(-np.clip(centre + side * step, -500, 500)))) for side in (-1, 1))
        low = max(0.0, min(low, max(below, value - 2 * reach)))
        high = min(1.0, max(high, min(above, value + 2 * reach)))
    return low, high


def ratio_spread(above: npt.NDArray[Any], below: npt.NDArray[Any], of: Periods, worst: float = 0.0) -> Spread | None:
    """Return the spread of a ratio of sums, such as a mean (`below` is 1) or a share; each (m,). None without support.

    `worst` is what one unit that has not been seen yet may add to the figure: as many as one is allowed for, so that
    a figure without any variance, such as a recall of 1, is not taken for certain.
    """
    tops, bottoms = (_sums(of.run, each, len(of.period_of_run)) for each in (above, below))
    top, bottom = (_sums(of.period_of_run, each, of.count) for each in (tops, bottoms))
    left_top, left_bottom = top[of.period_of_run] - tops, bottom[of.period_of_run] - bottoms
    with np.errstate(divide="ignore", invalid="ignore"):
        figure = np.where(bottom > 0, top / bottom, np.nan)
        left_out = np.where(left_bottom > 1e-9 * bottom[of.period_of_run], left_top / left_bottom, np.nan)
    return _spread(figure, bottom, left_out, of, worst)


def jackknife_spread(
    figure: Callable[[Places], float], support: Callable[[Places], float], of: Periods, worst: float = 0.0
) -> Spread | None:
    """Return the spread of any smooth figure of rows named by index; NaN where they cannot tell. See `ratio_spread`."""
    whole = [np.flatnonzero(of.period == period) for period in range(of.count)]
    left_out = [
        figure(whole[period][of.run[whole[period]] != run]) for run, period in enumerate(of.period_of_run.tolist())
    ]
    return _spread(
        np.array([figure(rows) for rows in whole]),
        np.array([support(rows) for rows in whole]),
        np.array(left_out),
        of,
        worst,
    )


def _sums(place: Places, values: npt.NDArray[Any], count: int) -> Floats:
    return np.asarray(np.bincount(place, weights=values, minlength=count), dtype=np.float64)


def _spread(figure: Floats, support: Floats, left_out: Floats, of: Periods, worst: float) -> Spread | None:
    has = np.isfinite(figure) & (support > 0)
    if not has.any():
        return None
    known = np.isfinite(left_out)
    count = _sums(of.period_of_run, known, of.count)
    filled = np.where(known, left_out, 0.0)
    mean = _sums(of.period_of_run, filled, of.count) / np.maximum(count, 1)
    off = np.where(known, left_out - mean[of.period_of_run], 0.0)
    luck = _sums(of.period_of_run, off**2, of.count) * (count - 1) / np.maximum(count, 1)
    can = has & (count > 1)
    # One unit for all periods: a period whose few rows agree knows no more than the others.
    unit = float((support[can] ** 2) @ luck[can] / support[can].sum()) if can.any() else 0.0
    period = np.flatnonzero(has)
    return Spread(period, figure[has], support[has], max(unit, worst**2 / float(support[has].sum())))
