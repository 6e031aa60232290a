"""A job opened for work: its source, its store, its ledger and its models."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from rowcast import fetch, notify
from rowcast.config import Settings
from rowcast.database import Column, Database, connect, is_same_database
from rowcast.database.retry import retry_transient
from rowcast.errors import ConfigError, SourceError, StoreError, UsageError
from rowcast.source import Source, declare_key, is_reserved, meet_store, open_source, parse_instant
from rowcast.store import Ledger, Profiles, Runs, migrations
from rowcast.store.alerts import Alerts
from rowcast.store.api_keys import ApiKeys
from rowcast.store.job_rows import JobRows
from rowcast.store.online import Online
from rowcast.store.registry import Registry
from rowcast.store.signing import SigningKeys
from rowcast.store.tables import JobTables, Tables, job_tables, tables

Result = TypeVar("Result")

_OWN = {"model_version", "run_id", "batch_id", "scored_at", "quarantined_at", "row_hash", "score", "predicted"}
_OWN |= {"n", "total", "gap", "place"}  # of planning
_OWN |= {"threshold", "contributions", "reasons", "row_values", "was", "since", "until"}
_OWN |= {"uncertain", "possible", "low", "high", "online_request", "online_client", "online_at"}


@dataclass(frozen=True)
class Job:
    """Everything that a step needs, opened once for each process."""

    settings: Settings
    source: Source
    store: Database
    tables: Tables
    own: JobTables
    ledger: Ledger
    runs: Runs
    registry: Registry

    def retry(self, work: Callable[[], Result], tell: Callable[[], None] = lambda: None) -> Result:
        """Return what `work` returns; try again with new connections where a database was away for a moment."""
        databases = [self.store] if self.store is self.source.db else [self.source.db, self.store]
        return retry_transient(work, *databases, tell=tell)

    def is_ahead(self, moment: datetime, now: datetime) -> bool:
        """Return whether a recorded moment lies ahead of a run's `now` and of the store's clock.

        A clock wrote it that was ahead, or a run as of the future: until then it would keep work from being done.
        """
        return moment > now and moment > self.store.now()

    @property
    def pending(self) -> fetch.Pending:
        return fetch.Pending(self.rows)

    @property
    def rows(self) -> JobRows:
        return JobRows(self.source, self.store, self.own)

    @property
    def profiles(self) -> Profiles:
        return Profiles(self.store, self.tables, self.settings.name)

    @property
    def alerts(self) -> Alerts:
        return alerts(self.settings, self.store, self.tables)

    @property
    def api_keys(self) -> ApiKeys:
        return ApiKeys(self.store, self.tables, self.settings.name)

    @property
    def online(self) -> Online:
        return Online(self.store, self.own)

    @property
    def checked_columns(self) -> list[str]:
        """The candidate features, and columns that only the config's checks name."""
        names = {column.name for column in self.source.features} | set(self.settings.check.columns)
        return [name for name in self.source.relation.names if name in names]


def alerts(settings: Settings, store: Database, shared: Tables) -> Alerts:
    """Return the alerts of a job, with the sinks and the severity of its config."""
    names = [sink.name for sink in notify.open_sinks(settings.notify)]
    about = settings.notify
    return Alerts(store, shared, settings.name, names, about.min_severity, about.digest)


@contextmanager
def open_job(settings: Settings, *, prepare: bool = True) -> Iterator[Job]:
    """Connect, check the source against the config, and see that the store's tables are there.

    `prepare` False touches nothing: for looking at a store that may not exist.
    """
    with ExitStack() as stack:
        source_db = connect(settings.source_url)
        stack.callback(source_db.close)
        store = source_db
        if not is_same_database(settings.source_url, settings.store_url):
            store = connect(settings.store_url, create=True)
            stack.callback(store.close)
        source = meet_store(open_source(source_db, settings.source), store)
        _check_overrides(settings)
        shared, own = describe_tables(settings, source, store)
        keys = SigningKeys.of(settings.signing_keys)
        ledger = Ledger(store, shared, own, settings.name, keys)
        if prepare:
            migrations.upgrade(store, shared, own, settings.store.schema_)
            check_key(store, own, settings, declare_key(source, store))
            ledger.register(name_owner(source, store))
        runs, registry = (
            Runs(store, shared, settings.name),
            Registry(store, shared, settings.name, keys),
        )
        yield Job(settings, source, store, shared, own, ledger, runs, registry)


