"""The store: its version, the rights on its tables, who owns the job's name, and the champion."""

from collections.abc import Iterator

import sqlalchemy as sa

from rowcast import fetch
from rowcast.config import Settings
from rowcast.database import Database
from rowcast.doctor.finding import Finding, to_problem
from rowcast.doctor.growth import check_growth
from rowcast.doctor.rights import check_grants
from rowcast.errors import DatabaseError
from rowcast.formatting import count
from rowcast.job.meaning import find_differences, make_error
from rowcast.job.opening import describe_tables, name_owner
from rowcast.job.rights import list_store_grants
from rowcast.messages.scope import describe_scope
from rowcast.source import Scope, Source
from rowcast.store import Ledger, migrations
from rowcast.store.registry import Registry
from rowcast.store.signing import SigningKeys
from rowcast.store.tables import Tables

_BY_A_DBA = "or 'rowcast ddl' prints the tables, and the rights on them, for an administrator"


def check_store(source: Source | None, store: Database, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the store: its version, missing tables and rights, the job's name, the champion."""
    if source is None:
        return
    shared, own = describe_tables(settings, source, store)
    every = (*shared.shared, *own.all)
    missing = [table.name for table in every if not store.admin.has_table(table)]
    is_hidden = missing and store.dialect.name == "mssql"  # it shows a table to whoever has a right on it
    hint = "tables that an administrator has made are not seen without it" if is_hidden else ""
    needed = list_store_grants(store, settings, shared, own)
    unusable = list(check_grants(store, needed, hint))
    yield from unusable
    try:
        found = migrations.version(store, shared)
    except DatabaseError as error:
        if error.reason == "rights" and unusable:
            return
        raise
    if found is not None and found < migrations.VERSION and not store.admin.may_alter(shared.version):
        told = f"{store.admin.user()} may not upgrade the store's tables from version {found} to {migrations.VERSION}"
        yield Finding("problem", told, "'rowcast ddl' prints the statements for an administrator")
        return
    lacking: list[Finding] = []
    if found is None or missing:
        to_create = store.admin.list_creation_grants(settings.store.schema_)
        further = [grant for grant in to_create if not any(grant.is_within(other) for other in needed)]
        lacking = list(check_grants(store, further, _BY_A_DBA))
    yield from lacking
    if found is None and (lacking or unusable):
        return
    if found is None:
        yield _tell_scope(source, settings, Scope())
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
    if missing and not lacking:
        yield Finding("ok", f"the next run creates {', '.join(missing)}")
    for db in (store,) if store is source.db else (source.db, store):
        for what, statement in db.admin.advice():
            yield Finding("warning", what, "", statement)
    if unusable:
        return
    yield from _check_owner(source, store, shared, settings)
    yield from _check_champion(source, store, shared, settings)
    if found == migrations.VERSION and not missing:
        ledger = Ledger(store, shared, own, settings.name)
        yield _tell_scope(source, settings, ledger.state().scope if ledger.is_registered() else Scope())
        yield from check_growth(store, shared, own, settings)


def _check_owner(source: Source, store: Database, shared: Tables, settings: Settings) -> Iterator[Finding]:
    owner = store.scalar(sa.select(shared.job.c.source).where(shared.job.c.job == settings.name))
    mine = name_owner(source, store)
    if owner not in (None, mine):
        yield Finding(
            "problem",
            f"the job name '{settings.name}' is taken by another source: {owner} (this one is {mine})",
            "give this job another 'name' in rowcast.toml",
        )


def _check_champion(source: Source, store: Database, shared: Tables, settings: Settings) -> Iterator[Finding]:
    registry = Registry(store, shared, settings.name, SigningKeys.of(settings.signing_keys))
    champion = registry.champion()
    if champion is None:
        yield Finding("ok", "there is no champion yet: 'rowcast run' trains and promotes the first")
        return
    model = registry.load(champion)
    computed = {column.name for column in model.past}
    gone = [name for name in model.features if name not in source.relation.names and name not in computed]
    if gone:
        yield Finding(
            "problem",
            f"champion v{champion} needs columns that the source no longer has: {', '.join(gone[:5])}",
            "give them back; or 'rowcast retrain' trains without them, and 'rowcast promote V' puts that in service",
        )
    differences = find_differences(registry.version(champion), source, settings.task)
    yield from (to_problem(make_error(champion, difference)) for difference in differences)
    if not gone and not differences:
        yield Finding("ok", f"champion v{champion} is whole and uses {count(len(model.features), 'column')}")


def _tell_scope(source: Source, settings: Settings, kept: Scope) -> Finding:
    """Tell which rows are scored, or would be if the first model were promoted now."""
    now = source.db.now()
    scope = kept if kept.is_fixed else fetch.find_initial_scope(source, now, settings.infer.since)
    return Finding("ok", describe_scope(fetch.count_scope(source, now, scope), is_fixed=kept.is_fixed))
