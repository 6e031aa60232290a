"""Creating the store, finding one that is newer or older, and leaving it to a database administrator."""

import hashlib
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
import sqlalchemy as sa
from test_ledger import KEY, bad, claimed, opened, predictions, runs_of

from rowcast.audit.batches import BatchCounts, check_shadows
from rowcast.database import Column
from rowcast.errors import DatabaseError, StoreError
from rowcast.messages.events import cost_key
from rowcast.source import RowHash, Scope
from rowcast.store import BatchResult, Ledger, migrations
from rowcast.store.alert_record import Alert
from rowcast.store.alerts import Alerts
from rowcast.store.api_keys import ApiKeys, KeyScope
from rowcast.store.online import Online, RequestId
from rowcast.store.profiles import Profiles, find_standing
from rowcast.store.records import (
    DecisionOutcome,
    DriftRecord,
    EndCause,
    NewDecision,
    PipelineName,
    RunStatus,
    StepRecord,
    StepStatus,
)
from rowcast.store.registry import Registry
from rowcast.store.scope_record import ScopeState
from rowcast.store.signing import SignatureState, SigningKeys
from rowcast.store.tables import job_tables, tables

pytestmark = pytest.mark.everywhere

AT = datetime(2026, 5, 1, tzinfo=UTC)


def described(db, job="wafers", schema="rowcast"):
    shared = tables(db, schema)
    return shared, job_tables(db, shared, schema, job, KEY, sa.BigInteger)


def test_an_empty_database_has_no_version(db):
    shared, _ = described(db)
    assert migrations.version(db, shared) is None


def test_the_store_is_created_once_and_left_alone_then(db):
    shared, own = described(db)
    for _ in range(2):
        migrations.upgrade(db, shared, own, "rowcast")
        assert migrations.version(db, shared) == migrations.VERSION
    assert all(db.admin.has_table(table) for table in (*shared.shared, *own.all))
    assert len(db.rows(sa.select(shared.version))) == 1


def test_a_second_job_gets_tables_of_its_own(db):
    migrations.upgrade(db, *described(db), "rowcast")
    shared, own = described(db, "lots")
    migrations.upgrade(db, shared, own, "rowcast")
    assert db.admin.has_table(own.prediction)
    assert db.admin.has_table(own.quarantine)


@pytest.mark.parametrize("name", ['it\'s "quoted"', "ü [x] 100% :a ?", "x; DROP TABLE rowcast_run; --"])
def test_jobs_and_schemas_may_have_any_name(database, name):
    database.deviates("it reads names of such signs otherwise")
    db = database.connect()
    shared, own = described(db, name, name)
    migrations.upgrade(db, shared, own, name)
    ledger = Ledger(db, shared, own, name)
    ledger.register(name)
    assert ledger.publish(claimed(ledger), BatchResult(predictions(1), bad(2)), None)
    assert [row["id"] for row in db.rows(sa.select(own.prediction))] == [1]


