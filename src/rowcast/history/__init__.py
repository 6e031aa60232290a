"""Columns computed from the past, for training and for scoring alike: what was known strictly before a row's event.

declared.py     the columns that rowcast.toml declares
reading.py      what became known, read from the source: times, groups and values alone
timeline.py     which of it a row may see
statistics.py   what is computed of that; exact_sums.py keeps it the same to the last bit
columns.py      the columns, of rows and of what was read
complete.py     rows as they were read, and the columns beside them

Nothing depends on when, with which other rows or in which order a row is scored. What moves a value is only what became
known before the row's event and is written, corrected or deleted in the source later: a row's hash covers these
columns, so that it counts as changed then.
"""

from rowcast.history.complete import PastValue, complete_rows, list_needed, trace
from rowcast.history.declared import declare_columns, list_auto, require_columns
from rowcast.history.reading import Reader

__all__ = [
    "PastValue",
    "Reader",
    "complete_rows",
    "declare_columns",
    "list_auto",
    "list_needed",
    "require_columns",
    "trace",
]
