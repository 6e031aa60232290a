"""Which of several policies is cheapest on the same rows, and whether that can be told.

Pure: costs in, figures out. Rows of one day are not independent, nor are days that a model served in a row: differences
are summed by blocks of days, the shortest at which neighbouring blocks no longer go together. Student's t over blocks
gives the interval; what is luck is measured around each block's own time, since differences change when the world does.
The cheapest was looked for among all, so the verdict allows for every pair (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
LEAST_BLOCKS = 8  # that an interval takes, and on which two policies must differ to be told apart
BLOCKS = (1, 7, 28)  # days that a block may have
_AROUND, _BLOCKS_AROUND = 28, 4  # days, and blocks, whose mean a block is held against; the more of both
_TOGETHER = 1.645  # standard errors of a correlation that chance explains: one side, 5 %
_PER = 1000  # rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Between what a figure lies."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """What a policy costs more than the cheapest, per 1,000 rows."""

    value: float
    interval: Interval | None  # 95 %; None where there are too few blocks for one
    is_proven: bool  # it costs more, at a level that allows for every pair


@dataclass(frozen=True)
class Comparison:
    """What p policies cost, and which are as cheap as the cheapest, as far as can be told; places of policies."""

    per_thousand: tuple[float, ...]  # (p,): what 1,000 rows cost
    cheapest: int
    differences: tuple[Difference, ...]  # (p,): to the cheapest
    tied: tuple[int, ...]  # those that cannot be told from the cheapest, itself among them
    chosen: int  # the first of those: policies are ordered, the simplest first
    block_days: int
    hindsight: float  # per 1,000 rows, had each week had the policy that was cheapest in it


def compare(
    rows: npt.NDArray[np.int64], cost: Floats, days: float = 1.0, runs: Sequence[bool] | None = None
) -> Comparison:
    """Compare the costs (p, c) of p policies, the simplest first, on the same rows (c,) of c cells of so many days.

    `runs` (p,) says which of them stand for election; the others are held against the cheapest of these.
    """
    chosen_from = [place for place in range(len(cost)) if runs is None or runs[place]]
    each = _PER * cost.sum(axis=1) / rows.sum()
    cheapest = min(chosen_from, key=lambda place: float(each[place].round(9)))
    more = cost - cost[cheapest]
    others = [place for place in chosen_from if place != cheapest]
    length = _choose_block(rows, more[others], days)
    pairs = len(chosen_from) * (len(chosen_from) - 1) / 2
    differences = [_differ(rows, one, length, days, pairs) for one in more]
    tied = tuple(place for place in chosen_from if not differences[place].is_proven)
    week = _sums(cost, _per_block(7, days))
    return Comparison(
        tuple(map(float, each)),
        cheapest,
        tuple(differences),
        tied,
        tied[0],
        length,
        float(_PER * week.min(axis=0).sum() / rows.sum()),
    )


def _per_block(length: int, days: float) -> int:
    return max(1, round(length / days))


def _sums(values: npt.NDArray[Any], cells: int) -> Floats:
    """Return sums over blocks of so many cells, along the last axis."""
    return np.asarray(np.add.reduceat(values, np.arange(0, values.shape[-1], cells), axis=-1), dtype=np.float64)


def _choose_block(rows: npt.NDArray[np.int64], more: Sequence[Floats] | Floats, days: float) -> int:
    """Return the shortest block whose neighbours do not go together, in any pair; else the longest possible."""
    possible = [each for each in BLOCKS if len(_sums(rows, _per_block(each, days))) >= LEAST_BLOCKS] or [BLOCKS[0]]
    for length in possible:
        if not any(_goes_together(_residual(rows, one, _per_block(length, days), days)) for one in more):
            return length
    return possible[-1]


def _residual(rows: npt.NDArray[np.int64], more: Floats, cells: int, days: float) -> Floats:
    """Return how far each block is from what the mean difference around it would have it cost.

    Around it: within four blocks, four weeks at least. A policy that costs more from the day of a break on does so for
    good, and that is no luck. What the block itself pulled that mean to it is made up for.
    """
    reach = max(round(_AROUND / days), _BLOCKS_AROUND * cells) // 2
    place = np.arange(len(more))
    first, last = (place - reach).clip(0), (place + reach + 1).clip(max=len(more))
    mean = _between(more, first, last) / _between(rows, first, last).clip(1)
    inside = (last - first).astype(np.float64)
    return _sums((more - mean * rows) * np.sqrt(inside / (inside - cells).clip(1)), cells)


def _between(values: npt.NDArray[Any], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> Floats:
    """Return sums from each first cell up to, but not with, each last one."""
    until = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(until[last] - until[first])


def _goes_together(residual: Floats) -> bool:
    size = float(residual @ residual)
    return size > 0 and float(residual[1:] @ residual[:-1]) / size > _TOGETHER / np.sqrt(len(residual))


def _differ(rows: npt.NDArray[np.int64], more: Floats, length: int, days: float, pairs: float) -> Difference:
    """Return a difference (c,) per 1,000 rows with its interval, by blocks of so many days."""
    from scipy.stats import t

    cells = _per_block(length, days)
    value, residual = float(_PER * more.sum() / rows.sum()), _residual(rows, more, cells, days)
    blocks = len(residual)
    if not more.any():
        return Difference(0.0, Interval(0.0, 0.0), is_proven=False)
    if blocks < LEAST_BLOCKS:
        return Difference(value, None, is_proven=False)
    error = _PER * float(np.sqrt(residual @ residual)) / float(rows.sum())
    reach, strict = (float(t.ppf(1 - (1 - LEVEL) / 2 / among, blocks - 1)) * error for among in (1, max(pairs, 1)))
    enough = int((_sums(more, cells) != 0).sum()) >= LEAST_BLOCKS
    return Difference(value, Interval(value - reach, value + reach), is_proven=enough and value - strict > 0)
