"""The rules "fresh" and "better": what is expected decides, and how often a promotion may do harm is limited."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from rowcast.gate import PairedCosts, Prior, decide_by_expectation, find_harm_allowance, learn_prior
from rowcast.gate.budget import Allowance
from rowcast.gate.expected_gain import DEFAULT
from rowcast.store.records import DecisionOutcome, DecisionRecord

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PROMOTED, KEPT, UNDECIDED = DecisionOutcome.PROMOTED, DecisionOutcome.KEPT, DecisionOutcome.UNDECIDED
AMPLE = Allowance(0.05, 0.05, 0.05)


def costs(champion: float, challenger: float, rows: int = 3_000, seed: int = 0, unlike: float = 0.0) -> PairedCosts:
    """Rows of 30 days, of which each costs 1 with these chances; both share their luck, but for the share `unlike`."""
    random = np.random.default_rng(seed)
    drawn = random.random(rows)
    own = np.where(random.random(rows) < unlike, random.random(rows), drawn)
    lost = [(luck < share).astype(np.float64) for luck, share in ((drawn, champion), (own, challenger))]
    return PairedCosts(lost[0], lost[1], drawn < 0.1, 1.0, np.arange(rows) * 30 // rows)


def nothing() -> PairedCosts:
    empty = np.empty(0)
    return PairedCosts(empty, empty, empty > 0, 1.0, np.empty(0, np.int64))


def decision(
    days: int, outcome: DecisionOutcome = PROMOTED, champion: int | None = None, **evidence: float
) -> DecisionRecord:
    """A decision so many days ago, by default about a champion of its own."""
    at = NOW - timedelta(days=days)
    return DecisionRecord(
        promotion_id=1,
        job="wafers",
        version=2,
        previous=days if champion is None else champion,
        outcome=outcome,
        reason="",
        evidence=dict(evidence),
        decided_at=at,
        decided_by="gate",
    )


def test_without_rows_the_newer_version_serves_by_the_prior() -> None:
    made = decide_by_expectation(nothing(), DEFAULT, AMPLE, max_harm=0.05)
    assert made.outcome is PROMOTED
    assert made.evidence.expected_gain == DEFAULT.mean
    assert made.evidence.relative_gain is None


def test_a_version_that_decides_alike_serves() -> None:
    made = decide_by_expectation(costs(0.3, 0.3), DEFAULT, AMPLE, max_harm=0.05)
    assert made.outcome is PROMOTED
    assert 0 < made.evidence.expected_gain < DEFAULT.mean


def test_evidence_that_it_is_worse_refuses_it_and_says_what_would_have_changed_that() -> None:
    made = decide_by_expectation(costs(0.30, 0.36), DEFAULT, AMPLE, max_harm=0.05)
    assert made.outcome is KEPT
    assert made.evidence.relative_gain < made.evidence.needed_gain < 0
    assert made.evidence.gain_low < made.evidence.gain < made.evidence.gain_high < 0
    turned = decide_by_expectation(
        costs(0.30, 0.30 * (1 - made.evidence.needed_gain) - 0.01), DEFAULT, AMPLE, max_harm=0.05
    )
    assert turned.outcome is PROMOTED


def test_few_rows_that_look_worse_do_not_outweigh_what_retrainings_save() -> None:
    made = decide_by_expectation(costs(0.30, 0.33, rows=120), DEFAULT, AMPLE, max_harm=0.05)
    assert made.evidence.relative_gain < 0
    assert made.outcome is PROMOTED


def test_a_chance_of_harm_above_what_may_be_spent_leaves_it_undecided() -> None:
    scarce = Allowance(0.05, 0.0001, 0.05)
    made = decide_by_expectation(nothing(), DEFAULT, scarce, max_harm=0.05)
    assert made.outcome is UNDECIDED
    assert made.evidence.harm > scarce.level
    assert decide_by_expectation(nothing(), DEFAULT, None, max_harm=0.05).outcome is PROMOTED  # "better" spends nothing


@pytest.mark.parametrize("least", [0.0, 0.04])
def test_what_must_be_saved_is_weighed_with_the_prior(least: float) -> None:
    made = decide_by_expectation(costs(0.30, 0.28), Prior(0.0, 0.5), None, max_harm=0.05, min_gain=least)
    assert made.outcome is (KEPT if least else PROMOTED)


def test_the_prior_moves_to_what_retrainings_of_the_job_came_to() -> None:
    good = [decision(days, relative_gain=0.08, relative_error=0.02) for days in range(0, 140, 7)]
    bad = [decision(days, relative_gain=-0.08, relative_error=0.02) for days in range(0, 140, 7)]
    assert learn_prior([]) == DEFAULT
    assert learn_prior(bad).mean < 0 < DEFAULT.mean < learn_prior(good).mean < 0.08
    assert learn_prior([decision(0)]) == DEFAULT  # a person's decision says nothing of gains


def test_a_champion_that_was_compared_again_and_again_counts_once() -> None:
    again = [decision(days, UNDECIDED, 1, relative_gain=-0.08, relative_error=0.02) for days in range(0, 140, 7)]
    assert learn_prior(again) == learn_prior(again[:1])


def test_one_odd_month_does_not_make_the_prior_vague() -> None:
    odd = [decision(7, relative_gain=-1.5, relative_error=0.3)]
    assert learn_prior(odd).deviation < 0.06


def test_promotions_of_a_year_spend_no_more_than_its_error() -> None:
    made = [decision(200, KEPT), decision(100, harm=0.01), decision(50, UNDECIDED, harm=0.5)]
    found = find_harm_allowance(0.05, NOW, made)
    assert found.level == pytest.approx(0.05 * 228 / 364 - 0.01)
    assert find_harm_allowance(0.05, NOW, [decision(500, harm=0.04), decision(1, harm=0.05)]).level == 0
    assert find_harm_allowance(0.05, NOW, []).level == pytest.approx(0.05 * 28 / 364)


@pytest.mark.parametrize("cadence", [7, 28])
def test_challengers_as_the_prior_expects_them_do_harm_as_seldom_as_promised(cadence: int) -> None:
    """A year of gates, over and over: each challenger's true gain is drawn from the prior, and seen with an error."""
    random, harmed, years = np.random.default_rng(3), 0, 200
    for _ in range(years):
        made = [decision(364)]
        for day in range(cadence, 364, cadence):
            now = NOW - timedelta(days=364 - day)
            truth = float(random.normal(DEFAULT.mean, DEFAULT.deviation))
            rows = costs(
                0.3, 0.3 * (1 - truth), rows=350 * cadence // 7, seed=int(random.integers(1 << 30)), unlike=0.2
            )
            found = decide_by_expectation(rows, DEFAULT, find_harm_allowance(0.05, now, made), max_harm=0.05)
            made.append(decision(364 - day, found.outcome, harm=found.evidence.harm))
            if found.promote and truth < -0.05:
                harmed += 1
                break
    assert harmed <= 18  # the 99th percentile of 200 draws of 5 %
