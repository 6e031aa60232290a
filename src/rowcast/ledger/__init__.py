"""The ledger: what ran, what is claimed, what is published. It alone writes predictions, a whole batch or nothing."""

from rowcast.ledger.batches import Batch, Counted, Job, KeyRange, Ledger, new_worker
from rowcast.ledger.lease import kept
from rowcast.ledger.process import process_name
from rowcast.ledger.profiles import Profiles
from rowcast.ledger.runs import Runs

__all__ = ["Batch", "Counted", "Job", "KeyRange", "Ledger", "Profiles", "Runs", "kept", "new_worker", "process_name"]
