"""Columns that are computed from the past: what each of them is, as it is stored with a model version."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

from rowcast.config import Statistic

Window = Literal["last", "within", "decay", "ever"]
_MICROSECOND = timedelta(microseconds=1)
_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000))


@dataclass(frozen=True)
class LabelMeaning:
    """How a label becomes a number: its own value, or 1 where it is, or is not, this one and 0 elsewhere."""

    how: Literal["value", "is", "is not"] = "value"
    label: str = ""


@dataclass(frozen=True)
class HistoryColumn:
    """A statistic of values that were known of earlier rows alike in `by`."""

    of: str
    by: tuple[str, ...]
    window: Window
    size: int  # rows of `last`; microseconds of `within`, and of the half-life of `decay`; 0 of `ever`
    statistic: Statistic
    look_back: int  # microseconds before the row: what became known earlier does not count
    label: LabelMeaning | None = None  # None where `of` is a column of numbers

    @property
    def name(self) -> str:
        """The column's name: what it is, in words."""
        if self.statistic == "age":
            return f"hours since last {self.of}{_of_groups(self.by)}"
        if self.window == "last" and self.size == 1 and self.statistic == "mean":
            return f"last {self.of}{_of_groups(self.by)}"
        which = f"last {self.size}" if self.window == "last" else _spell_time(self.size)
        joint = {"last": "of", "within": "within", "decay": "fading in"}[self.window]
        if self.window == "last":
            return f"{self.statistic} of {which} {self.of}{_of_groups(self.by)}"
        return f"{self.statistic} of {self.of} {joint} {which}{_of_groups(self.by)}"

    @property
    def reach(self) -> int:
        """How many microseconds before a row a value that counts may have become known."""
        return min(self.look_back, self.size) if self.window == "within" else self.look_back


@dataclass(frozen=True)
class SinceColumn:
    """The hours, or the rows alike in `by`, since the last event of a row's group."""

    events: str
    event_time: str
    event_group: tuple[str, ...]  # columns of `events`, for each of `by`
    by: tuple[str, ...]
    counts: Literal["hours", "rows"]
    look_back: int

    @property
    def name(self) -> str:
        """The column's name: what it is, in words."""
        return f"{self.counts} since {self.events}{_of_groups(self.by)}"

    @property
    def reach(self) -> int:
        """How many microseconds before a row an event that counts may have happened."""
        return self.look_back


@dataclass(frozen=True)
class JoinedColumn:
    """A column of the latest row of another table that is no later than a row's event."""

    table: str
    time: str
    keys: tuple[str, ...]  # columns of `table`, for each of `by`
    by: tuple[str, ...]
    column: str
    tolerance: int  # microseconds that such a row may lie before the event

    @property
    def name(self) -> str:
        """The column's name: what it is, in words."""
        return f"{self.column} of {self.table}{_of_groups(self.by)}"

    @property
    def reach(self) -> int:
        """How many microseconds before a row a row that counts may be."""
        return self.tolerance


PastColumn = HistoryColumn | SinceColumn | JoinedColumn
_KINDS: dict[str, type[SinceColumn] | type[JoinedColumn]] = {"since": SinceColumn, "join": JoinedColumn}


def to_dict(column: PastColumn) -> dict[str, Any]:
    """Return a column as JSON takes it."""
    what = next((name for name, kind in _KINDS.items() if isinstance(column, kind)), "history")
    return {"what": what, **asdict(column)}


def from_dict(stored: Mapping[str, Any]) -> PastColumn:
    """Return the column that `to_dict` described. Raise ValueError or TypeError where it describes none."""
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
    what = given.pop("what")
    if what in _KINDS:
        return _KINDS[what](**given)
    if what != "history":
        raise ValueError(f"a column of the past is of no kind {what!r}")
    label = given.pop("label")
    return HistoryColumn(**given, label=None if label is None else LabelMeaning(**label))


def _of_groups(by: tuple[str, ...]) -> str:
    return f" by {' and '.join(by)}" if by else ""


def _spell_time(microseconds: int) -> str:
    for unit, size in _UNITS:
        if microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    return f"{timedelta(microseconds=microseconds).total_seconds():g}s"


def to_microseconds(duration: timedelta) -> int:
    """Return a duration as the times of rows are held."""
    return duration // _MICROSECOND
