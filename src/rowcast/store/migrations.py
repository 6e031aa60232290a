"""Creates the store's tables, and leads an older store to the present version one step at a time.

The tables that jobs share are led up together. A job's own tables gain what they lack when that job is opened, since
the store does not know the keys of the others. What may be NULL only since then stays NOT NULL in older tables, whose
rows always have it: SQLite would have to copy them whole.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import DatabaseError, StoreError
from rowcast.store.records import DecisionOutcome, EndCause
from rowcast.store.scope_record import ScopeRecord
from rowcast.store.signing import NO_KEYS
from rowcast.store.tables import JobTables, Tables

_LONGEST = 1_000_000  # characters of a reason


def _leases(db: Database, tables: Tables) -> list[str]:
    """To version 2: who trains, whether a run is alive, what was planned together, what a row's hash is made of."""
    return [
        _add_column(db, tables.job, "training_run"),
        _add_column(db, tables.run, "lease_until"),
        _add_column(db, tables.batch, "plan"),
        _add_column(db, tables.batch, "accepted"),
        _add_column(db, tables.batch, "also_read"),
    ]


def _options(db: Database, tables: Tables) -> list[str]:
    """To version 3: what a run was asked for, and how many processes died over a batch."""
    return [_add_column(db, tables.run, "options"), _add_column(db, tables.batch, "deaths")]


def _own_tables(_db: Database, _tables: Tables) -> list[str]:
    """To version 4: nothing that jobs share; their own tables gain the shadow, and columns."""
    return []


def _alerts(db: Database, tables: Tables) -> list[str]:
    """To version 5: the table of alerts, and which decisions have become one."""
    return [_add_column(db, tables.promotion, "alerted")]


def _profiles(db: Database, tables: Tables) -> list[str]:
    """To version 6: what rows looked like and how that changed, and what a version's rows are held against."""
    return [_add_column(db, tables.model, name) for name in ("edges", "reference", "weights")]


def _unused(db: Database, tables: Tables) -> list[str]:
    """To version 7: what columns looked like that the model does not use."""
    return [_add_column(db, tables.profile, "unused")] if db.admin.has_table(tables.profile) else []


def _end_causes(db: Database, tables: Tables) -> list[str]:
    """To version 8: why a run ended. Until then its error was all that said so of a run whose process had died."""
    table = tables.run
    said = {"the process ended without a word": EndCause.DIED}
    said["its process could not say how it ended"] = EndCause.UNRECORDED
    return [_add_column(db, table, "end_cause"), *(_end_cause_of(db, table, *each) for each in said.items())]


def _dedup_keys(db: Database, tables: Tables) -> list[str]:
    """To version 9: by what an alert is recognised. Until then its text was; of costs also which version it was of."""
    table = tables.alert
    if not db.admin.has_table(table):
        return []
    old = db.rows(sa.select(table.c.alert_id, table.c.detail).where(table.c.topic == "cost"))
    keys = {row["alert_id"]: _cost_key(json.loads(row["detail"])) for row in old}
    updates = [table.update().where(table.c.alert_id == number).values(dedup_key=key) for number, key in keys.items()]
    return [_add_column(db, table, "dedup_key"), *(_later(db, update) for update in updates)]


def _cost_key(detail: dict[str, str]) -> str:
    """What version 9 writes of an alert with a title such as `v2 costs more than it promised`."""
    return f"{detail['title'].partition(' ')[0]}:{detail.get('alike', '')}"


def _reasons(db: Database, tables: Tables) -> list[str]:
    """To version 10: reasons without the outcome, which has a column of its own. What a person wrote stays as it is."""
    table = tables.promotion
    return [_without_prefix(db, table, outcome) for outcome in DecisionOutcome]


def _without_prefix(db: Database, table: sa.Table, outcome: DecisionOutcome) -> str:
    prefix, reason = f"{outcome}: ", table.c.reason
    begins = sa.func.substring(reason, 1, len(prefix)) == prefix
    mine = sa.and_(table.c.decided_by == "gate", table.c.decision == outcome, begins)
    rest = sa.func.substring(reason, len(prefix) + 1, _LONGEST)
    update = table.update().where(mine).values(reason=rest)
    return str(update.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True}))


def _meanings(db: Database, tables: Tables) -> list[str]:
    """To version 11: what the predictions of a model version mean. Of an older version nobody knows."""
    return [_add_column(db, tables.model, "meaning")]


def _signatures(db: Database, tables: Tables) -> list[str]:
    """To version 12: signatures of model versions. An older version has none until a person signs it."""
    return [_add_column(db, tables.model, "signature")]


