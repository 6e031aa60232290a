"""Periods in which a column was on another scale than before and after: most often its unit was changed, and back.

A model that learned from both scales would be worse on every later row. Where the new scale stays, the rows that are
to be scored have it too, and the model must learn it: such a period is kept.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rowcast.fit.periods import SuspectPeriod, fit_ends, list_runs
from rowcast.fit.training_data import TrainingData
from rowcast.store.records import PeriodFault

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_ROWS, _KNOWN, _NEWEST = 50, 20, 20  # of a period; with a value; without a label, that they tell what is to come
_PERIODS = 6  # fewest that can be held against one another
_FAR = 4.0  # usual spreads between a period's median and the usual one
_TIMES = 8.0  # the usual spread within a period
_ROW_FAR = 4.0  # usual spreads between a row and the usual median
_MOST = 1 / 3  # of the periods: more are no exception
_RATIO = 1.5  # between medians in two units, at least
_ENDS = (0.005, 0.995)  # of all other rows: between them lies what they come to
_DAY = 86_400_000_000  # microseconds


def find_changed_scales(training: TrainingData) -> tuple[SuspectPeriod, ...]:
    """Return the periods in which a column was on another scale, in time order; none without times.

    A period is whole days with at least 50 rows. Its median lies four times as far from the usual one as rows and
    periods usually spread, or its rows spread eight times as far as usual; and it lies beyond all other rows, as a
    place, a product or a season that comes now and then does not. The newest rows without a label are the last period.
    """
    if not training.is_dated:
        return ()
    bounds, matrix = _cut(training.time), training.matrix
    numbers = [place for place, name in enumerate(matrix.names) if name not in matrix.categories]
    values = [matrix.values[first:last, numbers] for first, last in pairwise(bounds.tolist())]
    if training.newest is not None and len(training.newest) >= _NEWEST:
        values.append(training.newest.values[:, numbers])
    if len(values) < _PERIODS or not numbers:
        return ()
    low, middle, high = np.array([_quartiles(part) for part in values]).transpose(1, 0, 2)  # each (p, columns)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre, within = _median(middle), _median(high - low)
        spread = within + _median(np.abs(middle - centre))
        changed = (np.abs(middle - centre) > _FAR * spread) | (high - low > _TIMES * within)
    changed &= within > 0
    found = list[SuspectPeriod]()
    for column in np.flatnonzero(changed.any(axis=0) & (changed.mean(axis=0) < _MOST)).tolist():
        usual = np.abs(matrix.values[:, numbers[column]] - centre[column]) <= _ROW_FAR * spread[column]
        for first, last in _list_exceptions(changed[:, column], np.isfinite(middle[:, column])):
            begin, end = fit_ends(usual, int(bounds[first]), int(bounds[last]) - 1)
            here, name = matrix.values[:, numbers[column]], matrix.names[numbers[column]]
            others = np.concatenate([here[:begin], here[end + 1 :]])
            if end - begin >= _ROWS // 2 and _is_another_unit(here[begin : end + 1], others):
                found.append(SuspectPeriod(begin, end, PeriodFault.SCALE_CHANGED, None, None, name))
    return tuple(sorted(found, key=lambda each: each.first))


def _is_another_unit(values: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> bool:
    """Whether values lie beyond all that others come to, by as much again and in proportion, or spread beyond it."""
    low, usual, high = np.nanquantile(others, (_ENDS[0], 0.5, _ENDS[1]))
    first, middle, third = np.nanquantile(values, (0.25, 0.5, 0.75))
    width, smaller, larger = high - low, *np.sort(np.abs([middle, usual]))
    is_beyond = middle > high + width or middle < low - width
    is_apart = middle * usual <= 0 or larger > _RATIO * smaller
    return bool((is_beyond and is_apart) or third - first > _TIMES * width)


def _cut(time: Places) -> Places:
    bounds = [0]
    for day in (np.flatnonzero(np.diff(time // _DAY)) + 1).tolist():
        if day - bounds[-1] >= _ROWS and len(time) - day >= _ROWS:
            bounds.append(day)
    return np.array([*bounds, len(time)])


def _quartiles(values: npt.NDArray[np.floating]) -> Floats:
    """Quartiles of each column, (3, columns); NaN where few values are known."""
    found = np.full((3, values.shape[1]), np.nan)
    known = (~np.isnan(values)).sum(axis=0) >= min(_KNOWN, len(values))
    if known.any():
        found[:, known] = np.nanquantile(values[:, known].astype(np.float64), (0.25, 0.5, 0.75), axis=0)
    return found


def _median(values: Floats) -> Floats:
    """The median over periods, (columns,); NaN where none knows."""
    found = np.full(values.shape[1], np.nan)
    known = ~np.isnan(values).all(axis=0)
    found[known] = np.nanmedian(values[:, known], axis=0)
    return found


def _list_exceptions(changed: Bools, known: Bools) -> Iterator[tuple[int, int]]:
    """Runs of changed periods with one before and one after that are as usual."""
    usual = np.flatnonzero(known & ~changed)
    for first, last in list_runs(changed):
        if len(usual) and usual[0] < first and usual[-1] >= last:
            yield first, last
