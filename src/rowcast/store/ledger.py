"""Batches: planned under a lock, claimed under a lease, published whole or not at all."""

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import DatabaseError, QuarantineError, StoreError
from rowcast.source import KeyRange, Scope
from rowcast.store.lease import LEASE
from rowcast.store.process import is_gone, process_name
from rowcast.store.tables import Instant, JobTables, Tables, with_constants

OPEN = ("planned", "claimed")
_ROWS_PER_SHARE = 1000  # rows over which the share of bad ones is taken, where there are as many


@dataclass(frozen=True)
class JobState:
    """What the store keeps about a job."""

    scope: Scope
    complete_to: datetime | None = None  # newest event time of the last run that left nothing pending
    champion: int | None = None  # model version in service

    def looked_back_to(self, late_arrival: timedelta) -> datetime | None:
        """From which event time on rows are looked for; None for the whole scope."""
        return None if self.complete_to is None else self.complete_to - late_arrival


@dataclass(frozen=True)
class Batch:
    """A claimed slice of pending rows."""

    batch_id: int
    run_id: int
    model_version: int
    keys: KeyRange
    worker: str  # whose claim it is; publishing closes this very claim


@dataclass(frozen=True)
class BatchProfile:
    """The profiles of a batch's rows, as the monitor wrote them."""

    counts: bytes  # in the columns of the batch's model, and its scores
    unused: bytes | None  # of a sample, in columns that the model does not use


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

    def state(self) -> JobState:
        table = self.tables.job
        row = self.db.rows(sa.select(table).where(table.c.job == self.job))[0]
        after = row["scope_after"]
        scope = Scope(row["scope_from"], tuple(json.loads(after)) if after is not None else None)
        return JobState(scope, row["complete_to"], row["champion"])

    def set_state(self, **values: Any) -> None:
        self.db.execute(self.tables.job.update().where(self.tables.job.c.job == self.job).values(**values))

    def fix_scope(self, scope: Scope) -> None:
        """Where scoring begins, once and for all."""
        after = None if scope.after is None else json.dumps(scope.after, ensure_ascii=False)
        self.set_state(scope_from=scope.since, scope_after=after)

    # Batches

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        """Hold the job's planning lock: two runs never plan the same rows."""
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            yield

    def open_ranges(self, but: int | None = None) -> list[KeyRange]:
        """Ranges that are planned or claimed and not yet published, except one batch's.

        Batches that were planned one after the other are one range: there may be thousands.
        """
        table = self.tables.batch
        found: list[KeyRange] = []
        before = None
        for row in self.db.rows(self._batches(table)):
            keys, place = _range(row), (row["plan"], row["batch_id"])
            if row["batch_id"] == but:
                continue
            if before is not None and row["plan"] is not None and place == (before[0], before[1] + 1):
                found[-1] = KeyRange(found[-1].first, keys.last, found[-1].rows + keys.rows)
            else:
                found.append(keys)
            before = place
        return found

    def newest_batch(self) -> int:
        """The last one planned; 0 where there is none."""
        table = self.tables.batch
        return self.db.scalar(sa.select(sa.func.max(table.c.batch_id)).where(table.c.job == self.job)) or 0

    def open_batches(self, run_id: int | None = None, as_of: datetime | None = None) -> list[int]:
        """Batches of this job that nobody alive holds, from whichever run or from one.

        `as_of` leaves out those of runs as of later: whose rows are not all visible then would be published without.
        """
        table, run = self.tables.batch, self.tables.run
        statement = self._batches(table.c.batch_id, table.c.status, table.c.worker, table.c.lease_until)
        if run_id is not None:
            statement = statement.where(table.c.run_id == run_id)
        if as_of is not None:
            later = sa.select(sa.literal(1)).where(run.c.run_id == table.c.run_id, run.c.as_of > as_of)
            statement = statement.where(~sa.exists(later))
        found = self.db.rows(statement)
        now = self.db.now()
        return [row["batch_id"] for row in found if _is_free(row, now)]

    def _batches(self, *columns: Any) -> sa.Select[Any]:
        table = self.tables.batch
        still_open = table.c.status.in_(OPEN)
        return sa.select(*columns).where(table.c.job == self.job, still_open).order_by(table.c.batch_id)

    def add_batches(self, run_id: int, ranges: Sequence[KeyRange], model_version: int | None) -> list[int]:
        """Record ranges that were planned together, in key order.

        A version of None is decided when the batch is claimed.
        """
        table = self.tables.batch
        plan = self.newest_batch() + 1 if ranges else None
        return [
            self.db.scalar(
                table.insert()
                .values(
                    job=self.job,
                    run_id=run_id,
                    model_version=model_version,
                    status="planned",
                    plan=plan,
                    key_from=json.dumps(keys.first, ensure_ascii=False),
                    key_to=json.dumps(keys.last, ensure_ascii=False),
                    attempts=0,
                    row_count=keys.rows,
                )
                .returning(table.c.batch_id)
            )
            for keys in ranges
        ]

    def claim(self, batch_id: int, run_id: int, champion: int, worker: str | None = None) -> Batch | None:
        """Take a batch under a lease. None where it is published or another live worker has it.

        `worker` is a name from `new_worker`: asked again under the same one, the claim is the same.
        """
        table = self.tables.batch
        worker = worker or new_worker()
        with self.db.transaction("write"):
            now = self.db.now()
            found = self.db.rows(sa.select(table).where(table.c.batch_id == batch_id, table.c.job == self.job))
            if not found or found[0]["status"] not in OPEN:
                return None
            row = found[0]
            mine = row["worker"] == worker
            if not mine and not _is_free(row, now):
                return None
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
                    deaths=_deaths(row) if not mine else row["deaths"],
                    started_at=now,
                )
                .returning(table.c.batch_id)
            )
        return Batch(batch_id, run_id, version, _range(row), worker) if taken else None

    def renewal(self, batch_id: int, worker: str, lease_until: datetime) -> sa.Update:
        """The statement that says: this worker is still at it."""
        return self.tables.batch.update().where(self._is_mine(batch_id, worker)).values(lease_until=lease_until)

    def release(self, batch_id: int, worker: str) -> None:
        """Give a claimed batch back, unless somebody else has it by now."""
        self._close(batch_id, worker, status="planned", worker=None, lease_until=None)

    def give_back(self, run_id: int) -> list[int]:
        """Make free what workers of a run held that are gone: on another machine it would wait for the lease."""
        table = self.tables.batch
        held = sa.and_(table.c.job == self.job, table.c.run_id == run_id, table.c.status == "claimed")
        given = []
        for row in self.db.rows(sa.select(table).where(held)):
            if is_gone(row["worker"]):
                same = sa.and_(table.c.batch_id == row["batch_id"], table.c.worker == row["worker"], held)
                values = {"status": "planned", "worker": None, "lease_until": None, "deaths": _deaths(row)}
                self.db.execute(table.update().where(same).values(values))
                given.append(row["batch_id"])
        return given

    def find_deadly(self, least: int) -> set[int]:
        """Batches that nobody alive holds and over which at least so many processes died."""
        now = self.db.now()
        found = self.db.rows(self._batches(self.tables.batch))
        return {row["batch_id"] for row in found if _is_free(row, now) and _deaths(row) >= least}

    def count_published(self, run_id: int) -> tuple[int, int, int]:
        """Batches that a run published, and their rows scored and quarantined."""
        table = self.tables.batch
        this = sa.and_(table.c.job == self.job, table.c.run_id == run_id, table.c.status == "published")
        found = self.db.rows(sa.select(table.c.scored, table.c.quarantined).where(this))
        return len(found), sum(row["scored"] for row in found), sum(row["quarantined"] for row in found)

    def find_published(self, batch_id: int, worker: str) -> tuple[int, int] | None:
        """Rows scored and quarantined, where this worker published the batch and did not hear of it."""
        table = self.tables.batch
        this = sa.and_(table.c.batch_id == batch_id, table.c.status == "published", table.c.worker == worker)
        found = self.db.rows(sa.select(table.c.scored, table.c.quarantined).where(this))
        return (found[0]["scored"], found[0]["quarantined"]) if found else None

    def planned_range(self, batch_id: int) -> KeyRange | None:
        """The keys of a batch that is planned and in nobody's hands."""
        found = self.db.rows(sa.select(self.tables.batch).where(self._is_planned(batch_id)))
        return _range(found[0]) if found else None

    def halve(self, batch_id: int, run_id: int, ranges: Sequence[KeyRange]) -> list[int]:
        """Put smaller batches in a planned one's place, with its model; nothing where a worker has taken it up."""
        table = self.tables.batch
        values = {"status": "halved", "row_count": 0, "finished_at": self.db.now()}
        statement = table.update().where(self._is_planned(batch_id)).values(values)
        halved = self.db.rows(statement.returning(table.c.model_version))
        return self.add_batches(run_id, ranges, halved[0]["model_version"]) if halved else []

    def _is_planned(self, batch_id: int) -> sa.ColumnElement[bool]:
        table = self.tables.batch
        return sa.and_(table.c.batch_id == batch_id, table.c.job == self.job, table.c.status == "planned")

    def publish(
        self,
        batch: Batch,
        predictions: pa.RecordBatch,
        quarantined: pa.RecordBatch,
        max_quarantine: float | None,
        also_read: Sequence[str] = (),
        left: Callable[[], Sequence[KeyRange]] = tuple,
        counted: BatchProfile | None = None,
    ) -> bool:
        """Make a batch's predictions, its quarantined rows, its profiles and its ledger row visible together.

        `predictions` and `quarantined` carry the key columns and a row's own values; lineage is added here.
        `also_read` are columns in the rows' hashes that are no features of the batch's model; `left` plans what the
        batch had no room for, in the same transaction.
        `max_quarantine` None accepts any share. Raises QuarantineError, with nothing written, where too many rows are
        bad. Returns False, with nothing written, where the claim was lost to another worker.
        """
        now = self.db.now()
        lineage = {"run_id": batch.run_id, "batch_id": batch.batch_id}
        scored = with_constants(predictions, model_version=batch.model_version, **lineage, scored_at=now)
        set_aside = with_constants(quarantined, **lineage, quarantined_at=now)
        rows = [self.db.stage(self.own.prediction, scored), self.db.stage(self.own.quarantine, set_aside)]
        with self.db.transaction("write"):
            closed = self._close(
                batch.batch_id,
                batch.worker,
                status="published",
                row_count=predictions.num_rows + quarantined.num_rows,
                scored=predictions.num_rows,
                quarantined=quarantined.num_rows,
                accepted=int(max_quarantine is None),
                also_read=json.dumps(list(also_read), ensure_ascii=False),
                finished_at=now,
                lease_until=None,
            )
            if not closed:
                return False
            if max_quarantine is not None and quarantined.num_rows:
                self._check_share(batch, predictions.num_rows, quarantined.num_rows, max_quarantine)
            for append in rows:
                append()
            if counted is not None:
                about = {"batch_id": batch.batch_id, "run_id": batch.run_id, "model_version": batch.model_version}
                values = {**about, "job": self.job, "counts": counted.counts, "unused": counted.unused}
                self.db.execute(self.tables.profile.insert().values(values))
            self.add_batches(batch.run_id, left(), None)
        return True

    def move_to_history(self, own: sa.Table, keys: sa.Table) -> int:
        """Take rows out of the prediction or the quarantine table, so that they are pending again; how many."""
        history = self.own.history
        self._index(keys)
        theirs = _among(own, keys)
        count: int = self.db.scalar(sa.select(sa.func.count()).select_from(own).where(theirs))
        was, at = ("scored", "scored_at") if own is self.own.prediction else ("quarantined", "quarantined_at")
        values: dict[str, Any] = {column.name: column for column in own.c if column.name in history.c}
        values |= {"was": sa.literal(was, sa.Text), "since": own.c[at], "until": sa.literal(self.db.now(), Instant)}
        moved = sa.select(*[value.label(name) for name, value in values.items()]).where(theirs)
        self.db.execute(history.insert().from_select(list(values), moved))
        self.db.execute(own.delete().where(theirs))
        if own is self.own.prediction:  # what stood beside it goes with it
            self.db.execute(self.own.shadow.delete().where(_among(self.own.shadow, keys)))
        return count

    # Versions that are not in service

    def save_shadow(self, batch: Batch, model_version: int, rows: pa.RecordBatch) -> None:
        """Keep what a version that is not in service makes of a published batch, in place of what it made of its rows.

        `rows` carry the key columns and a row's own values, like predictions.
        """
        own = self.own.shadow
        lineage = {"model_version": model_version, "run_id": batch.run_id, "batch_id": batch.batch_id}
        append = self.db.stage(own, with_constants(rows, **lineage, scored_at=self.db.now()))
        try:
            with self.db.transaction("write"):
                append()
        except DatabaseError as error:
            if error.reason != "duplicate":
                raise
            names = [column.name for column in own.primary_key if column.name in rows.schema.names]
            with self.db.transaction("write"):
                keys = self.db.create_temporary(
                    "rowcast_shadowed", *[sa.Column(name, own.c[name].type) for name in names]
                )
                self.db.ingest(keys, rows.select(names))
                self._index(keys)
                self.db.execute(own.delete().where(own.c.model_version == model_version, _among(own, keys)))
                append()

    def forget_shadow(self, versions: Collection[int]) -> None:
        """Throw away what versions made of rows in the shadow; nothing is written where there is nothing."""
        own = self.own.shadow
        theirs = own.c.model_version.in_(sorted(versions))
        if versions and self.db.rows(sa.select(own.c.model_version).where(theirs).limit(1)):
            self.db.execute(own.delete().where(theirs))

    def _index(self, keys: sa.Table) -> None:
        """Keep SQLite from looking through all of a temporary table's keys for each row."""
        self.db.execute(sa.schema.CreateIndex(sa.Index(f"ix_{keys.name}", *keys.c)))

    def _close(self, batch_id: int, held_by: str, **values: Any) -> bool:
        table = self.tables.batch
        statement = table.update().where(self._is_mine(batch_id, held_by)).values(**values)
        return bool(self.db.rows(statement.returning(table.c.batch_id)))

    def _is_mine(self, batch_id: int, worker: str) -> sa.ColumnElement[bool]:
        table = self.tables.batch
        return sa.and_(table.c.batch_id == batch_id, table.c.status == "claimed", table.c.worker == worker)

    def _check_share(self, batch: Batch, scored: int, quarantined: int, most: float) -> None:
        """The share of bad rows over this batch and those published last, without what a person accepted."""
        table = self.tables.batch
        judged = sa.or_(table.c.accepted.is_(None), table.c.accepted == 0)
        before = self.db.rows(
            sa.select(table.c.scored, table.c.quarantined)
            .where(table.c.job == self.job, table.c.status == "published", table.c.batch_id != batch.batch_id, judged)
            .order_by(table.c.finished_at.desc())
            .limit(_ROWS_PER_SHARE)
        )
        rows, bad = scored + quarantined, quarantined
        for row in before:
            if rows >= _ROWS_PER_SHARE:
                break
            rows, bad = rows + row["scored"] + row["quarantined"], bad + row["quarantined"]
        if bad > most * rows:
            raise QuarantineError(
                f"{bad:,} of {rows:,} rows break the contract ({bad / rows:.1%}; max_quarantine is {most:.1%}):"
                " nothing of this batch was published",
                hint="look at the reasons above; 'rowcast infer --accept-quarantine' sets these rows aside and goes on",
            )


def new_worker() -> str:
    """A name for whoever works on one batch: of this process, and used for nothing else."""
    return f"{process_name()}/{os.urandom(4).hex()}"


def _among(own: sa.Table, keys: sa.Table) -> sa.ColumnElement[bool]:
    """Rows of a job's table that have one of these keys."""
    same = sa.and_(*[column == own.c[column.name] for column in keys.c])
    return sa.exists(sa.select(sa.literal(1)).select_from(keys).where(same))


def _range(row: Mapping[str, Any]) -> KeyRange:
    return KeyRange(tuple(json.loads(row["key_from"])), tuple(json.loads(row["key_to"])), row["row_count"] or 0)


def _deaths(row: Mapping[str, Any]) -> int:
    """Processes that died over a free batch: an orderly one gives back what it had claimed."""
    return int(row["deaths"] or 0) + int(row["status"] == "claimed")


def _is_free(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether nobody alive holds the batch."""
    return (
        row["status"] == "planned" or row["lease_until"] is None or row["lease_until"] < now or is_gone(row["worker"])
    )
