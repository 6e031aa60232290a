"""Which policy is cheapest on the same rows, and when that cannot be told."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from rowcast.backtest.comparison import LEAST_BLOCKS, compare


def costs(days: int, *means: float, spread: float = 1.0, seed: int = 1) -> tuple[Any, Any]:
    """Rows and costs by day: of policies that share what a day brings, and differ by their means."""
    made = np.random.default_rng(seed)
    rows = np.full(days, 100)
    shared = made.normal(50, 20, days)
    return rows, np.stack([shared + 100 * mean + made.normal(0, spread, days) for mean in means])


def test_costs_are_of_a_thousand_rows_and_compared_on_the_same_days() -> None:
    rows, cost = costs(60, 0.2, 0.1, 0.3)
    found = compare(rows, cost)
    assert found.per_thousand == pytest.approx(1000 * cost.sum(axis=1) / rows.sum())
    assert found.cheapest == found.chosen == 1
    assert found.tied == (1,)
    assert [each.is_proven for each in found.differences] == [True, False, True]
    assert found.differences[1].value == 0


def test_the_interval_is_that_of_a_paired_t_test_by_day() -> None:
    rows, cost = costs(15, 0.15, 0.1)
    found = compare(rows, cost).differences[0]
    by_day = 10 * (cost[0] - cost[1])
    expected = ttest_1samp(by_day, 0).confidence_interval(0.95)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_the_simplest_of_those_that_cannot_be_told_from_the_cheapest_is_chosen() -> None:
    rows, cost = costs(60, 0.1001, 0.1, 0.5)
    found = compare(rows, cost)
    assert found.tied == (0, 1)
    assert found.chosen == 0


def test_over_a_long_time_it_is_nearly_that() -> None:
    rows, cost = costs(400, 0.15, 0.1)
    found = compare(rows, cost).differences[0].interval
    expected = ttest_1samp(10 * (cost[0] - cost[1]), 0).confidence_interval(0.95)
    assert found is not None
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.05)


def test_a_policy_that_costs_more_from_one_day_on_is_told_as_soon_as_one_that_always_did() -> None:
    rows, cost = costs(120, 0.1, 0.1)
    cost[0, 60:] += np.linspace(0, 4, 60)
    found = compare(rows, cost)
    assert found.block_days == 1
    assert found.tied == (1,)


@pytest.mark.parametrize("place", [0, 1])
def test_policies_that_decide_alike_are_tied(place: int) -> None:
    rows, cost = costs(60, 0.1, 0.2)
    cost[1 - place] = cost[place]
    found = compare(rows, cost)
    assert (found.tied, found.cheapest, found.chosen) == ((0, 1), 0, 0)
    assert found.differences[1].value == 0


@pytest.mark.parametrize("days", [1, LEAST_BLOCKS - 1])
def test_too_few_days_tell_nothing(days: int) -> None:
    found = compare(*costs(days, 0.1, 5.0))
    assert found.tied == (0, 1)
    assert found.differences[1].interval is None


@pytest.mark.parametrize("differing", [LEAST_BLOCKS - 1, LEAST_BLOCKS])
def test_days_on_which_nothing_differs_are_no_evidence(differing: int) -> None:
    rows, cost = costs(30, 0.1, 0.1, spread=0)
    cost[1, 1 : 3 * differing : 3] += 100
    assert compare(rows, cost).tied == ((0, 1) if differing < LEAST_BLOCKS else (0,))


def test_where_days_go_together_intervals_are_by_longer_blocks_and_wider() -> None:
    rows, cost = costs(196, 0.1, 0.1, spread=0.5)
    assert compare(rows, cost).block_days == 1
    cost[1] += np.repeat(np.random.default_rng(3).normal(0, 5, 28), 7)  # a week is good or bad as a whole
    found = compare(rows, cost)
    assert found.block_days == 7
    more = 10 * (cost - cost[found.cheapest])[1 - found.cheapest]
    by_day = ttest_1samp(more, 0).confidence_interval(0.95)
    interval = found.differences[1 - found.cheapest].interval
    assert interval is not None
    assert interval.high - interval.low > 1.5 * (by_day.high - by_day.low)


def test_the_verdict_allows_for_every_pair() -> None:
    """Of equal policies hardly any is called dearer, although the cheapest is looked for among many."""
    proven = {2: 0, 8: 0}
    for policies in proven:
        for seed in range(300):
            found = compare(*costs(60, *[0.1] * policies, spread=5, seed=seed))
            proven[policies] += len(found.tied) < policies
    assert max(proven.values()) <= 0.07 * 300


def test_the_best_in_hindsight_takes_the_cheapest_of_each_week() -> None:
    rows, cost = costs(21, 0.1, 0.1)
    weeks = cost.reshape(2, 3, 7).sum(axis=2)
    assert compare(rows, cost).hindsight == pytest.approx(1000 * weeks.min(axis=0).sum() / rows.sum())


def test_moments_longer_than_a_day_are_blocks_themselves() -> None:
    rows, cost = costs(20, 0.1, 0.3)
    found = compare(rows, cost, days=7.0)
    assert found.tied == (0,)
    assert found.hindsight == pytest.approx(1000 * cost.min(axis=0).sum() / rows.sum())


def test_what_does_not_stand_for_election_is_held_against_the_cheapest_that_does() -> None:
    rows, cost = costs(60, 0.3, 0.2, 0.1)
    found = compare(rows, cost, runs=[True, True, False])
    assert (found.cheapest, found.chosen, found.tied) == (1, 1, (1,))
    yardstick = found.differences[2]
    assert yardstick.value == pytest.approx(1000 * (cost[2] - cost[1]).sum() / rows.sum())
    assert yardstick.interval is not None
    assert yardstick.interval.high < 0
    alone = compare(rows, cost[:2])
    assert alone.differences == found.differences[:2]  # nor does it ask for a stricter level
