"""What pages show of jobs, as it was read a moment ago; what takes long is read beside the page."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rowcast.audit import Audit
from rowcast.charts_report import ChartsReport
from rowcast.dashboard import looks
from rowcast.dashboard.cache import Cache, Part
from rowcast.dashboard.column_look import ColumnLook, look_at_column
from rowcast.dashboard.looks import Look, Parts, look_at
from rowcast.drift_report import DriftReport
from rowcast.quality_report import QualityReport
from rowcast.row_places import RowPlaces
from rowcast.serve.served_job import ServedJob
from rowcast.store.reading.leading_rows import SetAside
from rowcast.store.reading.other_jobs import OtherJob


@dataclass(frozen=True)
class Begun:
    """What takes long of a job, while it is being read."""

    rows: Part[RowPlaces]
    quality: Part[QualityReport]
    set_aside: Part[tuple[SetAside, ...]] | None = None  # None where the page does not show them
    charts: Part[ChartsReport] | None = None  # None where the page has none, or the job names no time


class Reading:
    """What was read of jobs; a page waits `patience` seconds for what takes long."""

    def __init__(self, seconds: float, patience: float) -> None:
        self._cache = Cache(seconds)
        self._patience = patience

    def close(self) -> None:
        """Begin to read nothing more."""
        self._cache.close()

    def forget(self, job: str) -> None:
        """Read anew what is asked about a job: something has been done to it."""
        self._cache.forget(job)

    def wait_until(self) -> float:
        """Return until when a page that begins now waits, by the monotonic clock."""
        return time.monotonic() + self._patience

    def look(self, job: ServedJob) -> Look:
        """Return what the store says of a job."""
        return self._cache.get((job.name, "look"), partial(look_at, job.settings))

    def column(self, job: ServedJob, name: str) -> ColumnLook:
        """Return a column's values in training and now."""
        return self._cache.get((job.name, "column", name), partial(look_at_column, job.settings, name))

    def others(self, job: ServedJob, named: Collection[str]) -> tuple[OtherJob, ...]:
        """Return the jobs of the same store that are not named."""
        return self._cache.get((job.name, "others"), partial(looks.look_at_others, job.settings, named))

    def begin(self, job: ServedJob) -> Begun:
        """Begin to read what the overview shows of a job and takes long."""
        name, settings = job.name, job.settings
        quality = self._cache.begin((name, "quality"), partial(looks.look_at_quality, settings))
        return Begun(self.rows(job), quality)

    def begin_all(self, job: ServedJob) -> Begun:
        """Begin to read what a job's own page shows and takes long."""
        found = self.begin(job)
        set_aside = self._cache.begin((job.name, "set aside"), partial(looks.look_at_set_aside, job.settings))
        charts = None if job.settings.source.time is None else self.charts(job)
        return Begun(found.rows, found.quality, set_aside, charts)

    def take(self, job: ServedJob, begun: Begun, until: float) -> Parts:
        """Return what has been read of a job by a moment."""
        rows, quality = begun.rows.take_by(until), begun.quality.take_by(until)
        set_aside = () if begun.set_aside is None else begun.set_aside.take_by(until)
        charts = None if begun.charts is None else begun.charts.take_by(until)
        return Parts(rows, quality, charts, set_aside, self._cache.look((job.name, "audit")))

    def rows(self, job: ServedJob) -> Part[RowPlaces]:
        """Begin to count how many rows are where."""
        return self._cache.begin((job.name, "rows"), partial(looks.count_rows, job.settings))

    def charts(self, job: ServedJob, columns: tuple[str, ...] = ()) -> Part[ChartsReport]:
        """Begin to read control charts, of some columns or of those that the report chooses."""
        asked = (job.name, "charts", columns) if columns else (job.name, "charts")
        return self._cache.begin(asked, partial(looks.look_at_charts, job.settings, columns))

    def drift(self, job: ServedJob) -> Part[DriftReport]:
        """Begin to read drift by column."""
        return self._cache.begin((job.name, "drift"), partial(looks.look_at_drift, job.settings))

    def audit(self, job: ServedJob) -> Part[tuple[datetime, Audit]]:
        """Begin to prove that each row is in just one place."""
        return self._cache.begin((job.name, "audit"), partial(looks.look_at_audit, job.settings))
