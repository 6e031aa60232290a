"""The ledger: what ran, what is claimed, what is published. It alone writes predictions, a whole batch or nothing."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

import rowcast
from rowcast.database import Database
from rowcast.errors import DatabaseError, QuarantineError, RunError, StoreError
from rowcast.tables import JobTables, Tables

LEASE = timedelta(minutes=5)
_ORDER = {"data-fetch": 1, "data-check": 2, "data-process": 3, "inference": 4}  # where steps begin together
_JUDGED_TOGETHER = 1000  # rows over which the share of bad ones is judged, where there are as many


@dataclass(frozen=True)
class Job:
    """What the store keeps about a job."""

    scope_from: datetime | None  # scoring begins at this event time …
    scope_after: tuple[str, ...] | None  # … or, without a time column, after this key, as the source rendered it
    complete_to: datetime | None  # newest event time of the last run that left nothing pending
    champion: int | None  # model version in service

    @property
    def has_scope(self) -> bool:
        return self.scope_from is not None or self.scope_after is not None


@dataclass(frozen=True)
class KeyRange:
    """Keys from the first to the last, both included, as text that the source rendered."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    rows: int  # pending rows in it when it was planned


@dataclass(frozen=True)
class Batch:
    """A claimed slice of pending rows."""

    batch_id: int
    run_id: int
    model_version: int
    keys: KeyRange
    worker: str  # whose claim it is; publishing closes this very claim


