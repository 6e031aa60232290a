"""Looks at everything that a job needs, changes nothing that stays, and names what is wrong with the way out."""

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from rowcast import features, fetch, notify
from rowcast.config import Monitor, Settings
from rowcast.database import Database, connect, is_same_database
from rowcast.errors import DatabaseError, RowcastError, describe
from rowcast.job.opening import describe_tables
from rowcast.source import Source, open_source
from rowcast.store import migrations
from rowcast.store.registry import Registry
from rowcast.store.tables import Tables
from rowcast.watch.chart_data import DAYS, group_column

_LARGE = 10_000  # rows from which a missing index is felt
_TIED = 10  # rows for each different time from which ties are worth a word
_FEW = 20  # rows of the positive class below which nothing can be learned well
_MUCH = 2e9  # bytes
_VALUES = 20  # label values that are counted


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, in one line; none holds a secret."""

    level: Literal["ok", "warning", "problem"]
    what: str
    way_out: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at drivers, databases, source, labels, store and champion. What fails becomes a problem, not an exception.

    Reads the whole source some times over: its keys, times and labels are counted.
    """
    findings = list(_guarded(_installed(settings)))
    with ExitStack() as stack:
        db = _opened("source", settings.source_url, stack, findings)
        store = db
        if not _together(settings):
            store = _opened("store", settings.store_url, stack, findings)
        source = _source(db, settings, findings) if db else None
        if source:
            findings += _guarded(_rows(source, settings))
            findings += _guarded(_columns(source, settings))
            findings += _charts(source, settings.monitor)
        if store:
            findings += _guarded(_store(source, store, settings))
    return [*findings, *_sinks(settings)]


