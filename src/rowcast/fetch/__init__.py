"""data-fetch: the user's table as Arrow batches, and pending rows planned into key ranges."""

from rowcast.fetch.charted import Charted, Maintenance, by_day, outcomes
from rowcast.fetch.judged import Asked, judged, predicted
from rowcast.fetch.keyed import keyed
from rowcast.fetch.matured import CHALLENGER, CHAMPION, matured
from rowcast.fetch.pending import Pending, taken
from rowcast.fetch.row_hash import row_hash
from rowcast.fetch.source import Fetched, Source, named_column, open_source, store_key
from rowcast.fetch.stored import Stored, walk
from rowcast.fetch.training import (
    FRESH,
    GROUP,
    KNOWN,
    LABEL,
    TIME,
    initial_scope,
    instant,
    labels_known,
    newest_event,
    training_rows,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "FRESH",
    "GROUP",
    "KNOWN",
    "LABEL",
    "TIME",
    "Asked",
    "Charted",
    "Fetched",
    "Maintenance",
    "Pending",
    "Source",
    "Stored",
    "by_day",
    "initial_scope",
    "instant",
    "judged",
    "keyed",
    "labels_known",
    "matured",
    "named_column",
    "newest_event",
    "open_source",
    "outcomes",
    "predicted",
    "row_hash",
    "store_key",
    "taken",
    "training_rows",
    "walk",
]
