"""What the ledger hands out and takes in, as records."""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import pyarrow as pa
import sqlalchemy as sa

from rowcast.source import KeyRange, RowHash, Scope
from rowcast.store.lease import stands
from rowcast.store.process import is_gone
from rowcast.store.records import BatchStatus

OPEN = (BatchStatus.PLANNED, BatchStatus.CLAIMED)


@dataclass(frozen=True)
class JobState:
    """What the store keeps about a job."""

    scope: Scope
    complete_to: datetime | None = None  # newest event time of the last run that left nothing pending
    champion: int | None = None  # model version in service

    def search_start(self, late_arrival: timedelta, now: datetime) -> datetime | None:
        """Return the event time from which on pending rows are looked for; None for the whole scope.

        What a run noted whose clock was ahead says nothing of the rows until now.
        """
        if self.complete_to is None or self.complete_to > now:
            return None
        return self.complete_to - late_arrival


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


@dataclass(frozen=True)
class StagedRows:
    """Predictions that the database made itself: they stand in it already."""

    select: sa.Select[Any]  # of them, with columns as the prediction table names them
    rows: pa.Table  # what it holds

    @property
    def count(self) -> int:
        return int(self.rows.num_rows)


@dataclass(frozen=True)
class BatchResult:
    """Everything of a batch that is published together; lineage and time are the ledger's to add."""

    predictions: pa.RecordBatch  # the key columns and a row's own values
    quarantined: pa.RecordBatch  # likewise
    also_read: tuple[str, ...] = ()  # columns in the rows' hashes that are no features of the batch's model
    profile: BatchProfile | None = None
    staged: StagedRows | None = None  # further predictions
    hashed_by: RowHash = RowHash.MIXED

    @property
    def scored(self) -> int:
        """How many rows have a prediction."""
        return int(self.predictions.num_rows) + (0 if self.staged is None else self.staged.count)


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows of published batches."""

    batches: int = 0
    scored: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class StoredRows:
    """Rows that the store holds a result of, or held one."""

    scored: int
    quarantined: int
    forgotten: int


@dataclass(frozen=True)
class OldBatch:
    """A published batch whose results are to be forgotten."""

    batch_id: int
    scored: int
    quarantined: int

    @property
    def rows(self) -> int:
        return self.scored + self.quarantined


@dataclass(frozen=True)
class ForgottenRows:
    """What was deleted of batches whose results are forgotten."""

    batches: int = 0
    scored: int = 0
    quarantined: int = 0
    shadow: int = 0  # rows scored by versions that are not in service, each version's for itself

    def __add__(self, other: Self) -> Self:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return type(self)(*[one + another for one, another in pairs])


@dataclass(frozen=True)
class BatchRow:
    """An open batch, as its row in the store says."""

    batch_id: int
    status: BatchStatus
    keys: KeyRange
    plan: int | None  # batches of one plan were planned together, in key order
    model_version: int | None  # None until it is claimed, or where the champion decides
    worker: str | None
    lease_until: datetime | None
    attempts: int
    recorded_deaths: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the record of a row of the batch table."""
        first, last = (tuple(json.loads(row[name])) for name in ("key_from", "key_to"))
        return cls(
            batch_id=row["batch_id"],
            status=row["status"],
            keys=KeyRange(first, last, row["row_count"] or 0),
            plan=row["plan"],
            model_version=row["model_version"],
            worker=row["worker"],
            lease_until=row["lease_until"],
            attempts=row["attempts"],
            recorded_deaths=row["deaths"] or 0,
        )

    @property
    def deaths(self) -> int:
        """How many processes died over a free batch: an orderly one gives back what it had claimed."""
        return self.recorded_deaths + (self.status is BatchStatus.CLAIMED)

    def is_free(self, now: datetime) -> bool:
        """Return whether nobody alive holds the batch."""
        if self.status is BatchStatus.PLANNED:
            return True
        return not stands(self.lease_until, now) or is_gone(self.worker)
