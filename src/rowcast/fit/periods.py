"""Periods of the training rows that are not to be learned from, and how far they reach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rowcast.store.records import PeriodFault

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_STRETCH, _BREAK = 20, 3  # rows, and how many of them otherwise end a period


@dataclass(frozen=True)
class SuspectPeriod:
    """Training rows in time order that are not to be learned from."""

    first: int  # place among the training rows
    last: int
    fault: PeriodFault
    auc: float | None  # in the period, of the models from before, or of the column; None where it does not tell
    usual_auc: float | None  # the median of the periods
    column: str | None = None


def find_others(suspects: Sequence[SuspectPeriod], rows: int) -> Places:
    """Return the places of the training rows that are in no suspect period."""
    good = np.ones(rows, dtype=bool)
    for each in suspects:
        good[each.first : each.last + 1] = False
    return np.flatnonzero(good)


def replace_rows(period: SuspectPeriod, rows: Places) -> SuspectPeriod:
    """Return a period of chosen `rows` with its places among all."""
    return replace(period, first=int(rows[period.first]), last=int(rows[period.last]))


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
