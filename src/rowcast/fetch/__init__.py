"""data-fetch: pending rows planned into key ranges and read, labelled rows for training, maintenance events."""

from rowcast.fetch.by_key import fetch_by_key
from rowcast.fetch.failing import Failing
from rowcast.fetch.maintenance import Maintenance
from rowcast.fetch.odd_times import OddTimeCause, OddTimes, find_odd_times
from rowcast.fetch.pending import Moved, Pending
from rowcast.fetch.scope_counts import ScopeCounts, count_scope
from rowcast.fetch.training import (
    TrainingRows,
    count_known_labels,
    fetch_newest_rows,
    fetch_training_rows,
    find_event_time,
    find_initial_scope,
    find_newest_event,
    find_oldest_event,
)

__all__ = [
    "Failing",
    "Maintenance",
    "Moved",
    "OddTimeCause",
    "OddTimes",
    "Pending",
    "ScopeCounts",
    "TrainingRows",
    "count_known_labels",
    "count_scope",
    "fetch_by_key",
    "fetch_newest_rows",
    "fetch_training_rows",
    "find_event_time",
    "find_initial_scope",
    "find_newest_event",
    "find_odd_times",
    "find_oldest_event",
]
