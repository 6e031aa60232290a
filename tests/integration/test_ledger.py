"""The ledger: what is claimed, by whom, and what is published, whole or not at all."""

import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pyarrow as pa
import pytest
import sqlalchemy as sa
from conftest import Place
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from rowcast.audit.batches import BatchCounts, check_shadows
from rowcast.database import Column, Database
from rowcast.errors import REASONS, DatabaseError, QuarantineError, RunError, StoreError
from rowcast.source import KeyRange, Scope
from rowcast.store import BatchResult, JobState, Ledger, RowCounts, Runs, lease, new_worker, process_name
from rowcast.store.migrations import upgrade
from rowcast.store.process import is_gone
from rowcast.store.records import EndCause, PipelineName, RunStatus
from rowcast.store.tables import job_tables, tables

pytestmark = pytest.mark.everywhere

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = (Column("id", "number", "bigint", True),)
RANGE = KeyRange(("1",), ("9",), 9)


def opened(db: Database, job: str = "wafers") -> Ledger:
    shared = tables(db, "rowcast")
    own = job_tables(db, shared, "rowcast", job, KEY, sa.BigInteger)
    upgrade(db, shared, own, "rowcast")
    ledger = Ledger(db, shared, own, job)
    ledger.register("t")
    return ledger


def runs_of(ledger: Ledger) -> Runs:
    return Runs(ledger.db, ledger.tables, ledger.job)


@pytest.fixture
def ledger(database: Place) -> Ledger:
    return opened(database.connect())


@pytest.fixture
def other(database: Place, ledger: Ledger) -> Ledger:
    """A second runner, on a connection of its own."""
    return opened(database.connect())


