"""What holds a version back though the gate would let it serve: signs of a fault in what it learned from.

Labels judge a version on rows of the past. What labels cannot show yet shows in what it would do with the rows that
wait for theirs, and in what it was trained on. A version that is held back is no worse for certain: a person decides.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

_KNOWN, _LEFT = 100, 0.8  # labels at the champion's training; the share of them that must be there
_GROUP, _SHARE, _STAYS = 50, 0.05, 0.5  # rows of a category; of all rows; the share of them that must be there
_ROWS = 30  # without a label, to tell anything
_TIMES, _STEADY = 2.0, 1.5  # as many of the newest rows, or as few: of a jump; of a champion that stays as it was
_LEAST, _ERRORS = 0.05, 4.5  # of the newest rows; standard errors


class Guard(StrEnum):
    """What is wrong."""

    LABELS_LOST = "labels lost"  # fewer are known than when the champion was trained
    GROUP_LOST = "group lost"  # most rows of a category are gone
    FLAGS_JUMP = "flags jump"  # it flags another share of the newest rows than the champion


@dataclass(frozen=True)
class HeldBack:
    """Why a version is held back: a count, or a share of rows, as it was and as it is."""

    guard: Guard
    was: float  # labels or rows at the champion's training; the share that the champion flags
    now: float
    rows: int  # that were looked at
    column: str | None = None
    category: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is kept with the decision."""
        return asdict(self)


@dataclass(frozen=True)
class Flagged:
    """On n rows the shares that the champion and the newer version flag, and on which share they differ."""

    rows: int
    champion: float
    challenger: float
    differing: float

    @property
    def jump(self) -> float:
        """How many more the newer version flags."""
        return self.challenger - self.champion


def find_lost_labels(before: int, now: int) -> HeldBack | None:
    """Return what is wrong where a fifth of the labels that were known `before` is known no longer."""
    if before < _KNOWN or now >= _LEFT * before:
        return None
    return HeldBack(Guard.LABELS_LOST, before, now, before)


def find_lost_group(before: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]) -> HeldBack | None:
    """Return the category, by column, of which more than half of the rows are gone; the one that lost most.

    A column that is there no longer is left to the contract. Only categories of 50 rows and 5 % count.
    """
    lost = list[HeldBack]()
    for column in before.keys() & now.keys():
        total = sum(before[column].values())
        for category, rows in before[column].items():
            left = now[column].get(category, 0)
            if rows >= max(_GROUP, _SHARE * total) and left < _STAYS * rows:
                lost.append(HeldBack(Guard.GROUP_LOST, rows, left, total, column, category))
    return max(lost, key=lambda one: (one.was - one.now, one.column, one.category), default=None)


def find_jump(newest: Flagged, labelled: Flagged) -> HeldBack | None:
    """Return what is wrong where a version flags another share of the newest rows than of those with a label.

    Twice as many or half as many, where the champion does not, so that other rows are not the reason; beyond luck, and
    5 % of the rows more or less than the champion.
    """
    if newest.rows < _ROWS or labelled.rows < _ROWS:
        return None
    error = (newest.differing / newest.rows + labelled.differing / labelled.rows) ** 0.5
    if abs(newest.jump - labelled.jump) <= _ERRORS * error or abs(newest.jump) <= _LEAST:
        return None
    version = _count_times(newest.challenger, newest.rows, labelled.challenger, labelled.rows)
    champion = _count_times(newest.champion, newest.rows, labelled.champion, labelled.rows)
    more = version >= _TIMES and champion < _STEADY
    fewer = version <= 1 / _TIMES and champion > 1 / _STEADY
    return HeldBack(Guard.FLAGS_JUMP, newest.champion, newest.challenger, newest.rows) if more or fewer else None


def _count_times(share: float, rows: int, before: float, rows_before: int) -> float:
    """Return how many times as large a share is as another one; half a row more is counted in each."""
    return (share * rows + 0.5) / rows / ((before * rows_before + 0.5) / rows_before)
