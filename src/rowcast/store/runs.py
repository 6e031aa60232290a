"""The record of runs and their steps: who executes a run, how it ended, and which run may train."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

import rowcast
from rowcast.database import Database
from rowcast.errors import BusyError, RunError
from rowcast.store.lease import LEASE, stands
from rowcast.store.mirror import rewind
from rowcast.store.process import describe_process, is_gone, process_name
from rowcast.store.records import (
    BatchStatus,
    EndCause,
    Figure,
    PipelineName,
    RunOptions,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
)
from rowcast.store.tables import Tables, with_constants

# What people read about a run that recorded no end itself.
_UNKNOWN_END = {
    EndCause.DIED: "the process ended without a word",
    EndCause.UNRECORDED: "its process could not say how it ended",
}
_ORDER = {"data-fetch": 1, "data-check": 2, "data-process": 3, "inference": 4}  # where steps begin together


class Runs:
    """The store's record of one job's runs."""

    def __init__(self, db: Database, tables: Tables, job: str) -> None:
        self.db = db
        self.tables = tables
        self.job = job

    def start(
        self, pipeline: PipelineName, as_of: datetime, config_sha256: str, options: RunOptions | None = None
    ) -> int:
        """Begin a run and return its number; `options` are kept for whoever resumes it.

        Asked again by the same process, the one begun before counts as ended.
        """
        self.settle()
        now = self.db.now()
        table = self.tables.run
        run_id: int = self.db.scalar(
            table.insert()
            .values(
                job=self.job,
                pipeline=pipeline,
                status=RunStatus.RUNNING,
                started_at=now,
                as_of=as_of,
                host=process_name(),
                lease_until=now + LEASE,
                rowcast_version=rowcast.__version__,
                config_sha256=config_sha256,
                options=options.to_json() if options else None,
            )
            .returning(table.c.run_id)
        )
        return run_id

    def reopen(self, run: RunRecord) -> None:
        """Go on with a run. Raise BusyError where it is under way, or another has just taken it up."""
        table = self.tables.run
        seen = table.c.host == run.host if run.host is not None else table.c.host.is_(None)
        # One that died is still recorded as running, unless somebody has settled it since it was read.
        stands = table.c.status.in_([run.status, RunStatus.RUNNING] if run.is_dead else [run.status])
        mine = sa.and_(table.c.run_id == run.run_id, stands, seen)
        now = self.db.now()
        values: dict[str, Any] = {"status": RunStatus.RUNNING, "host": process_name(), "lease_until": now + LEASE}
        values |= {"error": None, "end_cause": None, "finished_at": None}
        statement = table.update().where(mine).values(values).returning(table.c.run_id)
        if _is_under_way(run, now) or not self.db.rows(statement):
            raise BusyError(
                f"run {run.run_id} is under way: {describe_process(self.get(run.run_id).host)}",
                hint="wait for it, or stop its process",
            )
        self.db.execute(rewind(self.tables, self.job, run.run_id))

    def finish(self, run_id: int, status: RunStatus, cause: EndCause, error: str | None = None) -> None:
        """Close a run's record; it trains no longer."""
        table = self.tables.run
        values: dict[str, Any] = {"status": status, "end_cause": cause, "error": error}
        values |= {"finished_at": self.db.now(), "lease_until": None}
        with self.db.transaction("write"):
            self.db.execute(table.update().where(table.c.run_id == run_id).values(values))
            self.end_training(run_id)

    def renewal(self, run_id: int, lease_until: datetime) -> sa.Update:
        """The statement that says: the process of this run is still at it."""
        table = self.tables.run
        mine = sa.and_(table.c.run_id == run_id, table.c.status == RunStatus.RUNNING, table.c.host == process_name())
        return table.update().where(mine).values(lease_until=lease_until)

    def settle(self) -> None:
        """Mark runs whose process is gone as interrupted."""
        table = self.tables.run
        running = sa.and_(table.c.job == self.job, table.c.status == RunStatus.RUNNING)
        found = self._runs(sa.select(table).where(running))
        now = self.db.now() if found else None
        for run in found:
            cause = EndCause.UNRECORDED if run.host == process_name() else EndCause.DIED
            if cause is EndCause.UNRECORDED or (now is not None and not _is_under_way(run, now)):
                self.finish(run.run_id, RunStatus.INTERRUPTED, cause, self._describe_end(run.run_id, cause))

    def _describe_end(self, run_id: int, cause: EndCause) -> str:
        """Return what is known of a run that recorded no end: also which model it was at work with."""
        table = self.tables.batch
        held = sa.and_(table.c.job == self.job, table.c.run_id == run_id, table.c.status == BatchStatus.CLAIMED)
        found = self.db.rows(sa.select(table.c.model_version).where(held, table.c.model_version.is_not(None)))
        versions = sorted({f"v{row['model_version']}" for row in found})
        return _UNKNOWN_END[cause] + (f", at work with model {' and '.join(versions)}" if versions else "")

    def _as_seen(self, runs: list[RunRecord]) -> list[RunRecord]:
        """Return runs with those as ended whose process is gone or no longer renews its lease."""
        if not any(run.status is RunStatus.RUNNING for run in runs):
            return runs
        now = self.db.now()
        return [
            replace(run, status=RunStatus.INTERRUPTED, end_cause=EndCause.DIED, error=self._describe_dead(run))
            if run.status is RunStatus.RUNNING and run.host != process_name() and not _is_under_way(run, now)
            else run
            for run in runs
        ]

    def _describe_dead(self, run: RunRecord) -> str:
        said = self._describe_end(run.run_id, EndCause.DIED)
        return said if is_gone(run.host) else f"{said}: its lease passed at {run.lease_until:%Y-%m-%d %H:%M} UTC"

    def begin_training(self, run_id: int) -> None:
        """Train alone. Raises BusyError where another run of this job trains."""
        job, run = self.tables.job, self.tables.run
        this = job.c.job == self.job
        with self.db.transaction("write"):
            self.db.lock(job, self.job)  # what is read of the job stays so until the end
            other = self.db.scalar(sa.select(job.c.training_run).where(this))
            found = self._runs(sa.select(run).where(run.c.run_id == other)) if other not in (None, run_id) else []
            if found and _is_under_way(found[0], self.db.now()):
                raise BusyError(
                    f"run {other} is training already: {describe_process(found[0].host)}",
                    hint="wait for it: 'rowcast runs' shows how it ends",
                )
            self.db.execute(job.update().where(this).values(training_run=run_id))

    def end_training(self, run_id: int) -> None:
        """Let others train."""
        job = self.tables.job
        mine = sa.and_(job.c.job == self.job, job.c.training_run == run_id)
        self.db.execute(job.update().where(mine).values(training_run=None))

    def newest(self, most: int = 20) -> list[RunRecord]:
        """Return the newest runs, the newest first."""
        table = self.tables.run
        mine = sa.select(table).where(table.c.job == self.job)
        return self._as_seen(self._runs(mine.order_by(table.c.run_id.desc()).limit(most)))

    def list_under_way(self) -> list[RunRecord]:
        """Return the runs that other processes execute just now."""
        table, now = self.tables.run, self.db.now()
        running = sa.select(table).where(table.c.job == self.job, table.c.status == RunStatus.RUNNING)
        return [run for run in self._runs(running.order_by(table.c.run_id)) if _is_under_way(run, now)]

    def counts(self) -> dict[tuple[PipelineName, RunStatus], int]:
        """Return how many runs there have been, by pipeline and status."""
        table = self.tables.run
        by = (table.c.pipeline, table.c.status)
        counted = sa.select(*by, sa.func.count().label("n")).where(table.c.job == self.job).group_by(*by)
        return {(row["pipeline"], row["status"]): int(row["n"]) for row in self.db.rows(counted)}

    def newest_ended(self) -> list[RunRecord]:
        """Return the newest run of each pipeline that is not under way."""
        table = self.tables.run
        ended = sa.and_(table.c.job == self.job, table.c.finished_at.is_not(None))
        newest = sa.select(sa.func.max(table.c.run_id)).where(ended).group_by(table.c.pipeline)
        return self._runs(sa.select(table).where(table.c.run_id.in_(newest)).order_by(table.c.run_id))

    def figures(self, run_id: int) -> list[Figure]:
        """Return the figures that a run's steps kept, by step and name."""
        table = self.tables.metric
        statement = sa.select(table.c.step, table.c.name, table.c.value).where(table.c.run_id == run_id)
        return [Figure(**row) for row in self.db.rows(statement.order_by(table.c.step, table.c.name))]

    def find_death_before(self, run_id: int) -> RunRecord | None:
        """Return the run before this one where it recorded no end itself; None where it did."""
        table = self.tables.run
        earlier = sa.select(table).where(table.c.job == self.job, table.c.run_id < run_id)
        found = self._runs(earlier.order_by(table.c.run_id.desc()).limit(1))
        return next((run for run in found if run.end_cause is not None and not run.end_cause.is_known), None)

    def get(self, run_id: int) -> RunRecord:
        """Return one run. Raise RunError where this job has none such."""
        table = self.tables.run
        found = self._runs(sa.select(table).where(table.c.job == self.job, table.c.run_id == run_id))
        if not found:
            raise RunError(f"job '{self.job}' has no run {run_id}", hint="'rowcast runs' lists them")
        return self._as_seen(found)[0]

    def record_step(self, step: StepRecord, figures: Mapping[str, Any]) -> None:
        """Write a step's row and its figures, replacing what an earlier try of the same run wrote.

        What is no number among the figures is left out.
        """
        table, metric = self.tables.step, self.tables.metric
        same = sa.and_(table.c.run_id == step.run_id, table.c.name == step.name, table.c.row_set == step.row_set)
        numbers = {
            figure: float(value)
            for figure, value in figures.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        earlier = sa.and_(metric.c.run_id == step.run_id, metric.c.step == step.name, metric.c.name.in_(list(numbers)))
        with self.db.transaction("write"):
            self.db.execute(table.delete().where(same))
            self.db.execute(table.insert().values(job=self.job, **asdict(step)))
            if numbers:
                self.db.execute(metric.delete().where(earlier))
                rows = pa.table({"name": list(numbers), "value": list(numbers.values())})
                about: dict[str, Any] = {"run_id": step.run_id, "job": self.job, "step": step.name}
                self.db.ingest(metric, with_constants(rows, **about, recorded_at=self.db.now()))

    def steps(self, run_id: int) -> list[StepRecord]:
        """Return the steps of a run in their order."""
        step = self.tables.step
        found = self._steps(step.c.run_id == run_id)
        return sorted(found, key=lambda one: (one.row_set == "score", one.started_at, _ORDER.get(one.name, 0)))

    def steps_before(self, run_id: int, pipeline: PipelineName, most: int) -> list[StepRecord]:
        """Return the steps of the last runs of a pipeline before this one that were done."""
        run, step = self.tables.run, self.tables.step
        done = sa.and_(run.c.job == self.job, run.c.pipeline == pipeline, run.c.status == RunStatus.DONE)
        earlier = sa.select(run.c.run_id).where(done, run.c.run_id < run_id)
        last = [row["run_id"] for row in self.db.rows(earlier.order_by(run.c.run_id.desc()).limit(most))]
        return self._steps(sa.and_(step.c.job == self.job, step.c.run_id.in_(last))) if last else []

    def last_done(self, name: str, row_set: str, now: datetime) -> datetime | None:
        """Return as of when, at `now` or before, a run of this job last did a step; None where none did."""
        run, step = self.tables.run, self.tables.step
        mine = sa.and_(step.c.job == self.job, step.c.name == name, step.c.row_set == row_set)
        joined = step.join(run, run.c.run_id == step.c.run_id)
        done = sa.select(run.c.as_of).select_from(joined).where(mine, step.c.status == StepStatus.DONE)
        done = done.where(run.c.as_of <= now)
        found = self.db.rows(done.order_by(run.c.as_of.desc()).limit(1))
        return found[0]["as_of"] if found else None

    def between(self, after: datetime, until: datetime) -> sa.Select[Any]:
        """Return the statement that selects `run_id` and `as_of` of runs as of later than `after`, until `until`."""
        table = self.tables.run
        within = sa.and_(table.c.job == self.job, table.c.as_of > after, table.c.as_of <= until)
        return sa.select(table.c.run_id, table.c.as_of).where(within)

    def as_of(self, after: datetime, until: datetime) -> dict[int, datetime]:
        """Return the moments of the runs as of later than `after`, until `until`, by their numbers."""
        return {row["run_id"]: row["as_of"] for row in self.db.rows(self.between(after, until))}

    def newest_that_scored(self) -> datetime | None:
        """Return the latest moment as of which a run published rows; None where none did."""
        run, batch = self.tables.run, self.tables.batch
        scored = sa.select(batch.c.run_id).where(
            batch.c.job == self.job, batch.c.status == BatchStatus.PUBLISHED, batch.c.row_count > 0
        )
        those = sa.select(run.c.as_of).where(run.c.job == self.job, run.c.run_id.in_(scored))
        found = self.db.rows(those.order_by(run.c.as_of.desc()).limit(1))
        return found[0]["as_of"] if found else None

    def find_failed_training(self) -> tuple[datetime, int] | None:
        """Return as of when the newest run that trained failed to, and its number; None where it did not fail."""
        run, step = self.tables.run, self.tables.step
        mine = sa.and_(step.c.job == self.job, step.c.row_set != "score")
        newest = sa.select(sa.func.max(step.c.run_id)).where(mine).scalar_subquery()
        joined = step.join(run, run.c.run_id == step.c.run_id)
        failed = sa.select(run.c.as_of, run.c.run_id).select_from(joined)
        found = self.db.rows(failed.where(mine, step.c.run_id == newest, step.c.status == StepStatus.FAILED))
        return (found[0]["as_of"], int(found[0]["run_id"])) if found else None

    def _runs(self, statement: sa.Select[Any]) -> list[RunRecord]:
        return [RunRecord.from_row(row) for row in self.db.rows(statement)]

    def _steps(self, which: sa.ColumnElement[bool]) -> list[StepRecord]:
        step = self.tables.step
        columns = [step.c[field.name] for field in fields(StepRecord)]
        rows = self.db.rows(sa.select(*columns).where(which).order_by(step.c.started_at))
        return [StepRecord(**row) for row in rows]


def _is_under_way(run: RunRecord, now: datetime) -> bool:
    """Return whether the process of a run executes it, on this machine or, by its lease, on another."""
    if run.status is not RunStatus.RUNNING or run.host == process_name() or is_gone(run.host):
        return False
    return stands(run.lease_until, now)
