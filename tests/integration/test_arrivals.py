"""New rows that cannot be scored, or that no run looks for, are told to somebody."""

from datetime import datetime, timedelta

import pytest
from odd import ROWS, START, Odd, empty_odd  # noqa: F401 (a fixture)

from rowcast import pipeline
from rowcast.job.opening import Job
from rowcast.scoring import reloaded
from rowcast.status import read_status

pytestmark = pytest.mark.turns


def infer(odd: Odd, day: int) -> None:
    """Score what is there on a day."""
    at = START + timedelta(days=day)
    pipeline.run(odd.settings(late_arrival="2d"), "infer", as_of=at.isoformat())


def arrive(odd: Odd, first: int, day: float | None, count: int = 20) -> None:
    """New wafers of a day; None: without a time."""
    at = None if day is None else f"{START + timedelta(days=day):%Y-%m-%d %H:%M:%SZ}"
    odd.place.fill("wafers", id=list(range(first, first + count)), t=[at] * count, s0=[1.5] * count)


def standing(odd: Odd) -> dict[str, tuple[str, datetime]]:
    alerts = odd.with_job(lambda job: job.alerts.list_standing())
    return {alert.topic: (alert.what, alert.since) for alert in alerts}


@pytest.fixture
def scored(odd: Odd) -> Odd:
    """A job that has scored the first week."""
    odd.make()
    pipeline.run(odd.settings(late_arrival="2d"), "full-pipeline", as_of=(START + timedelta(days=7)).isoformat())
    assert standing(odd) == {}
    return odd


def test_new_rows_that_are_all_unusable_need_a_person_until_usable_ones_come(scored: Odd) -> None:
    arrive(scored, ROWS + 1, None)
    arrive(scored, ROWS + 1_000, 12, 400)  # not there yet
    infer(scored, 9)
    what, since = standing(scored)["unusable"]
    assert what.startswith("20 of 20 new rows cannot be scored")
    assert since == START + timedelta(days=9)
    status = scored.with_job(read_status)
    assert not status.ok
    assert "new rows are unusable" in status.needs_a_person[0]
    infer(scored, 11)  # nothing has come since, so that nothing is known to be better
    assert "unusable" in standing(scored)
    infer(scored, 13)
    assert standing(scored) == {}


def test_a_source_that_lost_its_rows_overnight_is_told_until_they_are_back(scored: Odd) -> None:
    kept = ", ".join(["id", "t", "s0", "failed"])
    scored.place.run(f"CREATE TABLE kept AS SELECT {kept} FROM wafers", "DELETE FROM wafers")
    infer(scored, 9)
    what, since = standing(scored)["gone"]
    assert what.startswith(f"The source has 0 rows, and had {ROWS} within")
    assert since == START + timedelta(days=9)
    assert not scored.with_job(read_status).ok
    scored.place.run(f"INSERT INTO wafers ({kept}) SELECT {kept} FROM kept WHERE id > 40")
    infer(scored, 11)  # a quarter was archived meanwhile
    assert standing(scored) == {}


def test_a_few_unusable_rows_among_many_are_counted_and_told_to_nobody(scored: Odd) -> None:
    arrive(scored, ROWS + 1, 8, 20)
    arrive(scored, ROWS + 100, None, 1)
    infer(scored, 9)
    assert standing(scored) == {}
    assert scored.with_job(read_status).rows.unusable == 1


def test_pending_rows_that_no_run_looks_for_are_told_with_the_command_that_scores_them(scored: Odd) -> None:
    arrive(scored, ROWS + 1, 20)
    infer(scored, 21)
    arrive(scored, ROWS + 100, 10, 3)  # released from hold ten days later
    infer(scored, 23)
    what, _ = standing(scored)["overdue"]
    assert what.startswith("3 pending rows are older than late arrivals may be")
    since = f"{START + timedelta(days=10):%Y-%m-%d}"
    [command] = scored.with_job(lambda job: [alert.command for alert in job.alerts.list_standing()])
    assert command == f"rowcast infer --since {since}"
    at = (START + timedelta(days=25)).isoformat()
    pipeline.run(scored.settings(late_arrival="2d"), "infer", as_of=at, extra=pipeline.Extra(since=since))
    assert scored.with_job(read_status).rows.pending == 0
    assert standing(scored) == {}


def test_a_source_that_was_loaded_again_with_other_values_is_told_until_its_rows_are_scored_again(scored: Odd) -> None:
    infer(scored, 9)
    scored.place.run("UPDATE wafers SET s0 = s0 + 1 WHERE id % 40 = 0")  # a correction now and then
    infer(scored, 11)
    assert standing(scored) == {}
    scored.place.run("UPDATE wafers SET s0 = 10.0 - s0")
    infer(scored, 13)
    what, since = standing(scored)["changed"]
    assert "scored rows that were looked at hold other values at the source" in what
    assert since == START + timedelta(days=13)
    [command] = scored.with_job(lambda job: [alert.command for alert in job.alerts.list_standing()])
    assert command == "rowcast infer --rescore"
    assert not scored.with_job(read_status).ok
    infer(scored, 15)
    assert "changed" in standing(scored)
    at = (START + timedelta(days=17)).isoformat()
    pipeline.run(scored.settings(late_arrival="2d"), "infer", as_of=at, extra=pipeline.Extra(rescore=True))
    assert "changed" not in standing(scored)


def test_values_that_are_always_filled_in_after_scoring_are_told_to_nobody(scored: Odd) -> None:
    for day in (9, 11, 13):
        arrive(scored, ROWS + 1_000 * day, day - 0.5)
        infer(scored, day)
        scored.place.run(f"UPDATE wafers SET s0 = 2.5 WHERE id >= {ROWS + 1_000 * day}")
        scored.place.run(f"UPDATE wafers SET s0 = s0 + 0.1 WHERE id <= {ROWS}" if day == 9 else "SELECT 1 AS one")
    with_looks = scored.with_job(lambda job: job.profiles.find_looks(10**6, "changed_share", 9))
    assert [share > 0 for _, share in with_looks] == [True, True, False, False]


def test_a_look_reads_no_more_than_some_rows_of_some_batches(scored: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloaded, "_ROWS", 7)

    def look(job: Job) -> tuple[tuple[int, int], int]:
        return reloaded._count_changed(job), len(job.ledger.list_spread(4))

    (changed, rows), batches = scored.with_job(look)
    assert (changed, rows) == (0, 7 * batches)