def name_owner(source: Source, store: Database) -> str:
    """Return which source a job's name belongs to, as the store records it."""
    return source.identity if store is source.db else f"{source.identity} in {source.db.recorded_url}"


def _check_overrides(settings: Settings) -> None:
    named = settings.source
    taken = {*named.key, named.time, named.label, named.label_time, named.group} & set(settings.check.columns)
    if taken:
        raise ConfigError(
            f"[check.columns] names '{min(map(str, taken))}', which [source] uses as key, time, label or group",
            hint="checks are for columns that a model may use",
        )


def check_key(store: Database, own: JobTables, settings: Settings, key: Sequence[Column]) -> None:
    """Raise StoreError where the job's own tables were made with another key: its columns come first in them."""
    table = own.quarantine
    found = store.admin.describe(f"{table.schema}.{table.name}" if table.schema else table.name, None)
    assert found is not None
    made_for = found.columns[: found.names.index("run_id")] if "run_id" in found.names else found.columns
    names = [column.name for column in made_for]
    if names != list(settings.source.key):
        raise StoreError(
            f"job '{settings.name}' keeps its rows by the key {', '.join(names)};"
            f" rowcast.toml says {', '.join(settings.source.key)}",
            hint="restore source.key, or give the job another 'name': then it begins anew",
        )
    for was, now in zip(made_for, key, strict=True):
        # A column without a type holds values of any kind.
        if was.type and now.type and (was.kind, was.integer) != (now.kind, now.integer):
            raise StoreError(
                f"job '{settings.name}' keeps its rows by {was.name} as {was.type}; at the source it is {now.type} now",
                hint=f"a view or 'query' can cast it: CAST({was.name} AS {was.type}) AS {was.name};"
                " or give the job another 'name': then it begins anew",
            )


def is_taken(key: str) -> bool:
    """Return whether a key column has the name of a column that rowcast itself writes."""
    return key.lower() in _OWN or is_reserved(key)


def describe_tables(settings: Settings, source: Source, store: Database) -> tuple[Tables, JobTables]:
    """Return the store's tables as this job sees them. Raise SourceError where its key takes a name of theirs."""
    taken = [name for name in settings.source.key if is_taken(name)]
    if taken:
        raise SourceError(
            f"the key column '{taken[0]}' has the name of a column that rowcast itself writes",
            hint=f"use a 'query' that gives it another name: {taken[0]} AS my_{taken[0]}",
        )
    shared = tables(store, settings.store.schema_)
    key = declare_key(source, store)
    return shared, job_tables(
        store, shared, settings.store.schema_, settings.name, key, _prediction_type(source.label, settings)
    )


def _prediction_type(label: Column, settings: Settings) -> Any:
    """What is predicted is written as the source writes its label, so that the two compare."""
    if settings.task.kind == "regression":
        return sa.Double
    if label.kind == "number":
        return sa.BigInteger if label.integer else sa.Double
    return sa.Boolean if label.kind == "boolean" else sa.Text


def resolve_now(settings: Settings, as_of: str | None, store: Database) -> datetime:
    """Return the moment that counts: the store's clock, or the one that the user named."""
    return store.now() if as_of is None else parse_moment("--as-of", as_of, settings.source.timezone)


def parse_moment(option: str, text: str, timezone: str) -> datetime:
    """Return the point in time that an option names. Raise UsageError where it is none."""
    try:
        return parse_instant(text, timezone)
    except ConfigError as error:
        raise UsageError(f"{option}: {error.what}", hint=error.hint, detail=error.detail) from None
