"""What the pages show of a job, read from its store and its source. Nothing is written, not even a missing table."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rowcast import health
from rowcast.audit import Audit, audit
from rowcast.card import gather
from rowcast.card.record import Card
from rowcast.charts_report import ChartsReport, report_charts
from rowcast.config import Settings
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.run_log import LogLine, read_log
from rowcast.drift_report import DriftReport, report_drift
from rowcast.errors import RowcastError
from rowcast.explain import Explanation, explain
from rowcast.health import find_needs
from rowcast.job.opening import Job, open_job
from rowcast.messages.health import TroubleStands, describe_need
from rowcast.quality_report import QualityReport, report_quality
from rowcast.row_places import RowPlaces, count_places
from rowcast.status import Service
from rowcast.store.alert_record import Alert
from rowcast.store.ledger.records import RowCounts
from rowcast.store.process import names_process
from rowcast.store.reading.leading_rows import SetAside, count_set_aside, read_leading
from rowcast.store.reading.other_jobs import OtherJob, list_other_jobs
from rowcast.store.records import DecisionRecord, Figure, RunRecord, ScoringRun, StepRecord
from rowcast.store.registry import Version
from rowcast.watch import drift

DAYS = 60  # of cost and activity
LEADING_DAYS = 7
_LEADING, _UNCERTAIN = 10, 5  # rows
_RUNS = 15
_CLOCKS = timedelta(minutes=10)  # that a database's may differ from this computer's


@dataclass(frozen=True)
class Reason:
    """A column that moved a row's score."""

    column: str
    contribution: float
    value: Any
    reference_range: Any


@dataclass(frozen=True)
class LeadingRow:
    """A row with one of the highest scores."""

    key: tuple[str, ...]
    version: int
    score: float
    predicted: Any
    threshold: float | None
    is_uncertain: bool
    reasons: tuple[Reason, ...]  # the largest first; none where nothing is on record


@dataclass(frozen=True)
class Look:
    """A job as its store told of it; no row of the source was read."""

    name: str
    read_at: datetime
    key: tuple[str, ...]  # names of the key's columns
    source: str  # which table or query
    has_classes: bool  # whether it predicts one of several classes, so that reasons move the odds
    champion: Version | None
    service: Service | None
    drift: str | None  # what is known of it, in a few words
    drifting: tuple[str, ...]  # columns that drift now
    standing: tuple[Alert, ...]
    needs: tuple[str, ...]  # of a person
    other_needs: tuple[str, ...]  # those of them that are no alert that stands
    runs: tuple[RunRecord, ...]  # the newest first
    steps: tuple[health.Step, ...]  # of the newest run that ended, beside the runs before it
    until: datetime  # the end of the days that are shown: now, or the newest run where nothing was scored lately
    activity: tuple[ScoringRun, ...]  # runs of these days
    leading: tuple[LeadingRow, ...]
    uncertain: tuple[LeadingRow, ...]  # of which the model says too little
    decisions: tuple[DecisionRecord, ...]
    versions: tuple[Version, ...]

    @property
    def last_run(self) -> RunRecord | None:
        """The newest run."""
        return self.runs[0] if self.runs else None


@dataclass(frozen=True)
class Parts:
    """What takes long on a large table: rows are counted in the source, or read by the thousand."""

    rows: RowPlaces | BeingRead
    quality: QualityReport | BeingRead
    charts: ChartsReport | BeingRead | None = None  # None where the page has none, or the job names no time
    set_aside: tuple[SetAside, ...] | BeingRead = ()  # quarantined rows, by why
    audit: tuple[datetime, Audit] | None = None  # as it was proven last, while the service has run

    @property
    def are_complete(self) -> bool:
        """Whether nothing is still being read."""
        return not any(isinstance(each, BeingRead) for each in (self.rows, self.quality, self.charts, self.set_aside))


@dataclass(frozen=True)
class RunLook:
    """A run with its steps."""

    run: RunRecord
    steps: tuple[StepRecord, ...]
    published: int  # rows of the batches that it planned
    planned: int
    counts: RowCounts  # of what it published
    figures: tuple[Figure, ...]  # that its steps kept
    log: tuple[LogLine, ...] = ()


@contextmanager
def open_looking(settings: Settings) -> Iterator[Job]:
    """Connect without touching anything. Raise RowcastError where the store holds nothing of this job yet."""
    with open_job(settings, prepare=False) as job:
        there = job.store.admin
        if not there.has_table(job.tables.job) or not there.has_table(job.own.prediction):
            raise RowcastError("nothing has run yet", hint="'rowcast run' trains the first model and scores what waits")
        yield job


def look_at(settings: Settings) -> Look:
    """Read what the store says of a job."""
    with open_looking(settings) as job:
        now, needs = job.store.now(), find_needs(job)
        champion, made = job.registry.champion(), job.registry.find_promotion()
        until, activity = _activity(job, now)
        return Look(
            settings.name,
            now,
            tuple(column.name for column in job.source.key),
            job.source.identity,
            settings.task.kind != "regression",
            None if champion is None else job.registry.version(champion),
            None if made is None else Service.of(made),
            drift.state(job, champion),
            () if champion is None else drift.list_drifting(job, champion),
            tuple(job.alerts.list_standing()),
            tuple(describe_need(need) for need in needs),
            tuple(describe_need(need) for need in needs if not isinstance(need, TroubleStands)),
            tuple(job.runs.newest(_RUNS)),
            tuple(health.steps(job)),
            until,
            activity,
            _leading(job, until, _LEADING),
            _leading(job, until, _UNCERTAIN, uncertain=True),
            tuple(job.registry.decisions()),
            tuple(job.registry.versions()),
        )


