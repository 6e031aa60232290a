"""What charts are drawn of: scored rows, summed in the database by the day of their event and by group.

Only sums travel: memory does not depend on the rows. Where source and store are two databases, the keys of the source's
rows are staged in the store first, with what is summed beside them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Column, equal
from rowcast.source import Days, Source
from rowcast.store.job_rows import JobRows

_DAY, _GROUP, _LABEL = "rowcast.day", "rowcast.group", "rowcast.label"
CHUNK = 50_000  # sums that travel together


@dataclass(frozen=True)
class ChartQuery:
    """Which rows are meant, and what of them is summed."""

    days: Days  # that are counted
    until: datetime  # later rows and labels are invisible
    runs: sa.Select[Any]  # numbers of the runs that scored them
    group: Column | None  # None: all together
    columns: Sequence[Column]  # numbers
    of_values: bool  # whether values are predicted, and not classes


def sum_by_day(rows: JobRows, query: ChartQuery) -> Iterator[pa.RecordBatch]:
    """Yield sums over scored rows by `day` and `part`, the group: `model_version`, `predicted`, `rows`, `score`.

    Beside them for the column at each place the sum of its values, `value_0`, and how many there are, `known_0`. Values
    that are missing by the config, or not finite, are none. Of values there is no `predicted`.
    """
    source, db = rows.source, rows.source.db
    beside: list[sa.Label[Any]] = []
    for place, column in enumerate(query.columns):
        value = db.sql.number(column)
        there = sa.and_(value.is_not(None), *[value != missing for missing in source.settings.reading.numbers])
        beside.append(sa.case((there, value), else_=0.0).label(f"rowcast.value_{place}"))
        beside.append(sa.case((there, 1), else_=0).label(f"rowcast.known_{place}"))
    own = rows.own.prediction
    scored = [own.c.model_version, own.c.score, *([] if query.of_values else [own.c.predicted])]
    each = _select_each(rows, query, [], beside, scored)
    names = [_DAY, _GROUP, "model_version", *([] if query.of_values else ["predicted"])]
    sums = [sa.func.count().label("rows"), sa.func.sum(each.c.score).label("score")]
    for place in range(len(query.columns)):
        sums.append(_sum_as(each.c[f"rowcast.value_{place}"], sa.Double).label(f"value_{place}"))
        sums.append(_sum_as(each.c[f"rowcast.known_{place}"], sa.BigInteger).label(f"known_{place}"))
    return _sum_groups(rows, each, names, sums)


def sum_outcomes(rows: JobRows, query: ChartQuery) -> Iterator[pa.RecordBatch]:
    """Yield sums over scored rows whose label is known, by `day` and `part`: `label` and `rows`.

    Of values `label` is their sum.
    """
    source, own = rows.source, rows.own.prediction
    label = sa.type_coerce(source.db.sql.feature(source.label), own.c.predicted.type).label(_LABEL)
    each = _select_each(rows, query, [source.has_known_label(query.until)], [label], [])
    count = sa.func.count().label("rows")
    if query.of_values:
        return _sum_groups(rows, each, [_DAY, _GROUP], [count, _sum_as(each.c[_LABEL], sa.Double).label("label")])
    return _sum_groups(rows, each, [_DAY, _GROUP, _LABEL], [count])


def _select_each(
    rows: JobRows,
    query: ChartQuery,
    parts: Sequence[sa.ColumnElement[bool]],
    beside: Sequence[sa.Label[Any]],
    scored: Sequence[sa.ColumnElement[Any]],
) -> sa.FromClause:
    """Return scored rows with their day and group, with columns of the source and of the predictions."""
    source, table, own = rows.source, rows.source.table(), rows.own.prediction
    assert source.time is not None
    within = source.db.sql.event_time_between(source.time, source.settings.timezone, query.days.start, query.until)
    day = select_day(source, source.event_time(), query.days, query.until).label(_DAY)
    group = select_text(source, query.group).label(_GROUP)
    keys = rows.select_keys([source.usable(table), within, *parts], table, day, group, *beside)
    same = sa.and_(*[equal(keys.c[c.name], own.c[c.name]) for c in source.key])
    runs = query.runs.subquery("runs")
    chosen = sa.select(*[keys.c[label.name] for label in (day, group, *beside)], *scored)
    joined = chosen.select_from(keys.join(own, same))
    return joined.where(own.c.run_id.in_(sa.select(runs.c.run_id))).subquery("each")


def _sum_groups(
    rows: JobRows, each: sa.FromClause, names: Sequence[str], sums: Sequence[sa.ColumnElement[Any]]
) -> Iterator[pa.RecordBatch]:
    short = {_DAY: "day", _GROUP: "part", _LABEL: "label"}
    chosen = [each.c[name].label(short.get(name, name)) for name in names]
    return rows.store.stream(sa.select(*chosen, *sums).group_by(*[each.c[name] for name in names]), CHUNK)


def _sum_as(values: sa.ColumnElement[Any], kind: Any) -> sa.ColumnElement[Any]:
    return sa.cast(sa.func.sum(values), kind)  # PostgreSQL makes a numeric of large integers


def select_day(source: Source, moment: sa.ColumnElement[Any], days: Days, until: datetime) -> sa.ColumnElement[Any]:
    """Return the number of the day of a moment, which is no later than `until`."""
    sql = source.db.sql
    passed = sql.hours_between(sql.instant(days.start), moment)
    hours = passed
    for changed, by in days.shifts(until):
        hours = hours + sa.case((passed >= sa.literal(changed, sa.Double), by), else_=0.0)
    return sa.cast(sa.func.floor(hours / 24.0), sa.Integer)


def select_text(source: Source, column: Column | None) -> sa.ColumnElement[Any]:
    """Return a value as text; none is the empty text."""
    if column is None:
        return sa.literal("", sa.UnicodeText)
    return sa.func.coalesce(sa.cast(source.db.sql.feature(column), sa.UnicodeText), sa.literal("", sa.UnicodeText))
