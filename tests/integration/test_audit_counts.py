"""What is scored and what is not, and what the audit says of it: predictions are published without a model."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from conftest import Place
from test_fetch import beside

from rowcast import config, fetch
from rowcast.audit import Audit, audit
from rowcast.doctor import examine
from rowcast.explain import explain
from rowcast.job.opening import Job, open_job
from rowcast.source import Scope
from rowcast.store import BatchResult

EVERYTHING = Scope(datetime(2000, 1, 1, tzinfo=UTC))
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def settings(source: Place, store: Place | None = None, **given: Any) -> config.Settings:
    named = {"url": source.url, "table": "t", "key": ["id"], "time": "ts", "label": "y", **given}
    apart = {"url": store.url} if store else {}
    return config.Settings.model_validate({"name": "job", "source": named, "store": apart})


def score(job: Job, now: datetime = NOW, batch_rows: int = 1000) -> int:
    """Publish a prediction for each pending row, whatever a model would say; return how many."""
    state, count = job.ledger.state(), 0
    ranges = job.pending.plan(state.scope, now, None, batch_rows, job.ledger.open_ranges())
    for keys, batch_id in zip(ranges, job.ledger.add_batches(1, ranges, 1), strict=True):
        rows = job.pending.read(keys, job.source.features, state.scope, now, batch_rows).rows
        n = rows.num_rows
        made = {"row_hash": [0] * n, "score": [0.5] * n, "predicted": [1] * n, "threshold": [0.1] * n}
        found = beside(rows.select(list(job.settings.source.key)), **made)
        nothing = beside(
            rows.select(list(job.settings.source.key)).slice(0, 0),
            row_hash=[],
            reasons=pa.array([], pa.string()),
            row_values=pa.array([], pa.string()),
        )
        batch = job.ledger.claim(batch_id, 1, 1)
        assert batch is not None
        assert job.ledger.publish(batch, BatchResult(found, nothing), None)
        count += n
    return count


def parts(found: Audit) -> tuple[int, ...]:
    return (found.source, found.unusable, found.out_of_scope, found.scored, found.quarantined, found.pending)


@pytest.fixture(params=["together", "apart"])
def store(request: pytest.FixtureRequest, make_place: Callable[[str], Place], database: Place) -> Place | None:
    """The store of a job: the source's database, or another one."""
    return make_place("sqlite") if request.param == "apart" else None


def fill(place: Place, *keys: int, days: int = 1) -> None:
    rows = ", ".join(f"({key}, '2026-05-{days:02d} 00:00:00Z', {key * 1.5}, NULL)" for key in keys)
    place.run(f"INSERT INTO t VALUES {rows}")


def stamp(place: Place) -> str:
    return "TEXT" if place.is_sqlite else "timestamptz"


# ---- keys that repeat although a constraint says otherwise


