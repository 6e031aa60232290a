"""The ledger: what ran, what is claimed, what is published. It alone writes predictions, a whole batch or nothing."""

from rowcast.store.lease import heartbeat
from rowcast.store.ledger import (
    Batch,
    BatchProfile,
    BatchResult,
    ForgottenRows,
    JobState,
    Ledger,
    OldBatch,
    RowCounts,
    StagedRows,
    new_worker,
)
from rowcast.store.process import process_name
from rowcast.store.profiles import Profiles
from rowcast.store.runs import Runs

__all__ = [
    "Batch",
    "BatchProfile",
    "BatchResult",
    "ForgottenRows",
    "JobState",
    "Ledger",
    "OldBatch",
    "Profiles",
    "RowCounts",
    "Runs",
    "StagedRows",
    "heartbeat",
    "new_worker",
    "process_name",
]
