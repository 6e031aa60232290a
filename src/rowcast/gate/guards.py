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
_JUMP, _ERRORS = 0.15, 4.5  # of the newest rows, beyond what the labelled ones show; standard errors


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


def find_jump(newest: Flagged, judged: Flagged) -> HeldBack | None:
    """Return what is wrong where a version flags another share of the newest rows than the champion.

    By more than on the rows whose labels are known, beyond luck, and by 15 % of the rows: there it was judged.
    """
    if newest.rows < _ROWS or judged.rows < _ROWS:
        return None
    error = (newest.differing / newest.rows + judged.differing / judged.rows) ** 0.5
    if abs(newest.jump - judged.jump) <= max(_JUMP, _ERRORS * error) or abs(newest.jump) <= _JUMP:
        return None
    return HeldBack(Guard.FLAGS_JUMP, newest.champion, newest.challenger, newest.rows)
