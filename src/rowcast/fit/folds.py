"""Time-ordered validation: train on what came before, predict what came after."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rowcast.models.target import Target

FOLDS = 5
FIRST = 0.35  # of the rows are never predicted: the first fold's models are trained on them
MIN_RARER = 3  # rows that need action, and rows that do not, below which a fold's models are not trained
MIN_ROWS = 20  # of a regression


@dataclass(frozen=True)
class Fold:
    """One split, by index."""

    train: npt.NDArray[np.int64]  # rows whose outcome was known before the first row to predict came
    test: npt.NDArray[np.int64]  # rows to predict


def folds(
    time: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64] | None,
    target: Target,
    window: int | None = None,
) -> list[Fold]:
    """Return folds of n rows in time order: what was known when a period began is trained on, the period is predicted.

    `time` (n,) ascends, `known` (n,) is when each label arrived, both in the same unit, as is `window`: how far back
    training rows go (None: to the first). So there is a gap between both sides as long as labels take. The rows of one
    time are never parted. A group is predicted in the fold of its first row, and by models that saw only rows before
    that fold: no row is trained on while one of its group, or one of an earlier or equal time, is predicted. A fold
    whose training rows hold too little is left out. The list may be empty.
    Source: rolling origin, Tashman 2000, International Journal of Forecasting 16(4).
    """
    assert (np.diff(time) >= 0).all(), "rows must come in time order"
    rows = len(time)
    new_time = np.flatnonzero(np.diff(time)) + 1
    rare = _rarer(target)
    if not len(rare) or not len(new_time):
        return []
    # Where the rarer outcome comes late, the first models wait for a quarter of it.
    needed = int(rare[max(5, -(-len(rare) // 4)) - 1]) + 1 if len(rare) > 5 else rows
    wanted = np.linspace(max(FIRST * rows, needed), rows, FOLDS + 1)[:-1]
    place = np.searchsorted(new_time, np.ceil(wanted))
    starts = {*new_time[place[place < len(new_time)]].tolist()}
    split = [cut_fold(time, known, group, period, window) for period in pairwise([*sorted(starts), rows])]
    return [fold for fold in split if len(fold.test) and is_trainable(target.take(fold.train))]


def cut_fold(
    time: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64] | None,
    period: tuple[int, int],
    window: int | None = None,
) -> Fold:
    """Return the fold that predicts a period, from its first row to before its last; see `folds`."""
    start, end = period
    first = _first_rows(group) if group is not None else np.arange(len(time))
    trains = known[:start] <= time[start]
    if window is not None:
        trains &= time[:start] >= time[start] - window
    return Fold(np.flatnonzero(trains), np.flatnonzero((first >= start) & (first < end)))


def _rarer(target: Target) -> npt.NDArray[np.int64]:
    """Rows that the folds must not run short of: the rarer of those that need action and those that do not."""
    if target.kind == "regression":
        return np.arange(len(target))
    acts = target.values > 0
    return np.flatnonzero(acts == (2 * int(acts.sum()) <= len(acts)))


def _first_rows(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each row the index of the first row of its group."""
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[place], dtype=np.int64)


def is_trainable(target: Target) -> bool:
    """Return whether rows hold enough of what needs action, and of what does not, to learn from."""
    if target.kind == "regression":
        return len(target) >= MIN_ROWS
    acts = int((target.values > 0).sum())
    return min(acts, len(target) - acts) >= MIN_RARER
