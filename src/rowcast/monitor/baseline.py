"""What series are like while nothing drifts, by runs that are held to be clean: the run is what may be exchanged.

Rows of a run have lots, tools and the day in common, so that any rule which counts on rows alone alarms at each
harmless difference between runs. Here the mean and the variance of a series are those of its values in 40 clean runs
or more, and the mean of some later runs is held against them by a t value.

It is not quite Student's. Successive runs are alike (a day's runs share the day), and tails are longer than a normal's
(cells go missing by the lot). Both show where clean runs are held against each other: each stretch of them against the
rest, without its neighbours (h-block cross-validation: Burman, Chow and Nolan 1994, Biometrika 81(2)), in all series of
a kind together. Where their largest tenth begins says how many times Student's a t value is; where the largest
hundredth, thousandth and ten thousandth begin, how few degrees of freedom it has. Student's t with so few carries that
on to where no 40 runs reach.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rowcast.monitor.edges import Floats
from rowcast.monitor.statistics import RATES, Figures

CLEAN = 40  # runs, at least
WINDOWS = (1, 4, 16)  # runs whose mean is looked at
KNOWN = 0.75  # of the clean runs, at least, that have a value: else a series is not watched
NEIGHBOURS = 3  # runs on either side that are not held against a stretch
CORE, TAILS = 0.1, (0.01, 0.001, 0.0001)  # of the t values of clean runs
SEEN = 2  # t values in a tail, at least, for it to show anything
FREE = (30, 25, 20, 17, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2)  # degrees of freedom
LONELY = 10  # at most, of a kind with too few series to show a tail

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Baseline:
    """Of S series; NaN for one that is not watched."""

    begin: Integers  # (S,) the first run that is not one of its clean runs
    mean: Floats  # (S,)
    variance: Floats  # (S,) of a value
    size: Floats  # (S,) rows that a value is made of
    count: Floats  # (S,) clean runs with a value
    scale: Floats  # (W, S) how many times Student's a t value is where nothing drifts
    free: Floats  # (W, S) and its degrees of freedom

    def t_values(self, values: Floats, rows: Floats) -> Floats:
        """Return t values of the means of windows that end with each run, (W, R, S), for values and rows (R, S).

        A run of fewer rows than usual counts as so much less, one of more rows as a usual one: whatever part of the
        variance is the rows', that is safe. NaN where a window has no value or reaches back into the clean runs.
        """
        first = np.arange(len(values))[:, np.newaxis]
        absent = np.isnan(values) | (first < self.begin)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(absent, 0, np.minimum(rows / self.size, 1))
            off = np.where(absent, 0, weight * (values - self.mean))
            weights, sums = _sum_running(weight), _sum_running(off)
            found = np.full((len(WINDOWS), *values.shape), np.nan)
            for place, window in enumerate(WINDOWS):
                total = weights[window:] - weights[:-window]
                error = self.variance * (1 / total + 1 / self.count)
                t = (sums[window:] - sums[:-window]) / total / np.sqrt(error) / self.scale[place]
                within = first[window - 1 :] - window + 1 >= self.begin
                found[place, window - 1 :] = np.where(within & (total > 0), t, np.nan)
        return found


def fit_baseline(figures: Figures, clean: int) -> Baseline:
    """Return the baseline of the first runs, so many of each kind: the first in which that kind has values at all."""
    kinds, windows = np.array([series.kind for series in figures.series]), len(WINDOWS)
    begin, learned = np.full(len(kinds), len(figures.values)), np.full((4 + 2 * windows, len(kinds)), np.nan)
    for kind in np.unique(kinds):
        pool = np.flatnonzero(kinds == kind)
        held = np.flatnonzero(~np.isnan(figures.values[:, pool]).all(axis=1))[:clean]
        watched = pool[(~np.isnan(figures.values[np.ix_(held, pool)])).sum(axis=0) >= KNOWN * clean]
        if len(held) == clean and len(watched):
            values, rows = (part[np.ix_(held, watched)] for part in (figures.values, figures.rows))
            learned[:, watched] = _learn(values, rows, figures.noise[watched], kind in RATES)
            begin[watched] = held[-1] + 1
    mean, variance, size, count = learned[:4]
    return Baseline(begin, mean, variance, size, count, learned[4 : 4 + windows], learned[4 + windows :])


def _learn(values: Floats, rows: Floats, noise: Floats, rates: bool) -> Floats:
    """From the clean values (n, s) of series of one kind: mean, variance, size, count, and by window scale and free.

    None varies less than independent rows would. Of rates none varies less, as a multiple of that, than the median one:
    where 40 runs have few lots without a cell, that is luck.
    """
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    size = count / np.where(known, 1 / np.maximum(rows, 1), 0).sum(axis=0)
    variance, least = np.nanvar(values, axis=0, ddof=1), noise / size
    if rates:
        least *= max(1.0, float(np.median(variance / least)))
    variance = np.maximum(variance, least)
    weight = np.where(known, np.minimum(rows / size, 1), 0)
    tails = np.array(
        [_tail(_among_clean(values, weight, window, least), float(count.mean()) - 1) for window in WINDOWS]
    )
    shared = np.repeat(tails.T.reshape(-1, 1), len(count), axis=1)
    return np.vstack([np.nanmean(values, axis=0), variance, size, count, shared])


def _among_clean(values: Floats, weight: Floats, window: int, least: Floats) -> Floats:
    """The sizes of the t values of stretches of clean runs (n, s), each against the rest but its neighbours."""
    runs, known = len(values), ~np.isnan(values)
    centred = np.where(known, values - np.nanmean(values, axis=0), 0)
    start = np.arange(runs - window + 1)
    low, high = np.maximum(start - NEIGHBOURS, 0), np.minimum(start + window + NEIGHBOURS, runs)
    within, off = (total[window:] - total[:-window] for total in (_sum_running(weight), _sum_running(weight * centred)))
    sums = [_sum_running(part) for part in (known.astype(np.float64), centred, centred**2)]
    count, rest, square = (total[-1] - (total[high] - total[low]) for total in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = rest / count
        variance = np.maximum((square - count * mean**2) / (count - 1), least)
        t = (off / within - mean) / np.sqrt(variance * (1 / within + 1 / count))
    found: Floats = np.abs(t[np.isfinite(t)])
    return found


def _tail(sizes: Floats, free: float) -> tuple[float, float]:
    """How many times Student's the t values of these sizes are, and of how few degrees of freedom."""
    from scipy.special import stdtrit

    if not len(sizes):
        return 1.0, LONELY
    scale = max(1.0, float(np.quantile(sizes, 1 - CORE) / stdtrit(free, 1 - CORE / 2)))
    shown = 1 - np.array([tail for tail in TAILS if tail * len(sizes) >= SEEN])
    longest = min(free, FREE[0]) if len(shown) else LONELY
    beyond = np.quantile(sizes, shown) / scale
    fits = (few for few in FREE if few <= longest and (stdtrit(few, (1 + shown) / 2) >= beyond).all())
    return scale, float(next(fits, FREE[-1]))


def _sum_running(values: Floats) -> Floats:
    """Sums of the rows before each, and of all: (R + 1, S)."""
    return np.cumsum(np.vstack([np.zeros_like(values[:1]), values]), axis=0)
