"""Batches: planned under a lock, claimed under a lease, published whole or not at all."""

from rowcast.store.ledger.claims import new_worker
from rowcast.store.ledger.forgetting import Forgetting
from rowcast.store.ledger.history import History
from rowcast.store.ledger.planning import leave_to_champion
from rowcast.store.ledger.publishing import Publishing
from rowcast.store.ledger.records import (
    Batch,
    BatchProfile,
    BatchResult,
    ForgottenRows,
    JobState,
    OldBatch,
    RowCounts,
    StagedRows,
)
from rowcast.store.ledger.state import State

__all__ = [
    "Batch",
    "BatchProfile",
    "BatchResult",
    "ForgottenRows",
    "JobState",
    "Ledger",
    "OldBatch",
    "RowCounts",
    "StagedRows",
    "leave_to_champion",
    "new_worker",
]


class Ledger(State, Publishing, Forgetting, History):
    """The store's record of one job: what is planned, claimed and published."""