def test_keys_that_repeat_once_their_constraint_was_dropped_are_unusable(database: Place, store: Place | None) -> None:
    database.run(f"CREATE TABLE t (id integer PRIMARY KEY, ts {stamp(database)}, s REAL, y integer)")
    fill(database, *range(1, 7))
    with open_job(settings(database, store)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert job.source.relation.is_unique(["id"])
        database.run("DROP TABLE t", f"CREATE TABLE t (id integer, ts {stamp(database)}, s REAL, y integer)")
        fill(database, 1, 2, 3, 4, 5, 5, 6, 6)
        assert score(job) == 4
        found = audit(job)
        assert (parts(found), found.holds) == ((8, 4, 0, 4, 0, 0), True)
        fill(database, 1, days=3)  # a second row of a key that was scored
        assert score(job) == 0
        found = audit(job)
        assert (parts(found), found.deleted, found.holds) == ((9, 6, 0, 3, 0, 0), 1, True)


def test_rows_of_a_table_that_inherits_share_no_key_with_it(postgresql: Place) -> None:
    postgresql.run("CREATE TABLE t (id integer PRIMARY KEY, ts timestamptz, s REAL, y integer)")
    fill(postgresql, *range(1, 11))
    with open_job(settings(postgresql)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job) == 10
        postgresql.run(
            "CREATE TABLE line2 () INHERITS (t)", "INSERT INTO line2 SELECT id, ts, s, y FROM ONLY t WHERE id > 8"
        )
        fill(postgresql, 11)
        assert score(job) == 1
        found = audit(job)
        assert (parts(found), found.deleted, found.holds) == ((13, 4, 0, 9, 0, 0), 2, True)
        assert job.store.scalar(sa.select(sa.func.count()).select_from(job.own.prediction)) == 11


# ---- rows that the version in service could learn from


def serve(job: Job, version: int, trained_to: datetime, created_at: datetime = NOW) -> None:
    """Put a version in service of which the store says how far it was trained."""
    about = {"job": "job", "version": version, "status": "champion", "created_at": created_at, "run_id": 1}
    about |= {"estimator": "default", "features": "[]", "trained_to": trained_to, "rows": 1, "metrics": "{}"}
    job.store.execute(job.tables.model.insert().values(**about, artifact_sha256="", artifact=b""))
    job.ledger.set_state(champion=version)


@pytest.mark.parametrize("with_learned", [False, True])
def test_rows_that_the_version_in_service_could_learn_from_are_not_scored_unless_since_asks_for_it(
    with_learned: bool, database: Place, store: Place | None
) -> None:
    database.run(f"CREATE TABLE t (id integer PRIMARY KEY, ts {stamp(database)}, s REAL, y integer)")
    for day in range(1, 11):
        fill(database, day, days=day)
    database.run("UPDATE t SET y = 1 WHERE id IN (1, 2, 3, 5)")
    since = "2026-04-15" if with_learned else None
    with open_job(settings(database, store)) as job:
        job.ledger.fix_scope(fetch.find_initial_scope(job.source, NOW, since))
        serve(job, 1, datetime(2026, 5, 5, tzinfo=UTC))
        database.run("UPDATE t SET y = 1 WHERE id = 6")  # later than what was learned from
        assert score(job) == (10 if with_learned else 6)
        found = audit(job)
        out = 0 if with_learned else 4
        assert (parts(found), found.left_to_training, found.holds) == ((10, 0, out, 10 - out, 0, 0), out, True)
        for key in (11, 12):  # two more rows, of which the next version learns one before it is scored
            fill(database, key, days=key)
        database.run("UPDATE t SET y = 0 WHERE id = 11")
        assert audit(job).pending == 2
        serve(job, 2, datetime(2026, 5, 11, tzinfo=UTC))
        found = audit(job)
        assert (found.pending, found.left_to_training, found.holds) == ((2, 0, True) if with_learned else (1, 5, True))
        assert score(job) == found.pending
        fill(database, 13, days=2)  # it comes late, and no label is known of it
        assert score(job) == 1


# ---- keys on which source and store do not agree

TWINS = {
    "spaces at the end": ["P0199", "P0199 ", "P0199  "],
    "nothing and spaces": ["", " "],
    "case": ["a", "A"],
    "accents": ["e", "é"],
    "normal forms": ["\u00e9", "e\u0301"],
    "zeros at the end": ["1.5", "1.50"],
}
PAIRS = ["sqlite", "postgresql", "mssql", "sqlite, sqlite", "sqlite, postgresql", "postgresql, sqlite"]
PAIRS += ["sqlite, mssql", "postgresql, mssql", "mssql, sqlite"]


@pytest.fixture
def pair(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> tuple[Place, Place | None]:
    """A source and, where it is another database, a store of the systems that a test names."""
    source, _, store = request.param.partition(", ")
    return make_place(source), make_place(store) if store else None


def fill_texts(place: Place, kind: str, keys: list[str]) -> None:
    place.run(f"CREATE TABLE t (id {kind}, ts {stamp(place)}, s REAL, y integer)")
    place.fill("t", id=keys, ts=["2026-05-01 00:00:00Z"] * len(keys), s=[1.0] * len(keys))


@pytest.mark.parametrize("twins", TWINS)
@pytest.mark.parametrize("pair", PAIRS, indirect=True)
def test_keys_are_kept_apart_or_unusable_and_none_is_lost(twins: str, pair: tuple[Place, Place | None]) -> None:
    source, store = pair
    keys = [*TWINS[twins], "P1", "P2"]
    kind = "VARCHAR(40) COLLATE Latin1_General_100_BIN2" if source.is_mssql else "TEXT"
    fill_texts(source, kind, keys)
    with open_job(settings(source, store)) as job:
        job.ledger.fix_scope(EVERYTHING)
        spaces = twins in ("spaces at the end", "nothing and spaces")
        lost = len(TWINS[twins]) if spaces and (source.is_mssql or (store is not None and store.is_mssql)) else 0
        assert score(job, batch_rows=2) == len(keys) - lost
        found = audit(job)
        assert (parts(found), found.holds) == ((len(keys), lost, 0, len(keys) - lost, 0, 0), True)


# What a store does that pads texts before it compares them, as SQL Server does.
PADDED = {"sqlite": "TEXT COLLATE RTRIM", "postgresql": "CHARACTER(40)"}


@pytest.mark.parametrize("pair", ["sqlite, postgresql", "postgresql, sqlite"], indirect=True)
def test_keys_that_the_store_takes_for_one_another_are_unusable_and_counted_in_advance(
    pair: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, store = pair
    expressions = type(store.connect().sql)
    monkeypatch.setattr(expressions, "text_key", PADDED[store.system])
    monkeypatch.setattr(expressions, "ignores_trailing_spaces", True)
    fill_texts(source, "VARCHAR(40) PRIMARY KEY", ["P1", "P1 ", "P2", "P3", "", " ", "P3x"])
    asked = settings(source, store)
    warned = [finding.what for finding in examine(asked) if finding.level == "warning"]
    assert "4 rows cannot be scored: the store cannot tell their keys from those of others" in warned
    with open_job(asked) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job, batch_rows=1) == 3
        found = audit(job)
        assert (parts(found), found.holds) == ((7, 4, 0, 3, 0, 0), True)
        assert explain(job, ["P1 "]).why == "the store cannot tell its key from that of another row"
        source.run("INSERT INTO t SELECT 'P2 ', ts, s, y FROM t WHERE id = 'P2'")  # a twin that comes later
        assert score(job) == 0
        found = audit(job)
        assert (parts(found), found.deleted, found.holds) == ((8, 6, 0, 2, 0, 0), 1, True)


@pytest.mark.parametrize("pair", ["sqlite, postgresql", "postgresql, sqlite"], indirect=True)
def test_the_audit_compares_what_is_stored_and_sees_rows_that_share_a_prediction(
    pair: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, store = pair
    monkeypatch.setattr(type(store.connect().sql), "text_key", PADDED[store.system])  # of which nobody knows
    fill_texts(source, "VARCHAR(40) PRIMARY KEY", ["P1", "P1 ", "P2"])
    with open_job(settings(source, store)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job, batch_rows=1) == 2
        found = audit(job)
        assert (found.scored, found.pending, found.shared, found.holds) == (3, 0, 1, False)


@pytest.mark.parametrize("apart", [False, True])
def test_values_that_a_strict_table_keeps_apart_are_kept_apart(
    apart: bool, sqlite: Place, make_place: Callable[[str], Place]
) -> None:
    sqlite.run("CREATE TABLE t (id ANY PRIMARY KEY, ts TEXT, s REAL, y INTEGER) STRICT")
    for key in ("'1'", "1", "'01'", "'1.0'"):
        sqlite.run(f"INSERT INTO t VALUES ({key}, '2026-05-01', 1.0, NULL)")
    with open_job(settings(sqlite, make_place("sqlite") if apart else None)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job, batch_rows=3) == 4
        assert (parts(audit(job)), audit(job).holds) == ((4, 0, 0, 4, 0, 0), True)


def test_numbers_that_hardly_differ_are_kept_apart_or_unusable(sqlite: Place, postgresql: Place) -> None:
    sqlite.run("CREATE TABLE t (id REAL PRIMARY KEY, ts TEXT, s REAL, y INTEGER)")
    for key in ("0.1", "0.10000000000000002", "0.2", "3.0"):
        sqlite.run(f"INSERT INTO t VALUES ({key}, '2026-05-01', 1.0, NULL)")
    with open_job(settings(sqlite, postgresql)) as job:
        job.ledger.fix_scope(EVERYTHING)
        scored = score(job, batch_rows=1)  # by SQLite's version, a number has 15 digits as text, or 17
        assert scored in (2, 4)
        assert (parts(audit(job)), audit(job).holds) == ((4, 4 - scored, 0, scored, 0, 0), True)


BLIND = [("sqlite", "TEXT COLLATE NOCASE", ["a", "A"]), ("sqlite", "TEXT COLLATE RTRIM", ["a", "a "])]
BLIND += [("postgresql", "CHARACTER(9)", ["a", "a "]), ("postgresql", "NUMERIC", ["1.5", "1.50"])]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("system", "kind", "twins"), BLIND)
def test_keys_that_the_source_itself_takes_for_one_another_are_unusable(
    system: str, kind: str, twins: list[str], apart: bool, make_place: Callable[[str], Place]
) -> None:
    source = make_place(system)
    fill_texts(source, kind, [*twins, "7"])
    with open_job(
        settings(source, make_place("sqlite" if system == "postgresql" else "postgresql") if apart else None)
    ) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job) == 1
        assert (parts(audit(job)), audit(job).holds) == ((3, 2, 0, 1, 0, 0), True)


def test_no_row_of_the_store_makes_sqlite_search_the_whole_source(
    sqlite: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.run("CREATE TABLE t (id INTEGER, ts TEXT, s REAL, y INTEGER)")  # without an index on the key
    sqlite.fill("t", id=[*range(50)], ts=["2026-05-01 00:00:00"] * 50, s=[1.0] * 50, y=[None] * 50)
    with open_job(settings(sqlite)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job) == 50
        asked: list[str] = []
        scalar = job.store.scalar

        def recorded(statement: sa.Select[Any]) -> Any:
            asked.append(job.store.compile_literal(statement))  # type: ignore[attr-defined]
            return scalar(statement)

        monkeypatch.setattr(job.store, "scalar", recorded)
        assert audit(job).holds
        plans = [job.store.query(f"EXPLAIN QUERY PLAN {each}").to_pylist() for each in asked]  # type: ignore[attr-defined]
    for plan in plans:
        inside = {step["id"] for step in plan if step["detail"].startswith("CORRELATED")}
        assert [
            step["detail"] for step in plan if step["parent"] in inside and step["detail"].startswith("SCAN s")
        ] == []
    assert any("rowcast" in each for each in asked)
