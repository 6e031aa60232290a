"""What a version predicted, summed in the database: of all rows, and of those whose label is known by now.

Only sums travel, one row for each run, decision, label and band of the score: memory does not depend on the rows. Where
source and store are two databases, the keys and labels of the source's labelled rows are staged in the store first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import equal
from rowcast.source import LABEL, Days, Scope
from rowcast.store.job_rows import JobRows
from rowcast.store.reading.daily_sums import select_day
from rowcast.store.reading.version_pairs import Bound, later_than

_UNSEEN, _DAY = "rowcast.unseen", "rowcast.day"
_CHUNK = 50_000  # groups that travel together


@dataclass(frozen=True)
class PredictionQuery:
    """A version, and which of its predictions are meant."""

    version: int
    created_at: datetime  # as of
    trained_until: Bound
    runs: tuple[int, int]  # numbers of the first and the last run that made them
    edges: Sequence[float]  # the highest score of each band but the last
    of_values: bool  # whether values are predicted, and not classes
    days: Days  # of events; those before the first have numbers below 0


def sum_predictions(rows: JobRows, query: PredictionQuery) -> Iterator[pa.RecordBatch]:
    """Yield sums over its predictions: `run_id`, `predicted`, `band`, `rows`, `score`, `variance`, `third`.

    The last three are sums of the score s, of s (1 - s) and of s (1 - s) (1 - 2 s). Of values: `run_id`, `rows`.
    """
    each = sa.select(*_columns(rows, query)).where(*_meant(rows, query)).subquery("each")
    names = ["run_id"] if query.of_values else ["run_id", "predicted", "band"]
    sums = [sa.func.count().label("rows")] if query.of_values else _sums(each)
    statement = sa.select(*[each.c[name] for name in names], *sums).group_by(*[each.c[name] for name in names])
    return rows.store.stream(statement, _CHUNK)


def sum_labelled(rows: JobRows, query: PredictionQuery, scope: Scope, now: datetime) -> Iterator[pa.RecordBatch]:
    """Yield the same sums over its predictions of rows whose label is known `now`, by `label`, `unseen`, `day` too.

    `day` is the number of the day of the event, None where the source has no time.
    `unseen` is 1 where the version cannot have been trained on the row: it is later than those it was trained on, or
    its label was not yet known when the version was made. Of values: `run_id`, `day`, `unseen`, `rows` and `off`, the
    sum of how far off they are.
    """
    source, table, own = rows.source, rows.source.table(), rows.own.prediction
    unseen = sa.or_(later_than(source, query.trained_until), sa.not_(source.has_known_label(query.created_at)))
    label = sa.type_coerce(source.db.sql.feature(source.label), own.c.predicted.type).label(LABEL)
    whole = replace(scope, learned=None)  # what the champion learned from was scored by the versions before it
    parts = [source.usable(table), source.has_known_label(now), source.visible(now), source.in_scope(whole)]
    no_day: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.Integer)
    day = no_day if source.time is None else select_day(source, source.event_time(), query.days, now)
    seen = sa.case((unseen, 1), else_=0).label(_UNSEEN)
    labelled = rows.select_keys(parts, table, label, seen, day.label(_DAY))
    same = sa.and_(*[equal(labelled.c[c.name], own.c[c.name]) for c in source.key])
    beside = [labelled.c[LABEL].label("label"), labelled.c[_UNSEEN].label("unseen"), labelled.c[_DAY].label("day")]
    chosen = sa.select(*_columns(rows, query), *beside).select_from(labelled.join(own, same))
    each = chosen.where(*_meant(rows, query)).subquery("each")
    if query.of_values:
        off = sa.type_coerce(each.c.label, sa.Double) - sa.type_coerce(each.c.predicted, sa.Double)
        names = ["run_id", "day", "unseen"]
        sums: list[sa.ColumnElement[Any]] = [sa.func.count().label("rows"), sa.func.sum(sa.func.abs(off)).label("off")]
    else:
        names, sums = ["run_id", "predicted", "band", "label", "unseen", "day"], _sums(each)
    statement = sa.select(*[each.c[name] for name in names], *sums).group_by(*[each.c[name] for name in names])
    return rows.store.stream(statement, _CHUNK)


def _meant(rows: JobRows, query: PredictionQuery) -> list[sa.ColumnElement[bool]]:
    own = rows.own.prediction
    return [own.c.model_version == query.version, own.c.run_id.between(*query.runs)]


def _columns(rows: JobRows, query: PredictionQuery) -> list[sa.ColumnElement[Any]]:
    own = rows.own.prediction
    bands = [(own.c.score <= edge, place) for place, edge in enumerate(query.edges)]
    last = sa.literal(len(bands))
    band = sa.case(*bands, else_=last) if bands else last
    return [own.c.run_id, own.c.predicted, own.c.score, band.label("band")]


def _sums(each: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    score = each.c.score
    variance = score * (1.0 - score)
    third = variance * (1.0 - 2.0 * score)
    named = {"score": score, "variance": variance, "third": third}
    return [sa.func.count().label("rows"), *[sa.func.sum(value).label(name) for name, value in named.items()]]
