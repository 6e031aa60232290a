"""Why the gate decided, and why a retrain is due or not, in words that are made of records alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rowcast.errors import ModelError
from rowcast.gate import Cause, Decision, DecisionOutcome, Evidence, first
from rowcast.messages.decisions import describe_outcome, describe_record, explain_decision
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
            "the champion changed since data-fetch, from none to v2; 'rowcast retrain' judges anew",
        ),
        (
            Decision(UNDECIDED, Cause.FEW_POSITIVES, Evidence(rows=0, positives=0), needed=5),
            "no labelled row is new to both: each is among those that one of them learned or was calibrated by",
        ),
        (
            Decision(UNDECIDED, Cause.OVERTAKEN),
            "another version was decided on while this one was judged; 'rowcast retrain' judges anew",
        ),
        (
            Decision(UNDECIDED, Cause.NOT_COMPARABLE, Evidence(rows=9), champion=1, error=BROKEN),
            "v1 cannot be compared with: model v1 cannot be read; 'rowcast promote' can decide",
        ),
        (
            Decision(
                DecisionOutcome.UNDECIDED, Cause.NO_LABELS, Evidence(rows=0, shadow="waiting"), champion=1, challenger=2
            ),
            "v2 as challenger of v1, on rows that it scored in the shadow: no row that both scored has its label yet",
        ),
        (
            Decision(DecisionOutcome.KEPT, Cause.ALIKE, Evidence(rows=9, shadow="watched"), champion=2, challenger=1),
            "v1 as challenger of v2, on rows that it scored in the shadow: both decide alike on all 9 rows",
        ),
        (
            Decision(UNDECIDED, Cause.OVERTAKEN, Evidence(rows=9, shadow="watched"), challenger=1),
            "another version was decided on while v1 was judged",
        ),
        (
            Decision(
                UNDECIDED, Cause.REGRET, Evidence(rows=9, positives=1, shadow="watched"), champion=2, challenger=1
            ),
            "v1 as challenger of v2, on rows that it scored in the shadow: 9 labelled rows, 1 positive, are of"
            " too few days or lots to tell",
        ),
        (
            Decision(
                DecisionOutcome.ROLLED_BACK,
                Cause.REGRET,
                Evidence(rows=700, relative_gain=0.4, relative_error=0.1, max_harm=0.05, regret=0.93, shadow="watched"),
                champion=2,
                challenger=1,
            ),
            "v1 as challenger of v2, on rows that it scored in the shadow: on 700 labelled rows, it cost 40 % less than"
            " the champion, give or take 10 %. The chance that the champion costs over 5 % more than that is 93 %; from"
            " 50% on the version before serves again",
        ),
    ],
)
def test_a_decision_is_put_into_words(decision: Decision, sentence: str) -> None:
    assert explain_decision(decision) == sentence


WEIGHED = Evidence(
    rows=328,
    relative_gain=-0.076,
    relative_error=0.33,
    growth=1.1,
    prior_gain=0.012,
    prior_error=0.02,
    expected_gain=0.0117,
    needed_gain=-10.8,
    max_harm=0.05,
    harm=0.00001,
    yearly_error=0.05,
)
CHANCE = "The chance that it costs over 5 % more is"
PRIOR = "Going by what retraining usually brings, the chance that it costs over 5 % more is"


@pytest.mark.parametrize(
    ("outcome", "cause", "changes", "sentence"),
    [
        (
            DecisionOutcome.PROMOTED,
            Cause.EXPECTED,
            {},
            "on 328 labelled rows new to both the newer model cost 7.6 % more than the champion,"
            " give or take 33 %: too few"
            " to tell much. It learned from 1.1 times as many rows, which is taken to save 1.2 %."
            " Weighed together, it is"
            f" expected to cost 1.2 % less. {PRIOR} under 0.01 %; up to 2.14 % may be risked by now",
        ),
        (
            DecisionOutcome.PROMOTED,
            Cause.EXPECTED,
            {"relative_gain": 0.1, "relative_error": 0.02, "needed_gain": -0.04, "expected_gain": 0.06},
            "on 328 labelled rows new to both the newer model cost 10 % less than the champion, give"
            " or take 2 %. It learned"
            " from 1.1 times as many rows, which is taken to save 1.2 %. Weighed together, it is"
            " expected to cost 6 % less."
            f" {CHANCE} under 0.01 %; up to 2.14 % may be risked by now. Had it cost 4 % more on"
            f" these rows, the champion"
            " would have stayed",
        ),
        (
            UNDECIDED,
            Cause.RISKY,
            {"rows": 0, "relative_gain": None, "relative_error": None, "growth": None, "prior_gain": 0.0, "harm": 0.3},
            "there is no labelled row to compare the two on. The newer model is made by another"
            " recipe, which is taken to"
            f" cost as much. Weighed together, it is expected to cost 1.2 % less. {PRIOR} 30 %, more"
            f" than the 2.14 % that"
            " may be risked by now",
        ),
    ],
)
def test_what_was_seen_comes_before_what_was_weighed(
    outcome: DecisionOutcome, cause: Cause, changes: dict[str, Any], sentence: str
) -> None:
    """A reader took the first figure, of both together, for what the rows showed."""
    assert explain_decision(Decision(outcome, cause, replace(WEIGHED, **changes), level=0.0214)) == sentence


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (DecisionOutcome.PROMOTED, "promoted: why"),
        (DecisionOutcome.KEPT, "refused, v1 stays in service: why"),
        (UNDECIDED, "undecided, v1 stays in service: why"),
        (DecisionOutcome.ROLLED_BACK, "put back in service in place of v1: why"),
    ],
)
def test_an_outcome_says_what_becomes_of_the_version_and_which_one_serves(
    outcome: DecisionOutcome, sentence: str
) -> None:
    """A refused challenger was called kept."""
    assert describe_outcome(outcome, 1, "why") == sentence
    record = DecisionRecord(1, "wafers", 2, 1, AT, "gate", outcome, "why", {})
    assert describe_record(record) == sentence
    assert "kept" not in describe_outcome(outcome, None, "why")


def test_a_test_is_told_in_money_and_chance() -> None:
    evidence = Evidence(3395, 184, None, 99, 0.453, 0.4047, 0.0483, 0.0127, 0.0828, 0.05, 0.0165, 0.0335, -0.00185, 0.0)
    decision = Decision(DecisionOutcome.KEPT, Cause.TESTED, evidence, level=0.0165)
    assert explain_decision(decision) == (
        "on 3,395 rows, 184 positive, the challenger costs 0.4047 per row, the champion 0.453: it saves 0.0483 (90% "
        "interval of the saving 0.0127 to 0.0828). Allowing a chance of 1.65 % to be wrong, it may cost up to 0.00185 "
        "per row more, so that a saving is not proven. Of the 5 % chance of a wrong promotion allowed for a year, "
        "3.35 % is left"
    )
    worse = replace(evidence, gain=-0.02)
    assert "it costs 0.02 more (90% interval" in explain_decision(replace(decision, evidence=worse))
    better = replace(evidence, gain_bound=0.01, min_gain=0.005)
    told = explain_decision(replace(decision, evidence=better))
    assert "Allowing a chance of 1.65 % to be wrong, it saves at least 0.01 per row; 0.005 must be exceeded." in told


def test_the_first_version_wins_against_nobody() -> None:
    decision = first({"cost_per_row": 0.4, "rows_out_of_fold": 712})
    reason, evidence = explain_decision(decision), decision.evidence.to_dict()
    record = DecisionRecord(1, "wafers", 2, None, AT, "gate", decision.outcome, reason, evidence)
    assert describe_record(record) == reason
    assert describe_record(replace(record, decided_by="Ada")) == f"promoted: {reason}"


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
