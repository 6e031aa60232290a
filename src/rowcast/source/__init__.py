"""The user's table or query: what it is, how its keys and times are compared, and rows read from it."""

from rowcast.source.hashing import row_hash
from rowcast.source.keys import KeyRange
from rowcast.source.moments import instant
from rowcast.source.ordered import in_microseconds, in_time_order
from rowcast.source.rows import FRESH, GROUP, KNOWN, LABEL, TIME, Fetched, take_rows
from rowcast.source.scope import Scope
from rowcast.source.table import Source, key_values, named_column, open_source, store_key

__all__ = [
    "FRESH",
    "GROUP",
    "KNOWN",
    "LABEL",
    "TIME",
    "Fetched",
    "KeyRange",
    "Scope",
    "Source",
    "in_microseconds",
    "in_time_order",
    "instant",
    "key_values",
    "named_column",
    "open_source",
    "row_hash",
    "store_key",
    "take_rows",
]
