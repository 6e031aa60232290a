"""Control charts of a job's scores, outcomes and sensors, with what was asked for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from rowcast.job.opening import Job
from rowcast.monitor.control_charts import current_violations, past_violations
from rowcast.watch.chart_data import Chart, chart_timezone, compute_charts
from rowcast.watch.forgotten import find_forgotten


@dataclass(frozen=True)
class ChartsReport:
    """Control charts, figure by figure and group by group."""

    job: str
    as_of: datetime
    days: int  # that were looked at, up to that of `as_of`
    timezone: str  # whose days they are
    group_by: str | None  # the column that they are grouped by
    charts: tuple[Chart, ...]
    forgotten_until: datetime | None = None  # results of these days that were published up to then were deleted
    is_newest: bool = False  # the days end with the newest rows, since nothing was scored in those before now

    def to_dict(self) -> dict[str, Any]:
        """Return what `rowcast charts --json` prints."""
        about: dict[str, Any] = {"job": self.job, "as_of": self.as_of, "days": self.days, "timezone": self.timezone}
        about |= {} if self.forgotten_until is None else {"forgotten_until": self.forgotten_until}
        return {**about, "charts": [_to_dict(each) for each in self.charts]}


def report_charts(job: Job, now: datetime, days: int, columns: Sequence[str] = ()) -> ChartsReport:
    """Return the charts of rows whose event lies in the last days before `now`. Raise UsageError or SourceError."""
    found = tuple(compute_charts(job, now, days, columns))
    monitor, zone = job.settings.monitor, chart_timezone(job.source, job.settings.monitor)
    gone = find_forgotten(job, now - timedelta(days=days))
    return ChartsReport(job.settings.name, now, days, zone, monitor.group_by, found, gone)


def _to_dict(found: Chart) -> dict[str, Any]:
    return {
        "chart": found.what,
        "is_column": found.is_column,
        "group": found.group,
        "broken": current_violations(found.points),
        "earlier": past_violations(found.points),
        "marks": [vars(mark) for mark in found.marks],
        "learning": None if found.learning is None else asdict(found.learning),
        "days": [
            {
                **vars(point.subgroup),
                "role": point.role,
                "limits": None if point.limits is None else vars(point.limits),
                "ewma": None if point.smoothed is None else vars(point.smoothed),
                "broken": point.broken,
            }
            for point in found.points
        ],
    }
