"""The gate promotes what is better beyond luck, keeps what is not, and says when it cannot tell."""

import json
import tracemalloc

import numpy as np
import pytest

from rowcast.gate import Decision, FirstEvidence, PairedCosts, decide, first
from rowcast.messages.decisions import explain_decision
from rowcast.models.decision import Costs, decision_costs

MISSED, ALARM = 20.0, 1.0


def noisy(outcome: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return 1 / (1 + np.exp(-(strength * outcome + random.normal(size=len(outcome)))))


def rows(random: np.random.Generator, count: int = 1000, share: float = 0.08) -> np.ndarray:
    return random.random(count) < share


def lost(outcome: np.ndarray, score: np.ndarray, threshold: float = 0.8, missed: float = MISSED) -> np.ndarray:
    """What each row costs where it is flagged from a threshold on."""
    return decision_costs(outcome, score >= threshold, Costs(missed, ALARM))


def gate(outcome: np.ndarray, champion: np.ndarray, challenger: np.ndarray, blocks=None, seed: int = 0) -> Decision:
    costs = PairedCosts(lost(outcome, champion), lost(outcome, challenger), outcome, MISSED, blocks)
    return decide(costs, seed=seed)


def test_a_better_challenger_is_promoted() -> None:
    random = np.random.default_rng(1)
    outcome = rows(random)
    decision = gate(outcome, noisy(outcome, 0.5, random), noisy(outcome, 3.0, random))
    assert decision.promote
    assert decision.outcome == "promoted"
    assert decision.evidence.gain_low > 0


def test_a_worse_challenger_is_not_promoted() -> None:
    random = np.random.default_rng(2)
    outcome = rows(random)
    decision = gate(outcome, noisy(outcome, 3.0, random), noisy(outcome, 0.5, random))
    assert (decision.promote, decision.outcome) == (False, "kept")
    assert decision.evidence.gain_high < 0


@pytest.mark.parametrize("count", [300, pytest.param(1500, marks=pytest.mark.long)])
def test_an_equal_challenger_is_promoted_in_about_one_of_twenty_at_most(count: int) -> None:
    promoted = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        outcome = rows(random, count)
        promoted += gate(outcome, noisy(outcome, 1.5, random), noisy(outcome, 1.5, random), seed=seed).promote
    assert promoted <= 17  # the 99th percentile of 200 draws of 5 %


@pytest.mark.parametrize("lots", [8, pytest.param(30, marks=pytest.mark.long)])
def test_an_equal_challenger_is_not_promoted_by_what_one_lot_shares(lots: int) -> None:
    """Rows of a lot move together: resampled one by one they look like evidence, by lot they do not."""
    by_lot = by_row = 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        lot = np.repeat(np.arange(lots), 40)
        outcome = rows(random, len(lot), 0.2)
        shared = random.normal(size=(2, lots))[:, lot] * 2
        scores = [1 / (1 + np.exp(-(shift + random.normal(size=len(lot)) * 0.3))) for shift in shared]
        by_lot += gate(outcome, scores[0], scores[1], blocks=lot, seed=seed).promote
        by_row += gate(outcome, scores[0], scores[1], seed=seed).promote
    assert by_lot <= 14  # the 99th percentile of 150 draws of 5 %
    assert by_row > 2 * by_lot


def test_too_few_positives_leave_it_undecided_and_it_says_so() -> None:
    random = np.random.default_rng(3)
    outcome = np.zeros(500, dtype=bool)
    outcome[:4] = True
    decision = gate(outcome, noisy(outcome, 0.0, random), noisy(outcome, 9.0, random))
    assert (decision.promote, decision.outcome) == (False, "undecided")
    assert "4 of 500 rows are positive, 5 are needed" in explain_decision(decision)
    assert not gate(outcome[:0], np.empty(0), np.empty(0)).promote


def test_too_few_groups_leave_it_undecided_and_it_says_so() -> None:
    random = np.random.default_rng(4)
    outcome = rows(random)
    champion, challenger = noisy(outcome, 0.5, random), noisy(outcome, 4.0, random)
    decision = gate(outcome, champion, challenger, blocks=np.arange(1000) % 4)
    assert (decision.promote, decision.outcome) == (False, "undecided")
    assert "4 days or lots" in explain_decision(decision)
    assert gate(outcome, champion, challenger, blocks=np.arange(1000) % 50).promote


def test_a_handful_of_different_decisions_is_not_enough() -> None:
    """All seven go the challenger's way, and a plain bootstrap would be sure."""
    outcome = np.zeros(1000, dtype=bool)
    outcome[:50] = True
    champion = np.where(outcome, 0.9, 0.1)
    champion[:7] = 0.1
    decision = gate(outcome, champion, np.where(outcome, 0.9, 0.1))
    assert (decision.promote, decision.outcome) == (False, "undecided")
    assert "only 7 of 1000 rows" in explain_decision(decision)
    champion[:20] = 0.1
    assert gate(outcome, champion, np.where(outcome, 0.9, 0.1)).promote


def test_models_that_decide_alike_keep_the_champion() -> None:
    random = np.random.default_rng(5)
    outcome = rows(random)
    score = noisy(outcome, 2.0, random)
    decision = gate(outcome, score, score)
    assert (decision.promote, decision.outcome) == (False, "kept")
    assert "alike" in explain_decision(decision)


def test_each_model_is_judged_at_its_own_threshold() -> None:
    random = np.random.default_rng(6)
    outcome = rows(random)
    score = noisy(outcome, 3.0, random)
    decision = decide(PairedCosts(lost(outcome, score, 1.0), lost(outcome, score), outcome))
    assert decision.promote
    assert decision.evidence.cost_champion == pytest.approx(MISSED * outcome.mean())


def test_costs_decide_and_not_accuracy() -> None:
    """The challenger makes ten mistakes for each one of the champion's, and they are the cheap ones."""
    outcome = np.zeros(2000, dtype=bool)
    outcome[:100] = True
    champion, challenger = np.zeros(2000), np.zeros(2000)
    challenger[:40] = challenger[100:500] = 1.0
    assert gate(outcome, champion, challenger).promote
    cheap = [lost(outcome, score, missed=10.0) for score in (champion, challenger)]
    assert not decide(PairedCosts(*cheap, outcome)).promote


def test_the_interval_is_that_of_a_plain_bootstrap_where_rows_are_many() -> None:
    random = np.random.default_rng(7)
    outcome = rows(random, 4000)
    champion, challenger = noisy(outcome, 1.0, random), noisy(outcome, 1.2, random)
    decision = gate(outcome, champion, challenger)
    flagged = [score >= 0.8 for score in (champion, challenger)]
    cost = [np.where(outcome, ~flag * MISSED, flag * ALARM) for flag in flagged]
    gain = cost[0] - cost[1]
    means = [gain[random.integers(0, 4000, 4000)].mean() for _ in range(2000)]
    expected = np.quantile(means, [0.05, 0.95])
    reach = expected[1] - expected[0]
    assert decision.evidence.gain == pytest.approx(gain.mean())
    assert decision.evidence.gain_low == pytest.approx(expected[0], abs=0.05 * reach)
    assert decision.evidence.gain_high == pytest.approx(expected[1], abs=0.05 * reach)


def test_the_same_rows_and_seed_give_the_same_evidence_as_json() -> None:
    random = np.random.default_rng(8)
    outcome = rows(random)
    scores = noisy(outcome, 1.0, random), noisy(outcome, 1.5, random)
    blocks = random.integers(0, 40, 1000)
    one, two = (gate(outcome, *scores, blocks=blocks, seed=3) for _ in range(2))
    assert json.dumps(one.evidence.to_dict(), allow_nan=False) == json.dumps(two.evidence.to_dict(), allow_nan=False)


def test_a_hundred_thousand_rows_in_blocks_of_every_size_need_little_memory() -> None:
    random = np.random.default_rng(9)
    outcome = rows(random, 100_000)
    scores = noisy(outcome, 1.0, random), noisy(outcome, 1.5, random)
    blocks = random.integers(0, 20_000, 100_000)
    tracemalloc.start()
    decision = gate(outcome, *scores, blocks=blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decision.evidence.blocks == len(np.unique(blocks))
    assert peak < 200e6


def test_the_first_version_is_promoted_as_first_and_unproven_with_its_costs() -> None:
    metrics = {"cost_per_row": 0.61234567, "cost_per_row_flag_none": 1.42, "cost_per_row_flag_all": 0.93}
    counts = {"rows_out_of_fold": 712, "positives_out_of_fold": 25, "auc": 0.64, "auc_low": 0.53, "auc_high": 0.75}
    decision = first({**metrics, **counts})
    assert (decision.promote, decision.outcome) == (True, "promoted")
    assert explain_decision(decision).startswith("first, unproven")
    assert all(number in explain_decision(decision) for number in ("0.6123", "1.42", "0.93", "712", "25"))
    assert isinstance(decision.evidence, FirstEvidence)
    assert decision.evidence.to_dict() == {**metrics, **counts, "cost_per_row_median": None}


def test_values_are_judged_by_how_far_off_they_are() -> None:
    random = np.random.default_rng(9)
    truth = random.normal(size=500)
    lost = [decision_costs(truth, truth + random.normal(size=500) * error, None) for error in (1.0, 0.5)]
    decision = decide(PairedCosts(*lost, blocks=np.arange(500) // 20))
    assert decision.promote
    assert decision.evidence.positives is None
    assert "on 500 rows, the" in explain_decision(decision)
    assert not decide(PairedCosts(*lost[::-1], blocks=np.arange(500) // 20)).promote
