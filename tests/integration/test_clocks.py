"""What a clock that was ahead left in the store keeps nothing from being done once the clock is right."""

from datetime import timedelta

import pytest
from odd import LABELLED, ROWS, START, Odd, empty_odd  # noqa: F401 (a fixture)

from rowcast.job.opening import Job
from rowcast.messages.retraining import DueCause
from rowcast.scoring import shadow
from rowcast.store.records import DecisionOutcome, NewDecision
from rowcast.training import policy, shadow_evaluation

pytestmark = pytest.mark.turns

AHEAD = timedelta(days=400)


def as_if_ahead(job: Job) -> None:
    """Move what runs wrote so far by 400 days, as a clock would have that was so far ahead."""
    now = job.store.now()
    for table in job.tables.shared:
        for column in table.c:
            if column.name in (
                "created_at",
                "decided_at",
                "started_at",
                "finished_at",
                "as_of",
                "complete_to",
                "since",
            ):
                job.store.execute(table.update().where(column.is_not(None)).values({column.name: now + AHEAD}))


@pytest.fixture
def ahead(odd: Odd) -> Odd:
    """A job that trained, scored and looked at its rows while the clock was ahead; it is right again."""
    odd.make()
    odd.run('[retrain]\nevery = "7d"\nmin_new_labels = 1\n')
    odd.with_job(as_if_ahead)
    return odd


def test_a_retrain_is_due_and_held_against_what_serves(ahead: Odd) -> None:
    ahead.place.run(f"UPDATE wafers SET failed = CASE WHEN s0 > 8 THEN 1 ELSE 0 END WHERE id > {LABELLED}")
    due = ahead.with_job(lambda job: policy.check_time(job, job.store.now()), "[retrain]\nmin_new_labels = 1\n")
    assert (due.cause, due.days) == (DueCause.ELAPSED, 0)
    found = ahead.run("[retrain]\nmin_new_labels = 1\n")
    assert found.decision is not None
    assert found.decision.evidence["rows"] > 0  # on which both were judged


def test_rows_are_looked_at_though_a_look_is_dated_ahead(ahead: Odd) -> None:
    ahead.place.fill("wafers", id=list(range(1000, 1040)), t=[None] * 40, s0=[1.5] * 40)
    ahead.run()
    topics = ahead.with_job(lambda job: {alert.topic for alert in job.alerts.list_standing()})
    assert "unusable" in topics


def test_new_rows_are_found(ahead: Odd) -> None:
    ahead.place.fill("wafers", id=[2000], t=[f"{START + timedelta(hours=ROWS + 1):%Y-%m-%d %H:%M:%SZ}"], s0=[1.5])
    found = ahead.run(pipeline_name="infer").outcome
    assert found is not None
    assert found.scored == 1


def test_what_a_gate_decided_ahead_neither_watches_for_ever_nor_spends_what_comes_in(ahead: Odd) -> None:
    def look(job: Job) -> None:
        now = job.store.now()
        evidence = {"level": 0.001}
        kept = NewDecision(DecisionOutcome.KEPT, "no better", evidence, decided_at=now - AHEAD, decided_by="gate")
        job.registry.keep(1, kept)
        before = shadow.find_allowance(job, now, job.registry.decisions())
        job.registry.keep(1, NewDecision(DecisionOutcome.KEPT, "", evidence, decided_at=now + AHEAD, decided_by="gate"))
        after = shadow.find_allowance(job, now, job.registry.decisions())
        assert before.level > 0
        assert after.level == pytest.approx(before.level)
        promoted = NewDecision(DecisionOutcome.PROMOTED, "", {}, decided_at=now + AHEAD, decided_by="gate")
        job.registry.promote(1, promoted)
        assert shadow.find_watch(job, now) is None
        assert shadow.find_versions(job, now) == ()
        assert shadow_evaluation.measure_progress(job, now) == ()

    ahead.with_job(look)
