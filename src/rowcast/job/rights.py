"""What a job must be allowed to do in its databases: no more than what its runs do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rowcast.config import Settings
from rowcast.database import Database, Grant
from rowcast.job.opening import Job
from rowcast.source import Source
from rowcast.store.tables import JobTables, Tables

_READ = ("SELECT",)
_APPEND = ("SELECT", "INSERT")
_CHANGE = ("SELECT", "INSERT", "UPDATE")
_REPLACE = ("SELECT", "INSERT", "DELETE")
_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True)
class GrantBlock:
    """Statements that grant what one user needs in one database."""

    told: str  # of what they are, in a line
    statements: tuple[str, ...]
    commands: tuple[str, ...]  # of the system, where there is no SQL for it


def write_grants(job: Job, role: str | None) -> list[GrantBlock]:
    """Return the statements that grant what a job needs: in the store, and in the source where that is elsewhere.

    Without a `role` they are for whoever is connected.
    """
    in_store = list_store_grants(job.store, job.settings, job.tables, job.own)
    in_source = list_source_grants(job.source, job.settings)
    if job.store is job.source.db:
        kept = [grant for grant in in_source if not any(grant.is_within(other) for other in in_store)]
        places = [(job.store, [*in_store, *kept])]
    else:
        places = [(job.store, in_store), (job.source.db, in_source)]
    return [_write(db, grants, role, job.settings) for db, grants in places]


def _write(db: Database, grants: Sequence[Grant], role: str | None, settings: Settings) -> GrantBlock:
    user = role or db.admin.user()
    told = f"what {user} needs in {db.safe_url}"
    if settings.source.query is not None:
        told += "; of a query also SELECT on each table that it reads"
    sql = [db.admin.write_grant(grant, user) for grant in grants if grant.on not in ("file", "folder")]
    commands = [db.admin.write_grant(grant, user) for grant in grants if grant.on in ("file", "folder")]
    return GrantBlock(" ".join(told.split()), tuple(sql), tuple(commands))


def list_store_grants(store: Database, settings: Settings, shared: Tables, own: JobTables) -> list[Grant]:
    """Return what is needed to work with the store's tables once they are there."""
    return store.admin.list_store_grants(settings.store.schema_, list_table_rights(shared, own))


def list_source_grants(source: Source, settings: Settings) -> list[Grant]:
    """Return what is needed to read the source, and what [monitor] names. Of a query its tables are not known."""
    return source.db.admin.list_source_grants(list_tables_read(settings))


def list_tables_read(settings: Settings) -> list[str]:
    """Return the tables that the config names, as it spells them."""
    named = (settings.source.table, settings.monitor.events)
    return [name for name in named if name is not None]


def list_table_rights(shared: Tables, own: JobTables) -> Mapping[sa.Table, Sequence[str]]:
    """Return what is done to each of the store's tables."""
    return {
        shared.version: _READ,
        shared.job: _CHANGE,
        shared.run: _CHANGE,
        shared.step: _REPLACE,
        shared.batch: _CHANGE,
        shared.metric: _REPLACE,
        shared.model: _CHANGE,
        shared.profile: _REPLACE,
        shared.drift: _APPEND,
        shared.promotion: _CHANGE,
        shared.alert: _CHANGE,
        shared.api_key: _CHANGE,
        shared.shadow_batch: _ALL,
        shared.mirror: _CHANGE,
        own.prediction: _REPLACE,
        own.quarantine: _REPLACE,
        own.history: _REPLACE,
        own.forgotten: _APPEND,
        own.shadow: _REPLACE,
        own.online: _REPLACE,
        **dict.fromkeys(own.staging, _REPLACE),
    }