def predictions(*keys):
    n = len(keys)
    columns = {
        "id": pa.array(keys, pa.int64()),
        "row_hash": pa.array([7] * n, pa.int64()),
        "score": pa.array([0.25] * n, pa.float64()),
        "predicted": pa.array([1] * n, pa.int64()),
        "threshold": pa.array([0.5] * n, pa.float64()),
        "contributions": pa.array([None] * n, pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def bad(*keys):
    n = len(keys)
    columns = {
        "id": pa.array(keys, pa.int64()),
        "row_hash": pa.array([8] * n, pa.int64()),
        "reasons": pa.array(["[]"] * n, pa.string()),
        "row_values": pa.array(["{}"] * n, pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def planned(ledger: Ledger, count: int = 1, version: int | None = 1) -> list[int]:
    return ledger.add_batches(1, [RANGE] * count, version)


def claimed(ledger: Ledger, run_id: int = 1):
    [batch_id] = planned(ledger)
    return ledger.claim(batch_id, run_id, 1)


def rows(ledger: Ledger, table: sa.Table):
    return ledger.db.rows(sa.select(table))


def nothing_published(ledger: Ledger) -> bool:
    return rows(ledger, ledger.own.prediction) == rows(ledger, ledger.own.quarantine) == []


# ---- publishing


def test_a_batch_is_published_with_its_lineage_and_its_counts(ledger):
    batch = claimed(ledger, 5)
    assert ledger.publish(batch, BatchResult(predictions(1, 2), bad(3)), None)
    found = rows(ledger, ledger.own.prediction)
    assert [row["id"] for row in found] == [1, 2]
    lineage = {"model_version": 1, "run_id": 5, "batch_id": batch.batch_id}
    assert lineage.items() <= found[0].items()
    assert abs(found[0]["scored_at"] - ledger.db.now()) < timedelta(minutes=1)
    [quarantined] = rows(ledger, ledger.own.quarantine)
    assert {"id": 3, "batch_id": batch.batch_id, "row_hash": 8, "reasons": "[]"}.items() <= quarantined.items()
    [entry] = rows(ledger, ledger.tables.batch)
    counts = {"status": "published", "row_count": 3, "scored": 2, "quarantined": 1, "lease_until": None, "attempts": 1}
    assert counts.items() <= entry.items()
    assert entry["finished_at"] is not None


def test_an_empty_batch_can_be_published(ledger):
    assert ledger.publish(claimed(ledger), BatchResult(predictions(), bad()), 0.1)
    [entry] = rows(ledger, ledger.tables.batch)
    assert (entry["status"], entry["row_count"]) == ("published", 0)


@pytest.mark.parametrize("broken", [(predictions(1, 1), bad(2)), (predictions(1, 2), bad(3, 3))])
def test_a_batch_that_fails_half_way_publishes_nothing(ledger, broken):
    batch = claimed(ledger)
    with pytest.raises(DatabaseError) as caught:
        ledger.publish(batch, BatchResult(*broken), None)
    assert caught.value.reason == "duplicate"
    assert nothing_published(ledger)
    assert rows(ledger, ledger.tables.batch)[0]["status"] == "claimed"
    assert ledger.publish(batch, BatchResult(predictions(1), bad(2)), None)


def test_no_row_is_ever_scored_twice(ledger):
    assert ledger.publish(claimed(ledger), BatchResult(predictions(1, 2), bad()), None)
    with pytest.raises(DatabaseError):
        ledger.publish(claimed(ledger), BatchResult(predictions(2, 3), bad()), None)
    assert [row["id"] for row in rows(ledger, ledger.own.prediction)] == [1, 2]


def test_a_batch_is_published_once(ledger):
    batch = claimed(ledger)
    assert ledger.publish(batch, BatchResult(predictions(1), bad()), None)
    assert not ledger.publish(batch, BatchResult(predictions(2), bad()), None)
    assert [row["id"] for row in rows(ledger, ledger.own.prediction)] == [1]


def test_a_lost_claim_publishes_nothing(ledger, other):
    batch = claimed(ledger)
    expire(ledger, batch.batch_id)
    theirs = other.claim(batch.batch_id, 2, 1)
    assert theirs is not None
    assert not ledger.publish(batch, BatchResult(predictions(1), bad(2)), None)
    assert nothing_published(ledger)
    assert other.publish(theirs, BatchResult(predictions(3), bad()), None)
    assert [row["id"] for row in rows(ledger, ledger.own.prediction)] == [3]


def expire(ledger: Ledger, batch_id: int) -> None:
    table = ledger.tables.batch
    past = ledger.db.now() - timedelta(seconds=1)
    ledger.db.execute(table.update().where(table.c.batch_id == batch_id).values(lease_until=past))


# ---- claiming


def test_only_one_of_two_gets_a_batch(ledger, other):
    [batch_id] = planned(ledger)
    assert ledger.claim(batch_id, 1, 1) is not None
    assert other.claim(batch_id, 1, 1) is None


def test_of_many_who_claim_at_once_only_one_gets_the_batch(database, ledger):
    batches = planned(ledger, 5)
    ledgers = [opened(database.connect()) for _ in range(4)]
    start = threading.Barrier(len(ledgers))
    taken = {batch_id: [] for batch_id in batches}
    failed = []

    def work(mine: Ledger) -> None:
        for batch_id in batches:
            start.wait()
            try:
                taken[batch_id].append(mine.claim(batch_id, 1, 1))
            except DatabaseError as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=[mine]) for mine in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [sum(batch is not None for batch in found) for found in taken.values()] == [1] * len(batches)


def test_a_claim_is_kept_for_as_long_as_its_lease(ledger, other):
    batch = claimed(ledger)
    [entry] = rows(ledger, ledger.tables.batch)
    assert timedelta(0) < entry["lease_until"] - ledger.db.now() <= lease.LEASE
    assert other.open_batches() == []
    expire(ledger, batch.batch_id)
    assert other.open_batches() == [batch.batch_id]
    taken = other.claim(batch.batch_id, 2, 1)
    assert (taken.batch_id, taken.run_id) == (batch.batch_id, 2)
    assert rows(ledger, ledger.tables.batch)[0]["attempts"] == 2


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=400)])
def test_a_claim_of_a_clock_that_was_ahead_keeps_a_batch_from_nobody(ahead, ledger, other):
    batch = claimed(ledger)
    table = ledger.tables.batch
    values = {"worker": "fab9:0:0:1:1/ab", "lease_until": ledger.db.now() + ahead}
    ledger.db.execute(table.update().values(values))
    assert other.open_batches() == [batch.batch_id]
    assert other.claim(batch.batch_id, 2, 1) is not None
    assert timedelta(0) < rows(ledger, table)[0]["lease_until"] - ledger.db.now() <= lease.LEASE


