"""Old results are forgotten: deleted, accounted for, and not made again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from subprocess import Popen
from typing import Any

import pytest
from jobs import LABELLED, PENDING, Job, wafers

import rowcast

pytest_plugins = ("job_fixtures",)


def make_scored(make_job: Callable[[str, str], Job], system: str) -> Job:
    job = make_job(system, "trained")
    job.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30, s03 = 1e30, s04 = 1e30 WHERE wafer IN (310, 350)")
    job.ok("infer")
    return job


@pytest.fixture
def scored(system: str, prepared: Callable[..., Job]) -> Job:
    """A job whose 100 wafers were scored, but for two that were set aside."""
    return prepared(make_scored, system)


def now() -> str:
    return datetime.now(UTC).isoformat()


def audit(job: Job) -> tuple[int, ...]:
    """Rows scored, quarantined, forgotten and pending, after a full audit that holds."""
    found = job.ok("audit", "--full", "--json")
    return tuple(found[part] for part in ("scored", "quarantined", "forgotten", "pending"))


def count(job: Job, *tables: str) -> list[int]:
    return [job.stored(f"SELECT COUNT(*) AS n FROM {job.table(name)}")[0]["n"] for name in tables]


OWN = ("wafers_prediction", "wafers_quarantine", "wafers_history", "wafers_shadow", "profile")


@pytest.mark.everywhere
def test_what_is_forgotten_is_deleted_counted_apart_and_never_scored_again(scored: Job) -> None:
    scored.sql("UPDATE wafers SET s01 = s01 + 1 WHERE wafer = 320")
    scored.ok("infer", "--rescore")
    done = scored.ok("forget", "--before", now(), "--by", "Ada", "--yes")
    assert (done["batches"], done["scored"], done["quarantined"]) == (4, 98, 2)
    assert count(scored, *OWN, "wafers_forgotten") == [0, 0, 0, 0, 0, PENDING]
    assert audit(scored) == (0, 0, PENDING, 0)
    assert scored.ok("infer")["scored"] == 0
    scored.add(wafers(LABELLED + PENDING + 1, 3, False))
    assert scored.ok("infer")["scored"] == 3
    assert audit(scored) == (3, 0, PENDING, 0)
    assert "= 0 unusable + 300 out_of_scope + 3 scored + 0 quarantined + 100 forgotten" in scored.call("audit").out
    run = scored.ok("runs", "--json")[2]
    assert (run["pipeline"], run["status"], '"by": "Ada"' in run["options"]) == ("forget", "done", True)
    why = scored.ok("explain", "320", "--json")
    assert (why["state"], "rowcast forget" in why["why"]) == ("forgotten", True)


def test_without_yes_nothing_is_deleted_and_people_read_what_would_be(scored: Job) -> None:
    message = scored.refused("forget", "--before", now(), code=2)
    assert "98 predictions and 2 quarantined rows of 3 batches" in message
    assert "--yes" in message
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert "yet to come" in scored.refused("forget", "--before", later, "--yes", code=2)
    assert "there are no results" in scored.call("forget", "--before", "2026-01-01").out
    assert audit(scored) == (98, 2, 0, 0)


def test_what_would_be_deleted_is_counted_as_it_is_now(scored: Job) -> None:
    scored.ok("requeue", "310")
    between = now()
    assert scored.ok("infer")["quarantined"] == 1  # again, by a later batch
    assert "98 predictions and 1 quarantined row of 3 batches" in scored.refused("forget", "--before", between, code=2)
    done = scored.ok("forget", "--before", between, "--yes")
    assert (done["scored"], done["quarantined"]) == (98, 1)


def test_younger_results_stay(scored: Job) -> None:
    between = now()
    scored.add(wafers(LABELLED + PENDING + 1, 3, False))
    scored.ok("infer")
    assert scored.ok("forget", "--before", between, "--yes")["batches"] == 3
    assert audit(scored) == (3, 0, PENDING, 0)
    assert scored.ok("forget", "--before", between, "--yes")["batches"] == 0


def test_a_row_that_waits_to_be_scored_again_is_still_scored(scored: Job) -> None:
    scored.ok("requeue", "--all")
    scored.ok("forget", "--before", now(), "--yes")
    assert audit(scored) == (0, 0, 98, 2)
    scored.sql("UPDATE wafers SET s01 = 0, s02 = 0, s03 = 0, s04 = 0 WHERE wafer IN (310, 350)")
    assert scored.ok("infer")["scored"] == 2
    assert audit(scored) == (2, 0, 98, 0)


@pytest.mark.everywhere
def test_one_that_is_killed_in_its_middle_is_repeated(scored: Job) -> None:
    assert scored.script("deadly_forget.py", "forget", "--before", now(), "--yes").code == -9
    assert audit(scored) == (59, 1, 40, 0)
    assert scored.ok("forget", "--before", now(), "--yes")["batches"] == 2
    assert audit(scored) == (0, 0, PENDING, 0)
    assert [run["status"] for run in scored.ok("runs", "--json")[:2]] == ["done", "interrupted"]


def test_beside_a_run_that_scores(scored: Job, start: Callable[..., "Popen[str]"]) -> None:
    scored.configure({"infer": {"batch_rows": 10}})
    scored.add(wafers(LABELLED + PENDING + 1, 200, False))
    process = start(scored, "infer")
    while process.poll() is None:
        scored.ok("forget", "--before", now(), "--yes")
    assert process.returncode == 0
    found = scored.ok("audit", "--full", "--json")
    assert found["scored"] + found["quarantined"] + found["forgotten"] == PENDING + 200
    assert found["pending"] == 0
    assert found["forgotten"] >= PENDING


@pytest.mark.parametrize("deleted", ["wafers_prediction", "wafers_quarantine"])
def test_who_deleted_results_by_hand_is_pointed_to_it(scored: Job, deleted: str) -> None:
    scored.sql(f"DELETE FROM {scored.table(deleted)}")
    done = scored.call("audit")
    assert done.code == 1
    assert "'rowcast forget --before DATE'" in done.out
    assert scored.ok("infer", "--since", "2025-01-01")["run"]  # the way out: they are scored again …
    scored.ok("forget", "--before", now(), "--yes")  # … and forgotten
    assert audit(scored) == (0, 0, PENDING, 0)


def test_a_key_that_is_no_longer_kept_is_seen(scored: Job) -> None:
    scored.ok("forget", "--before", now(), "--yes")
    scored.sql(f"DELETE FROM {scored.table('wafers_forgotten')} WHERE wafer = 320")
    found = scored.audit(holds=False)
    assert (found["batches_wrong"], found["pending"]) == (1, 1)


def test_quality_and_charts_say_what_is_missing(scored: Job) -> None:
    for command in ("quality", "charts"):
        assert "forgotten_until" not in scored.ok(command, "--json")
        assert "were deleted" not in scored.call(command).out
    scored.ok("forget", "--before", now(), "--yes")
    for command in ("quality", "charts"):
        assert scored.ok(command, "--json")["forgotten_until"]
        assert "were deleted by 'rowcast forget'" in scored.call(command).out


@pytest.mark.parametrize(
    ("system", "store"), [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("mssql", "sqlite"), ("sqlite", "mssql")]
)
def test_from_python_where_the_store_is_another_database(
    system: str, store: str, make_job: Callable[[str, str], Job]
) -> None:
    job, apart = make_job(system, "untrained"), make_job(store, "empty")
    job.estimator("quick", store={"url": apart.place.url}, retrain={"policy": "never"})
    job.ok("retrain")
    job.ok("infer")
    open_job: Any = rowcast.open(job.folder / "rowcast.toml")
    at = datetime.now(UTC)
    assert open_job.preview_forget(before=at).rows.scored == PENDING
    done = open_job.forget(before=at)
    assert (done.before, done.rows.scored, done.rows.batches) == (at, PENDING, 3)
    found = open_job.audit(full=True)
    assert (found.holds, found.forgotten, found.pending) == (True, PENDING, 0)
    assert job.ok("infer")["scored"] == 0
