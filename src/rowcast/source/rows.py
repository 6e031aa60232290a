"""Rows as they were read from the source, and the names of the columns that stand beside their features."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from rowcast.contract import Misfit

TIME, KNOWN, LABEL = "rowcast.time", "rowcast.known", "rowcast.label"
GROUP, FRESH = "rowcast.group", "rowcast.fresh"
GROUPED = "rowcast.by "  # and a column's name: its value as text, by which rows are alike
RENDERED = "rowcast.key_"  # and the place of a key column: its value as the source renders it


def is_reserved(name: str) -> bool:
    """Return whether a column cannot be a feature for its name: it has none, or one as rowcast itself gives."""
    return not name or name.startswith("rowcast.")


@dataclass(frozen=True)
class Fetched:
    """Rows as the database holds them, and the values in them that their column's kind cannot hold."""

    rows: pa.RecordBatch
    misfits: list[Misfit]


def take_rows(fetched: Fetched, places: npt.NDArray[Any]) -> Fetched:
    """Return the rows at these places, with their misfits."""
    if len(places) == fetched.rows.num_rows:
        return fetched
    at = {int(old): new for new, old in enumerate(places)}
    misfits = [Misfit(at[m.row], m.column, m.value) for m in fetched.misfits if m.row in at]
    return Fetched(fetched.rows.take(pa.array(places)), misfits)
