"""The user's table or query: what it is, how its keys and times are compared, and rows read from it."""

from rowcast.source.days import Days, days_until
from rowcast.source.hashing import NOTHING, RowHash, hash_rows
from rowcast.source.keys import KeyRange
from rowcast.source.missing_table import make_missing_table_error
from rowcast.source.moments import parse_instant
from rowcast.source.ordered import read_in_time_order, to_microseconds
from rowcast.source.rows import FRESH, GROUP, GROUPED, KNOWN, LABEL, RENDERED, TIME, Fetched, is_reserved, take_rows
from rowcast.source.scope import Learned, Scope
from rowcast.source.stored_keys import declare_key, is_known, meet_store, select_key
from rowcast.source.table import Source, find_column, open_source

__all__ = [
    "FRESH",
    "GROUP",
    "GROUPED",
    "KNOWN",
    "LABEL",
    "NOTHING",
    "RENDERED",
    "TIME",
    "Days",
    "Fetched",
    "KeyRange",
    "Learned",
    "RowHash",
    "Scope",
    "Source",
    "days_until",
    "declare_key",
    "find_column",
    "hash_rows",
    "is_known",
    "is_reserved",
    "make_missing_table_error",
    "meet_store",
    "open_source",
    "parse_instant",
    "read_in_time_order",
    "select_key",
    "take_rows",
    "to_microseconds",
]
