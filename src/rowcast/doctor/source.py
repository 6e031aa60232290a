"""The source: whether its rows can be read, and what their keys, times and columns are worth."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rowcast import fetch
from rowcast.config import Settings
from rowcast.database import Database
from rowcast.doctor.finding import Finding, describe_whole, to_problem
from rowcast.doctor.labels import check_labels
from rowcast.doctor.rights import check_grants, tell_denied
from rowcast.errors import DatabaseError, RowcastError, SourceError
from rowcast.formatting import count
from rowcast.source import Source, open_source

_LARGE = 10_000  # rows from which a missing index is felt
_SLOW = 1_000_000  # rows from which reading each one's time is
_INDEXED = {"sqlite": "seconds since 1970"}  # what a time is kept as whose newest an index finds
_TIED = 10  # rows for each different time from which ties are worth a word


def open_readable_source(db: Database, settings: Settings, findings: list[Finding]) -> Source | None:
    """Open the source and tell whether its rows can be read; None where they cannot."""
    what, where = settings.source.table or "the query", settings.source.where
    try:
        source = open_source(db, settings.source)
        lacking = _check_rights(db, settings)
        findings += lacking
        if lacking:
            return None
        db.rows(sa.select(sa.literal(1).label("one")).select_from(source.table()).limit(1))
    except DatabaseError as error:
        findings.append(tell_denied(db, error))
        return None
    except RowcastError as error:
        # SQL Server does not show a table on which this user has no right.
        unseen = _check_rights(db, settings) if isinstance(error, SourceError) and _is_absent(db, settings) else []
        findings.append(replace(to_problem(error), statement=next((f.statement for f in unseen), "")))
        return None
    findings.append(Finding("ok", f"{what} can be read and has every column that the config names"))
    if where is None:
        return source
    try:
        some = db.rows(source.select(sa.literal(1).label("one")).limit(1))
    except RowcastError as error:
        told = f"[source] where cannot be run: {describe_whole(error)}"
        findings.append(Finding("problem", told, "it must be a condition in this database's SQL"))
        return None
    lets = Finding("ok", "[source] where lets rows through")
    lets_none = Finding("warning", "[source] where lets no row through", "check it, or wait for rows that are ready")
    findings.append(lets if some else lets_none)
    return source


def _check_rights(db: Database, settings: Settings) -> list[Finding]:
    """Return which rights on the source's table are missing; of a query its statement tells."""
    table = settings.source.table
    return [] if table is None else list(check_grants(db, db.admin.list_source_grants([table])))


def _is_absent(db: Database, settings: Settings) -> bool:
    return settings.source.table is not None and db.admin.describe(settings.source.table, None) is None


