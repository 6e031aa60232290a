"""Why the gate decided, and why a retrain is due or not, in words that are made of records alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rowcast.errors import ModelError
from rowcast.gate import Cause, Decision, DecisionOutcome, Evidence, first
from rowcast.messages.decisions import describe_decision, describe_record, explain_decision
from rowcast.messages.retraining import Due, DueCause, describe_due
from rowcast.store.records import DecisionRecord, DriftRecord

AT = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
UNDECIDED = DecisionOutcome.UNDECIDED
BROKEN = ModelError("model v1 cannot be read", detail="RECIPE-X77-SCRAP")


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        (
            Decision(UNDECIDED, Cause.CHAMPION_CHANGED, champion=None, challenger=2),
            "undecided: the champion changed since data-fetch, from none to v2; 'rowcast retrain' judges anew",
        ),
        (
            Decision(UNDECIDED, Cause.OVERTAKEN),
            "undecided: another version was decided on while this one was judged; 'rowcast retrain' judges anew",
        ),
        (
            Decision(UNDECIDED, Cause.NOT_COMPARABLE, Evidence(rows=9), champion=1, error=BROKEN),
            "undecided: v1 cannot be compared with: model v1 cannot be read; 'rowcast promote' can decide",
        ),
        (
            Decision(
                DecisionOutcome.UNDECIDED, Cause.NO_LABELS, Evidence(rows=0, shadow="waiting"), champion=1, challenger=2
            ),
            "undecided: v2 as challenger of v1, on rows that it scored in the shadow: no row that both scored has its"
            " label yet",
        ),
        (
            Decision(DecisionOutcome.KEPT, Cause.ALIKE, Evidence(rows=9, shadow="watched"), champion=2, challenger=1),
            "kept: v1 as challenger of v2, on rows that it scored in the shadow: both decide alike on all 9 rows",
        ),
        (
            Decision(UNDECIDED, Cause.OVERTAKEN, Evidence(rows=9, shadow="watched"), challenger=1),
            "undecided: another version was decided on while v1 was judged",
        ),
    ],
)
def test_a_decision_is_put_into_words(decision: Decision, sentence: str) -> None:
    assert describe_decision(decision) == sentence
    assert sentence == f"{decision.outcome}: {explain_decision(decision)}"


def test_a_decision_on_record_has_the_same_words_as_when_it_was_made() -> None:
    metrics = {"cost_per_row": 0.4, "rows_out_of_fold": 712}
    for decision, previous in ((first(metrics), None), (Decision(DecisionOutcome.KEPT, Cause.ALIKE), 1)):
        reason, evidence = explain_decision(decision), decision.evidence.to_dict()
        record = DecisionRecord(1, "wafers", 2, previous, AT, "gate", decision.outcome, reason, evidence)
        assert describe_record(record) == describe_decision(decision)
        by_ada = replace(record, decided_by="Ada", reason="kept: she says")
        assert describe_record(by_ada) == f"{decision.outcome}: kept: she says"


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words_that_hold_no_detail_of_an_error(cause: Cause) -> None:
    numbers = Evidence(9, 3, None, 2, 1.0, 0.5, 0.5, 0.1, 0.9, 0.05, 0.01, 0.04, 0.2, 0.0)
    decision = Decision(DecisionOutcome.KEPT, cause, numbers, 5, 2, 9, 0.01, 1, 2, BROKEN)
    for evidence in (numbers, replace(numbers, shadow="watched")):
        sentence = explain_decision(replace(decision, evidence=evidence))
        assert sentence
        assert BROKEN.detail not in sentence


def test_evidence_is_kept_with_what_was_looked_at_and_without_what_nobody_knows() -> None:
    kept = Evidence(rows=9, level=None).to_dict()
    assert (kept["rows"], kept["level"]) == (9, None)
    assert "shadow" not in kept
    assert Evidence(shadow="watched", auc_champion=0.5).to_dict()["shadow"] == "watched"


@pytest.mark.parametrize("cause", DueCause)
def test_every_reason_for_a_retrain_or_against_it_has_words(cause: DueCause) -> None:
    row = DriftRecord(7, 7, 2, "started", AT, 2.0, "since yesterday", ())
    due = Due(cause, until=AT, run_id=7, days=3, labels=4, labels_needed=5, version=2, drift=(row,), error=BROKEN)
    sentence = describe_due(due, values=False)
    assert bool(sentence) is (cause is not DueCause.COST)  # which is not said without its figure
    assert BROKEN.detail not in sentence
    assert due.now is (not sentence.startswith("not "))
