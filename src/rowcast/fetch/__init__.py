"""data-fetch: pending rows planned into key ranges and read, labelled rows for training, maintenance events."""

from rowcast.fetch.by_key import keyed
from rowcast.fetch.maintenance import Maintenance
from rowcast.fetch.pending import Pending
from rowcast.fetch.training import initial_scope, labels_known, newest_event, training_rows

__all__ = ["Maintenance", "Pending", "initial_scope", "keyed", "labels_known", "newest_event", "training_rows"]
