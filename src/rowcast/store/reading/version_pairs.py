"""Rows whose label is known by now, beside what two model versions made of them before it was."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import equal
from rowcast.source import GROUP, LABEL, TIME, Source, read_in_time_order, select_key
from rowcast.store.job_rows import JobRows

CHAMPION, CHALLENGER = "champion_predicted", "challenger_predicted"

Bound = datetime | tuple[str, ...] | None  # an event time, or a key where there is no time column


def read_matured(
    job_rows: JobRows, now: datetime, later: Sequence[Bound], champion: int, challenger: int, most: int
) -> pa.RecordBatch:
    """Return the latest rows, oldest first, that one version predicted and the other scored in its shadow.

    Both scored the same values: the row's hash tells. The rows are later than every bound of `later`, and their labels
    are known `now`. Columns: `TIME`, `LABEL`, `GROUP` where one is named, and what each version predicted, as
    `CHAMPION` and `CHALLENGER`.
    """
    labelled = _read_labelled(job_rows, now, later, challenger, most)
    staged = job_rows.stage_rows("rowcast_matured", labelled)
    names = [column.name for column in job_rows.source.key]
    found = job_rows.store.read(
        _select_pairs(job_rows, staged, names, champion, challenger), {}, labelled.num_rows + 1
    )[0]
    chosen = labelled.select([name for name in (TIME, LABEL, GROUP) if name in labelled.schema.names])
    rows = chosen.take(found.column("place").cast(pa.int64()))
    for name in found.schema.names[1:]:
        rows = rows.append_column(name, found.column(name))
    return rows


def _read_labelled(
    job_rows: JobRows, now: datetime, later: Sequence[Bound], challenger: int, most: int
) -> pa.RecordBatch:
    """Return rows with known labels; where source and store are together, only those that the challenger scored."""
    source, table = job_rows.source, job_rows.source.table()
    parts = [
        source.usable(table),
        source.has_known_label(now),
        source.visible(now),
        *[later_than(source, each) for each in later],
    ]
    if job_rows.together:
        shadow = job_rows.own.shadow
        same = [equal(table.c[c.name], shadow.c[c.name]) for c in source.key]
        scored = sa.select(sa.literal(1)).select_from(shadow).where(shadow.c.model_version == challenger, *same)
        parts.append(sa.exists(scored))
    columns = [*select_key(source, job_rows.store), source.db.sql.feature(source.label).label(LABEL)]
    if source.settings.group:
        columns.append(source.db.sql.feature(source.relation[source.settings.group]).label(GROUP))
    return read_in_time_order(source, source.select(*columns, table=table).where(*parts), table, {}, most).rows


def later_than(source: Source, bound: Bound) -> sa.ColumnElement[bool]:
    """Return the condition of rows later than an event time or a key; none where the source has no time any more."""
    if isinstance(bound, datetime):
        if source.time is None:
            return sa.false()
        coarse = source.db.sql.event_time_between(source.time, source.settings.timezone, bound)  # an index can serve it
        return sa.and_(coarse, source.event_time() > source.db.sql.instant(bound))
    return source.after_key(bound) if bound is not None else sa.false()


def _select_pairs(
    job_rows: JobRows, staged: sa.Table, names: Sequence[str], champion: int, challenger: int
) -> sa.Select[Any]:
    """Return what both versions predicted for the staged rows, where they scored the same values."""
    prediction, shadow = job_rows.own.prediction, job_rows.own.shadow
    joined: sa.FromClause = staged
    for own in (prediction, shadow):
        joined = joined.join(own, sa.and_(*[staged.c[name] == own.c[name] for name in names]))
    columns = [prediction.c.predicted.label(CHAMPION), shadow.c.predicted.label(CHALLENGER)]
    both = [prediction.c.model_version == champion, shadow.c.model_version == challenger]
    alike = shadow.c.row_hash == prediction.c.row_hash
    return sa.select(staged.c.place, *columns).select_from(joined).where(*both, alike).order_by(staged.c.place)