class Ledger:
    """The store's record of one job."""

    def __init__(self, db: Database, tables: Tables, own: JobTables, job: str) -> None:
        self.db = db
        self.tables = tables
        self.own = own
        self.job = job

    # The job

    def register(self, source: str) -> None:
        """Take the job's name for this source. Raises StoreError where another source has it."""
        table = self.tables.job
        owner = self.db.scalar(sa.select(table.c.source).where(table.c.job == self.job))
        alike = [row["job"] for row in self.db.rows(sa.select(table.c.job)) if row["job"].lower() == self.job.lower()]
        if owner is None and alike:
            raise StoreError(
                f"the job name '{self.job}' differs from '{alike[0]}' only in case: their tables would be the same",
                hint="give this job another 'name' in rowcast.toml",
            )
        if owner is None:
            with contextlib.suppress(DatabaseError):  # another process may register the same job just now
                self.db.execute(table.insert().values(job=self.job, source=source, created_at=self.db.now()))
            owner = self.db.scalar(sa.select(table.c.source).where(table.c.job == self.job))
        if owner != source:
            raise StoreError(
                f"the job name '{self.job}' is taken by another source: {owner} (this one is {source})",
                hint="give this job another 'name' in rowcast.toml",
            )

    def state(self) -> Job:
        table = self.tables.job
        row = self.db.rows(sa.select(table).where(table.c.job == self.job))[0]
        after = row["scope_after"]
        return Job(
            row["scope_from"],
            tuple(json.loads(after)) if after is not None else None,
            row["complete_to"],
            row["champion"],
        )

    def set_state(self, **values: Any) -> None:
        self.db.execute(self.tables.job.update().where(self.tables.job.c.job == self.job).values(**values))

    def fix_scope(self, scope_from: datetime | None, scope_after: Sequence[str] | None) -> None:
        """Where scoring begins, once and for all."""
        after = None if scope_after is None else json.dumps(scope_after, ensure_ascii=False)
        self.set_state(scope_from=scope_from, scope_after=after)

    # Runs and steps

    def start_run(self, pipeline: str, as_of: datetime, config_sha256: str) -> int:
        self._settle()
        table = self.tables.run
        found: int = self.db.scalar(
            table.insert()
            .values(
                job=self.job,
                pipeline=pipeline,
                status="running",
                started_at=self.db.now(),
                as_of=as_of,
                host=process_name(),
                rowcast_version=rowcast.__version__,
                config_sha256=config_sha256,
            )
            .returning(table.c.run_id)
        )
        return found

    def reopen_run(self, run_id: int) -> None:
        table = self.tables.run
        values = {"status": "running", "error": None, "finished_at": None, "host": process_name()}
        self.db.execute(table.update().where(table.c.run_id == run_id).values(values))

    def finish_run(self, run_id: int, status: str, error: str | None = None) -> None:
        table = self.tables.run
        values = {"status": status, "error": error, "finished_at": self.db.now()}
        self.db.execute(table.update().where(table.c.run_id == run_id).values(values))

    def _settle(self) -> None:
        """Mark runs whose process is gone as interrupted."""
        table = self.tables.run
        running = sa.select(table.c.run_id, table.c.host).where(table.c.job == self.job, table.c.status == "running")
        for row in self.db.rows(running):
            if is_gone(row["host"]):
                self.finish_run(row["run_id"], "interrupted", "the process ended without a word")

    def runs(self, most: int = 20) -> list[dict[str, Any]]:
        """The newest runs first."""
        table = self.tables.run
        return self.db.rows(sa.select(table).where(table.c.job == self.job).order_by(table.c.run_id.desc()).limit(most))

    def run(self, run_id: int) -> dict[str, Any]:
        """One run. Raises RunError where this job has none such."""
        table = self.tables.run
        found = self.db.rows(sa.select(table).where(table.c.job == self.job, table.c.run_id == run_id))
        if not found:
            raise RunError(f"job '{self.job}' has no run {run_id}", hint="'rowcast runs' lists them")
        return found[0]

    def record_step(self, run_id: int, name: str, row_set: str, **values: Any) -> None:
        """Write a step's row, replacing what an earlier try of the same run wrote."""
        table = self.tables.step
        same = sa.and_(table.c.run_id == run_id, table.c.name == name, table.c.row_set == row_set)
        with self.db.transaction("write"):
            self.db.execute(table.delete().where(same))
            self.db.execute(table.insert().values(run_id=run_id, name=name, row_set=row_set, job=self.job, **values))

    def steps(self, run_id: int) -> list[dict[str, Any]]:
        """The steps of a run in their order."""
        table = self.tables.step
        rows = self.db.rows(sa.select(table).where(table.c.run_id == run_id).order_by(table.c.started_at))
        return sorted(rows, key=lambda row: (row["row_set"] == "score", row["started_at"], _ORDER.get(row["name"], 0)))

    def failed_training(self) -> tuple[datetime, str] | None:
        """As of when the newest run that trained failed to, and why; None where it did not fail."""
        run, step = self.tables.run, self.tables.step
        mine = sa.and_(step.c.job == self.job, step.c.row_set != "score")
        newest = sa.select(sa.func.max(step.c.run_id)).where(mine).scalar_subquery()
        joined = step.join(run, run.c.run_id == step.c.run_id)
        failed = sa.select(run.c.as_of, step.c.error).select_from(joined)
        found = self.db.rows(failed.where(mine, step.c.run_id == newest, step.c.status == "failed"))
        return (found[0]["as_of"], found[0]["error"] or "") if found else None

    def record_metrics(self, run_id: int, step: str, values: Mapping[str, Any]) -> None:
        """Keep every figure among `values`; what is not a number is left out."""
        now = self.db.now()
        rows = [
            {"run_id": run_id, "job": self.job, "step": step, "name": name, "value": float(value), "recorded_at": now}
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        if rows:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            columns["run_id"] = pa.array(columns["run_id"], pa.int64())
            columns["recorded_at"] = pa.array(columns["recorded_at"], pa.timestamp("us", "UTC"))
            with self.db.transaction("write"):
                self.db.ingest(self.tables.metric, pa.table(columns))

    # Batches

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        """Hold the job's planning lock: two runs never plan the same rows."""
        with self.db.transaction("write"):
            self.set_state(planned_at=self.db.now())
            yield

    def open_ranges(self) -> list[KeyRange]:
        """Ranges that are planned or claimed and not yet published."""
        table = self.tables.batch
        found = self.db.rows(self._batches(table.c.key_from, table.c.key_to, table.c.row_count))
        return [
            KeyRange(tuple(json.loads(row["key_from"])), tuple(json.loads(row["key_to"])), row["row_count"] or 0)
            for row in found
        ]

    def open_batches(self) -> list[int]:
        """Batches of this job that nobody alive holds, from whichever run."""
        table = self.tables.batch
        found = self.db.rows(self._batches(table.c.batch_id, table.c.status, table.c.worker, table.c.lease_until))
        now = self.db.now()
        return [row["batch_id"] for row in found if _is_free(row, now)]

    def _batches(self, *columns: Any) -> sa.Select[Any]:
        table = self.tables.batch
        still_open = table.c.status.in_(("planned", "claimed"))
        return sa.select(*columns).where(table.c.job == self.job, still_open).order_by(table.c.batch_id)

    def add_batches(self, run_id: int, ranges: Sequence[KeyRange], model_version: int | None) -> list[int]:
        """Record planned ranges; a version of None is decided when the batch is claimed."""
        table = self.tables.batch
        return [
            self.db.scalar(
                table.insert()
                .values(
                    job=self.job,
                    run_id=run_id,
                    model_version=model_version,
                    status="planned",
                    key_from=json.dumps(keys.first, ensure_ascii=False),
                    key_to=json.dumps(keys.last, ensure_ascii=False),
                    attempts=0,
                    row_count=keys.rows,
                )
                .returning(table.c.batch_id)
            )
            for keys in ranges
        ]

    def claim(self, batch_id: int, run_id: int, champion: int) -> Batch | None:
        """Take a batch for this process under a lease. None where it is published or another live worker has it."""
        table = self.tables.batch
        worker = f"{process_name()}/{os.urandom(4).hex()}"
        with self.db.transaction("write"):
            now = self.db.now()
            found = self.db.rows(sa.select(table).where(table.c.batch_id == batch_id, table.c.job == self.job))
            if not found or found[0]["status"] not in ("planned", "claimed") or not _is_free(found[0], now):
                return None
            row = found[0]
            version = row["model_version"] or champion
            as_seen = sa.and_(
                table.c.batch_id == batch_id,
                table.c.status == row["status"],
                table.c.worker == row["worker"] if row["worker"] is not None else table.c.worker.is_(None),
            )
            taken = self.db.rows(
                table.update()
                .where(as_seen)
                .values(
                    status="claimed",
                    run_id=run_id,
                    worker=worker,
                    model_version=version,
                    lease_until=now + LEASE,
                    attempts=row["attempts"] + 1,
                    started_at=now,
                )
                .returning(table.c.batch_id)
            )
        if not taken:
            return None
        keys = KeyRange(tuple(json.loads(row["key_from"])), tuple(json.loads(row["key_to"])), row["row_count"] or 0)
        return Batch(batch_id, run_id, version, keys, worker)

    def release(self, batch: Batch) -> None:
        """Give a claimed batch back, unless somebody else has it by now."""
        with contextlib.suppress(DatabaseError):  # what stopped the batch tells more than this
            self._close(batch, status="planned", worker=None, lease_until=None)

    def publish(
        self, batch: Batch, predictions: pa.RecordBatch, quarantined: pa.RecordBatch, max_quarantine: float | None
    ) -> bool:
        """Make a batch's predictions, its quarantined rows and its ledger row visible together.

        `predictions` and `quarantined` carry the key columns and a row's own values; lineage is added here.
        `max_quarantine` None accepts any share. Raises QuarantineError, with nothing written, where too many rows are
        bad. Returns False, with nothing written, where the claim was lost to another worker.
        """
        now = self.db.now()
        lineage = {"run_id": batch.run_id, "batch_id": batch.batch_id}
        with self.db.transaction("write"):
            closed = self._close(
                batch,
                status="published",
                row_count=predictions.num_rows + quarantined.num_rows,
                scored=predictions.num_rows,
                quarantined=quarantined.num_rows,
                finished_at=now,
                lease_until=None,
            )
            if not closed:
                return False
            if max_quarantine is not None and quarantined.num_rows:
                self._judge(batch, predictions.num_rows, quarantined.num_rows, max_quarantine)
            self.db.ingest(
                self.own.prediction,
                _with(predictions, model_version=batch.model_version, **lineage, scored_at=now),
            )
            self.db.ingest(self.own.quarantine, _with(quarantined, **lineage, quarantined_at=now))
        return True

    def _close(self, batch: Batch, **values: Any) -> bool:
        table = self.tables.batch
        mine = sa.and_(table.c.batch_id == batch.batch_id, table.c.status == "claimed", table.c.worker == batch.worker)
        return bool(self.db.rows(table.update().where(mine).values(**values).returning(table.c.batch_id)))

    def _judge(self, batch: Batch, scored: int, quarantined: int, most: float) -> None:
        """The share of bad rows over this batch and those published last."""
        table = self.tables.batch
        before = self.db.rows(
            sa.select(table.c.scored, table.c.quarantined)
            .where(table.c.job == self.job, table.c.status == "published", table.c.batch_id != batch.batch_id)
            .order_by(table.c.finished_at.desc())
            .limit(_JUDGED_TOGETHER)
        )
        rows, bad = scored + quarantined, quarantined
        for row in before:
            if rows >= _JUDGED_TOGETHER:
                break
            rows, bad = rows + row["scored"] + row["quarantined"], bad + row["quarantined"]
        if bad > most * rows:
            raise QuarantineError(
                f"{bad:,} of {rows:,} rows break the contract ({bad / rows:.1%}; max_quarantine is {most:.1%}):"
                " nothing of this batch was published",
                hint="look at the reasons above; 'rowcast infer --accept-quarantine' sets these rows aside and goes on",
            )


def _with(rows: pa.RecordBatch, **values: int | datetime) -> pa.Table:
    """The rows with a constant column for each value."""
    table = pa.Table.from_batches([rows])
    for name, value in values.items():
        kind = pa.timestamp("us", "UTC") if isinstance(value, datetime) else pa.int64()
        table = table.append_column(name, pa.repeat(pa.scalar(value, kind), rows.num_rows))
    return table


def _is_free(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether nobody alive holds the batch."""
    return (
        row["status"] == "planned" or row["lease_until"] is None or row["lease_until"] < now or is_gone(row["worker"])
    )


@cache
def process_name() -> str:
    """host:pid namespace:pid:start, which tells whether the process is still there, on this machine at least."""
    return f"{_place()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(name: str | None) -> bool:
    """Whether a process named by `process_name` ran on this machine and is no longer there."""
    if not name or not name.startswith(_place() + ":"):
        return False
    pid, _, started = name.split("/")[0][len(_place()) + 1 :].partition(":")
    return _started(int(pid)) != started


def is_alive(name: str | None) -> bool:
    """Whether a process named by `process_name` is known to run on this machine."""
    return bool(name) and str(name).startswith(_place() + ":") and not is_gone(name)


def _place() -> str:
    try:
        space = os.readlink("/proc/self/ns/pid")[5:-1]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        space = boot = "-"
    return f"{socket.gethostname()}:{boot}:{space}"


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
