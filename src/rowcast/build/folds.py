"""Time-ordered validation: train on what came before, predict what came after."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

FOLDS = 5
FIRST = 0.35  # of the rows are never predicted: the first fold's model is trained on them
MIN_RARER = 3  # rows of the rarer class below which a fold's model is not trained


@dataclass(frozen=True)
class Fold:
    """One split. The training rows are the first `train` rows; the rows to predict are named by index."""

    train: int
    test: npt.NDArray[np.int64]


def folds(
    time: npt.NDArray[np.int64], group: npt.NDArray[np.int64] | None, outcome: npt.NDArray[np.bool_]
) -> list[Fold]:
    """Expanding windows over rows in time order; `time`, `group` and `outcome` have shape (n,), `time` ascending.

    The rows of one time are never parted. A group is predicted in the fold of its first row, and by a model that saw
    only rows before that fold: no row is trained on while one of its group, or one of an earlier or equal time, is
    predicted. A fold whose training rows hold too few of either class is left out. The list may be empty.
    Source: rolling origin, Tashman 2000, International Journal of Forecasting 16(4).
    """
    assert (np.diff(time) >= 0).all(), "rows must come in time order"
    rows = len(time)
    new_time = np.flatnonzero(np.diff(time)) + 1
    rarer = np.flatnonzero(outcome == (2 * int(outcome.sum()) <= rows))
    if not len(rarer) or not len(new_time):
        return []
    # Where the rarer class comes late, the first model waits for a quarter of it.
    needed = int(rarer[max(5, -(-len(rarer) // 4)) - 1]) + 1 if len(rarer) > 5 else rows
    wanted = np.linspace(max(FIRST * rows, needed), rows, FOLDS + 1)[:-1]
    place = np.searchsorted(new_time, np.ceil(wanted))
    bounds = [*np.unique(new_time[place[place < len(new_time)]]).tolist(), rows]
    first = _first_rows(group) if group is not None else np.arange(rows)
    split = [Fold(start, np.flatnonzero((first >= start) & (first < end))) for start, end in pairwise(bounds)]
    return [fold for fold in split if len(fold.test) and _trainable(outcome[: fold.train])]


def _first_rows(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each row the index of the first row of its group."""
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[place], dtype=np.int64)


def _trainable(outcome: npt.NDArray[np.bool_]) -> bool:
    positives = int(outcome.sum())
    return min(positives, len(outcome) - positives) >= MIN_RARER
