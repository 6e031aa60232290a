"""Training-serving skew: whether more rows than may differ between the HTTP service's answers and the batch.

Units of four hours are the evidence, not rows: what is corrected of a lot concerns many of its rows at once. Each unit
says by its share of differing rows for or against a share above the one that is allowed, whatever the shares'
distribution. The sum over all possible beginnings is an e-detector (Shin, Ramdas and Rinaldo 2023, "E-detectors: a
nonparametric framework for sequential change detection", New England Journal of Statistics in Data Science 2(2)): as
long as each unit's expected share is at most the one allowed, it takes at least `level` units on average until it
reaches `level`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

UNIT = timedelta(hours=4)
_UNITS_A_MONTH = timedelta(days=30) / UNIT
_STAKES = (0.05, 0.2, 0.5, 0.9)  # of what can be lost at a unit without any differing row: small shifts want small ones
_LEAST_LEVEL = 2.0
_BACK = 4  # units, at least, that say whether skew is over …
_BACK_ROWS = math.log(2)  # … and rows, times the share allowed: with more skew, one in two such lots would show it


@dataclass(frozen=True)
class SkewUnit:
    """Recorded rows of four hours that the batch has scored too."""

    at: datetime  # its begin
    rows: int
    differing: int  # of them, in values or in score


@dataclass(frozen=True)
class Skew:
    """A time in which more rows differ than may."""

    since: datetime
    rows: int  # since then
    differing: int
    until: datetime | None = None  # None: it stands


def find_skews(units: Sequence[SkewUnit], most: float, false_alarms_per_month: float) -> list[Skew]:
    """Return the times in which more than the share `most` of the rows differ, beyond luck, in their order.

    `units` are in the order of time. So many false alarms a month are allowed on average.
    """
    level = max(_UNITS_A_MONTH / false_alarms_per_month, _LEAST_LEVEL)
    found, first, began = list[Skew](), 0, None
    evidence = [0.0] * len(_STAKES)
    for place, unit in enumerate(units):
        if began is None:
            evidence = [
                (before + 1) * _weigh(unit, most, stake) for before, stake in zip(evidence, _STAKES, strict=True)
            ]
            if sum(evidence) / len(_STAKES) >= level:
                began = _find_begin(units[first : place + 1], most, _STAKES[evidence.index(max(evidence))]) + first
        elif _is_over(units[began : place + 1], most):
            found.append(replace(_sum_up(units[began : place + 1]), until=unit.at + UNIT))
            first, began, evidence = place + 1, None, [0.0] * len(_STAKES)
    return found if began is None else [*found, _sum_up(units[began:])]


def _weigh(unit: SkewUnit, most: float, stake: float) -> float:
    """By how much a unit speaks for a share above `most`: 1 on average where it is `most`."""
    return 1 + stake * (unit.differing / unit.rows / most - 1)


def _find_begin(units: Sequence[SkewUnit], most: float, stake: float) -> int:
    """The place of the unit from which on the evidence is largest."""
    behind, best, begin = 0.0, -math.inf, len(units) - 1
    for place in reversed(range(len(units))):
        behind += math.log(_weigh(units[place], most, stake))
        if behind > best:
            best, begin = behind, place
    return begin


def _is_over(units: Sequence[SkewUnit], most: float) -> bool:
    """Whether the newest units, on average, hold no more than may differ."""
    count = rows = 0
    share = 0.0
    for unit in reversed(units):
        count, rows, share = count + 1, rows + unit.rows, share + unit.differing / unit.rows
        if count >= _BACK and rows >= _BACK_ROWS / most:
            return share / count <= most
    return False


def _sum_up(units: Sequence[SkewUnit]) -> Skew:
    return Skew(units[0].at, sum(unit.rows for unit in units), sum(unit.differing for unit in units))