def _guarded(findings: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except RowcastError as error:
        yield _problem(error)


def _problem(error: RowcastError) -> Finding:
    return Finding("problem", _whole(error), " ".join(error.hint.split()))


def _whole(error: RowcastError) -> str:
    """An error in one line, whatever it quotes: whoever runs the doctor may read the source."""
    return " ".join(describe(error, details=True).split())


def _systems(settings: Settings) -> list[str]:
    """Which databases the two URLs name; a URL that is none is left to `connect` to refuse."""
    found = []
    for url in (settings.source_url, settings.store_url):
        with suppress(ArgumentError, ValueError):
            found.append(make_url(url).get_backend_name())
    return found


def _together(settings: Settings) -> bool:
    return len(_systems(settings)) == 2 and is_same_database(settings.source_url, settings.store_url)


def _installed(settings: Settings) -> Iterator[Finding]:
    packages = ["rowcast", "pyarrow", "lightgbm", "scikit-learn"]
    drivers = {"sqlite": "adbc-driver-sqlite", "postgresql": "adbc-driver-postgresql", "mssql": "mssql-python"}
    packages += [package for system, package in drivers.items() if system in _systems(settings)]
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Finding(
                "problem", f"{package} is not installed", "pip install 'rowcast[postgresql]' or 'rowcast[mssql]'"
            )
    yield Finding("ok", f"Python {platform.python_version()}, {', '.join(found)}")
    if settings.model.estimator != "default":
        from rowcast.fit.candidates import user

        user(settings.model.estimator, seed=0)
        yield Finding("ok", f"estimator {settings.model.estimator} can be imported and stored")


# Databases


def _opened(role: str, url: str, stack: ExitStack, findings: list[Finding]) -> Database | None:
    try:
        db = connect(url)
        stack.callback(db.close)
        findings.append(Finding("ok", f"the {role} answers: {db.safe_url}, {db.admin.version()}"))
    except RowcastError as error:
        is_new = role == "store" and isinstance(error, DatabaseError) and error.reason == "missing"
        findings.append(_new_file(url) if is_new else _problem(error))
        return None
    return db


def _new_file(url: str) -> Finding:
    """A store that is a SQLite file is made by the first run, where the folder lets it."""
    path = Path(str(make_url(url).database))
    folder = next(folder for folder in path.parents if folder.exists())
    if os.access(folder, os.W_OK):
        return Finding("ok", f"there is no store yet: the first run creates {path}")
    return Finding("problem", f"the store {path} may not be created", f"make {folder} writable for this user")


def _sinks(settings: Settings) -> Iterator[Finding]:
    """Who is told of trouble, and whether what that needs is installed."""
    names = [sink.name for sink in notify.open_sinks(settings.notify)]
    needed = ["boto3"] * bool(settings.notify.sns_topic) + ["apprise"] * bool(settings.notify.urls)
    lacking = [package for package in needed if find_spec(package) is None]
    if lacking:
        told = f"nobody can be told: {' and '.join(lacking)} not installed"
        yield Finding("problem", told, "pip install 'rowcast[notify]'")
    elif names:
        yield Finding("ok", f"trouble is told to {', '.join(names)}; 'rowcast notify --test' tries each")
    else:
        yield Finding("ok", "trouble is told to nobody: [notify] can name an SNS topic, a mail address or a webhook")


# The source


def _source(db: Database, settings: Settings, findings: list[Finding]) -> Source | None:
    """The source, where its rows can be read."""
    what, where = settings.source.table or "the query", settings.source.where
    try:
        source = open_source(db, settings.source)
        db.rows(sa.select(sa.literal(1).label("one")).select_from(source.table()).limit(1))
    except DatabaseError as error:
        way_out = f"GRANT SELECT ON {what} to this user" if error.reason == "rights" else error.hint
        findings.append(Finding("problem", _whole(error), way_out))
        return None
    except RowcastError as error:
        findings.append(_problem(error))
        return None
    findings.append(Finding("ok", f"{what} can be read and has every column that the config names"))
    if where is None:
        return source
    try:
        some = db.rows(source.select(sa.literal(1).label("one")).limit(1))
    except RowcastError as error:
        told = f"[source] where cannot be run: {_whole(error)}"
        findings.append(Finding("problem", told, "it must be a condition in this database's SQL"))
        return None
    lets = Finding("ok", "[source] where lets rows through")
    lets_none = Finding("warning", "[source] where lets no row through", "check it, or wait for rows that are ready")
    findings.append(lets if some else lets_none)
    return source


def _rows(source: Source, settings: Settings) -> Iterator[Finding]:
    """Keys, times and labels, counted in one pass, and what only further passes can tell."""
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
    yield from _key(source, n)
    yield from _index(source, "key", settings.source.key, n["rows"])
    if source.time:
        yield from _time(source.time.name, n)
        yield from _index(source, "time", (source.time.name,), n["rows"])
    else:
        yield Finding("ok", "there is no time column: key order counts as time order")
    yield from _labels(source, settings, n)


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _key(source: Source, n: dict[str, int]) -> Iterator[Finding]:
    name = ", ".join(source.settings.key)
    unique, rows = source.relation.is_unique(source.settings.key), 0
    if not unique:
        keys = source.keys()
        repeated = source.select(sa.func.count().label("n")).where(*[key.is_not(None) for key in keys]).group_by(*keys)
        groups = repeated.having(sa.func.count() > 1).subquery("d")
        rows = int(source.db.scalar(sa.select(sa.func.coalesce(sa.func.sum(groups.c.n), 0).label("n"))))
    if unique and not n["keyless"]:
        yield Finding("ok", f"the key {name} is unique by constraint, and never NULL")
    elif not rows and not n["keyless"]:
        yield Finding(
            "warning",
            f"the key {name} does not repeat in {n['rows']:,} rows, but nothing keeps it from doing so",
            "a unique constraint on it spares rowcast to look for repeated keys in every batch",
        )
    else:
        unusable = rows + n["keyless"]
        yield Finding(
            "problem" if unusable > n["rows"] / 2 else "warning",
            f"{unusable:,} of {n['rows']:,} rows cannot be scored: the key {name} is NULL in {n['keyless']:,}"
            f" and repeated in {rows:,}",
            "mend them at the source, or choose key columns that name a row for good",
        )


def _index(source: Source, what: str, columns: tuple[str, ...], rows: int) -> Iterator[Finding]:
    if source.settings.query is not None:
        return
    name = ", ".join(columns)
    if any(set(index[: len(columns)]) == set(columns) for index in source.relation.indexed):
        yield Finding("ok", f"an index begins with the {what} {name}")
    elif rows < _LARGE:
        yield Finding("ok", f"no index begins with the {what} {name}; {rows:,} rows do not need one")
    else:
        schema, table = source.db.admin.split_name(str(source.settings.table))
        named = sa.Table(table, sa.MetaData(), *[sa.Column(column) for column in columns], schema=schema)
        index = sa.Index(f"{table}_{'_'.join(columns)}", *[named.c[column] for column in columns])
        statement = str(sa.schema.CreateIndex(index).compile(dialect=source.db.dialect))
        yield Finding("warning", f"no index begins with the {what} {name}: every run scans {rows:,} rows", statement)


def _time(name: str, n: dict[str, int]) -> Iterator[Finding]:
    timeless = n["rows"] - n["timed"]
    if timeless:
        yield Finding(
            "problem" if timeless > n["rows"] / 2 else "warning",
            f"{timeless:,} of {n['rows']:,} rows cannot be scored: {name} is NULL or no time",
            "mend them at the source, or choose another [source] time; times in SQLite are ISO 8601 or Unix seconds",
        )
    if n["future"]:
        yield Finding(
            "warning",
            f"{n['future']:,} rows lie in the future by {name}: they are not seen until then",
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


def _labels(source: Source, settings: Settings, n: dict[str, int]) -> Iterator[Finding]:
    label, known = source.label.name, source.has_known_label(source.db.now())
    yield from _known_labels(settings, label, n)
    if settings.task.kind == "regression":
        if source.label.kind != "number":
            way_out = 'cast it in a query, or set [task] kind = "multiclass"'
            yield Finding("problem", f"{label} is {source.label.type}: a regression needs numbers", way_out)
        return
    column = source.db.sql.feature(source.label).label("label")
    counted = source.select(column, sa.func.count().label("n")).where(known).group_by(column).limit(_VALUES + 1)
    found = sorted(source.db.rows(counted), key=lambda row: -int(row["n"]))
    classes = {row["label"]: int(row["n"]) for row in found}
    values = pa.array(list(classes))
    yield from _guarded(_classes(values, classes, settings, label))


def _known_labels(settings: Settings, label: str, n: dict[str, int]) -> Iterator[Finding]:
    share = f"{n['known']:,} of {n['rows']:,} rows ({n['known'] / n['rows']:.1%}) have a known {label}"
    if n["known"] < settings.model.min_train_rows:
        yield Finding(
            "problem",
            f"{share}: a model needs {settings.model.min_train_rows:,}",
            "wait for more labels, or lower [model] min_train_rows",
        )
    else:
        yield Finding("ok", share)
    if n["labelled"] > n["known"] and settings.source.label_time:
        yield Finding(
            "warning",
            f"{n['labelled'] - n['known']:,} rows hold a {label} that does not count yet: "
            f"{settings.source.label_time} is NULL, no time, or later than now",
            "fill it at the source, or drop [source] label_time",
        )


def _classes(values: pa.Array, classes: dict[Any, int], settings: Settings, label: str) -> Iterator[Finding]:
    if len(classes) > _VALUES:
        some = ", ".join(repr(value) for value in list(classes)[:5])
        yield Finding("problem", f"{label} has more than {_VALUES} values: {some} …", "a query can make two of them")
        return
    target = features.target(values, settings.task)
    shown = ", ".join(f"{value!r} in {n:,} rows" for value, n in classes.items())
    if target.kind == "multiclass":
        few = [f"{value!r}" for value, n in classes.items() if n < _FEW]
        if few:
            way_out = f"below {_FEW} of a class, what a model learns of it is mostly chance: wait for more"
            yield Finding("warning", f"{label} is {shown}: few are {', '.join(few)}", way_out)
        else:
            yield Finding("ok", f"{label} is {shown}")
        return
    rare = sum(n for n, is_positive in zip(classes.values(), target.values, strict=True) if is_positive)
    if rare < _FEW:
        way_out = f"below {_FEW} of them, what a model learns is mostly chance: wait for more"
        yield Finding("warning", f"{label} is {shown}: few are {settings.task.positive!r}", way_out)
    else:
        yield Finding("ok", f"{label} is {shown}; {settings.task.positive!r} is the one to find")


def _columns(source: Source, settings: Settings) -> Iterator[Finding]:
    features = source.features
    named = {*settings.source.key, *settings.source.exclude, settings.source.group}
    ignored = [c.name for c in source.relation.columns if c.kind == "other" and c.name not in named]
    kinds = [column.kind for column in features]
    if not features:
        yield Finding("problem", "no column is left as a feature", "name fewer columns in [source] exclude")
        return
    shown = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    yield Finding("ok", f"{len(features)} columns may become features ({shown})")
    if ignored:
        yield Finding(
            "warning",
            f"{len(ignored)} columns have a type that no model can use: {', '.join(ignored[:5])}",
            "a query can cast them; or name them in [source] exclude to say that it is meant so",
        )
    unknown = sorted(set(settings.check.columns) - set(source.relation.names))
    if unknown:
        yield Finding("problem", f"[check.columns] names no column of the source: {', '.join(unknown)}", "remove it")
    size = settings.model.max_train_rows * len(features) * 8
    if size > _MUCH:
        yield Finding(
            "warning",
            f"the table is wide: {settings.model.max_train_rows:,} training rows of {len(features):,} columns take"
            f" {size / 1e9:.1f} GB and more",
            "lower [model] max_train_rows, or name columns in [source] exclude, if memory is short",
        )


def _charts(source: Source, monitor: Monitor) -> Iterator[Finding]:
    """What [monitor] names for charts alone: no run fails for it, and so nobody else looks."""
    if monitor.group_by is None and monitor.events is None:
        return
    if source.time is None:
        told = "[monitor] group_by and events are for charts, which need a time"
        yield Finding("warning", told, "name [source] time, or leave both out")
    yield from _guarded(_grouped(source, monitor))
    yield from _guarded(_maintenance(source, monitor))


def _grouped(source: Source, monitor: Monitor) -> Iterator[Finding]:
    column = group_column(source, monitor)
    if column is not None:
        yield Finding("ok", f"charts are drawn by {column.name}")


def _maintenance(source: Source, monitor: Monitor) -> Iterator[Finding]:
    """Events as charts read them."""
    if monitor.events is None:
        return
    now = source.db.now()
    maintenance = fetch.Maintenance(source, monitor)
    try:
        batches = list(maintenance.fetch_by_day(now - timedelta(days=DAYS), now))
        timeless = maintenance.count_timeless()
    except DatabaseError as error:
        way_out = f"GRANT SELECT ON {monitor.events} to this user" if error.reason == "rights" else error.hint
        yield Finding("problem", f"[monitor] events cannot be read: {_whole(error)}", way_out)
        return
    rows = sum(row["rows"] for batch in batches for row in batch.to_pylist())
    yield Finding("ok", f"{monitor.events} can be read; events in the last {DAYS} days: {rows:,}")
    if timeless:
        told = f"events of {monitor.events} without a time that can be read, which charts leave out: {timeless:,}"
        yield Finding("warning", told, "give them one, or name a view without them")


# The store


def _store(source: Source | None, store: Database, settings: Settings) -> Iterator[Finding]:
    if source is None:
        return
    schema = settings.store.schema_
    shared, own = describe_tables(settings, source, store)
    found = migrations.version(store, shared)
    missing = [table.name for table in (*shared.shared, *own.all) if not store.admin.has_table(table)]
    if found is None or found < migrations.VERSION or missing:
        for lacking in store.admin.missing_rights(schema):
            yield Finding("problem", " ".join(lacking.split()), "'rowcast ddl' prints the tables for a DBA to create")
    if found is None:
        yield Finding("ok", f"the store has no tables yet: the first run creates them in {store.safe_url}")
        return
    if found > migrations.VERSION:
        yield Finding(
            "problem",
            f"the store has version {found}, this rowcast knows {migrations.VERSION}",
            "install the newer rowcast that upgraded it",
        )
        return
    upgrade = "" if found == migrations.VERSION else f"; the next run upgrades it to {migrations.VERSION}"
    yield Finding("ok", f"the store has version {found}{upgrade}")
    if missing:
        yield Finding("ok", f"the next run creates {', '.join(missing)}")
    for db in (store,) if store is source.db else (source.db, store):
        for what, way_out in db.admin.advice():
            yield Finding("warning", what, way_out)
    present = [table for table in (*shared.shared, *own.all) if table.name not in missing]
    for table in present:
        for grant in store.admin.missing_grants(table.schema, table.name, ("SELECT", "INSERT", "UPDATE", "DELETE")):
            yield Finding("problem", f"rights on {table.name} are missing", grant)
    yield from _owner(source, store, shared, settings)
    yield from _champion(source, store, shared, settings)


def _owner(source: Source, store: Database, shared: Tables, settings: Settings) -> Iterator[Finding]:
    owner = store.scalar(sa.select(shared.job.c.source).where(shared.job.c.job == settings.name))
    mine = source.identity if _together(settings) else f"{source.identity} in {source.db.safe_url}"
    if owner not in (None, mine):
        yield Finding(
            "problem",
            f"the job name '{settings.name}' is taken by another source: {owner} (this one is {mine})",
            "give this job another 'name' in rowcast.toml",
        )


def _champion(source: Source, store: Database, shared: Tables, settings: Settings) -> Iterator[Finding]:
    registry = Registry(store, shared, settings.name)
    champion = registry.champion()
    if champion is None:
        yield Finding("ok", "there is no champion yet: 'rowcast run' trains and promotes the first")
        return
    model = registry.load(champion)
    gone = [name for name in model.features if name not in source.relation.names]
    if gone:
        yield Finding(
            "problem",
            f"champion v{champion} needs columns that the source no longer has: {', '.join(gone[:5])}",
            "give them back; or 'rowcast retrain' trains without them, and 'rowcast promote V' puts that in service",
        )
    else:
        yield Finding("ok", f"champion v{champion} is whole and uses {len(model.features)} columns")
