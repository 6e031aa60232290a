"""Both stores of a copy, opened and found fit for it; nothing is written here but empty tables."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import sqlalchemy as sa
from pydantic import SecretStr

from rowcast.config import Settings
from rowcast.database import Database, connect, is_same_database
from rowcast.errors import BusyError, DatabaseError, StoreError, UsageError
from rowcast.job.opening import Job, check_key, describe_tables, open_job
from rowcast.source import declare_key, meet_store, open_source
from rowcast.store import Ledger, Runs, migrations
from rowcast.store.process import describe_process
from rowcast.store.registry import Registry


def _with_store(settings: Settings, url: str) -> Settings:
    """Return the settings of the same job with another store."""
    return settings.model_copy(update={"store": settings.store.model_copy(update={"url": SecretStr(url)})})


@contextmanager
def open_origin(settings: Settings) -> Iterator[Job]:
    """Open the job with the store that is to be copied.

    Raise StoreError where there is none, or not of this version; BusyError where a run is under way.
    """
    with open_job(settings, prepare=False) as job:
        where, found = job.store.safe_url, migrations.version(job.store, job.tables)
        if found is None or not job.ledger.is_registered():
            raise StoreError(
                f"{where} holds no store of job '{settings.name}'",
                hint="there is nothing to copy: name the other database in [store] url, and 'rowcast run' begins there",
            )
        _require_version(where, found)
        if migrations.ddl(job.store, job.tables, job.own, settings.store.schema_):
            raise StoreError(f"the tables of job '{settings.name}' in {where} are of an older version", hint=_UPGRADE)
        if running := job.runs.list_under_way():
            raise BusyError(
                f"run {running[0].run_id} is under way: {describe_process(running[0].host)}",
                hint="stop what runs this job, so that nothing is scored meanwhile, and give the same command again",
            )
        yield job


@contextmanager
def open_copy(origin: Job, url: str, *, create: bool) -> Iterator[Job | None]:
    """Open the same job with the other store; None where that is to be and not to be made, since `create` is False.

    Raise UsageError where both are one; StoreError where the other has another version, or holds the job already.
    """
    settings = _with_store(origin.settings, url)
    if is_same_database(origin.settings.store_url, settings.store_url):
        raise UsageError(f"{origin.store.safe_url} is the store itself", hint="name another database with --to")
    with ExitStack() as stack:
        store = _connect(settings.store_url, create=create)
        if store is None:
            yield None
            return
        stack.enter_context(closing(store))
        job = _describe(origin, settings, store)
        _refuse_used(job)
        if create:
            migrations.upgrade(store, job.tables, job.own, settings.store.schema_)
            check_key(store, job.own, settings, declare_key(job.source, store))
        yield job


_UPGRADE = "'rowcast run' upgrades it, or 'rowcast ddl' prints the statements; then copy it"


def _require_version(where: str, found: int) -> None:
    if found != migrations.VERSION:
        hint = _UPGRADE if found < migrations.VERSION else "install the newer rowcast that upgraded it"
        raise StoreError(
            f"the store in {where} has version {found}, this rowcast writes {migrations.VERSION}", hint=hint
        )


def _connect(url: str, *, create: bool) -> Database | None:
    try:
        return connect(url, create=create)
    except DatabaseError as error:
        if create or error.reason != "missing" or not url.startswith("sqlite:"):
            raise
        return None


def _describe(origin: Job, settings: Settings, store: Database) -> Job:
    is_together = is_same_database(settings.source_url, settings.store_url)
    source_db = store if is_together else origin.source.db
    source = meet_store(open_source(source_db, settings.source), store)
    shared, own = describe_tables(settings, source, store)
    keys = origin.ledger.keys
    ledger = Ledger(store, shared, own, settings.name, keys)
    runs, registry = Runs(store, shared, settings.name), Registry(store, shared, settings.name, keys)
    return Job(settings, source, store, shared, own, ledger, runs, registry)


def _refuse_used(job: Job) -> None:
    """Raise StoreError where the store cannot take the job."""
    where, name, found = job.store.safe_url, job.settings.name, migrations.version(job.store, job.tables)
    if found is None:
        return
    _require_version(where, found)
    names = [row["job"] for row in job.store.rows(sa.select(job.tables.job.c.job))]
    has_rows = any(_has_rows(job.store, table) for table in job.own.all)
    if has_rows or name.lower() in map(str.lower, names):
        raise StoreError(
            f"the store in {where} already holds job '{name}'",
            hint="nothing was copied: name a database without it, or another [store] schema in rowcast.toml",
        )


def _has_rows(store: Database, table: sa.Table) -> bool:
    if not store.admin.has_table(table):
        return False
    return bool(store.rows(sa.select(sa.literal(1).label("one")).select_from(table).limit(1)))