def test_many_may_create_the_store_at_once(database):
    connections = [database.connect() for _ in range(4)]
    start, failed = threading.Barrier(len(connections)), []

    def create(db, job):
        start.wait()
        try:
            migrations.upgrade(db, *described(db, job), "rowcast")
        except Exception as error:  # whatever it is, the test shows it
            failed.append(error)

    jobs = ["wafers", "lots"] * 2
    threads = [threading.Thread(target=create, args=given) for given in zip(connections, jobs, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for job in jobs:
        shared, own = described(connections[0], job)
        assert len(connections[0].rows(sa.select(shared.version))) == 1
        assert all(connections[0].admin.has_table(table) for table in (*shared.shared, *own.all))


def test_a_newer_store_is_refused(db):
    shared, own = described(db)
    migrations.upgrade(db, shared, own, "rowcast")
    db.execute(shared.version.insert().values(version=migrations.VERSION + 1, created_at=db.now()))
    with pytest.raises(StoreError, match=f"version {migrations.VERSION + 1}, this rowcast knows {migrations.VERSION}"):
        migrations.upgrade(db, shared, own, "rowcast")


# Version 1 of what changed since, as it was created then; columns that no later step touches are left out.
VERSION_1 = {
    "version": "version INTEGER PRIMARY KEY, created_at {time}",
    "job": "job TEXT PRIMARY KEY, source TEXT NOT NULL, created_at {time} NOT NULL, scope_from {time},"
    " scope_after TEXT, complete_to {time}, champion INTEGER, planned_at {time}",
    "run": "run_id {number} PRIMARY KEY, job TEXT NOT NULL, pipeline TEXT NOT NULL, status TEXT NOT NULL,"
    " started_at {time} NOT NULL, finished_at {time}, as_of {time} NOT NULL, error TEXT, host TEXT,"
    " rowcast_version TEXT, config_sha256 TEXT",
    "batch": "batch_id {number} PRIMARY KEY, job TEXT NOT NULL, run_id BIGINT NOT NULL, model_version INTEGER,"
    " status TEXT NOT NULL, key_from TEXT NOT NULL, key_to TEXT NOT NULL, worker TEXT, lease_until {time},"
    " attempts INTEGER NOT NULL, row_count BIGINT, scored BIGINT, quarantined BIGINT, started_at {time},"
    " finished_at {time}",
    "model": "job TEXT NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL, created_at {time} NOT NULL,"
    " run_id BIGINT NOT NULL, estimator TEXT NOT NULL, features TEXT NOT NULL, trained_from {time}, trained_to {time},"
    " trained_to_key TEXT, rows BIGINT NOT NULL, metrics TEXT NOT NULL, artifact_sha256 TEXT NOT NULL,"
    " artifact {bytes} NOT NULL, PRIMARY KEY (job, version)",
    "promotion": "promotion_id {number} PRIMARY KEY, job TEXT NOT NULL, version INTEGER NOT NULL, previous INTEGER,"
    " decided_at {time} NOT NULL, decided_by TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL,"
    " evidence TEXT NOT NULL",
}


@pytest.fixture
def version_1(database):
    """A store of version 1 with a job, a run and a published batch."""
    if database.is_mssql:
        pytest.skip("stores on SQL Server begin with a later version")
    lite = database.is_sqlite
    types = {
        "time": "TEXT" if lite else "TIMESTAMP WITH TIME ZONE",
        "number": "INTEGER" if lite else "BIGINT GENERATED BY DEFAULT AS IDENTITY",
        "bytes": "BLOB" if lite else "BYTEA",
    }
    prefix = "rowcast_" if lite else "rowcast."
    if not lite:
        database.run("CREATE SCHEMA rowcast")
    for name, columns in VERSION_1.items():
        database.run(f"CREATE TABLE {prefix}{name} ({columns.format(**types)})")
    at = "'2026-05-01 00:00:00Z'"
    database.run(
        f"INSERT INTO {prefix}version VALUES (1, {at})",
        f"INSERT INTO {prefix}job (job, source, created_at, champion) VALUES ('wafers', 't', {at}, 4)",
        f"INSERT INTO {prefix}run (job, pipeline, status, started_at, as_of)"
        f" VALUES ('wafers', 'infer', 'running', {at}, {at})",
        f"INSERT INTO {prefix}batch (job, run_id, model_version, status, key_from, key_to, attempts)"
        " VALUES ('wafers', 1, 4, 'planned', '[\"1\"]', '[\"9\"]', 0)",
        f"INSERT INTO {prefix}promotion (job, version, decided_at, decided_by, decision, reason, evidence)"
        f" VALUES ('wafers', 4, {at}, 'gate', 'promoted', 'it won', '{{}}')",
    )
    return database


def test_a_store_of_version_1_is_led_up_with_what_is_in_it(version_1):
    ledger = opened(version_1.connect())
    assert migrations.version(ledger.db, ledger.tables) == migrations.VERSION
    assert ledger.state().champion == 4
    assert len(Registry(ledger.db, ledger.tables, "wafers").decisions()) == 1
    assert (
        Registry(ledger.db, ledger.tables, "wafers").decisions_to_alert() == []
    )  # what was decided before alerts is old news
    [batch_id] = ledger.open_batches()
    assert ledger.publish(ledger.claim(batch_id, 1, 5), BatchResult(predictions(1), bad(2)), None)
    runs = runs_of(ledger)
    runs.begin_training(runs.start(PipelineName.RETRAIN, ledger.db.now(), "x"))
    assert runs.get(1).status is RunStatus.INTERRUPTED  # whoever began it had no lease, and is not here


def test_many_may_lead_a_store_up_at_once(version_1):
    connections = [version_1.connect() for _ in range(4)]
    start, failed = threading.Barrier(len(connections)), []

    def lead_up(db):
        start.wait()
        try:
            migrations.upgrade(db, *described(db), "rowcast")
        except Exception as error:  # whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=lead_up, args=[db]) for db in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    shared, _ = described(connections[0])
    found = sorted(row["version"] for row in connections[0].rows(sa.select(shared.version)))
    assert found == [1, migrations.VERSION]


def test_an_administrator_gets_just_the_statements_that_lead_a_store_up(version_1):
    db = version_1.connect()
    statements = migrations.ddl(db, *described(db), "rowcast")
    assert [statement.split()[0] for statement in statements] == (
        ["ALTER"] * 12 + ["UPDATE"] * 6 + ["ALTER"] * 9 + ["CREATE"] * 22 + ["INSERT"]
    )
    for statement in statements:
        version_1.run(statement)
    assert migrations.ddl(db, *described(db), "rowcast") == []
    ledger = opened(db)
    [batch_id] = ledger.open_batches()
    assert ledger.publish(ledger.claim(batch_id, 1, 5), BatchResult(predictions(1), bad(2)), None)


# A job's own tables as version 3 made them; the key is that of these tests.
OWN_OF_VERSION_3 = {
    "prediction": "id BIGINT NOT NULL PRIMARY KEY, model_version INTEGER NOT NULL, run_id BIGINT NOT NULL,"
    " batch_id BIGINT NOT NULL, scored_at {time} NOT NULL, row_hash BIGINT NOT NULL, score {real} NOT NULL,"
    " predicted BIGINT NOT NULL, threshold {real} NOT NULL, contributions {text}",
    "quarantine": "id BIGINT NOT NULL PRIMARY KEY, run_id BIGINT NOT NULL, batch_id BIGINT NOT NULL,"
    " quarantined_at {time} NOT NULL, row_hash BIGINT NOT NULL, reasons {text} NOT NULL, row_values {text} NOT NULL",
    "history": "id BIGINT NOT NULL, batch_id BIGINT NOT NULL, run_id BIGINT NOT NULL, was {text} NOT NULL,"
    " since {time} NOT NULL, until {time} NOT NULL, row_hash BIGINT NOT NULL, model_version INTEGER, score {real},"
    " predicted BIGINT, threshold {real}, contributions {text}, reasons {text}, row_values {text},"
    " PRIMARY KEY (id, batch_id)",
}
SINCE_4 = {"uncertain", "possible", "low", "high"}


@pytest.fixture
def version_3(database):
    """A store of version 3 with two jobs that scored a row each."""
    db = database.connect()
    for job in ("wafers", "lots"):
        shared, own = described(db, job)
        migrations.upgrade(db, shared, own, "rowcast")
        for table in own.all:
            db.execute(sa.schema.DropTable(table))
        lite = {"time": "TEXT", "real": "REAL", "text": "TEXT"}
        postgres = {"time": "TIMESTAMP WITH TIME ZONE", "real": "double precision", "text": "TEXT"}
        server = {"time": "DATETIMEOFFSET(6)", "real": "double precision", "text": "NVARCHAR(max)"}
        types = {"sqlite": lite, "postgresql": postgres, "mssql": server}[database.system]
        for name, columns in OWN_OF_VERSION_3.items():
            made = db.dialect.identifier_preparer.format_table(getattr(own, name))
            database.run(f"CREATE TABLE {made} ({columns.format(**types)})")
        scored = {"id": 1, "model_version": 1, "run_id": 1, "batch_id": 1, "row_hash": 7, "score": 0.25}
        scored |= {"predicted": 1, "threshold": 0.5, "scored_at": db.now()}
        db.execute(own.prediction.insert().values(**scored))
    for table in (shared.alert, shared.profile, shared.drift, shared.api_key, shared.shadow_batch):
        db.execute(sa.schema.DropTable(table))
    set_back(database, db, shared, 3)
    return database


# Columns of shared tables, by the version that added them.
ADDED = {
    5: [("promotion", "told")],
    6: [("model", "edges"), ("model", "reference"), ("model", "weights")],
    7: [("profile", "unused")],
    8: [("run", "end_cause")],
    9: [("alert", "dedup_key")],
    11: [("model", "meaning")],
    12: [("model", "signature")],
    13: [("job", "with_learned")],
    14: [("drift", "begun_run")],
    15: [
        *(("batch", name) for name in ("checksum", "signature", "forgotten", "forgotten_run")),
        ("job", "scope_record"),
    ],
    19: [("batch", "hashed_by")],
}


def set_back(database, db, shared, version):
    """Make the shared tables those of an earlier version; what it did not have as tables is gone already."""
    later = [each for added, columns in ADDED.items() if added > version for each in columns]
    for name, column in later:
        table = getattr(shared, name)
        if db.admin.has_table(table):
            database.run(f"ALTER TABLE {db.dialect.identifier_preparer.format_table(table)} DROP COLUMN {column}")
    db.execute(shared.version.update().values(version=version))


def columns_of(db, table):
    return set(db.read(sa.select(sa.literal_column("*")).select_from(table), {}, 0)[0].schema.names)


def test_an_index_that_a_job_s_table_lacks_is_made_when_it_is_opened(database, db):
    ledger = opened(db)
    table = ledger.own.prediction
    assert db.admin.has_index(table, "run_id")
    [index] = table.indexes
    db.execute(sa.schema.DropIndex(index))
    assert not db.admin.has_index(table, "run_id")
    made = migrations.ddl(db, ledger.tables, ledger.own, "rowcast")
    assert [statement.split("ON")[0].strip() for statement in made] == [
        f"CREATE INDEX {db.dialect.identifier_preparer.format_index(index)}"
    ]
    opened(db)
    assert db.admin.has_index(table, "run_id")
    assert db.admin.has_index(table, "id")  # by its key
    assert not db.admin.has_index(table, "batch_id")
    assert migrations.ddl(db, ledger.tables, ledger.own, "rowcast") == []


def test_each_jobs_own_tables_gain_what_they_lack_when_it_is_opened(version_3):
    db = version_3.connect()
    both = {job: described(db, job)[1] for job in ("wafers", "lots")}
    ledger = opened(db)
    assert migrations.version(db, ledger.tables) == migrations.VERSION
    assert columns_of(db, both["wafers"].history) >= SINCE_4
    assert not columns_of(db, both["lots"].prediction) & SINCE_4
    assert not db.admin.has_table(both["lots"].shadow)
    for job in ("wafers", "lots"):
        ledger = opened(db, job)
        batch = claimed(ledger)
        assert ledger.publish(batch, BatchResult(predictions(2), bad(3)), None)
        ledger.save_shadow(batch, 2, predictions(2).drop_columns(["contributions"]))
        found = db.rows(sa.select(both[job].prediction).order_by(both[job].prediction.c.id))
        assert [(row["id"], row["score"], row["uncertain"], row["low"]) for row in found] == [
            *((1, 0.25, None, None), (2, 0.25, None, None))
        ]
        db.execute(both[job].prediction.update().values(uncertain=True, possible='["a"]', low=0.5, high=1.5))
        assert [row["uncertain"] for row in db.rows(sa.select(both[job].prediction))] == [True, True]


def test_an_administrator_gets_what_each_jobs_own_tables_lack(version_3):
    db = version_3.connect()
    own = ["ALTER"] * 4 + ["CREATE"] + ["ALTER"] * 4 + ["CREATE"] * 4
    for job, wanted in (
        ("wafers", ["ALTER"] * 5 + ["UPDATE"] * 6 + ["ALTER"] * 9 + own + ["CREATE"] * 10 + ["INSERT"]),
        ("lots", own),
    ):
        statements = migrations.ddl(db, *described(db, job), "rowcast")
        if not version_3.is_mssql:  # there tables for staging are made too
            assert [statement.split()[0] for statement in statements] == wanted
        for statement in statements:
            version_3.run(statement)
        assert migrations.ddl(db, *described(db, job), "rowcast") == []
        ledger = opened(db, job)
        assert ledger.publish(claimed(ledger), BatchResult(predictions(2), bad(3)), None)


def test_a_store_of_version_6_gains_the_profiles_of_unused_columns(database):
    db = database.connect()
    shared, own = described(db)
    migrations.upgrade(db, shared, own, "rowcast")
    set_back(database, db, shared, 6)
    migrations.upgrade(db, shared, own, "rowcast")
    assert "unused" in columns_of(db, shared.profile)
    assert migrations.version(db, shared) == migrations.VERSION


@pytest.mark.parametrize("by_administrator", [False, True])
def test_runs_of_a_store_of_version_7_gain_why_they_ended_where_their_error_told(database, by_administrator):
    db = database.connect()
    ledger = opened(db)
    runs = runs_of(ledger)
    errors = ["the process ended without a word", "its process could not say how it ended", "it's no row", None]
    for error in errors:
        runs.finish(runs.start(PipelineName.INFER, db.now(), "x"), RunStatus.INTERRUPTED, EndCause.ERROR, error)
    set_back(database, db, ledger.tables, 7)
    if by_administrator:
        for statement in migrations.ddl(db, *described(db), "rowcast"):
            database.run(statement)
    opened(db)
    assert migrations.version(db, ledger.tables) == migrations.VERSION
    assert [run.end_cause for run in runs.newest()][::-1] == [EndCause.DIED, EndCause.UNRECORDED, None, None]
    assert [run.error for run in runs.newest()][::-1] == errors


STANDING = Alert("wafers", "infer", "infer failed", "3 rows", "error", AT, "mend it", "rowcast runs", "rows:s001", 7)


@pytest.mark.parametrize("by_administrator", [False, True])
def test_alerts_that_stand_in_a_store_of_version_8_stand_on(database, by_administrator):
    db = database.connect()
    ledger = opened(db)
    alerts, table = Alerts(db, ledger.tables, "wafers", ["sns"], "info"), ledger.tables.alert
    cost = replace(STANDING, topic="cost", title="v2 costs more than it promised", dedup_key=cost_key(2, "realised"))
    alerts.write([STANDING, cost])
    for topic, alike in (("infer", ""), ("cost", "realised")):  # the text as version 8 wrote it
        old = {"title": STANDING.title if topic == "infer" else cost.title, "todo": "mend it"}
        detail = json.dumps({**old, "command": "rowcast runs", "alike": alike})
        db.execute(table.update().where(table.c.topic == topic).values(detail=detail))
    set_back(database, db, ledger.tables, 8)
    if by_administrator:
        for statement in migrations.ddl(db, *described(db), "rowcast"):
            database.run(statement)
    opened(db)
    assert migrations.version(db, ledger.tables) == migrations.VERSION
    assert alerts.list_standing() == [replace(STANDING, dedup_key=None), cost]
    alerts.write([STANDING, cost], ["infer", "cost"])
    assert [alert.state for alert in alerts.all()] == ["begins", "begins"]
    alerts.write([replace(STANDING, dedup_key="rows:s002"), replace(cost, dedup_key=cost_key(3, "realised"))])
    assert [alert.state for alert in alerts.all()] == ["begins", "begins", "changed", "changed"]


REASONS = [  # as version 9 kept them: by whom, what, the reason with the outcome, without it
    *(
        ("gate", outcome, f"{outcome}: at an error of 5 %: 'x' costs 1.1", "at an error of 5 %: 'x' costs 1.1")
        for outcome in DecisionOutcome
    ),
    ("gate", DecisionOutcome.PROMOTED, "first, unproven: kept: x", "first, unproven: kept: x"),
    ("gate", DecisionOutcome.KEPT, "promoted: x", "promoted: x"),
    ("Ada", DecisionOutcome.PROMOTED, "promoted: she says so", "promoted: she says so"),
]


@pytest.mark.parametrize("by_administrator", [False, True])
def test_reasons_in_a_store_of_version_9_lose_the_outcome_that_stands_beside_them(database, by_administrator):
    db = database.connect()
    ledger = opened(db)
    registry = Registry(db, ledger.tables, "wafers")
    for by, outcome, reason, _ in REASONS:
        registry.keep(3, NewDecision(outcome, reason, {"level": 0.1}, decided_at=AT, decided_by=by))
    set_back(database, db, ledger.tables, 9)
    if by_administrator:
        for statement in migrations.ddl(db, *described(db), "rowcast"):
            database.run(statement)
    opened(db)
    assert migrations.version(db, ledger.tables) == migrations.VERSION
    found = [(made.decided_by, made.outcome, made.reason) for made in registry.decisions()[::-1]]
    assert found == [(by, outcome, reason) for by, outcome, _, reason in REASONS]


def drift_record(run_id: int, what: str, begun: int | None) -> DriftRecord:
    return DriftRecord(run_id, begun, 1, what, AT, 2.0, "since then", ())


def test_drift_that_stands_in_a_store_of_version_13_stands_on_until_it_ends(database):
    db = database.connect()
    ledger = opened(db)
    profiles = Profiles(db, ledger.tables, "wafers")
    old = [drift_record(*each, None) for each in ((5, "started"), (6, "ended"), (7, "started"), (9, "changed"))]
    assert profiles.record_drift(1, old, 0)
    set_back(database, db, ledger.tables, 13)
    opened(db)
    assert migrations.version(db, ledger.tables) == migrations.VERSION
    assert [made.run_id for made in find_standing(profiles.list_drift(1))] == [9, 7]
    assert profiles.record_drift(1, [drift_record(11, "ended", 7), drift_record(12, "started", 12)], 4)
    assert [made.run_id for made in find_standing(profiles.list_drift(1))] == [12, 9]
    assert not profiles.record_drift(1, [drift_record(13, "started", 13)], 4)  # another process kept some meanwhile


@pytest.mark.parametrize(("before", "by_administrator"), [(14, False), (14, True), (12, False)])
def test_scopes_of_an_older_store_are_recorded_as_they_are_and_its_batches_have_no_checksum(
    database, before, by_administrator
):
    db = database.connect()
    ledger = opened(db)
    ledger.fix_scope(Scope(AT))
    assert ledger.publish(claimed(ledger), BatchResult(predictions(1), bad(2)), None)
    set_back(database, db, ledger.tables, before)
    if by_administrator:
        for statement in migrations.ddl(db, *described(db), "rowcast"):
            database.run(statement)
    ledger = opened(db)
    assert migrations.version(db, ledger.tables) == migrations.VERSION
    assert ledger.compare_scope()[0] is ScopeState.UNCHANGED
    ledger.set_state(scope_from=AT + timedelta(days=1))
    moved, recorded = ledger.compare_scope()
    assert (moved, recorded.since) == (ScopeState.MOVED, AT)
    assert [row["checksum"] for row in db.rows(sa.select(ledger.tables.batch))] == [None]


def test_a_key_column_that_the_tables_lack_is_not_added(db):
    migrations.upgrade(db, *described(db), "rowcast")
    shared = tables(db, "rowcast")
    own = job_tables(db, shared, "rowcast", "wafers", (*KEY, Column("slot", "number", "bigint", True)), sa.BigInteger)
    migrations.upgrade(db, shared, own, "rowcast")
    assert "slot" not in columns_of(db, own.prediction)
    assert migrations.ddl(db, shared, own, "rowcast") == []


def test_a_step_that_fails_leaves_the_old_store(db, monkeypatch):
    shared, own = described(db)
    migrations.upgrade(db, shared, own, "rowcast")
    steps = (*migrations.STEPS, lambda db, tables: ["CREATE TABLE half (n INTEGER)", "not a statement"])
    monkeypatch.setattr(migrations, "STEPS", steps)
    monkeypatch.setattr(migrations, "VERSION", len(steps) + 1)
    with pytest.raises(DatabaseError):
        migrations.upgrade(db, shared, own, "rowcast")
    assert migrations.version(db, shared) == len(steps)
    assert not db.admin.has_table(sa.Table("half", sa.MetaData()))


@pytest.fixture
def operator(postgresql):
    """A role that may log in and nothing else."""
    name = f"operator_{postgresql.url.rpartition('/')[2]}"
    postgresql.run(f"CREATE ROLE {name} LOGIN PASSWORD 'o'")
    yield name
    postgresql.clear()
    postgresql.run(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def as_operator(place, operator):
    return place.connect(place.server.url(place.url.rpartition("/")[2], user=operator, password="o"))


def test_who_may_not_create_tables_is_pointed_to_ddl(postgresql, operator):
    db = as_operator(postgresql, operator)
    with pytest.raises(StoreError, match="may not create its tables") as caught:
        migrations.upgrade(db, *described(db), "rowcast")
    assert "rowcast ddl" in caught.value.hint
    postgresql.run("CREATE SCHEMA rowcast", f"GRANT USAGE ON SCHEMA rowcast TO {operator}")
    with pytest.raises(StoreError, match="rowcast ddl"):
        migrations.upgrade(db, *described(db), "rowcast")


def test_a_store_made_by_hand_works_without_further_rights(postgresql, operator):
    admin = postgresql.connect()
    for statement in migrations.ddl(admin, *described(admin), "rowcast"):
        postgresql.run(statement)
    postgresql.run(
        f"GRANT USAGE ON SCHEMA rowcast TO {operator}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rowcast TO {operator}",
    )
    ledger = opened(as_operator(postgresql, operator))
    runs = runs_of(ledger)
    run_id = runs.start(PipelineName.INFER, ledger.db.now(), "x")
    with ledger.planning():
        ledger.add_batches(run_id, [], 1)
    assert ledger.publish(claimed(ledger, run_id), BatchResult(predictions(1, 2), bad(3)), 0.5)
    runs.record_step(StepRecord(run_id, "inference", "-", StepStatus.DONE, ledger.db.now()), {"rows": 3})
    runs.finish(run_id, RunStatus.DONE, EndCause.COMPLETED)
    assert runs.get(run_id).status is RunStatus.DONE


def test_the_statements_for_an_administrator_make_the_same_store(database):
    db = database.connect()
    for statement in migrations.ddl(db, *described(db), "rowcast"):
        database.run(statement)
    shared, own = described(db)
    migrations.upgrade(db, shared, own, "rowcast")
    assert migrations.version(db, shared) == migrations.VERSION
    [row] = db.rows(sa.select(shared.version))
    assert abs((row["created_at"] - db.now()).total_seconds()) < 3600


def test_a_database_that_goes_away_is_not_taken_for_missing_rights(postgresql):
    db = postgresql.connect()
    postgresql.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(DatabaseError) as caught:
        migrations.upgrade(db, *described(db), "rowcast")
    assert caught.value.reason == "unreachable"


def test_versions_of_a_store_of_version_10_have_no_meaning_until_the_next_is_trained(database):
    db = database.connect()
    ledger = opened(db)
    old = {"job": ledger.job, "version": 1, "status": "champion", "created_at": AT, "run_id": 1, "estimator": "default"}
    old |= {"features": '["s1"]', "rows": 9, "metrics": "{}", "artifact_sha256": "x", "artifact": b"x"}
    db.execute(ledger.tables.model.insert().values(**old))
    set_back(database, db, ledger.tables, 10)
    opened(db)
    assert migrations.version(db, ledger.tables) == migrations.VERSION
    assert ledger.state().scope.with_learned  # as before
    assert [each.meaning for each in Registry(db, ledger.tables, ledger.job).versions()] == [None]


def test_versions_of_a_store_of_version_11_are_unsigned_until_a_person_signs_them(database):
    db = database.connect()
    ledger = opened(db)
    old = {"job": ledger.job, "version": 1, "status": "champion", "created_at": AT, "run_id": 1, "estimator": "default"}
    old |= {"features": '["s1"]', "rows": 9, "metrics": "{}", "artifact": b"x"}
    old |= {"artifact_sha256": hashlib.sha256(b"x").hexdigest()}
    db.execute(ledger.tables.model.insert().values(**old))
    set_back(database, db, ledger.tables, 11)
    opened(db)
    registry = Registry(db, ledger.tables, ledger.job, SigningKeys.of(["k" * 40]))
    assert registry.check_integrity(1).signature is SignatureState.MISSING
    registry.sign(1)
    assert registry.check_integrity(1).is_trusted


@pytest.mark.parametrize("by_administrator", [False, True])
def test_a_store_of_version_15_gains_keys_and_recorded_requests(database, by_administrator):
    db = database.connect()
    ledger = opened(db)
    shared, own = described(db)
    for table in (shared.api_key, own.online):
        db.execute(sa.schema.DropTable(table))
    set_back(database, db, shared, 15)
    assert not ApiKeys(db, shared, "wafers").exists()
    if by_administrator:
        for statement in migrations.ddl(db, shared, own, "rowcast"):
            database.run(statement)
    opened(db)
    assert migrations.version(db, shared) == migrations.VERSION
    keys = ApiKeys(db, shared, ledger.job)
    keys.create("line 3", KeyScope.SCORE, by="ada", expires_at=AT, per_second=None)
    assert [(key.name, key.expires_at) for key in keys.list()] == [("line 3", AT)]
    rows = pa.table(
        {"id": pa.array([7], pa.int64()), "place": pa.array([0], pa.int32()), "row_hash": [1], "score": [0.5]}
    )
    online = Online(db, own)
    assert [online.record(RequestId("a"), 1, rows) for _ in range(2)] == [True, False]
    assert [(row["id"], row["score"]) for row in online.find(RequestId("a"))] == [(7, 0.5)]


@pytest.mark.parametrize("by_administrator", [False, True])
def test_shadow_scores_in_a_store_of_version_16_stay_and_are_not_checked(database, by_administrator):
    db = database.connect()
    ledger = opened(db)
    shared, own = described(db)
    batch = claimed(ledger)
    assert ledger.publish(batch, BatchResult(predictions(1), bad(2)), None)
    ledger.save_shadow(batch, 2, predictions(1).drop_columns(["contributions"]))
    db.execute(sa.schema.DropTable(shared.shadow_batch))
    set_back(database, db, shared, 16)
    if by_administrator:
        for statement in migrations.ddl(db, shared, own, "rowcast"):
            database.run(statement)
    ledger = opened(db)
    assert migrations.version(db, shared) == migrations.VERSION
    assert check_shadows(ledger) == BatchCounts(unchecked=1)
    later = claimed(ledger)
    assert ledger.publish(later, BatchResult(predictions(2), bad(3)), None)
    ledger.save_shadow(later, 2, predictions(2).drop_columns(["contributions"]))
    assert check_shadows(ledger) == BatchCounts(unchecked=1)


@pytest.mark.parametrize("by_administrator", [False, True])
def test_row_hashes_in_a_store_of_version_18_are_as_they_always_were(database, by_administrator):
    db = database.connect()
    ledger = opened(db)
    shared, own = described(db)
    assert ledger.publish(claimed(ledger), BatchResult(predictions(1), bad(2)), None)
    set_back(database, db, shared, 18)
    name = db.dialect.identifier_preparer.format_table(own.online)
    database.run(f"ALTER TABLE {name} DROP COLUMN hashed_by")
    if by_administrator:
        for statement in migrations.ddl(db, shared, own, "rowcast"):
            database.run(statement)
    ledger = opened(db)
    assert migrations.version(db, shared) == migrations.VERSION
    later = BatchResult(predictions(2), bad(3), hashed_by=RowHash.SHA256)
    assert ledger.publish(claimed(ledger), later, None)
    statement = sa.select(shared.batch.c.hashed_by).order_by(shared.batch.c.batch_id)
    assert [row["hashed_by"] for row in db.rows(statement)] == [None, "sha256"]
    assert "hashed_by" in columns_of(db, own.online)
