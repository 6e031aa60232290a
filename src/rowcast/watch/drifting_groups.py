"""In which groups of rows, of tools for example, a column has shifted: what a person asks first about a drift."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rowcast import monitor
from rowcast.database import Column
from rowcast.source import Source
from rowcast.store.reading.daily_sums import select_text

_BEFORE = timedelta(days=14)  # the least that is looked at before the shift
_LEAST = 5  # rows on each side, else nothing is known of a group
_MOST = 200  # groups
_NAMED = 3
_SHARE = 0.6  # of the whole change that the named groups explain, at least
_REST = 0.25  # how far the others may have moved, of what the named have


@dataclass(frozen=True)
class GroupChange:
    """A group's rows before and since a shift."""

    name: str
    rows: int  # since
    was: float  # mean of the figure
    now: float


def find_groups(source: Source, by: Column, one: monitor.Finding, until: datetime) -> monitor.Concentration | None:
    """Return the few groups that a shift is confined to; None where all moved, or where it cannot be told.

    Means, shares of missing values and shares of a category are looked at, by the source's rows.
    """
    figure = _figure(source, one)
    if figure is None or source.time is None:
        return None
    changes = _measure(source, by, figure, (one.since_at, until))
    named = choose(changes, one.now - one.was)
    return monitor.Concentration(by.name, named, len(changes)) if named else None


def choose(changes: Sequence[GroupChange], shift: float) -> tuple[str, ...]:
    """Return at most three groups that moved while the others hardly did; none where that is not so.

    None either where the groups together moved less than half as far as the shift that is asked about: then it is older
    than the rows before, or one of the groups' shares in all rows.
    """
    sign = 1.0 if shift > 0 else -1.0
    ranked = sorted(changes, key=lambda each: -sign * (each.now - each.was))
    if not ranked or sign * _mean(ranked) < abs(shift) / 2:
        return ()
    whole = sign * _mean(ranked) * sum(each.rows for each in ranked)
    for count in range(1, min(_NAMED, len(ranked) // 2) + 1):
        moved = [sign * _mean(part) for part in (ranked[:count], ranked[count:])]
        part = moved[0] * sum(each.rows for each in ranked[:count])
        last, further = (sign * (each.now - each.was) for each in ranked[count - 1 : count + 1])
        is_apart = further <= last / 2 and abs(moved[1]) <= _REST * moved[0]
        if moved[0] > 0 and part >= _SHARE * whole and is_apart:
            return tuple(each.name for each in ranked[:count])
    return ()


def _mean(changes: Sequence[GroupChange]) -> float:
    return sum((each.now - each.was) * each.rows for each in changes) / sum(each.rows for each in changes)


def _figure(source: Source, one: monitor.Finding) -> sa.ColumnElement[Any] | None:
    """What of a row the shift is about, NULL where it says nothing; None where no such figure can be compared."""
    name, kind = one.series.column, one.series.kind
    if name is None or name not in source.relation.names:
        return None
    column = source.relation[name]
    value = _read_known(source, column)
    if kind == "missing":
        return sa.case((value.is_(None), 1.0), else_=0.0)
    if kind == "location" and column.kind == "number":
        return value
    if kind == "category" and one.series.category is not None:
        return sa.case((value == one.series.category, 1.0), else_=0.0)
    return None


def _read_known(source: Source, column: Column) -> sa.ColumnElement[Any]:
    """A value as it is read, NULL where the config says that it means "not measured"."""
    reading = source.settings.reading
    if column.kind == "number":
        value = source.db.sql.number(column)
        absent = [value == each for each in reading.numbers]
    else:
        [value] = source.values([column])
        absent = [sa.func.trim(value) == each for each in sorted(reading.texts)] if column.kind == "category" else []
    return sa.case((sa.or_(*absent), sa.null()), else_=value) if absent else value


def _measure(
    source: Source, by: Column, figure: sa.ColumnElement[Any], since: tuple[datetime, datetime]
) -> list[GroupChange]:
    """Means by group of the rows in a span of time, and of those as long before it."""
    assert source.time is not None
    begin, until = since
    sql, zone = source.db.sql, source.settings.timezone
    within = sql.event_time_between(source.time, zone, begin - max(until - begin, _BEFORE), until)
    is_new = sa.case((source.event_time() >= sql.instant(begin), 1), else_=0).label("is_new")
    each = source.select(select_text(source, by).label("part"), is_new, figure.label("figure")).where(within).subquery()
    sums = [sa.func.count(each.c.figure).label("n"), sa.cast(sa.func.avg(each.c.figure), sa.Double).label("mean")]
    statement = sa.select(each.c.part, each.c.is_new, *sums).group_by(each.c.part, each.c.is_new)
    found: dict[tuple[str, int], tuple[int, float]] = {}
    for row in source.db.rows(statement.limit(2 * _MOST + 1)):
        if row["n"] >= _LEAST and row["part"] is not None:
            found[str(row["part"]), int(row["is_new"])] = row["n"], row["mean"]
    if len(found) > 2 * _MOST:
        return []
    both = sorted(name for name, is_new in found if is_new and (name, 0) in found)
    return [GroupChange(name, found[name, 1][0], found[name, 0][1], found[name, 1][1]) for name in both]
