"""Control charts of what was scored in a window of days, group by group: computed when asked for, nothing is stored."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from rowcast import fetch
from rowcast.config import Monitor
from rowcast.database import Column
from rowcast.errors import UsageError
from rowcast.job.opening import Job
from rowcast.monitor.control_charts import Effect, Kind, Learning, Mark, Point, Subgroup, find_learning, make_chart
from rowcast.source import Source, days_until, find_column
from rowcast.store.reading import daily_sums
from rowcast.watch.drift import list_drifting
from rowcast.watch.quality import normal

DAYS = 60
SENSORS = 4  # charted where nobody names columns: those that matter most
MOST_GROUPS = 200
SCORE, FLAGGED, FAILED = "mean score", "share flagged", "fail rate"
PREDICTED, LABEL = "mean predicted", "mean label"  # of a regression
NO_GROUP = "(none)"
KNOWN = 0.5  # of the usual share of labels, at least, for a day's fail rate to be shown


@dataclass(frozen=True)
class Chart:
    """One figure of one group, day by day."""

    what: str
    is_column: bool  # the mean of this column of the source
    group: str | None  # None: all rows
    kind: Kind
    points: list[Point]
    marks: list[Mark]

    @property
    def learning(self) -> Learning | None:
        """Where limits are still to come: since when, and from when there will be some."""
        return find_learning([point.subgroup for point in self.points], self.marks)


@dataclass
class _Day:
    """Sums over the rows of a day and group."""

    versions: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # rows of each
    score: float = 0.0
    flagged: int = 0
    labelled: int = 0
    outcome: float = 0.0  # failures, or a regression's labels
    values: list[float] = field(default_factory=list)
    known: list[int] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(self.versions.values())


_Days = Mapping[int, _Day]  # by how many days after the first
_Groups = dict[str, dict[int, _Day]]
_Series = dict[int, tuple[float, int]]  # by day the value, and of how many rows


@dataclass(frozen=True)
class _Figure:
    what: str
    kind: Kind
    series: Callable[[_Days], _Series]
    is_models: bool = False  # another version changes it
    is_column: bool = False  # maintenance changes it


def compute_charts(job: Job, now: datetime, days: int = DAYS, columns: Sequence[str] = ()) -> list[Chart]:
    """Return charts of the rows whose event lies in the last days, figure by figure and group by group.

    Days are those of `chart_timezone`; the last one is that of `now`. Raise UsageError or SourceError.
    """
    if job.source.time is None:
        raise UsageError("charts need 'time' in [source]", hint="without it rows have no day")
    counted = days_until(now, days, chart_timezone(job.source, job.settings.monitor))
    charted = daily_sums.ChartQuery(
        counted,
        now,
        job.runs.between(counted.start - timedelta(seconds=1), now),
        group_column(job.source, job.settings.monitor),
        _columns(job, columns),
        job.settings.task.kind == "regression",
    )
    done = _maintenance(job, charted)
    return _draw(charted, _sum(job, charted), done)


def chart_timezone(source: Source, monitor: Monitor) -> str:
    """Return the time zone whose days are charted."""
    return monitor.timezone or source.settings.timezone


def group_column(source: Source, monitor: Monitor) -> Column | None:
    """The column that charts are grouped by. Raises SourceError."""
    if monitor.group_by is None:
        return None
    where = f"{source.settings.table or 'the query'} in {source.db.safe_url}"
    return find_column(source.relation, monitor.group_by, where, "monitor.group_by")


def _columns(job: Job, names: Sequence[str]) -> list[Column]:
    """The named ones, or those that drift and those that matter most to the champion."""
    numbers = {column.name: column for column in job.source.relation.columns if column.kind == "number"}
    for name in names:
        if name not in numbers:
            raise UsageError(
                f"--column {name}: there is no such column of numbers", hint="'rowcast models show' names some"
            )
    if names:
        return [numbers[name] for name in dict.fromkeys(names)]
    champion = job.registry.champion()
    if champion is None:
        return []
    ranked = [name for name, _ in job.registry.version(champion).metrics.get("importance") or [] if name in numbers]
    drifting = [name for name in list_drifting(job, champion) if name in numbers]
    return [numbers[name] for name in dict.fromkeys([*drifting[:SENSORS], *ranked[:SENSORS]])]


def _sum(job: Job, charted: daily_sums.ChartQuery) -> _Groups:
    known = len(charted.columns)
    groups: _Groups = defaultdict(lambda: defaultdict(lambda: _Day(values=[0.0] * known, known=[0] * known)))
    is_good = {each.version: None if charted.of_values else normal(job, each) for each in job.registry.versions()}
    for row in _rows(daily_sums.sum_by_day(job.rows, charted)):
        if row["model_version"] not in is_good:  # which came just now
            continue
        day, decides = groups[row["part"]][row["day"]], is_good[row["model_version"]]
        day.versions[row["model_version"]] += row["rows"]
        day.score += row["score"]
        if decides is not None and not decides(row["predicted"]):
            day.flagged += row["rows"]
        for place in range(known):
            day.values[place] += row[f"value_{place}"]
            day.known[place] += row[f"known_{place}"]
        if len(groups) > MOST_GROUPS:
            raise UsageError(
                f"'{job.settings.monitor.group_by}' has more than {MOST_GROUPS} values (monitor.group_by)",
                hint="charts are of groups with many rows each, such as tools",
            )
    for row in _rows(daily_sums.sum_outcomes(job.rows, charted)):
        day = groups[row["part"]][row["day"]]
        if day.versions:
            decides = is_good[max(day.versions)]
            day.labelled += row["rows"]
            day.outcome += row["label"] if decides is None else 0 if decides(row["label"]) else row["rows"]
    return groups


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _maintenance(job: Job, charted: daily_sums.ChartQuery) -> dict[str, list[Mark]]:
    """By group; those of the empty text are of no group, and nobody knows what they have changed."""
    found: dict[str, list[Mark]] = defaultdict(list)
    if job.settings.monitor.events is not None:
        events = fetch.Maintenance(job.source, job.settings.monitor)
        for row in _rows(events.fetch_by_day(charted.days, charted.until)):
            more = f" and {row['rows'] - 1} more" if row["rows"] > 1 else ""
            what = f"{row['what'] or 'maintenance'}{more}"
            effect: Effect = "anew" if row["part"] else "later"
            found[row["part"]].append(Mark(charted.days.date(row["day"]), what, effect))
    return found


def _list_promotions(charted: daily_sums.ChartQuery, groups: _Groups) -> list[Mark]:
    """The days from which on another version than before scored most rows."""
    rows: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for days in groups.values():
        for number, day in days.items():
            for version, count in day.versions.items():
                rows[number][version] += count
    most = [(number, max(rows[number], key=rows[number].__getitem__)) for number in sorted(rows) if rows[number]]
    return [Mark(charted.days.date(day), f"v{now}") for (_, before), (day, now) in pairwise(most) if now != before]


def _figures(charted: daily_sums.ChartQuery) -> list[_Figure]:
    columns = [
        _Figure(column.name, "value", partial(_values, place), is_column=True)
        for place, column in enumerate(charted.columns)
    ]
    if charted.of_values:
        return [_Figure(PREDICTED, "value", _scores, is_models=True), _Figure(LABEL, "value", _outcomes), *columns]
    return [
        _Figure(SCORE, "probability", _scores, is_models=True),
        _Figure(FLAGGED, "share", _compute_flagged, is_models=True),
        _Figure(FAILED, "share", _outcomes),
        *columns,
    ]


def _scores(days: _Days) -> _Series:
    return {number: (day.score / day.rows, day.rows) for number, day in days.items() if day.rows}


def _compute_flagged(days: _Days) -> _Series:
    return {number: (day.flagged / day.rows, day.rows) for number, day in days.items() if day.rows}


def _values(place: int, days: _Days) -> _Series:
    return {n: (day.values[place] / day.known[place], day.known[place]) for n, day in days.items() if day.known[place]}


def _outcomes(days: _Days) -> _Series:
    """Of days with about as many labels as usual: where failures become known first, the newest days look worse."""
    shares = {number: day.labelled / day.rows for number, day in days.items() if day.labelled}
    enough = KNOWN * float(np.median(list(shares.values()))) if shares else 0.0
    return {n: (days[n].outcome / days[n].labelled, days[n].labelled) for n, share in shares.items() if share >= enough}


def _draw(charted: daily_sums.ChartQuery, groups: _Groups, done: Mapping[str, list[Mark]]) -> list[Chart]:
    promoted = _list_promotions(charted, groups)
    found = []
    for figure in _figures(charted):
        for part in sorted(groups):
            maintained = [*done.get("", ()), *(done.get(part, ()) if part else ())]
            if not figure.is_column:  # what comes out is what maintenance is judged by
                maintained = [replace(mark, effect="none") for mark in maintained]
            marks = sorted([*maintained, *(promoted if figure.is_models else ())], key=lambda mark: mark.day)
            series = sorted(figure.series(groups[part]).items())
            subgroups = [Subgroup(charted.days.date(day), value, rows) for day, (value, rows) in series]
            group = (part or NO_GROUP) if charted.group else None
            if subgroups:
                points = make_chart(subgroups, marks, figure.kind)
                found.append(Chart(figure.what, figure.is_column, group, figure.kind, points, marks))
    return found