def test_a_released_batch_is_free_at_once(ledger, other):
    batch = claimed(ledger)
    ledger.release(batch.batch_id, batch.worker)
    assert other.open_batches() == [batch.batch_id]
    theirs = other.claim(batch.batch_id, 2, 1)
    ledger.release(batch.batch_id, batch.worker)  # too late: it is theirs
    assert other.open_batches() == []
    assert other.publish(theirs, BatchResult(predictions(1), bad()), None)


def test_a_claim_asked_for_again_under_its_own_name_is_the_same(ledger, other):
    [batch_id] = planned(ledger)
    name = new_worker()
    batch = ledger.claim(batch_id, 1, 1, name)
    assert ledger.claim(batch_id, 1, 1, name) == batch
    assert other.claim(batch_id, 2, 1) is None


def test_who_did_not_hear_of_its_publishing_can_ask(ledger, other):
    batch = claimed(ledger)
    assert ledger.find_published(batch.batch_id, batch.worker) is None
    ledger.publish(batch, BatchResult(predictions(1, 2), bad(3)), None)
    assert other.find_published(batch.batch_id, batch.worker) == RowCounts(1, 2, 1)
    assert other.find_published(batch.batch_id, new_worker()) is None


def test_a_lease_is_renewed_while_the_work_lasts_and_not_longer(ledger, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT", timedelta(milliseconds=20))
    batch = claimed(ledger)
    expire(ledger, batch.batch_id)
    with lease.heartbeat(ledger.db, partial(ledger.renewal, batch.batch_id, batch.worker)):
        eventually(lambda: rows(ledger, ledger.tables.batch)[0]["lease_until"] > ledger.db.now())
    expire(ledger, batch.batch_id)
    assert ledger.open_batches() == [batch.batch_id]


def test_a_lost_claim_is_not_renewed(ledger, other):
    batch = claimed(ledger)
    expire(ledger, batch.batch_id)
    other.claim(batch.batch_id, 2, 1)
    expire(ledger, batch.batch_id)
    ledger.db.execute(ledger.renewal(batch.batch_id, batch.worker, ledger.db.now() + lease.LEASE))
    assert ledger.open_batches() == [batch.batch_id]


def test_renewing_goes_on_after_the_database_was_away(ledger, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT", timedelta(milliseconds=20))
    batch = claimed(ledger)
    expire(ledger, batch.batch_id)
    asked = []

    def renewal(until):
        asked.append(until)
        if len(asked) == 1:
            raise DatabaseError("it is away", reason="unreachable")
        return ledger.renewal(batch.batch_id, batch.worker, until)

    with lease.heartbeat(ledger.db, renewal):
        eventually(lambda: rows(ledger, ledger.tables.batch)[0]["lease_until"] > ledger.db.now())
    assert len(asked) >= 2


def eventually(holds) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_planned_batch_is_halved_under_its_own_model(ledger, other):
    [batch_id] = planned(ledger, version=3)
    assert ledger.planned_range(batch_id) == RANGE
    low, high = KeyRange(("1",), ("5",), 5), KeyRange(("6",), ("9",), 4)
    parts = ledger.halve(batch_id, 2, [low, high])
    assert ledger.planned_range(batch_id) is None
    assert ledger.open_ranges() == [KeyRange(("1",), ("9",), 9)]
    assert [other.claim(part, 3, 7).model_version for part in parts] == [3, 3]
    assert ledger.claim(batch_id, 1, 1) is None


def test_a_batch_in_somebodys_hands_is_not_halved(ledger, other):
    batch = claimed(other)
    assert ledger.halve(batch.batch_id, 2, [RANGE]) == []
    assert ledger.planned_range(batch.batch_id) is None
    assert other.publish(batch, BatchResult(predictions(1), bad()), None)
    assert ledger.halve(batch.batch_id, 2, [RANGE]) == []


@pytest.mark.turns
def test_what_workers_that_are_gone_held_is_given_back(ledger, runner):
    mine = claimed(ledger, runner.run_id)
    runner.kill()
    runner.wait()
    ledger.give_back(runner.run_id)
    status = {row["batch_id"]: row["status"] for row in rows(ledger, ledger.tables.batch)}
    assert status == {runner.batch_id: "planned", mine.batch_id: "claimed"}


@pytest.mark.turns
def test_a_process_that_only_waits_to_be_collected_is_gone(ledger, runner):
    [name] = [row["worker"] for row in rows(ledger, ledger.tables.batch)]
    assert not is_gone(name)
    runner.kill()
    eventually(lambda: is_gone(name))


def test_a_batch_keeps_the_model_it_was_begun_with(ledger, other):
    [undecided] = planned(ledger, version=None)
    batch = ledger.claim(undecided, 1, 7)
    assert batch.model_version == 7
    ledger.release(batch.batch_id, batch.worker)
    assert other.claim(undecided, 2, 8).model_version == 7
    [decided] = planned(ledger, version=3)
    assert ledger.claim(decided, 1, 7).model_version == 3


def test_what_is_not_there_cannot_be_claimed(ledger, database):
    [batch_id] = planned(ledger)
    assert ledger.claim(batch_id + 1, 1, 1) is None
    assert opened(database.connect(), "lots").claim(batch_id, 1, 1) is None


def test_key_bounds_survive_the_ledger(ledger):
    keys = KeyRange(('it\'s "1"', "ä\\n\n"), ("日本", ""), 3)
    [batch_id] = ledger.add_batches(1, [keys], 1)
    assert ledger.open_ranges() == [keys]
    assert ledger.claim(batch_id, 1, 1).keys == keys


def test_batches_planned_one_after_the_other_are_one_open_range(ledger):
    parts = [KeyRange((str(n),), (str(n),), 1) for n in range(1, 8)]
    batches = ledger.add_batches(1, parts, 1)
    ledger.add_batches(1, [KeyRange(("0",), ("0",), 1)], 1)  # planned later: it need not lie behind the others
    assert ledger.open_ranges() == [KeyRange(("1",), ("7",), 7), KeyRange(("0",), ("0",), 1)]
    ledger.publish(ledger.claim(batches[3], 1, 1), BatchResult(predictions(4), bad()), None)
    assert [keys.rows for keys in ledger.open_ranges()] == [3, 3, 1]
    assert [keys.rows for keys in ledger.open_ranges(but=batches[1])] == [1, 1, 3, 1]


def test_open_ranges_are_those_not_published_yet(ledger):
    first, second, third = planned(ledger, 3)
    ledger.claim(first, 1, 1)
    ledger.publish(ledger.claim(second, 1, 1), BatchResult(predictions(1), bad()), None)
    assert len(ledger.open_ranges()) == 2
    assert ledger.open_batches() == [third]


CLAIM_AND_WAIT = """
import sys, time
import sqlalchemy as sa
sys.path[:0] = {path!r}
from test_ledger import opened, runs_of
from rowcast.database import connect
ledger = opened(connect(sys.argv[1]))
run_id = runs_of(ledger).start("infer", ledger.db.now(), "x")
[batch_id] = ledger.open_batches()
print(run_id, ledger.claim(batch_id, run_id, 1).batch_id, flush=True)
time.sleep(600)
"""


@pytest.fixture
def runner(database, ledger):
    """A real process that has claimed a batch and works on it."""
    planned(ledger)
    command = [sys.executable, "-c", CLAIM_AND_WAIT.format(path=sys.path), database.url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.run_id, process.batch_id = map(int, process.stdout.readline().split())
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.turns
def test_the_claim_of_a_live_process_is_respected(ledger, runner):
    assert ledger.open_batches() == []
    assert ledger.claim(runner.batch_id, 2, 1) is None
    runs_of(ledger).start(PipelineName.INFER, NOW, "x")
    assert runs_of(ledger).get(runner.run_id).status is RunStatus.RUNNING


@pytest.mark.turns
def test_a_killed_process_loses_its_claim_and_its_run_is_interrupted(ledger, runner):
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert ledger.open_batches() == [runner.batch_id]
    batch = ledger.claim(runner.batch_id, 2, 1)
    assert ledger.publish(batch, BatchResult(predictions(1), bad()), None)
    runs_of(ledger).start(PipelineName.INFER, NOW, "x")
    found = runs_of(ledger).get(runner.run_id)
    assert (found.status, found.end_cause) == (RunStatus.INTERRUPTED, EndCause.DIED)
    assert found.error
    assert found.finished_at is not None


def test_processes_are_told_apart_by_machine_and_start():
    here = process_name()
    place, _, started = here.rpartition(":")
    assert not is_gone(here)
    assert not is_gone(here + "/some-claim")
    assert is_gone(f"{place}:{int(started) + 1}")  # the number was given to another process
    assert not is_gone("elsewhere:" + here)  # nobody here can tell
    assert not is_gone(None)
    assert not is_gone("")


# ---- the share of bad rows


def published(ledger: Ledger, good: int, worse: int, start: int) -> None:
    keys = range(start, start + good + worse)
    ledger.publish(claimed(ledger), BatchResult(predictions(*keys[:good]), bad(*keys[good:])), 1.0)


def test_too_many_bad_rows_stop_a_batch_before_it_is_published(ledger):
    batch = claimed(ledger)
    with pytest.raises(QuarantineError, match=r"2 of 10 rows .* \(20\.0%; max_quarantine is 10\.0%\)") as caught:
        ledger.publish(batch, BatchResult(predictions(*range(8)), bad(8, 9)), 0.1)
    assert "--accept-quarantine" in caught.value.hint
    assert nothing_published(ledger)
    assert ledger.publish(batch, BatchResult(predictions(*range(8)), bad(8, 9)), 0.2)


def test_any_share_can_be_accepted(ledger):
    assert ledger.publish(claimed(ledger), BatchResult(predictions(), bad(1, 2)), None)


def test_what_a_person_accepted_is_not_held_against_later_rows(ledger):
    assert ledger.publish(claimed(ledger), BatchResult(predictions(*range(500)), bad(*range(500, 900))), None)
    assert ledger.publish(claimed(ledger), BatchResult(predictions(*range(1000, 1099)), bad(1099)), 0.1)
    with pytest.raises(QuarantineError, match="21 of 200"):
        ledger.publish(claimed(ledger), BatchResult(predictions(*range(2000, 2080)), bad(*range(2080, 2100))), 0.1)


def test_a_small_batch_is_judged_with_the_rows_published_last(ledger):
    published(ledger, 990, 5, 0)
    assert ledger.publish(claimed(ledger), BatchResult(predictions(2000), bad(2001, 2002)), 0.1)  # 2 of 3, but 7 of 998


def test_bad_rows_add_up_over_small_batches(ledger):
    published(ledger, 100, 0, 0)
    for step in range(11):
        published(ledger, 0, 1, 1000 + step)
    with pytest.raises(QuarantineError, match="12 of 112"):
        ledger.publish(claimed(ledger), BatchResult(predictions(), bad(2000)), 0.1)


def test_only_the_last_thousand_rows_are_judged(ledger):
    published(ledger, 0, 500, 0)  # long ago
    published(ledger, 1000, 0, 1000)
    assert ledger.publish(claimed(ledger), BatchResult(predictions(*range(3000, 3009)), bad(3009)), 0.1)
    with pytest.raises(QuarantineError, match="200 of 1,000"):
        ledger.publish(claimed(ledger), BatchResult(predictions(*range(4000, 4800)), bad(*range(4800, 5000))), 0.1)


def test_a_batch_without_bad_rows_is_never_stopped(ledger):
    published(ledger, 0, 50, 0)
    assert ledger.publish(claimed(ledger), BatchResult(predictions(100), bad()), 0.0)


# ---- jobs


def test_a_name_belongs_to_one_source(ledger, other):
    ledger.register("t")
    with pytest.raises(StoreError, match=r"'wafers' is taken by another source: t \(this one is lots\)") as caught:
        other.register("lots")
    assert "name" in caught.value.hint


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason != "duplicate"])
def test_a_name_that_cannot_be_registered_is_not_called_taken(reason, sqlite, monkeypatch):
    ledger = opened(sqlite.connect())
    ledger.db.execute(ledger.tables.job.delete())

    def refuse(_statement):
        raise DatabaseError("it refused", reason=reason)

    monkeypatch.setattr(ledger.db, "execute", refuse)
    with pytest.raises(StoreError if reason == "rights" else DatabaseError, match="it refused") as caught:
        ledger.register("t")
    assert reason != "rights" or "doctor" in caught.value.hint


def test_who_may_only_read_the_store_is_told_so(postgresql):
    ledger = opened(postgresql.connect())
    postgresql.run("CREATE ROLE looker", "GRANT USAGE ON SCHEMA rowcast TO looker")
    postgresql.run("GRANT SELECT ON ALL TABLES IN SCHEMA rowcast TO looker")
    ledger.db.run_sql("SET ROLE looker")
    try:
        with pytest.raises(StoreError, match="may not write to its tables"):
            Ledger(ledger.db, ledger.tables, ledger.own, "lots").register("t")
    finally:
        ledger.db.run_sql("RESET ROLE")
        postgresql.run("DROP OWNED BY looker", "DROP ROLE looker")


def test_of_two_that_register_at_once_one_is_heard(ledger, other, monkeypatch):
    lots = [Ledger(each.db, each.tables, each.own, "lots") for each in (ledger, other)]
    insert = lots[0]._insert

    def late(source):
        lots[1].register(source)
        insert(source)

    monkeypatch.setattr(lots[0], "_insert", late)
    lots[0].register("t")
    assert lots[0].state() == lots[1].state() == JobState(Scope(with_learned=True))


def test_jobs_do_not_see_one_another(ledger, database):
    lots = opened(database.connect(), "lots")
    ledger.set_state(champion=3)
    batch = claimed(ledger)
    assert lots.state().champion is None
    assert lots.open_ranges() == lots.open_batches() == []
    ledger.publish(batch, BatchResult(predictions(1), bad()), None)
    assert nothing_published(lots)
    run_id = runs_of(ledger).start(PipelineName.INFER, NOW, "x")
    assert runs_of(lots).newest() == []
    with pytest.raises(RunError, match=f"'lots' has no run {run_id}"):
        runs_of(lots).get(run_id)


def test_a_jobs_state_is_kept_as_it_was_set(ledger):
    assert not ledger.state().scope.is_fixed
    at = datetime(2026, 5, 1, 1, 2, 3, 456000, tzinfo=UTC)
    ledger.set_state(scope_from=at, complete_to=at, champion=2)
    state = ledger.state()
    assert (state.scope.since, state.complete_to, state.champion, state.scope.after) == (at, at, 2, None)
    ledger.set_state(scope_from=None, scope_after="[]")
    assert ledger.state().scope.after == ()
    assert ledger.state().scope.is_fixed


def test_two_never_plan_at_once(ledger, other, database, monkeypatch):
    if database.is_sqlite:
        monkeypatch.setattr("rowcast.database.sqlite.connection._PATIENCE", 0.0)
    elif database.is_mssql:
        monkeypatch.setattr("rowcast.database.mssql.connection._PATIENCE", 10)
    else:
        other.db.query("SET lock_timeout = '10ms'")

    def plan() -> None:
        with other.planning():
            pass

    with ledger.planning():
        with pytest.raises(DatabaseError) as caught:
            plan()
        assert caught.value.reason == "locked"
        planned(ledger)
    plan()
    assert len(other.open_ranges()) == 1


def test_a_plan_that_fails_leaves_no_batches(ledger):
    def plan() -> None:
        with ledger.planning():
            planned(ledger, 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan()
    assert ledger.open_ranges() == []


# ---- versions that are not in service


def shadow(score: float, *keys: int) -> pa.RecordBatch:
    rows = predictions(*keys).drop_columns(["contributions"])
    return rows.set_column(rows.schema.get_field_index("score"), "score", pa.array([score] * len(keys)))


def shadow_rows(ledger: Ledger) -> dict[tuple[int, int], float]:
    found = {(row["id"], row["model_version"]): row["score"] for row in rows(ledger, ledger.own.shadow)}
    assert len(found) == len(rows(ledger, ledger.own.shadow))
    return found


def test_what_other_versions_make_of_a_batch_is_kept_with_its_lineage(ledger):
    batch = claimed(ledger, 5)
    assert ledger.publish(batch, BatchResult(predictions(1, 2), bad(3)), None)
    ledger.save_shadow(batch, 2, shadow(0.5, 1, 2))
    ledger.save_shadow(batch, 3, shadow(0.75, 1))
    ledger.save_shadow(batch, 4, shadow(0.75))
    assert shadow_rows(ledger) == {(1, 2): 0.5, (2, 2): 0.5, (1, 3): 0.75}
    [found] = [row for row in rows(ledger, ledger.own.shadow) if row["model_version"] == 3]
    lineage = {"run_id": 5, "batch_id": batch.batch_id, "row_hash": 7, "predicted": 1, "threshold": 0.5}
    assert lineage.items() <= found.items()
    assert abs(found["scored_at"] - ledger.db.now()) < timedelta(minutes=1)


def test_what_a_version_makes_of_a_row_once_more_takes_the_place_of_what_it_made_of_it(ledger):
    batch, later = claimed(ledger), claimed(ledger)
    ledger.save_shadow(batch, 2, shadow(0.25, 1, 2))
    ledger.save_shadow(batch, 3, shadow(0.25, 2))
    for _ in range(2):
        ledger.save_shadow(later, 2, shadow(0.5, 2, 3))
    assert shadow_rows(ledger) == {(1, 2): 0.25, (2, 2): 0.5, (2, 3): 0.25, (3, 2): 0.5}
    of = {row["id"]: row["batch_id"] for row in rows(ledger, ledger.own.shadow) if row["model_version"] == 2}
    assert of == {1: batch.batch_id, 2: later.batch_id, 3: later.batch_id}


def test_what_versions_made_of_rows_is_thrown_away_by_version(ledger):
    batch = claimed(ledger)
    for version in (2, 3, 4):
        ledger.save_shadow(batch, version, shadow(0.5, 1))
    ledger.forget_shadow([])
    ledger.forget_shadow([7])
    assert set(shadow_rows(ledger)) == {(1, 2), (1, 3), (1, 4)}
    ledger.forget_shadow({2, 4, 5})
    assert set(shadow_rows(ledger)) == {(1, 3)}


def test_a_prediction_takes_into_history_what_stood_beside_it(ledger):
    batch = claimed(ledger)
    assert ledger.publish(batch, BatchResult(predictions(1, 2), bad(3)), None)
    ledger.save_shadow(batch, 2, shadow(0.5, 1, 2))
    keys = ledger.db.create_temporary("rowcast_moved", sa.Column("id", sa.BigInteger))
    ledger.db.ingest(keys, pa.RecordBatch.from_pydict({"id": pa.array([2, 3], pa.int64())}))
    assert ledger.move_to_history(ledger.own.prediction, keys) == 1
    assert [row["id"] for row in rows(ledger, ledger.own.history)] == [2]
    assert set(shadow_rows(ledger)) == {(1, 2)}


def test_a_record_of_what_was_scored_in_the_shadow_holds_whatever_is_done_to_its_rows(ledger):
    """Saved again, taken into history, deleted by version: what the ledger does to rows is no change of them."""
    batch, later = claimed(ledger), claimed(ledger)
    assert ledger.publish(batch, BatchResult(predictions(1, 2, 4), bad(3)), None)
    for version in (2, 3):
        ledger.save_shadow(batch, version, shadow(0.25, 1, 2, 4))
    for _ in range(2):
        ledger.save_shadow(later, 2, shadow(0.5, 2, 3))
    keys = ledger.db.create_temporary("rowcast_moved", sa.Column("id", sa.BigInteger))
    ledger.db.ingest(keys, pa.RecordBatch.from_pydict({"id": pa.array([2, 4], pa.int64())}))
    ledger.move_to_history(ledger.own.prediction, keys)
    assert set(shadow_rows(ledger)) == {(1, 2), (3, 2), (1, 3)}
    assert check_shadows(ledger) == BatchCounts()
    own = ledger.own.shadow
    ledger.db.execute(own.update().where(own.c.id == 1, own.c.model_version == 2).values(score=0.26))
    ledger.db.execute(own.delete().where(own.c.id == 3))
    assert check_shadows(ledger) == BatchCounts(changed=2)
    ledger.forget_shadow([2])
    assert check_shadows(ledger) == BatchCounts()
    record = ledger.tables.shadow_batch
    ledger.db.execute(record.delete())  # as in an older store
    assert check_shadows(ledger) == BatchCounts(unchecked=1)


# ---- any order of events


class Model:
    """What the ledger should hold, whatever two runners do to three batches."""

    def __init__(self, ledgers: list[Ledger]) -> None:
        self.ledgers = ledgers
        self.batches = planned(ledgers[0], 3)
        self.holder: dict[int, int | None] = dict.fromkeys(self.batches)
        self.claims: dict[tuple[int, int], object] = {}
        self.published: dict[int, int] = {}

    def claim(self, who: int, batch_id: int) -> None:
        found = self.ledgers[who].claim(batch_id, who, 1)
        free = self.holder[batch_id] is None and batch_id not in self.published
        assert (found is not None) == free
        if found:
            self.holder[batch_id] = who
            self.claims[who, batch_id] = found

    def lose(self, who: int, batch_id: int) -> None:
        """The lease runs out."""
        if batch_id not in self.published:
            expire(self.ledgers[who], batch_id)
            self.holder[batch_id] = None

    def release(self, who: int, batch_id: int) -> None:
        if claim := self.claims.get((who, batch_id)):
            current = self.is_current(who, batch_id)
            self.ledgers[who].release(claim.batch_id, claim.worker)
            if current:
                self.holder[batch_id] = None
                del self.claims[who, batch_id]

    def publish(self, who: int, batch_id: int) -> None:
        if claim := self.claims.get((who, batch_id)):
            current = self.is_current(who, batch_id)
            done = self.ledgers[who].publish(
                claim, BatchResult(predictions(batch_id * 10 + who), bad(batch_id * 10 + 5)), None
            )
            assert done == current
            if done:
                self.published[batch_id] = who
                self.claims.pop((who, batch_id))

    def is_current(self, who: int, batch_id: int) -> bool:
        """Whether nobody has taken the batch since; an expired lease that nobody took still counts."""
        table = self.ledgers[0].tables.batch
        worker = self.ledgers[0].db.scalar(sa.select(table.c.worker).where(table.c.batch_id == batch_id))
        return batch_id not in self.published and worker == self.claims[who, batch_id].worker

    def check(self) -> None:
        wanted = sorted(batch_id * 10 + who for batch_id, who in self.published.items())
        assert sorted(row["id"] for row in rows(self.ledgers[0], self.ledgers[0].own.prediction)) == wanted
        counts = {
            row["batch_id"]: (row["status"] == "published")
            for row in rows(self.ledgers[0], self.ledgers[0].tables.batch)
        }
        assert counts == {batch_id: batch_id in self.published for batch_id in self.batches}


@effort(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["claim", "claim", "lose", "release", "publish"]), st.integers(0, 1), st.integers(0, 2)
        ),
        max_size=12,
    )
)
def test_whatever_two_runners_do_each_batch_is_published_once(make_place, events):
    place = make_place("sqlite")
    model = Model([opened(place.connect()), opened(place.connect())])
    for event, who, place_of_batch in events:
        getattr(model, event)(who, model.batches[place_of_batch])
    model.check()
