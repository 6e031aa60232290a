"""When series shifted, at a rate of false ones that holds over all series, windows and runs together.

A run is judged by the means of the last 1, 4 and 16 runs: the short window sees a sudden change at once, the long ones
a slow or small one (the window-limited likelihood ratio of Willsky and Jones 1976, IEEE Transactions on Automatic
Control 21(1), and Lai 1995, JRSS B 57(4)). Each is a test. The level of a run is the calendar's, as that of a gate (Lan
and DeMets 1983, Biometrika 70(3)): the time since the run before, of a month, but no more than a day. It is shared out
among series by weight (Genovese, Roeder and Wasserman 2006, Biometrika 93(3)), so that a month's add up to the false
alarms allowed, whatever series have in common.

What is allowed are shifts, not tests. Windows of successive runs share them: a false shift by the mean of 4 shows in
1.2 runs, by that of 16 in three (clumps: Aldous 1989, Probability Approximations via the Poisson Clumping Heuristic).
And the degrees of freedom that clean runs show are taken too low rather than too high. So the levels of the windows
are more than a series' level in all: as much as simulated months without drift allow. Those of shares, whose lots come
in lumps of which 40 runs show few, are no more.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rowcast.monitor.baseline import WINDOWS, Baseline
from rowcast.monitor.edges import Floats
from rowcast.monitor.statistics import RATES, Figures, Kind, to_angle

UPWARD: tuple[Kind, ...] = ("range", "unseen", "age", "quarantined")  # less of it is no trouble

GONE, MOSTLY = 50, 0.5  # rows of a run, all without a value, of a column that half of the training rows lacked at most
LEVELS = np.array([0.25, 0.95, 2.0])  # of the windows, in parts of a series' level; of shares a third each
_SHORTEST = 1  # place in WINDOWS: a shift ends by no fewer than 4 runs
_BACK = 0.5  # of the t value that shows a shift: below it one has ended
_BACK_MOST = 4.0  # and where that is more, below this: in a mean of several a run is off by 5 SDs at most
_EARLIER = 64  # runs before a shift is seen in which its beginning is looked for
_NEAR = 2.5  # t values below need no p value


@dataclass(frozen=True)
class Shift:
    """A series that is no longer what it was."""

    series: int
    since: int  # the run with which it began, as far as can be told
    seen: int  # the run that showed it
    ended: int | None  # the run that showed that it is over


def find_shifts(figures: Figures, baseline: Baseline, level: Floats, share: Floats) -> list[Shift]:
    """Return the shifts of all series, in order of series and time.

    `level` says how many false shifts each run may bring, (R,); `share` what part of it each series has, (S,).
    """
    from scipy.special import stdtrit

    t = baseline.t_values(figures.values, figures.rows)
    t = np.where(figures.of(*UPWARD) & (t < 0), 0, t)
    part = np.where(figures.of(*RATES), 1 / len(WINDOWS), LEVELS[:, np.newaxis]) * share  # (W, S)
    over = _over(t, baseline.free, level[:, np.newaxis] * part[:, np.newaxis])
    found = list[Shift]()
    for series in np.flatnonzero(over.any(axis=(0, 1))).tolist():
        back = np.minimum(-_BACK * stdtrit(baseline.free[:, series], level.max() * part[:, series] / 2), _BACK_MOST)
        begin, one = int(baseline.begin[series]), (t[:, :, series], over[:, :, series])
        for seen, ended, free in _spells(*one, begin, back):
            found.append(Shift(series, _find_begin(figures, baseline, series, free, seen), seen, ended))
    return found


def find_vanished(figures: Figures, trained: Floats, first: int, end: int) -> list[Shift]:
    """Return the shifts of columns without any value in whole runs of `first` to `end`, which training mostly had.

    That needs no clean runs to be told from. `trained` are the shares of the training rows, (S of columns,).
    """
    found = list[Shift]()
    for series in np.flatnonzero(figures.of("missing")).tolist():
        rows = figures.rows[first:end, series]
        is_gone = (rows >= GONE) & (figures.values[first:end, series] >= to_angle(rows, rows))
        if is_gone.any() and trained[series] < MOSTLY:
            since = int(is_gone.argmax())
            back = np.flatnonzero(~is_gone[since:])
            ended = first + since + int(back[0]) if len(back) else None
            found.append(Shift(series, first + since, first + since, ended))
    return found


def level_of_runs(hours: Floats, per_month: float) -> Floats:
    """Return how many false alarms each run may bring, by the hours since the one before, (R,)."""
    return per_month * np.minimum(hours, 24.0) / (30 * 24)


def _over(t: Floats, free: Floats, level: Floats) -> npt.NDArray[np.bool_]:
    """Which t values (W, R, S) are beyond their level (W, R, S)."""
    from scipy.special import stdtr

    found = np.abs(t) > _NEAR
    window, run, series = np.nonzero(found)
    p = 2 * stdtr(free[window, series], -np.abs(t[window, run, series]))
    found[window, run, series] = p < level[window, run, series]
    return found


def _spells(t: Floats, over: npt.NDArray[np.bool_], begin: int, back: Floats) -> list[tuple[int, int | None, int]]:
    """Of one series, (W, R): the runs with which shifts are seen and have ended, and the first run of their windows."""
    found, free, windows = list[tuple[int, int | None, int]](), begin, np.array(WINDOWS)[:, np.newaxis]
    while True:
        reach = np.arange(t.shape[1]) - free + 1 >= windows  # of windows that begin after the last shift
        hits = over & reach
        if not hits.any():
            return found
        seen = int(hits.any(axis=0).argmax())
        window = max(int(np.argmax(np.where(hits[:, seen], np.abs(t[:, seen]), 0))), _SHORTEST)
        ended = _end(np.where(reach, np.abs(t) / back[:, np.newaxis], np.nan)[: window + 1], seen)
        found.append((seen, ended, free))
        if ended is None:
            return found
        free = ended + 1


def _end(size: Floats, seen: int) -> int | None:
    """The first run after `seen` whose longest window that there is has a size (w, R) below 1."""
    for run in range(seen + 1, size.shape[1]):
        known = size[~np.isnan(size[:, run]), run]
        if len(known) and known[-1] < 1:
            return run
    return None


def _find_begin(figures: Figures, baseline: Baseline, series: int, free: int, seen: int) -> int:
    """From which run on one series is least like its baseline: the most likely change point."""
    span = slice(max(free, seen + 1 - _EARLIER), seen + 1)
    values = figures.values[span, series]
    weight = np.where(np.isnan(values), 0, np.minimum(figures.rows[span, series] / baseline.size[series], 1))
    off = np.where(np.isnan(values), 0, weight * (values - baseline.mean[series]))
    total, weights = (np.cumsum(part[::-1])[::-1] for part in (off, weight))
    return span.start + int(np.argmax(np.abs(total) / np.sqrt(np.maximum(weights, 1e-12))))
