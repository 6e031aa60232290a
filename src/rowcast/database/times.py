"""Times as all systems bound them: what Python can hold, and how far an index must reach for an exact comparison."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from rowcast.database.relation import Column

# What Python can hold, and a day at each end for time zones: as seconds since 1970, and as days.
FIRST_SECOND, LAST_SECOND = -62135510400, 253402214400
FIRST_DAY, LAST_DAY = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def coarse_bound(column: Column, since: datetime) -> datetime:
    """Return a moment from which an index on the column finds every event time that is at least `since`.

    Stored seconds are rounded, and a wall clock goes back in autumn.
    """
    return max(since, FIRST_DAY) - (timedelta(seconds=1) if column.kind == "number" else timedelta(days=1))


EXCEL, SECONDS = "excel", "seconds"  # of `time_format`, for numbers
WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}  # digits of each sign of a format for texts
_EXCEL_1970 = 25569  # days: Excel counts from the end of 1899


def to_seconds(value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
    """Return a number that tells a time as seconds since 1970, NULL where it tells none.

    By its size it is taken for seconds, milliseconds, microseconds or nanoseconds, unless the column's format says
    otherwise: Excel counts days.
    """
    if column.time_format == EXCEL:
        value = (value - sa.literal_column(str(_EXCEL_1970))) * sa.literal_column("86400.0")
    seconds: tuple[Any, Any] = (_within(value, FIRST_SECOND, LAST_SECOND), value * sa.literal_column("1.0"))
    if column.time_format is not None:
        return sa.case(seconds)
    finer = [
        (_within(value, LAST_SECOND, min(LAST_SECOND * unit, 2**63 - 1)), value / sa.literal_column(f"{unit}.0"))
        for unit in (10**3, 10**6, 10**9)
    ]
    return sa.case(seconds, *finer)


@dataclass(frozen=True)
class OrderedPart:
    """Values of a time column that stand in the order of the times that they tell, give or take `slack`."""

    values: sa.ColumnElement[bool]  # the condition of these values
    slack: timedelta | None  # None: they stand in no order, and are few


def list_ordered_numbers(column: Column) -> list[OrderedPart]:
    """Return the parts of a number column that tells times: its seconds, milliseconds and so on."""
    value: sa.ColumnElement[Any] = sa.column(column.name)
    if column.time_format is not None:
        return [OrderedPart(value.is_not(None), timedelta(0))]
    bounds = [FIRST_SECOND, *(min(LAST_SECOND * unit, 2**63 - 1) for unit in (1, 10**3, 10**6, 10**9))]
    return [OrderedPart(_within(value, low, high), timedelta(0)) for low, high in pairwise(bounds)]


def is_coarsely_since(column: Column, since: datetime) -> sa.ColumnElement[bool]:
    """Return the condition of numbers that may tell a time at or after a moment, by which an index finds them.

    Whole numbers, so that a column of integers is compared in its own type.
    """
    value: sa.ColumnElement[Any] = sa.column(column.name)
    first = math.floor(coarse_bound(column, since).timestamp())
    if column.time_format is not None:
        return value >= sa.literal_column(str(first))
    units = [(1, first)] + [(unit, max(first * unit, LAST_SECOND)) for unit in (10**3, 10**6, 10**9)]
    return sa.or_(*[_within(value, low, min(LAST_SECOND * unit, 2**63 - 1)) for unit, low in units])


def is_of_texts(time_format: str | None) -> bool:
    """Return whether a `time_format` is one for texts."""
    return time_format is not None and "%" in time_format


def split_format(time_format: str) -> list[tuple[str, str, int]]:
    """Return the parts of a format for texts: the sign or the literal character, the other empty, and where it begins.

    The first place is 1. A sign that is not among `WIDTHS` is the last part, and as long as the rest of the text.
    """
    parts, at = list[tuple[str, str, int]](), 1
    for sign, literal in re.findall(r"%(.)|(.)", time_format, re.DOTALL):
        parts.append((sign, literal, at))
        at += WIDTHS.get(sign, 1)
    return parts


def _within(value: sa.ColumnElement[Any], low: int, high: int) -> sa.ColumnElement[bool]:
    return value.between(sa.literal_column(str(low)), sa.literal_column(str(high)))
