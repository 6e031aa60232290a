"""Rows of the source in the order of their event times."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.contract import Misfit
from rowcast.database import ColumnKind
from rowcast.source.rows import TIME, Fetched
from rowcast.source.table import Source


def read_in_time_order(
    source: Source, wanted: sa.Select[Any], table: sa.FromClause, kinds: Mapping[str, ColumnKind], most: int
) -> Fetched:
    """Return the latest of the wanted rows, at most `most`, oldest first, with `TIME` as int64 microseconds.

    Without a time column `TIME` is a row's place, and the rendered keys come too.
    """
    keys = source.keys(table)
    order = [source.event_time().desc(), *[key.desc() for key in keys]] if source.time else [key.desc() for key in keys]
    wanted = wanted.add_columns(*([source.event_time().label(TIME)] if source.time else source.render_key()))
    rows, misfits = source.db.read(wanted.order_by(*order), kinds, most)
    rows = rows.take(pa.array(np.arange(rows.num_rows)[::-1]))
    misfits = [Misfit(rows.num_rows - 1 - misfit.row, misfit.column, misfit.value) for misfit in misfits]
    if source.time:
        return Fetched(to_microseconds(rows, TIME), misfits)
    return Fetched(rows.append_column(TIME, pa.array(np.arange(rows.num_rows))), misfits)


def to_microseconds(rows: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """Return the rows with a column of instants as int64 microseconds since 1970."""
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, name, rows.column(place).cast(pa.timestamp("us", "UTC")).cast(pa.int64()))