def check_rows(source: Source, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with keys, times and labels, counted in one pass, and what only further passes can tell."""
    now, keys = source.db.now(), source.keys()
    counts: dict[str, sa.ColumnElement[Any]] = {
        "rows": sa.func.count(),
        "keyless": _count(sa.or_(*[key.is_(None) for key in keys])),
        "labelled": _count(sa.column(source.label.name).is_not(None)),
        "known": _count(source.has_known_label(now)),
    }
    if source.time:
        timed = source.db.sql.has_event_time(source.time)
        counts["timed"] = _count(timed)
        counts["times"] = sa.func.count(sa.distinct(sa.case((timed, source.event_time()))))
        counts["future"] = _count(sa.and_(timed, source.event_time() > source.db.sql.instant(now)))
    found = source.db.rows(source.select(*[count.label(name) for name, count in counts.items()]))[0]
    n = {name: int(value) for name, value in found.items()}
    if not n["rows"]:
        yield Finding("problem", "the source holds no rows", "wait for some, or check [source] table and where")
        return
    yield from _check_key(source, n)
    yield from _check_stored_key(source)
    yield from _check_index(source, "key", settings.source.key, n["rows"])
    if source.time:
        yield from _check_time(source.time.name, n)
        yield from _check_odd_times(source, source.time.name)
        if n["rows"] < _LARGE or source.db.sql.is_found_by_index(source.time):
            yield from _check_index(source, "time", (source.time.name,), n["rows"])
        else:
            yield _time_reading(source, source.time.name, now, n["rows"])
    else:
        yield Finding("ok", "there is no time column: key order counts as time order")
    yield from check_labels(source, settings, n)


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _check_key(source: Source, n: dict[str, int]) -> Iterator[Finding]:
    """Yield whether the key names every row, and what keeps it from repeating."""
    name, keys = ", ".join(source.settings.key), source.keys()
    repeated = source.select(sa.func.count().label("n")).where(*[key.is_not(None) for key in keys]).group_by(*keys)
    groups = repeated.having(sa.func.count() > 1).subquery("d")
    rows = int(source.db.scalar(sa.select(sa.func.coalesce(sa.func.sum(groups.c.n), 0).label("n"))))
    if not rows and not n["keyless"]:
        told = f"the key {name} is never NULL and does not repeat in {n['rows']:,} rows"
        if source.relation.is_unique(source.settings.key):
            yield Finding("ok", told)
        else:
            hint = "a unique constraint on it does: rows whose key repeats are not scored"
            yield Finding("warning", f"{told}, but nothing keeps it from doing so", hint)
    else:
        unusable = rows + n["keyless"]
        yield Finding(
            "problem" if unusable > n["rows"] / 2 else "warning",
            f"{unusable:,} of {n['rows']:,} rows cannot be scored: the key {name} is NULL in {n['keyless']:,}"
            f" and repeated in {rows:,}",
            "mend them at the source, or choose key columns that name a row for good",
        )


def _check_stored_key(source: Source) -> Iterator[Finding]:
    """Yield how many rows the store would take for others."""
    if not source.stored_key:
        return
    keys = source.keys()
    twins = sa.and_(*[key.is_not(None) for key in keys], sa.not_(source.has_own_stored_key()))
    rows = int(source.db.scalar(source.select(sa.func.count().label("n")).where(twins)))
    if rows:
        told = f"{count(rows, 'row')} cannot be scored: the store cannot tell their keys from those of others"
        hint = "they differ in spaces at the end alone, or in the last digits: a query can give them keys that differ"
        yield Finding("warning", told, hint)


def _check_index(source: Source, what: str, columns: tuple[str, ...], rows: int) -> Iterator[Finding]:
    """Yield whether an index begins with these columns, and the statement that creates one."""
    if source.settings.query is not None:
        return
    name = ", ".join(columns)
    if any(set(index[: len(columns)]) == set(columns) for index in source.relation.indexed):
        yield Finding("ok", f"an index begins with the {what} {name}")
    elif rows < _LARGE:
        yield Finding(
            "ok",
            f"no index begins with the {what} {name}; none is needed for {count(rows, 'row')}",
        )
    else:
        schema, table = source.db.admin.split_name(str(source.settings.table))
        named = sa.Table(table, sa.MetaData(), *[sa.Column(column) for column in columns], schema=schema)
        index = sa.Index(f"{table}_{'_'.join(columns)}", *[named.c[column] for column in columns])
        statement = str(sa.schema.CreateIndex(index).compile(dialect=source.db.dialect))
        told = f"no index begins with the {what} {name}: every run scans {rows:,} rows"
        yield Finding("warning", told, "", statement)


def _time_reading(source: Source, name: str, now: datetime, rows: int) -> Finding:
    """Tell what a run costs that reads the time of every row, since no index is in the order of time."""
    begun = time.perf_counter()
    fetch.find_newest_event(source, now)
    seconds = time.perf_counter() - begun
    told = (
        f"no index on {name} would help: it holds times as texts, and a run reads those of all {rows:,} rows, "
        f"in {seconds:.1f} s just now"
    )
    way_out = f"a column of {_INDEXED.get(source.db.dialect.name, 'a type for times')} with an index on it spares that"
    return Finding("warning" if rows >= _SLOW else "ok", told, way_out)


def _check_odd_times(source: Source, name: str) -> Iterator[Finding]:
    odd = fetch.find_odd_times(source)
    if odd is not None:
        what = "cannot be read" if odd.cause is fetch.OddTimeCause.UNREADABLE else "lies on the first day of 1970"
        told = f"{name} {what} in {odd.rows:,} of {odd.labelled:,} labelled rows, such as {odd.example!r}"
        yield Finding("problem" if odd.rows == odd.labelled else "warning", told, odd.hint)


def _check_time(name: str, n: dict[str, int]) -> Iterator[Finding]:
    """Yield whether every row has a time, and which lie in the future or share one."""
    timeless = n["rows"] - n["timed"]
    if timeless:
        yield Finding(
            "problem" if timeless > n["rows"] / 2 else "warning",
            f"{timeless:,} of {n['rows']:,} rows cannot be scored: {name} is NULL or no time",
            "mend them at the source, or choose another [source] time",
        )
    if n["future"]:
        yield Finding(
            "warning",
            f"{count(n['future'], 'row')} with a {name} in the future: not seen until then",
            "check [source] timezone and the clock of whatever writes them",
        )
    if n["timed"] > _TIED * n["times"]:
        yield Finding(
            "warning",
            f"many rows share a time: {n['timed']:,} rows hold {n['times']:,} different values of {name}",
            "rows of one time are never parted between training and test; a finer time tells more",
        )
    elif not timeless and not n["future"]:
        yield Finding("ok", f"{name} is a time in every row, with {n['times']:,} different values")