def _scopes(db: Database, tables: Tables) -> list[str]:
    """To version 13: whether rows are scored that the champion could learn from. NULL is yes, as before."""
    return [_add_column(db, tables.job, "with_learned")]


def _begun_runs(db: Database, tables: Tables) -> list[str]:
    """To version 14: which drift an end is of, now that several may stand."""
    return [_add_column(db, tables.drift, "begun_run")] if db.admin.has_table(tables.drift) else []


def _checksums(db: Database, tables: Tables) -> list[str]:
    """To version 15: what an audit holds results against, and batches whose results were forgotten.

    Batches of before have no checksum. Where scoring begins is recorded as it is now.
    """
    job, batch = tables.job, tables.batch
    added = [_add_column(db, batch, name) for name in ("checksum", "signature", "forgotten", "forgotten_run")]
    columns = [job.c.job, job.c.scope_from, job.c.scope_after]
    columns += [job.c.with_learned] if (version(db, tables) or 1) >= 13 else []
    updates = []
    for row in db.rows(sa.select(*columns)):
        found = ScopeRecord(row["scope_from"], row["scope_after"], row.get("with_learned"))
        if found.is_fixed:
            record = found.to_json(row["job"], NO_KEYS)
            updates.append(_later(db, job.update().where(job.c.job == row["job"]).values(scope_record=record)))
    return [*added, _add_column(db, job, "scope_record"), *updates]


def _online(_db: Database, _tables: Tables) -> list[str]:
    """To version 16: the table of the HTTP service's keys, and for each job what the service recorded."""
    return []


def _shadow_batches(_db: Database, _tables: Tables) -> list[str]:
    """To version 17: the table of what versions in the shadow scored, for the audit. Earlier scores are not in it."""
    return []


def _mirrors(_db: Database, _tables: Tables) -> list[str]:
    """To version 18: the table of what a tracking server was sent."""
    return []


def _row_hashes(db: Database, tables: Tables) -> list[str]:
    """To version 19: how a batch's row hashes are made. Until then it was always the same way."""
    return [_add_column(db, tables.batch, "hashed_by")]


def _end_cause_of(db: Database, run: sa.Table, error: str, cause: EndCause) -> str:
    return _later(db, run.update().where(run.c.error == error).values(end_cause=cause))


def _later(db: Database, statement: sa.Update) -> str:
    """A statement about a column that one before it adds."""
    text = str(statement.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True}))
    # SQL Server looks up every name of a batch before it adds the column that is added in the same batch.
    if db.dialect.name != "mssql":
        return text
    quoted = text.replace("'", "''")
    return f"EXEC(N'{quoted}')"


def _list_lacking(db: Database, tables: Iterable[sa.Table]) -> list[str]:
    """The statements that add what tables were made without: columns that may be NULL, and indexes."""
    found = []
    for table in tables:
        everything: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(table)
        there = db.read(everything, {}, 0)[0].schema.names
        found += [
            _add_column(db, table, column.name) for column in table.c if column.nullable and column.name not in there
        ]
        # A table of another key lacks columns that are not added either: check_key refuses it, with the way out.
        fitting = [each for each in _indexes(table) if all(c.nullable or c.name in there for c in each.columns)]
        lacking = [each for each in fitting if not db.admin.has_index(table, each.columns[0].name)]
        found += [_add_index(db, index) for index in lacking]
    return found


def _add_column(db: Database, table: sa.Table, column: str) -> str:
    """The statement that adds a column as tables.py declares it; it must still do so in later versions."""
    name = db.dialect.identifier_preparer.format_table(table)
    return f"ALTER TABLE {name} ADD {sa.schema.CreateColumn(table.c[column]).compile(dialect=db.dialect)}"


def _add_index(db: Database, index: sa.Index) -> str:
    return str(sa.schema.CreateIndex(index).compile(dialect=db.dialect))


# From each version to the next, the statements that lead there; the tables that are missing are made afterwards.
STEPS: tuple[Callable[[Database, Tables], list[str]], ...] = (
    _leases,
    _options,
    _own_tables,
    _alerts,
    _profiles,
    _unused,
    _end_causes,
    _dedup_keys,
    _reasons,
    _meanings,
    _signatures,
    _scopes,
    _begun_runs,
    _checksums,
    _online,
    _shadow_batches,
    _mirrors,
    _row_hashes,
)
VERSION = 1 + len(STEPS)


def upgrade(db: Database, tables: Tables, own: JobTables, schema: str) -> None:
    """Create or upgrade what is not there yet. Raises StoreError where that is not allowed or the store is newer."""
    for more in (True, True, False):
        try:
            _upgrade(db, tables, own, schema)
            return
        except DatabaseError as error:
            if error.reason == "rights":
                raise _make_rights_error(db, tables, error) from error
            if error.reason != "duplicate" or not more:  # else another process has just created the same
                raise


