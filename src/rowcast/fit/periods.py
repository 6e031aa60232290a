"""Periods of the training rows of which rows, or values of one column, are not learned from, and how far they reach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rowcast.models.matrix import Matrix
from rowcast.store.records import PeriodFault

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_STRETCH, _BREAK = 20, 3  # rows, and how many of them otherwise end a period


@dataclass(frozen=True)
class SuspectPeriod:
    """Training rows in time order that are not to be learned from: their labels, or their values of one column."""

    first: int  # place among the training rows
    last: int
    fault: PeriodFault
    auc: float | None  # in the period, of the models from before, or of the column; None where it does not tell
    usual_auc: float | None  # the median of the periods
    column: str | None = None  # whose values are not to be learned from; None: the rows are not


def find_others(suspects: Sequence[SuspectPeriod], rows: int) -> Places:
    """Return the places of the training rows that are in none of these periods."""
    good = np.ones(rows, dtype=bool)
    for each in suspects:
        good[each.first : each.last + 1] = False
    return np.flatnonzero(good)


def blank(matrix: Matrix, suspects: Sequence[SuspectPeriod]) -> Matrix:
    """Return a matrix without the values of the columns that are suspect, each in its period."""
    values = matrix.values.copy()
    for each in suspects:
        if each.column is not None:
            values[each.first : each.last + 1, matrix.names.index(each.column)] = np.nan
    return Matrix(values, matrix.names, matrix.categories)


def list_runs(holds: Bools) -> Iterator[tuple[int, int]]:
    """Yield from where to before where it holds without a break."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(int)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def fit_ends(other: Bools, first: int, last: int) -> tuple[int, int]:
    """Return the first and the last row that a period really reaches; `other` (n,) says of each row that it differs."""
    begin = first + _skip(other[first : last + 1])
    end = last - _skip(other[first : last + 1][::-1])
    begin -= _reach(other[:begin][::-1]) if begin == first else 0
    end += _reach(other[end + 1 :]) if end == last else 0
    return begin, max(begin, end)


def _skip(other: Bools) -> int:
    """How many rows at the beginning differ, up to where fewer than three of twenty do."""
    ahead = _breaks(other)
    return 0 if ahead.all() else int(ahead.argmin() + other[ahead.argmin() :].argmin())


def _reach(other: Bools) -> int:
    """How many rows ahead are alike, up to where three of twenty differ."""
    ahead = _breaks(other)
    return int(ahead.argmax() + other[ahead.argmax() :].argmax()) if ahead.any() else len(other)


def _breaks(other: Bools) -> Bools:
    """Whether three of twenty rows from each one on differ."""
    if not len(other):
        return other
    return np.asarray(np.convolve(other, np.ones(_STRETCH, dtype=int))[_STRETCH - 1 :] >= _BREAK)
