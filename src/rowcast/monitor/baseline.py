"""What series are like while nothing drifts, by runs that are held to be clean: the run is what may be exchanged.

Rows of a run have lots, tools and the day in common, so that any rule which counts on rows alone alarms at each
harmless difference between runs. Here the mean and the variance of a series are those of its values in 40 clean runs
or more, and the mean of some later runs is held against them by a t value.

It is not quite Student's. Successive runs are alike (a day's runs share the day) or balance each other (a pattern of
the day), and tails are longer than a normal's (cells go missing by the lot). All of it shows where clean runs are held
against each other: each stretch of them against the rest, without its neighbours (h-block cross-validation: Burman,
Chow and Nolan 1994, Biometrika 81(2)), in all series of a kind together, by Student's t with the degrees of freedom of
that rest. Where their largest tenth begins says how many times Student's a t value is; how many lie beyond Student's
largest hundredth, thousandth and ten thousandth, how few degrees of freedom it has. Student's t with so few carries
that on to where no 40 runs reach.

Series that move together show less than as many of their own would. By as many as show the same (Bretherton and others
1999, Journal of Climate 12(7)) it is judged how far a tail is seen, and whether the t values are beyond doubt smaller
than Student's.
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
SEEN = 2  # independent t values in a tail, at least, for it to show anything
DOUBT = 2.0  # SDs of the share beyond the core, by which t values have to be smaller than Student's to count as smaller
SMALLEST = 0.8  # times Student's, at least: a series without any variance is not taken for steadier still
FREE = (30, 25, 20, 17, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2)  # degrees of freedom
LONELY, DOZEN = 10.0, 12  # at most: of a kind with few series, one more for each dozen independent t values
MOST = 5.0  # SDs that a run is off, at most, in the mean of several: the window of one sees a single run
_LEAST = 1e-6  # weight of a run
SAME = 0.01  # of a scale: an SD 1.5 % larger or smaller is the same, as it is where the run has other lots

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
    same: Floats  # (S,) a mean that is off by no more than this is not off

    def t_values(self, values: Floats, rows: Floats) -> Floats:
        """Return t values of the means of windows that end with each run, (W, R, S), for values and rows (R, S).

        A run of fewer rows than usual counts as so much less, one of more rows as a usual one: whatever part of the
        variance is the rows', that is safe. NaN where a window has no value or reaches back into the clean runs.
        """
        first = np.arange(len(values))[:, np.newaxis]
        absent = np.isnan(values) | (first < self.begin)
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(absent, 0, np.minimum(rows / self.size, 1))
            off = np.where(absent, 0, values - self.mean)
            most = MOST * np.sqrt(self.variance / np.maximum(weight, _LEAST))
            whole, clipped = (_sum_running(weight * part) for part in (off, np.clip(off, -most, most)))
            weights = _sum_running(weight)
            found = np.full((len(WINDOWS), *values.shape), np.nan)
            for place, window in enumerate(WINDOWS):
                total = weights[window:] - weights[:-window]
                error = self.variance * (1 / total + 1 / self.count)
                sums = whole if window == 1 else clipped
                mean = (sums[window:] - sums[:-window]) / total
                beyond = np.copysign(np.maximum(np.abs(mean) - self.same, 0), mean)
                t = beyond / np.sqrt(error) / self.scale[place]
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
    same = np.where(figures.of("scale", "spread"), SAME, 0.0)
    return Baseline(begin, mean, variance, size, count, learned[4 : 4 + windows], learned[4 + windows :], same)


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
    independent = _count_independent(values) * len(values)
    free = min(float(count.mean()) - 1, max(LONELY, independent / DOZEN))
    tails = np.array(
        [
            _tail(*_among_clean(values, weight, window, least), free, independent / window, rates=rates)
            for window in WINDOWS
        ]
    )
    shared = np.repeat(tails.T.reshape(-1, 1), len(count), axis=1)
    return np.vstack([np.nanmean(values, axis=0), variance, size, count, shared])


def _among_clean(values: Floats, weight: Floats, window: int, least: Floats) -> tuple[Floats, float]:
    """The sizes of the t values of stretches of clean runs (n, s), each against the rest but its neighbours.

    In ascending order; and the degrees of freedom that they have on average, by the runs of the rest.
    """
    runs, known = len(values), ~np.isnan(values)
    centred = np.where(known, values - np.nanmean(values, axis=0), 0)
    start = np.arange(runs - window + 1)
    low, high = np.maximum(start - NEIGHBOURS, 0), np.minimum(start + window + NEIGHBOURS, runs)
    most = MOST * np.sqrt(np.nanvar(values, axis=0, ddof=1) / np.maximum(weight, _LEAST))
    moved = weight * (centred if window == 1 else np.clip(centred, -most, most))
    within, off = (total[window:] - total[:-window] for total in (_sum_running(weight), _sum_running(moved)))
    sums = [_sum_running(part) for part in (known.astype(np.float64), centred, centred**2)]
    count, rest, square = (total[-1] - (total[high] - total[low]) for total in sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = rest / count
        variance = np.maximum((square - count * mean**2) / (count - 1), least)
        t = (off / within - mean) / np.sqrt(variance * (1 / within + 1 / count))
    known_t = np.isfinite(t)
    return np.sort(np.abs(t[known_t])), float(count[known_t].mean()) - 1 if known_t.any() else 1.0


def _count_independent(values: Floats) -> float:
    """How many independent series show as much as those of clean values (n, s), by their mean squared correlation.

    Where there is none, luck makes 1 / (n - 1) of it.
    """
    spread = np.nanstd(values, axis=0)
    if not (spread > 0).any():
        return 1.0
    centred = (values - np.nanmean(values, axis=0))[:, spread > 0] / spread[spread > 0]
    centred = np.where(np.isnan(centred), 0, centred)
    runs, series = centred.shape
    alike = ((centred @ centred.T) ** 2).sum() / (centred**2).sum() ** 2
    return float(1 / max(alike - 1 / (runs - 1), 1 / series))


def _tail(sizes: Floats, rest: float, free: float, independent: float, *, rates: bool) -> tuple[float, float]:
    """How many times Student's the t values of these sizes are, and of how few degrees of freedom.

    They have `rest` degrees of freedom if they are Student's; later ones then have all of `free`. They show as much as
    so many `independent` ones. Those of rates are no smaller than Student's: counts of a few lots only look so.
    """
    from scipy.special import stdtrit

    if not len(sizes):
        return 1.0, LONELY

    def times_students(tail: float) -> float:
        return float(np.quantile(sizes, 1 - tail) / stdtrit(rest, 1 - tail / 2))

    doubtless = CORE - DOUBT * np.sqrt(CORE * (1 - CORE) / independent)
    least = 1.0 if rates or doubtless <= 0 else np.clip(times_students(doubtless), SMALLEST, 1.0)
    scale = max(times_students(CORE), float(least))
    tails = np.array([tail for tail in TAILS if tail == TAILS[0] or tail * independent >= SEEN])
    for few in (free, *(each for each in FREE if each < free)):
        beyond = len(sizes) - np.searchsorted(sizes, scale * stdtrit(min(few, rest), 1 - tails / 2))
        if (beyond <= tails * len(sizes)).all():
            return scale, float(few)
    return scale, float(FREE[-1])


def _sum_running(values: Floats) -> Floats:
    """Sums of the rows before each, and of all: (R + 1, S)."""
    return np.cumsum(np.vstack([np.zeros_like(values[:1]), values]), axis=0)
