"""Conformal sets and intervals from out-of-fold rows, at a level that held the promise forward in time.

Class by class, so that the rare one is covered as well (Vovk 2012, "Conditional validity of inductive conformal
predictors", ACML; Sadinle, Lei and Wasserman 2019, Journal of the American Statistical Association 114(525)). Conformal
prediction promises nothing of rows that are not exchangeable with those it was fitted on, and later rows are not, nor
are the scores of a later model. So the level is raised until, fitted on what came before each fold, it would have held
the promise on the fold itself: adaptive conformal inference (Gibbs and Candes 2021, NeurIPS 34), fold by fold in place
of row by row, and never below the promise. docs/models-method.md has the coverage on later rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.fit.cross_fitting import Calibrate
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.variation import Spread, ratio_spread, split_periods
from rowcast.models.conformal import Bands, Bools, Conformal, Floats, Sets
from rowcast.models.target import Target

Places = npt.NDArray[np.int64]

RANGES = 5  # of a predicted value, at most
ROWS_OF_RANGE = 100
_LEVELS = 10  # steps from the promise to certainty, the last of which is not taken
_ALIKE = 1e-9  # of a score: what differs by less is the same one, computed in another batch


@dataclass(frozen=True)
class ConformalFit:
    """What is stored, and the level it took: of each class, or of all values."""

    conformal: Conformal
    level: tuple[float, ...]


def fit_conformal(probability: Floats, target: Target, fold: Places, confidence: float) -> ConformalFit:
    """Fit prediction sets or intervals to calibrated probabilities (m,) or (m, k), or values (m,), in time order.

    A class with too few rows for the level, nine at 0.9, is in every set; likewise an interval is then infinite.
    """
    if target.kind == "regression":
        off = np.abs(target.values - probability)

        def inside(level: float, before: Bools, here: Bools) -> Bools:
            edges, reach = _ranges(probability[before], off[before], level)
            return np.asarray(off[here] <= reach[np.searchsorted(edges, probability[here])])

        level = _raise_level(confidence, fold, inside)
        edges, reach = _ranges(probability, off, level)
        blind = _highest(np.abs(target.values - np.median(target.values)), confidence)
        return ConformalFit(Bands(tuple(edges.tolist()), tuple(reach.tolist()), blind), (level,))
    each = np.stack([1 - probability, probability], axis=1) if target.kind == "binary" else probability
    least, levels = list[float](), list[float]()
    for place in range(each.shape[1]):
        own = target.values == place
        score, when = each[own, place], fold[own]

        def in_set(level: float, before: Bools, here: Bools, score: Floats = score) -> Bools:
            return np.asarray(score[here] >= _lowest(score[before], level))

        levels.append(_raise_level(confidence, when, in_set))
        least.append(_lowest(score, levels[-1]))
    return ConformalFit(Sets(tuple(least)), tuple(levels))


def _raise_level(confidence: float, fold: Places, covered: Callable[[float, Bools, Bools], Bools]) -> float:
    """The least level that held the promise, over all folds but the first; `covered` takes it, and rows as masks.

    At most nine tenths of the way to certainty: where not even that held, one fold is unlike all before it, and sets
    that hold every class of every row would only hide it.
    """
    level = confidence
    for step in range(_LEVELS, 0, -1):
        level = 1 - (1 - confidence) * step / _LEVELS
        held = [covered(level, fold < number, fold == number) for number in np.unique(fold)[1:]]
        if not held or np.concatenate(held).mean() >= confidence:
            break
    return level


def _lowest(score: Floats, level: float) -> float:
    """What the score of one more row reaches with probability `level`; 0, which any does, where rows are too few."""
    m = int((1 - level) * (len(score) + 1) + 1e-9)
    return float(np.partition(score, m - 1)[m - 1]) * (1 - _ALIKE) if m else 0.0


def _highest(off: Floats, level: float) -> float:
    """What the error of one more row stays within with probability `level`; infinite where rows are too few."""
    m = int((1 - level) * (len(off) + 1) + 1e-9)
    return float(np.partition(off, len(off) - m)[len(off) - m]) if m else np.inf


def _ranges(value: Floats, off: Floats, level: float) -> tuple[Floats, Floats]:
    """Edges between ranges of the predicted value with equally many rows, and the reach of each range."""
    count = max(1, min(RANGES, len(value) // ROWS_OF_RANGE))
    edges = np.unique(np.quantile(value, np.arange(1, count) / count))
    place = np.searchsorted(edges, value)
    return edges, np.array([_highest(off[place == number], level) for number in range(len(edges) + 1)])


def measure_coverage(
    scores: OutOfFold, name: str, fitted: ConformalFit, confidence: float, calibrate: Calibrate
) -> list[dict[str, Any]]:
    """Return how often later truth was covered, of each class and of all: {of, promised, rows, covered, low, high,
    uncertain, level, always}.

    Measured as in service: all of `fit`, its level included, on the rows before a fold, then held against the fold.
    `low` to `high` is where the coverage of as many later rows lies, 95 %; `level` is that of `fitted`, `always`
    whether its sets hold the class whatever the row.
    """
    raw, target, fold = scores.raw[name], scores.target, scores.fold
    covered, uncertain, seen = (np.zeros(len(fold), dtype=bool) for _ in range(3))
    for number in np.unique(fold)[1:]:
        before, here = fold < number, fold == number
        known = target.take(before)
        if ((known.counts > 0) < (target.counts > 0)).any():
            continue  # a class that had not been seen could not be promised
        calibrated = calibrate(raw[before], known)
        conformal = fit_conformal(calibrated(raw[before]), known, fold[before], confidence).conformal
        probability, seen[here] = calibrated(raw[here]), True
        uncertain[here] = conformal.uncertain(probability)
        covered[here] = _covers(conformal, probability, target.take(here))
    later = OutOfFold(target, fold, scores.block, {}).take(seen)
    found = []
    for place, label in enumerate(target.classes):
        of = later.target.values == place
        about = {"level": fitted.level[place], "always": _always(fitted.conformal, place)}
        found.append(_measure(label, of, covered[seen], uncertain[seen], later, confidence) | about)
    every = np.ones(len(later.target), dtype=bool)
    about = {"level": min(fitted.level), "always": False}
    return [*found, _measure("all", every, covered[seen], uncertain[seen], later, confidence) | about]


def _covers(conformal: Conformal, probability: Floats, target: Target) -> Bools:
    if isinstance(conformal, Sets):
        truth = target.values.astype(np.int64)
        return np.asarray(np.take_along_axis(conformal.sets(probability), truth[:, None], axis=1)[:, 0])
    low, high = conformal.interval(probability)
    return np.asarray((low <= target.values) & (target.values <= high))


def _always(conformal: Conformal, place: int) -> bool:
    return isinstance(conformal, Sets) and conformal.least[place] == 0


def _measure(
    label: Any, of: Bools, covered: Bools, uncertain: Bools, later: OutOfFold, confidence: float
) -> dict[str, Any]:
    spread: Spread | None = None
    if of.any():
        spread = ratio_spread(covered & of, of, split_periods(later.fold, later.block), worst=1)
    low, high = spread.later("share") if spread else (None, None)
    return {
        "of": label,
        "promised": confidence,
        "rows": int(of.sum()),
        "covered": spread.value if spread else None,
        "low": low,
        "high": high,
        "uncertain": float(uncertain[of].mean()) if of.any() else None,
    }
