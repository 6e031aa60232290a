"""Keys that one system holds and another does not, or takes for one another: kept apart, counted, or refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from conftest import Place
from odd import LABELLED, ROWS, Odd, empty_odd  # noqa: F401 (a fixture)
from test_audit_counts import EVERYTHING, NOW, parts, score, settings

from rowcast.audit import audit
from rowcast.errors import DatabaseError, UsageError
from rowcast.explain import RowState, explain
from rowcast.job.opening import Job, open_job
from rowcast.scoring.infer import find_left_behind
from rowcast.source import Scope
from rowcast.store.records import DecisionOutcome, EndCause, PipelineName, RunStatus

STORES = ["sqlite", "postgresql", "mssql"]
BYTES = ["X'FF00'", "X'FE'", "X'00'", "X'4142'", "X''", "X'C3A4'"]
TEXTS = ["'plain'", "'nul' || char(0) || 'x'", "'nul' || char(0)", "'Ä'", "''"]


@pytest.mark.parametrize(("declared", "keys"), [("BLOB", BYTES), ("TEXT", TEXTS), ("TEXT", BYTES), ("", BYTES)])
@pytest.mark.parametrize("system", STORES)
def test_keys_of_bytes_are_scored_whatever_holds_the_store(
    system: str, declared: str, keys: list[str], sqlite: Place, make_place: Callable[[str], Place]
) -> None:
    sqlite.run(f"CREATE TABLE t (id {declared} NOT NULL PRIMARY KEY, ts TEXT, s REAL, y INTEGER)")
    rows = ", ".join(f"({key}, '2026-05-01 00:00:00Z', 1.5, NULL)" for key in keys)
    sqlite.run(f"INSERT INTO t VALUES {rows}")
    with open_job(settings(sqlite, make_place(system))) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job, batch_rows=3) == len(keys)
        found = audit(job)
        assert (parts(found), found.holds) == ((len(keys), 0, 0, len(keys), 0, 0), True)


@pytest.mark.parametrize("system", STORES[1:])
def test_texts_that_the_store_writes_alike_are_unusable(
    system: str, sqlite: Place, make_place: Callable[[str], Place]
) -> None:
    sqlite.run("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, ts TEXT, s REAL, y INTEGER)")
    rows = ", ".join(f"({key}, '2026-05-01 00:00:00Z', 1.5, NULL)" for key in ("'A' || char(0)", "'4100'", "'C'"))
    sqlite.run(f"INSERT INTO t VALUES {rows}")
    with open_job(settings(sqlite, make_place(system))) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job) == 1
        assert (parts(audit(job)), audit(job).holds) == ((3, 2, 0, 1, 0, 0), True)


@pytest.mark.parametrize("system", STORES[1:])
def test_a_key_that_is_no_text_in_any_encoding_is_refused_with_the_way_out(
    system: str, sqlite: Place, make_place: Callable[[str], Place]
) -> None:
    sqlite.run("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, ts TEXT, s REAL, y INTEGER)")
    sqlite.run("INSERT INTO t VALUES (CAST(X'FF41' AS TEXT), '2026-05-01 00:00:00Z', 1.5, NULL)")
    with open_job(settings(sqlite, make_place(system))) as job:
        job.ledger.fix_scope(EVERYTHING)
        with pytest.raises(DatabaseError, match="no text in UTF-8") as caught:
            score(job)
        assert "hex(" in caught.value.hint


ALIKE = {
    "citext": ("CREATE EXTENSION IF NOT EXISTS citext", "citext"),
    "case": (
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        'text COLLATE "loose"',
    ),
    "accents": (
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
        'varchar(20) COLLATE "loose"',
    ),
}


@pytest.fixture(params=["together", "sqlite", "postgresql", "mssql"])
def held_by(request: pytest.FixtureRequest, postgresql: Place, make_place: Callable[[str], Place]) -> Place | None:
    return None if request.param == "together" else make_place(request.param)


@pytest.mark.parametrize("kind", ALIKE)
def test_keys_that_are_equal_to_the_server_and_different_as_bytes_are_one_repeated_key(
    kind: str, held_by: Place | None, postgresql: Place
) -> None:
    prepare, spelled = ALIKE[kind]
    try:
        postgresql.run(prepare)
    except DatabaseError as error:
        pytest.skip(f"this server lacks it: {error.what}")
    postgresql.run(f"CREATE TABLE t (id {spelled}, ts timestamptz, s real, y integer)")
    keys = ["P0198", "p0198", "P0199", "Q1", "q2", "Q3", "z", "Ä"]
    for key in keys:
        postgresql.run(f"INSERT INTO t VALUES ('{key}', '2026-05-01 00:00:00Z', 1.5, NULL)")
    with open_job(settings(postgresql, held_by)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job, batch_rows=2) == len(keys) - 2
        found = audit(job)
        assert (parts(found), found.holds) == ((len(keys), 2, 0, len(keys) - 2, 0, 0), True)
        assert explain(job, ["P0198"]).state == "unusable"
        stored = job.store.rows(sa.select(job.own.prediction.c.id))
        assert sorted(row["id"] for row in stored) == sorted(keys[2:])


@pytest.mark.parametrize("kind", ALIKE)
def test_a_key_that_is_spelled_otherwise_after_it_was_scored_is_counted_as_it_is_stored(
    kind: str, held_by: Place | None, postgresql: Place
) -> None:
    prepare, spelled = ALIKE[kind]
    try:
        postgresql.run(prepare)
    except DatabaseError as error:
        pytest.skip(f"this server lacks it: {error.what}")
    postgresql.run(f"CREATE TABLE t (id {spelled} PRIMARY KEY, ts timestamptz, s real, y integer)")
    postgresql.run("INSERT INTO t VALUES ('A', '2026-05-01 00:00:00Z', 1.5, NULL), ('B', '2026-05-01Z', 1, NULL)")
    with open_job(settings(postgresql, held_by)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job) == 2
        postgresql.run("UPDATE t SET id = 'a' WHERE id = 'A'")
        again = score(job)
        found = audit(job)
        assert (again, found.deleted, found.holds) == ((0, 0, True) if held_by is None else (1, 1, True))


@pytest.mark.parametrize(
    ("typed", "declared"),
    [
        ("nonsense", "uuid"),
        ("4711x", "integer"),
        ("yesterday-ish", "timestamptz"),
        ("9" * 30, "bigint"),
        ("x", "numeric"),
    ],
)
def test_a_key_that_the_column_cannot_hold_is_a_wrong_argument(typed: str, declared: str, postgresql: Place) -> None:
    postgresql.run(f"CREATE TABLE t (id {declared} PRIMARY KEY, ts timestamptz, s real, y integer)")
    with open_job(settings(postgresql)) as job:
        with pytest.raises(UsageError, match="what was given for the key column 'id' is no value of it") as caught:
            explain(job, [typed])
        assert (typed in caught.value.what, typed in str(caught.value.detail)) == (False, True)
        absent = {"uuid": str(UUID(int=1)), "timestamptz": "2026-01-01"}.get(declared, "7")
        assert explain(job, [absent]).state == "absent"


@pytest.mark.parametrize("has_time", [True, False])
def test_what_a_later_run_has_planned_is_taken_up_by_an_earlier_one_where_all_its_rows_were_there(
    has_time: bool, database: Place
) -> None:
    stamp = "TEXT" if database.is_sqlite else "timestamptz"
    database.run(f"CREATE TABLE t (id integer PRIMARY KEY, ts {stamp}, s REAL, y integer)")
    rows = ", ".join(f"({key}, '2026-05-{key:02d} 00:00:00Z', 1.5, NULL)" for key in range(1, 21))
    database.run(f"INSERT INTO t VALUES {rows}")
    with open_job(settings(database, time="ts" if has_time else None)) as job:
        job.ledger.fix_scope(EVERYTHING if has_time else Scope(after=()))
        run_id = job.runs.start(PipelineName.REQUEUE, NOW, "")
        ranges = job.pending.plan(job.ledger.state().scope, NOW, None, 10, [])
        first, second = job.ledger.add_batches(run_id, ranges, None)
        job.runs.finish(run_id, RunStatus.DONE, EndCause.COMPLETED)
        found = {NOW - timedelta(seconds=1): [first, second], datetime(2026, 5, 15, tzinfo=UTC): [first]}
        for as_of, expected in found.items():
            assert find_left_behind(job, as_of) == (expected if has_time else [first, second])


@pytest.mark.everywhere
@pytest.mark.parametrize("rule", ["fresh", "proven"])
def test_a_lot_that_is_part_of_the_key_can_be_the_group(odd: Odd, rule: str) -> None:
    lots = [f"L{n // 4:02d}" for n in range(ROWS)]
    odd.make({"lot": "VARCHAR(9) NOT NULL", "wafer": "INTEGER"}, {"lot": lots, "wafer": [n % 4 for n in range(ROWS)]})
    about = {"key": ["lot", "wafer"], "group": "lot", "exclude": ["id"]}
    text = f'[gate]\nrule = "{rule}"\n[monitor]\ngroup_by = "lot"\n[infer]\nworkers = 1\n'
    text += '[[features.history]]\nof = "failed"\nby = ["lot"]\nlast = [3]\n'
    assert odd.run(text, "retrain", **about).decision.outcome is DecisionOutcome.PROMOTED
    odd.place.run(f"UPDATE wafers SET failed = id % 7 / 6 WHERE id BETWEEN {LABELLED + 1} AND {LABELLED + 20}")
    odd.run(text, "retrain", **about)
    assert odd.run(text, "infer", **about).outcome.scored

    def look(job: Job) -> None:
        versions = [job.registry.load(each.version) for each in job.registry.versions()]
        assert not [name for model in versions for name in model.features if name in ("lot", "wafer")]
        assert audit(job).holds
        [newest] = job.store.rows(sa.select(job.own.prediction.c.lot, job.own.prediction.c.wafer).limit(1))
        assert explain(job, [newest["lot"], str(newest["wafer"])]).state is RowState.SCORED

    odd.with_job(look, text, **about)
