"""A store that is restored from a backup, and an older rowcast on a newer store."""

import shutil
from collections.abc import Callable

import pytest
from jobs import LABELLED, PENDING, Job, wafers

pytest_plugins = ("job_fixtures",)


@pytest.fixture
def apart(make_job: Callable[..., Job]) -> Job:
    """A job whose store is a file of its own, with a champion that has scored what was there."""
    job = make_job("sqlite", "untrained")
    job.configure({"store": {"url": "sqlite:///store.db"}})
    job.ok("run")
    return job


def test_rows_that_were_scored_since_the_backup_are_pending_and_are_scored_again(apart: Job) -> None:
    backup = shutil.copy(apart.folder / "store.db", apart.folder / "backup.db")
    before = apart.audit()
    apart.add(wafers(LABELLED + PENDING + 1, 40, False))
    assert apart.ok("infer")["scored"] == 40
    newest = str(LABELLED + PENDING + 40)
    score = apart.call("explain", newest, "--json").json["score"]

    for ending in ("", "-wal", "-shm"):
        (apart.folder / f"store.db{ending}").unlink(missing_ok=True)
    shutil.copy(backup, apart.folder / "store.db")

    restored = apart.audit()
    assert restored["scored"] == before["scored"]
    assert restored["pending"] == before["pending"] + 40
    assert apart.ok("infer")["scored"] == 40
    assert apart.call("explain", newest, "--json").json["score"] == pytest.approx(score, abs=1e-9)
    assert apart.audit()["pending"] == before["pending"]


@pytest.mark.parametrize("command", ["run", "infer", "audit", "status"])
def test_an_older_rowcast_leaves_a_newer_store_alone_and_says_why(lite: Job, command: str) -> None:
    lite.sql("INSERT INTO rowcast_version VALUES (99, '2026-11-01 00:00:00.000000Z')")
    said = lite.refused(command)
    assert "has version 99" in said
    assert "install the newer rowcast" in said
    assert lite.sql("SELECT count(*) AS n FROM rowcast_wafers_prediction") == [{"n": 0}]