def _make_rights_error(db: Database, tables: Tables, error: DatabaseError) -> StoreError:
    """Return the error of what was not allowed, with the way out: the doctor, where a right is all that is missing."""
    if db.dialect.name == "sqlite":  # who may make tables is the file's matter
        return StoreError(f"rowcast may not write to its store: {error.what}", hint=error.hint, detail=error.detail)
    doctor = "'rowcast doctor' names each right that is missing, and the statement that gives it"
    if not db.admin.has_table(tables.version):
        what, hint = "create its tables", "'rowcast ddl' prints them, and the rights on them, for an administrator"
        return StoreError(f"rowcast may not {what}: {error.what}", hint=f"{hint}; {doctor}", detail=error.detail)
    found = None
    with suppress(DatabaseError):  # this user may not even look
        found = version(db, tables)
    if found is None or found == VERSION:
        return StoreError(f"rowcast may not use its tables: {error.what}", hint=doctor, detail=error.detail)
    what = f"rowcast may not upgrade its tables from version {found} to {VERSION}: {error.what}"
    return StoreError(what, hint="'rowcast ddl' prints the statements for an administrator", detail=error.detail)


def _upgrade(db: Database, tables: Tables, own: JobTables, schema: str) -> None:
    found = version(db, tables)
    if found is None:
        db.admin.prepare_store(schema)
        with db.transaction("write"):
            if version(db, tables) is None:  # another process may have been first
                _create(db, tables.shared)
                db.execute(tables.version.insert().values(version=VERSION, created_at=db.now()))
            _create(db, own.all)
        return
    if found > VERSION:
        raise StoreError(
            f"the store in {db.safe_url} has version {found}, this rowcast knows {VERSION}",
            hint="install the newer rowcast that upgraded it",
        )
    there = list(filter(db.admin.has_table, own.all))
    missing = [table for table in own.all if table not in there]
    if found < VERSION or missing or _list_lacking(db, there):
        with db.transaction("write"):
            # The version's row is the lock: another process may be upgrading just now.
            db.execute(tables.version.update().values(created_at=tables.version.c.created_at))
            statements = [s for step in STEPS[(version(db, tables) or found) - 1 :] for s in step(db, tables)]
            for statement in [*statements, *_list_lacking(db, filter(db.admin.has_table, own.all))]:
                db.execute(sa.text(statement.replace(":", r"\:")))  # a colon would begin a parameter
            if version(db, tables) != VERSION:
                db.execute(tables.version.insert().values(version=VERSION, created_at=db.now()))
            _create(db, [*tables.shared, *missing])


def version(db: Database, tables: Tables) -> int | None:
    """The version of the store's tables, None where there are none."""
    if not db.admin.has_table(tables.version):
        return None
    found: int | None = db.scalar(sa.select(sa.func.max(tables.version.c.version)))
    return found


def ddl(db: Database, tables: Tables, own: JobTables, schema: str) -> list[str]:
    """Every statement that creates the store, or leads it to this version, for an administrator to read and run.

    None where the tables are there and this user may not look at them.
    """
    try:
        found = version(db, tables)
    except DatabaseError as error:
        if error.reason != "rights":
            raise
        return []  # they are there, and this user may not look at them
    if found is None:
        statements = db.admin.schema_ddl(schema)
        missing = [*tables.shared, *own.all]
    else:
        statements = [statement for step in STEPS[found - 1 :] for statement in step(db, tables)]
        statements += _list_lacking(db, filter(db.admin.has_table, own.all))
        missing = [table for table in (*tables.shared, *own.all) if not db.admin.has_table(table)]
    for table in missing:
        statements.append(str(sa.schema.CreateTable(table).compile(dialect=db.dialect)).strip())
        statements += [_add_index(db, index) for index in _indexes(table)]
        statements += db.admin.table_ddl(table)
    if found != VERSION:
        insert = tables.version.insert().values(version=VERSION, created_at=sa.func.current_timestamp())
        statements.append(str(insert.compile(dialect=db.dialect, compile_kwargs={"literal_binds": True})))
    return statements


def _create(db: Database, tables: Sequence[sa.Table]) -> None:
    for table in tables:
        if not db.admin.has_table(table):
            db.execute(sa.schema.CreateTable(table))
            for index in _indexes(table):
                db.execute(sa.schema.CreateIndex(index))
            for statement in db.admin.table_ddl(table):
                db.execute(sa.text(statement))


def _indexes(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))
