"""Columns that the calendar makes: the hour, the day of the week, the month. What they do is known, and no drift.

A column is one of them where its value a week before, at the same time of day, says what it is (hours, shifts, days
of the week, a plan that repeats); or where it is a number of the date but for a constant (day, week, month, quarter,
year), or runs with time itself. Noise, and a setting that stays for weeks, are none of these.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rowcast.models.matrix import Matrix
from rowcast.monitor.edges import Floats

_MINUTE = 60_000_000  # microseconds
_GRAINS = (15 * _MINUTE, 60 * _MINUTE)  # rows as close are of the same time
_DAY, _WEEK = 24 * 60 * _MINUTE, 7 * 24 * 60 * _MINUTE
_OTHERS = (_DAY // 2, *(days * _DAY for days in range(1, 7)))  # lags at which what the week makes differs now and then
_PAIRS = 100  # of values a week apart, at least
_EXPLAINED = 0.85  # of what is not alike anyway: summer time, and dates in other zones, take some away
_CHANGES = 0.05  # of the values, at least, that are not alike anyway: what hardly ever changes is a setting
_ROWS = 5_000  # that are held against the date
_FEWEST = 3  # values: two may change with a month by chance
_CLOCK = 0.99999  # squared correlation with time

Whole = npt.NDArray[np.int64]


def find_calendar_columns(matrix: Matrix, when: Whole) -> tuple[str, ...]:
    """Return the columns of n rows in time order that the calendar makes; `when` (n,) in microseconds since 1970."""
    if not len(when):
        return ()
    some = np.unique(np.linspace(0, len(when) - 1, min(_ROWS, len(when))).astype(np.int64))
    found = _repeats_weekly(matrix.values, when) | _is_date(matrix.values[some].astype(np.float64), when[some])
    return tuple(name for name, is_calendar in zip(matrix.names, found.tolist(), strict=True) if is_calendar)


def _repeats_weekly(values: npt.NDArray[np.float32], when: Whole) -> npt.NDArray[np.bool_]:
    found = np.zeros(values.shape[1], bool)
    for grain in _GRAINS:
        of_week, pairs = _agreement(values, when // grain, _WEEK // grain)
        at_others = [_agreement(values, when // grain, lag // grain) for lag in _OTHERS]
        others = [np.where(known > 0, share, 1) for share, known in at_others]
        found |= _explains(of_week, np.min(others, axis=0)) & (pairs >= _PAIRS)
    return found


def _agreement(values: npt.NDArray[np.float32], slot: Whole, lag: int) -> tuple[Floats, Whole]:
    """Share of the values that are those of a row so many slots before, by column; and how many are compared."""
    before = np.searchsorted(slot, slot - lag, "right") - 1
    now = np.flatnonzero((before >= 0) & (slot[before] == slot - lag))
    now = now[:: max(len(now) // _ROWS, 1)]
    one, other = values[now], values[before[now]]
    known = (~np.isnan(one) & ~np.isnan(other)).sum(axis=0)
    return (one == other).sum(axis=0) / np.maximum(known, 1), known


def _is_date(values: Floats, when: Whole) -> npt.NDArray[np.bool_]:
    known = ~np.isnan(values)
    filled = np.where(known, values, 0)
    is_whole = (filled == np.round(filled)).all(axis=0) & known.any(axis=0)
    found = np.zeros(values.shape[1], bool)
    for place in np.flatnonzero(is_whole).tolist():
        one, at = values[known[:, place], place], when[known[:, place]]
        found[place] = any(_explains(_alike(one, field), _commonest(one)) for field in _dates(at))
    found |= _follows(values, known, when) & ~is_whole
    return found


def _follows(values: Floats, known: npt.NDArray[np.bool_], when: Whole) -> npt.NDArray[np.bool_]:
    """Which columns run with time."""
    count = np.maximum(known.sum(axis=0), 1)
    time = np.where(known, ((when - when[0]) / max(int(when[-1] - when[0]), 1))[:, np.newaxis], 0)
    time = np.where(known, time - time.sum(axis=0) / count, 0)
    off = np.where(known, np.nan_to_num(values) - np.where(known, values, 0).sum(axis=0) / count, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        squared = (time * off).sum(axis=0) ** 2 / ((time**2).sum(axis=0) * (off**2).sum(axis=0))
    return np.asarray(squared > _CLOCK)


def _dates(when: Whole) -> Iterator[Whole]:
    """Day of the week, of the month and of the year, week, month, quarter and year."""
    moment = when.astype("datetime64[us]")
    day, month, year = (moment.astype(f"datetime64[{unit}]") for unit in "DMY")
    weekday = (day.astype(np.int64) + 3) % 7
    thursday = day + (3 - weekday)
    number = month.astype(np.int64) % 12
    yield from (weekday + 1, 1 + (day - month.astype("datetime64[D]")).astype(np.int64))
    yield 1 + (day - year.astype("datetime64[D]")).astype(np.int64)
    yield 1 + (thursday - thursday.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64) // 7
    yield from (number + 1, number // 3 + 1, year.astype(np.int64) + 1970)


def _alike(values: Floats, field: Whole) -> float:
    """The share of values that are a field of the date; but for a constant, where they are three or more."""
    if len(np.unique(values)) < _FEWEST:
        return float((values == field).mean())
    return _commonest(values - field)


def _commonest(values: Floats) -> float:
    """The share of the commonest value."""
    return float(np.unique(values, return_counts=True)[1].max() / len(values))


def _explains(share: Floats | float, anyway: Floats | float) -> npt.NDArray[np.bool_]:
    """Whether what is alike goes so far beyond what is alike anyway."""
    return np.asarray(np.subtract(share, anyway) > _EXPLAINED * np.maximum(np.subtract(1, anyway), _CHANGES))