def count_rows(settings: Settings) -> RowPlaces:
    """Count the job's rows by where they are; the keys of the whole table are read."""
    with open_looking(settings) as job:
        return count_places(job)


def look_at_set_aside(settings: Settings) -> tuple[SetAside, ...]:
    """Count quarantined rows by the rule that they broke; the whole of the quarantine table is read."""
    with open_looking(settings) as job:
        return tuple(count_set_aside(job.store, job.own))


def look_at_quality(settings: Settings) -> QualityReport:
    """Read the quality of the last days, or of those before the newest rows."""
    with open_looking(settings) as job:
        now = job.store.now()
        found = report_quality(job, now, DAYS)
        newest = None if found.versions else job.runs.newest_that_scored()
        return found if newest is None else report_quality(job, newest, DAYS)


def look_at_audit(settings: Settings) -> tuple[datetime, Audit]:
    """Count every part of the job's rows by itself, and return as of when."""
    with open_looking(settings) as job:
        return job.store.now(), audit(job)


def look_at_others(settings: Settings, named: Collection[str]) -> tuple[OtherJob, ...]:
    """Read the jobs of a job's store that are not named."""
    with open_looking(settings) as job:
        return tuple(list_other_jobs(job.store, job.tables, named))


def look_at_charts(settings: Settings, columns: Sequence[str] = ()) -> ChartsReport:
    """Read control charts of the last days, or of those before the newest rows."""
    with open_looking(settings) as job:
        found = report_charts(job, job.store.now(), DAYS, columns)
        newest = None if found.charts else job.runs.newest_that_scored()
        return found if newest is None else report_charts(job, newest, DAYS, columns)


def look_at_drift(settings: Settings) -> DriftReport:
    """Read whether the champion's rows have changed."""
    with open_looking(settings) as job:
        return report_drift(job)


def look_at_row(settings: Settings, key: Sequence[str]) -> Explanation:
    """Read why a row got its score."""
    with open_looking(settings) as job:
        return explain(job, key)


def look_at_version(settings: Settings, version: int) -> Card:
    """Read a version's card."""
    with open_looking(settings) as job:
        return gather(job, version)


def look_at_run(settings: Settings, run_id: int) -> RunLook:
    """Read a run and its steps."""
    with open_looking(settings) as job:
        return replace(_run(job, job.runs.get(run_id)), log=read_log(settings.folder, run_id))


def find_run_of(settings: Settings, pid: int, since: datetime) -> RunLook | None:
    """Return the run of a process of this machine that began at `since`; None where it has begun none yet."""
    with open_looking(settings) as job:
        runs = [run for run in job.runs.newest() if names_process(run.host, pid)]
        begun = [run for run in runs if run.started_at > since - _CLOCKS]
        return _run(job, begun[0]) if begun else None


def _run(job: Job, run: RunRecord) -> RunLook:
    published, planned = job.ledger.measure_progress(run.run_id)
    figures, counts = job.runs.figures(run.run_id), job.ledger.count_published(run.run_id)
    return RunLook(run, tuple(job.runs.steps(run.run_id)), published, planned, counts, tuple(figures))


def _activity(job: Job, now: datetime) -> tuple[datetime, tuple[ScoringRun, ...]]:
    """The runs of the last days, or where those scored nothing of the days before the newest rows, and their end."""
    found = _list_runs(job, now)
    newest = None if any(run.scored for run in found) else job.runs.newest_that_scored()
    return (now, found) if newest is None else (newest, _list_runs(job, newest))


def _list_runs(job: Job, until: datetime) -> tuple[ScoringRun, ...]:
    meant = job.runs.as_of(until - timedelta(days=DAYS), until)
    return tuple(each for each in job.profiles.runs(min(meant)) if each.run_id in meant) if meant else ()


def _leading(job: Job, until: datetime, most: int, *, uncertain: bool = False) -> tuple[LeadingRow, ...]:
    runs = job.runs.between(until - timedelta(days=LEADING_DAYS), until)
    names = [column.name for column in job.source.key]
    found = read_leading(job.store, job.own, runs, most, uncertain=uncertain)
    return tuple(_row(each, names) for each in found)


def _row(found: Mapping[str, Any], names: Sequence[str]) -> LeadingRow:
    reasons = json.loads(found["contributions"]) if found["contributions"] else {}
    return LeadingRow(
        tuple(str(found[name]) for name in names),
        found["model_version"],
        found["score"],
        found["predicted"],
        found["threshold"],
        bool(found["uncertain"]),
        tuple(
            Reason(column, each["contribution"], each.get("value"), each.get("reference_range"))
            for column, each in reasons.items()
        ),
    )
