"""Columns of the past for rows, from what became known: pure, and the same for any rows beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rowcast.history.exact_sums import Floats, Places
from rowcast.history.statistics import Fading, Stretches
from rowcast.history.timeline import Moments, Timeline
from rowcast.past import HistoryColumn, SinceColumn

Mask = npt.NDArray[np.bool_]
_HOUR = 3_600_000_000  # microseconds
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class KnownValues:
    """n values of earlier rows, and when each became known."""

    moments: Moments
    event: Places  # (n,) event times of their rows
    value: Floats  # (n,)

    def in_order(self) -> Places:
        """Return where they stand in the order of groups and of time; what is known at once goes by event and value."""
        return np.lexsort((self.value, self.event, self.moments.time, self.moments.group))


@dataclass(frozen=True)
class Stretch:
    """Which of the values, in their order, each row (m,) may see."""

    first: Places
    end: Places


def find_stretch(column: HistoryColumn, line: Timeline, rows: Moments) -> Stretch:
    """Return which values count for each row: those that became known before it, as far back as the column looks."""
    end, first = line.before(rows), line.before(rows, column.reach)
    if column.window == "last":
        first = np.maximum(first, end - column.size)
    return Stretch(np.minimum(first, end), end)


def compute_history(columns: Sequence[HistoryColumn], known: KnownValues, rows: Moments) -> dict[str, Floats]:
    """Return columns (m,) by name, of one `of` and one `by`; NaN is missing, as is all of a row without a group."""
    order = known.in_order()
    order = order[known.moments.group[order] >= 0]
    moments, value = known.moments.take(order), known.value[order]
    line, stretches = Timeline(moments), Stretches(value)
    found = {
        column.name: _compute(column, find_stretch(column, line, rows), stretches, moments, line, rows)
        for column in columns
    }
    return {name: np.where(rows.group >= 0, values, np.nan) for name, values in found.items()}


def _compute(
    column: HistoryColumn, seen: Stretch, stretches: Stretches, moments: Moments, line: Timeline, rows: Moments
) -> Floats:
    first, end = seen.first, seen.end
    if column.statistic == "age":
        return _hours(rows.time, moments.time, end - 1, first < end)
    if column.window == "decay":
        fading = Fading(stretches.values, moments.time, column.size)
        first = np.maximum(first, line.before(rows, fading.reach))
        border = line.before(Moments(rows.group, np.minimum(fading.begin_frame(rows.time), rows.time)))
        mean, weight = fading.sums(first, np.minimum(np.maximum(border, first), end), end, rows.time)
        return mean if column.statistic == "mean" else weight
    match column.statistic:
        case "count":
            return (end - first).astype(np.float64)
        case "mean":
            return stretches.mean(first, end)
        case "std":
            return stretches.std(first, end)
        case "min":
            return stretches.min(first, end)
        case "max":
            return stretches.max(first, end)
        case "trend":
            return stretches.trend(first, end)


def _hours(now: Places, then: Places, place: Places, is_there: Mask) -> Floats:
    """Return the hours from what happened at each place until now; NaN where there is none."""
    found = np.full(len(now), np.nan)
    found[is_there] = (now[is_there] - then[place[is_there]]) / _HOUR
    return found


def compute_since(
    columns: Sequence[SinceColumn], events: Moments, for_all: Places, seen: Moments, rows: Moments
) -> dict[str, Floats]:
    """Return columns (m,) by name, of one table of events and one grouping.

    `events` are those of groups, `for_all` the times of those that are of every group, `seen` the source's rows.
    """
    line_of, ordered = _order(events)
    of_group, times = _newest(line_of, ordered.time, rows, columns[0].reach)
    common_line, common = _order(Moments(np.zeros(len(for_all), np.int64), for_all))
    together = Moments(np.zeros(len(rows), np.int64), rows.time)
    of_all, all_times = _newest(common_line, common.time, together, columns[0].reach)
    last = np.maximum(np.where(of_group, times, _NEVER), np.where(of_all, all_times, _NEVER))
    is_there = (of_group | of_all) & (rows.group >= 0)
    hours, count = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    hours[is_there] = (rows.time - np.where(is_there, last, rows.time))[is_there] / _HOUR
    line, _ = _order(seen)
    since = line.before(Moments(rows.group, np.where(is_there, last, rows.time)))
    count[is_there] = (line.before(rows) - since)[is_there]
    return {column.name: hours if column.counts == "hours" else count for column in columns}


def find_joined(joined: Moments, values: pa.Array, rows: Moments, reach: int) -> pa.Array:
    """Return the value (m,) of the latest of the joined rows (n,) that is no later than each row, NULL where none is.

    Of several at one time it is the largest.
    """
    ranks = np.where(values.is_null().to_numpy(zero_copy_only=False), 0, pc.rank(values, tiebreaker="min").to_numpy())
    order = np.lexsort((ranks, joined.time, joined.group))
    order = order[joined.group[order] >= 0]
    line = Timeline(joined.take(order))
    end = line.before(Moments(rows.group, rows.time + 1))
    is_there = (end > line.before(rows, reach)) & (rows.group >= 0)
    if not len(order):
        return pa.nulls(len(rows), values.type)
    return values.take(pa.array(order[np.where(is_there, end - 1, 0)], mask=~is_there))


def _order(moments: Moments) -> tuple[Timeline, Moments]:
    moments = moments.take(moments.group >= 0)
    ordered = moments.take(np.lexsort((moments.time, moments.group)))
    return Timeline(ordered), ordered


def _newest(line: Timeline, times: Places, rows: Moments, reach: int) -> tuple[Mask, Places]:
    """Return which rows have an event before them, no longer than `reach` ago, and when the newest was."""
    end = line.before(rows)
    is_there = end > line.before(rows, reach)
    found = np.zeros(len(rows), np.int64)
    found[is_there] = times[end[is_there] - 1]
    return is_there, found
