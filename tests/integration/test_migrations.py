"""Creating the store, finding one that is newer or older, and leaving it to a database administrator."""

import threading

import pytest
import sqlalchemy as sa
from test_ledger import KEY, bad, claimed, opened, predictions

from rowcast import migrations
from rowcast.errors import DatabaseError, StoreError
from rowcast.ledger import Ledger
from rowcast.tables import job_tables, tables


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
    assert all(db.has_table(table) for table in (*shared.shared, own.prediction, own.quarantine))
    assert len(db.rows(sa.select(shared.version))) == 1


def test_a_second_job_gets_tables_of_its_own(db):
    migrations.upgrade(db, *described(db), "rowcast")
    shared, own = described(db, "lots")
    migrations.upgrade(db, shared, own, "rowcast")
    assert db.has_table(own.prediction)
    assert db.has_table(own.quarantine)


@pytest.mark.parametrize("name", ['it\'s "quoted"', "ü [x] 100% :a ?", "x; DROP TABLE rowcast_run; --"])
def test_jobs_and_schemas_may_have_any_name(db, name):
    shared, own = described(db, name, name)
    migrations.upgrade(db, shared, own, name)
    ledger = Ledger(db, shared, own, name)
    ledger.register(name)
    assert ledger.publish(claimed(ledger), predictions(1), bad(2), None)
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
        assert all(connections[0].has_table(table) for table in (*shared.shared, own.prediction, own.quarantine))


def test_a_newer_store_is_refused(db):
    shared, own = described(db)
    migrations.upgrade(db, shared, own, "rowcast")
    db.execute(shared.version.insert().values(version=migrations.VERSION + 1, created_at=db.now()))
    with pytest.raises(StoreError, match=f"version {migrations.VERSION + 1}, this rowcast knows {migrations.VERSION}"):
        migrations.upgrade(db, shared, own, "rowcast")


def test_an_older_store_is_led_up_step_by_step(db, monkeypatch):
    shared, own = described(db)
    migrations.upgrade(db, shared, own, "rowcast")
    done = []
    steps = tuple(lambda db, tables, number=number: done.append(number) for number in range(1, 4))
    monkeypatch.setattr(migrations, "STEPS", steps[:2])
    monkeypatch.setattr(migrations, "VERSION", 3)
    migrations.upgrade(db, shared, own, "rowcast")
    monkeypatch.setattr(migrations, "STEPS", steps)
    monkeypatch.setattr(migrations, "VERSION", 4)
    migrations.upgrade(db, shared, own, "rowcast")
    assert done == [1, 2, 3]
    assert migrations.version(db, shared) == 4


def test_a_step_that_fails_leaves_the_old_store(db, monkeypatch):
    shared, own = described(db)
    migrations.upgrade(db, shared, own, "rowcast")

    def broken(db, tables):
        db.execute(sa.schema.CreateTable(sa.Table("half", sa.MetaData(), sa.Column("n", sa.Integer))))
        raise ZeroDivisionError

    monkeypatch.setattr(migrations, "STEPS", (broken,))
    monkeypatch.setattr(migrations, "VERSION", 2)
    with pytest.raises(ZeroDivisionError):
        migrations.upgrade(db, shared, own, "rowcast")
    assert migrations.version(db, shared) == 1
    assert not db.has_table(sa.Table("half", sa.MetaData()))


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
    run_id = ledger.start_run("infer", ledger.db.now(), "x")
    with ledger.planning():
        ledger.add_batches(run_id, [], 1)
    assert ledger.publish(claimed(ledger, run_id), predictions(1, 2), bad(3), 0.5)
    ledger.record_step(run_id, "inference", "-", status="done", started_at=ledger.db.now())
    ledger.record_metrics(run_id, "inference", {"rows": 3})
    ledger.finish_run(run_id, "done")
    assert ledger.run(run_id)["status"] == "done"


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
