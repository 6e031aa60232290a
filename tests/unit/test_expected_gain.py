"""The rules "fresh" and "better": what is expected decides, and how often a promotion may do harm is limited."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from rowcast.gate import (
    Growth,
    LearningCurve,
    PairedCosts,
    Prior,
    decide_by_expectation,
    find_harm_allowance,
    learn_curve,
    make_prior,
)
from rowcast.gate.budget import Allowance
from rowcast.gate.expected_gain import DEFAULT
from rowcast.store.records import DecisionOutcome, DecisionRecord

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PROMOTED, KEPT, UNDECIDED = DecisionOutcome.PROMOTED, DecisionOutcome.KEPT, DecisionOutcome.UNDECIDED
AMPLE = Allowance(0.05, 0.05, 0.05)
MONTH = make_prior(DEFAULT, Growth(1.1, 1.2))  # of a job that has a year of rows, and judges by half a month


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
    made = decide_by_expectation(nothing(), MONTH, AMPLE, max_harm=0.05)
    assert made.outcome is PROMOTED
    assert made.evidence.expected_gain == MONTH.mean + MONTH.later
    assert made.evidence.relative_gain is None


def test_a_version_that_decides_alike_serves() -> None:
    made = decide_by_expectation(costs(0.3, 0.3), MONTH, AMPLE, max_harm=0.05)
    assert made.outcome is PROMOTED
    assert MONTH.later < made.evidence.expected_gain < MONTH.mean + MONTH.later


def test_evidence_that_it_is_worse_refuses_it_and_says_what_would_have_changed_that() -> None:
    made = decide_by_expectation(costs(0.30, 0.36), MONTH, AMPLE, max_harm=0.05)
    assert made.outcome is KEPT
    assert made.evidence.relative_gain < made.evidence.needed_gain < 0
    assert made.evidence.gain_low < made.evidence.gain < made.evidence.gain_high < 0
    turned = decide_by_expectation(
        costs(0.30, 0.30 * (1 - made.evidence.needed_gain) - 0.01), MONTH, AMPLE, max_harm=0.05
    )
    assert turned.outcome is PROMOTED


def test_few_rows_that_look_worse_do_not_outweigh_what_retrainings_save() -> None:
    made = decide_by_expectation(costs(0.30, 0.33, rows=120), MONTH, AMPLE, max_harm=0.05)
    assert made.evidence.relative_gain < 0
    assert made.outcome is PROMOTED


def test_a_chance_of_harm_above_what_may_be_spent_leaves_it_undecided() -> None:
    scarce = Allowance(0.05, 0.0001, 0.05)
    unsure = Prior(0.01, 0.03)
    made = decide_by_expectation(nothing(), unsure, scarce, max_harm=0.05)
    assert made.outcome is UNDECIDED
    assert made.evidence.harm > scarce.level
    assert decide_by_expectation(nothing(), unsure, None, max_harm=0.05).outcome is PROMOTED  # "better" spends nothing


def test_where_the_decision_would_turn_counts_the_chance_of_harm() -> None:
    scarce, prior = Allowance(0.05, 0.001, 0.05), make_prior(DEFAULT, Growth(2.0, 3.0))
    turns = decide_by_expectation(costs(0.30, 0.30), prior, scarce, max_harm=0.05).evidence.needed_gain
    assert turns < 0
    better, worse = (
        decide_by_expectation(costs(0.30, 0.30 * (1 - turns + step)), prior, scarce, max_harm=0.05)
        for step in (-0.02, 0.02)
    )
    assert (better.outcome, worse.outcome) == (PROMOTED, UNDECIDED)


@pytest.mark.parametrize("least", [0.0, 0.04])
def test_what_must_be_saved_is_weighed_with_the_prior(least: float) -> None:
    made = decide_by_expectation(costs(0.30, 0.28), Prior(0.0, 0.5), None, max_harm=0.05, min_gain=least)
    assert made.outcome is (KEPT if least else PROMOTED)


def test_more_rows_are_taken_to_save_more_and_how_much_is_less_certain() -> None:
    week, year = (make_prior(DEFAULT, Growth(1 + new / 2, 1 + new)) for new in (0.02, 1.0))
    assert 0 < week.mean < 0.01 < year.mean < year.mean + year.later == pytest.approx(DEFAULT.slope * np.log(2))
    assert week.deviation < year.deviation
    assert week.later_deviation < year.later_deviation


def test_what_the_rows_cannot_show_is_added_to_what_they_show() -> None:
    half, whole = (make_prior(DEFAULT, Growth(1.5, served)) for served in (1.5, 2.0))
    gains = [
        decide_by_expectation(costs(0.30, 0.29), prior, AMPLE, max_harm=0.05).evidence.expected_gain
        for prior in (half, whole)
    ]
    assert gains[1] - gains[0] == pytest.approx(DEFAULT.slope * np.log(2.0 / 1.5))


def test_the_curve_moves_to_what_retrainings_of_the_job_came_to() -> None:
    steep, falling = (
        [decision(days, relative_gain=gain, relative_error=0.02, growth_judged=1.2) for days in range(0, 140, 7)]
        for gain in (0.04, -0.04)
    )
    assert learn_curve([]) == DEFAULT
    assert learn_curve(falling).slope < 0 < DEFAULT.slope < learn_curve(steep).slope < 0.04 / np.log(1.2)
    assert learn_curve(steep).error < DEFAULT.error
    assert learn_curve([decision(0)]) == DEFAULT  # a person's decision says nothing of gains
    assert learn_curve([decision(0, relative_gain=0.1, relative_error=0.01)]) == DEFAULT  # of how many rows is unknown


def test_a_champion_that_was_compared_again_and_again_counts_once() -> None:
    about = {"relative_gain": -0.08, "relative_error": 0.02, "growth_judged": 1.2}
    again = [decision(days, UNDECIDED, 1, **about) for days in range(0, 140, 7)]
    assert learn_curve(again) == learn_curve(again[:1])


def test_one_odd_month_hardly_moves_the_curve() -> None:
    odd = [decision(7, relative_gain=-1.5, relative_error=0.3, growth_judged=1.1)]
    assert learn_curve(odd).slope == pytest.approx(DEFAULT.slope, abs=0.01)


def test_promotions_of_a_year_spend_no_more_than_its_error() -> None:
    made = [decision(200, KEPT), decision(100, harm=0.01), decision(50, UNDECIDED, harm=0.5)]
    found = find_harm_allowance(0.05, NOW, made)
    assert found.level == pytest.approx(0.05 * 228 / 364 - 0.01)
    assert find_harm_allowance(0.05, NOW, [decision(500, harm=0.04), decision(1, harm=0.05)]).level == 0
    assert find_harm_allowance(0.05, NOW, []).level == pytest.approx(0.05 * 28 / 364)


@pytest.mark.parametrize("cadence", [7, 28])
def test_challengers_as_the_prior_expects_them_do_harm_as_seldom_as_promised(cadence: int) -> None:
    """A year of gates, over and over: a job's curve, and what each challenger gains beside it, are drawn."""
    random, harmed, years = np.random.default_rng(3), 0, 200
    for _ in range(years):
        made, curve = [decision(364)], float(random.normal(DEFAULT.slope, DEFAULT.error))
        for day in range(cadence, 364, cadence):
            now = NOW - timedelta(days=364 - day)
            prior = make_prior(DEFAULT, Growth(1 + cadence / 2 / (day + 90), 1 + cadence / (day + 90)))
            assert prior.growth is not None
            own = float(random.normal(0, 0.01))
            judged, served = (curve * np.log(each) + own for each in (prior.growth.judged, prior.growth.served))
            rows = costs(
                0.3, 0.3 * (1 - judged), rows=350 * cadence // 7, seed=int(random.integers(1 << 30)), unlike=0.2
            )
            found = decide_by_expectation(rows, prior, find_harm_allowance(0.05, now, made), max_harm=0.05)
            made.append(decision(364 - day, found.outcome, harm=found.evidence.harm))
            if found.promote and served < -0.05:
                harmed += 1
                break
    assert harmed <= 18  # the 99th percentile of 200 draws of 5 %


def test_a_curve_unlike_the_default_is_found_from_the_jobs_own_decisions() -> None:
    random = np.random.default_rng(5)
    made = [
        decision(
            days,
            relative_gain=0.3 * np.log(1.2) + float(random.normal(0, 0.05)),
            relative_error=0.05,
            growth_judged=1.2,
        )
        for days in range(0, 364, 14)
    ]
    found = learn_curve(made)
    assert isinstance(found, LearningCurve)
    assert DEFAULT.slope + 0.05 < found.slope < 0.3
    assert found.error < DEFAULT.error
