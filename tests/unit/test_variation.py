"""Where a figure of later rows will lie: luck of the rows, drift between periods, and what neither can tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.fit.variation import Spread, interval_of, jackknife_spread, ratio_spread, split_periods


def spread(figure: list[float], unit: float, support: float = 100.0) -> Spread:
    return Spread(np.arange(len(figure)), np.array(figure), np.full(len(figure), support), unit)


@pytest.mark.parametrize("drift", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("count", [3, 5, 10])
def test_a_later_period_lies_inside_as_often_as_promised(count: int, drift: float) -> None:
    """Periods of variance 1 by luck, and `drift` beside it; the later one has as much support as all of them."""
    random, inside, wide = np.random.default_rng(count), 0, 0.0
    for _ in range(300):
        figure = random.normal(size=count) + np.sqrt(drift) * random.normal(size=count)
        low, high = spread(figure.tolist(), 100.0).later("any")
        later = random.normal() / np.sqrt(count) + np.sqrt(drift) * random.normal()
        inside += low <= later <= high
        wide += (high - low) / 300
    assert inside / 300 > 0.91  # 95 % less three standard errors
    ideal = 2 * 1.96 * np.sqrt((1 + drift) / count + 1 / count + drift)
    assert wide < {3: 3.2, 5: 2.5, 10: 2.2}[count] * ideal  # the price of not knowing the drift


def test_drift_that_luck_cannot_explain_widens_the_interval() -> None:
    calm, drifting = (spread(each, 1.0).later("any") for each in ([5.0, 5.1, 4.9, 5.0], [5.0, 6.0, 4.0, 5.0]))
    assert drifting[1] - drifting[0] > 4 * (calm[1] - calm[0])


def test_a_later_period_of_few_rows_varies_more() -> None:
    few, many = (spread([5.0, 5.1, 4.9, 5.0], 1.0, support).later("any") for support in (10.0, 1000.0))
    assert few[1] - few[0] > many[1] - many[0]


def test_one_period_cannot_tell_drift() -> None:
    assert spread([0.7], 0.01).later("share") == (0.0, 1.0)
    assert spread([0.7], 0.01).later("amount") == (None, None)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 3))
def test_an_interval_holds_its_figure_and_keeps_to_the_limits(value: float, reach: float) -> None:
    for scale, highest in (("share", 1.0), ("amount", np.inf)):
        low, high = interval_of(value, reach, scale)
        assert 0 <= low <= value + 1e-9
        assert value - 1e-9 <= high <= highest
        assert high - low <= 4 * reach + 1e-9


def test_near_its_limit_a_share_has_more_room_on_the_other_side() -> None:
    low, high = interval_of(0.98, 0.02, "share")
    assert (high, 0.98 - low > 0.02) == (1.0, True)
    low, high = interval_of(0.5, 0.02, "share")
    assert (low, high) == pytest.approx((0.48, 0.52))


def test_a_mean_is_that_of_all_rows_and_its_luck_that_of_independent_rows() -> None:
    random = np.random.default_rng(1)
    values, fold = random.exponential(size=8000), np.arange(8000) * 4 // 8000
    found = ratio_spread(values, np.ones(8000), split_periods(fold, np.arange(8000)))
    assert found.value == pytest.approx(values.mean())
    assert found.figure.tolist() == pytest.approx([values[fold == each].mean() for each in range(4)])
    assert found.unit == pytest.approx(1.0, rel=0.3)


def test_rows_of_a_block_share_their_luck() -> None:
    random = np.random.default_rng(2)
    day, fold = np.arange(8000) // 50, np.arange(8000) * 4 // 8000
    values = random.normal(size=160)[day]
    together, apart = (
        ratio_spread(values, np.ones(8000), split_periods(fold, block)) for block in (day, np.arange(8000))
    )
    assert together.unit == pytest.approx(50.0, rel=0.4)
    lot = random.permutation(160)[day]  # lots need no order
    assert ratio_spread(values, np.ones(8000), split_periods(fold, lot)).unit == pytest.approx(together.unit)
    assert apart.unit > 10  # runs of rows in time see most of it even so


def test_a_share_is_of_the_rows_that_carry_it() -> None:
    outcome, flagged = np.arange(400) % 4 == 0, np.arange(400) % 3 == 0
    found = ratio_spread(outcome & flagged, outcome, split_periods(np.arange(400) // 100, np.arange(400)), worst=1)
    assert found.value == pytest.approx(flagged[outcome].mean())
    assert found.support.tolist() == [25, 25, 25, 25]
    assert ratio_spread(outcome, np.zeros(400), split_periods(np.arange(400) // 100, np.arange(400))) is None


def test_a_figure_of_any_kind_agrees_with_the_ratio_that_it_is() -> None:
    values, of = np.random.default_rng(3).normal(size=1000), split_periods(np.arange(1000) // 250, np.arange(1000))
    one, two = (
        ratio_spread(values, np.ones(1000), of),
        jackknife_spread(lambda rows: float(values[rows].mean()), len, of),
    )
    assert one.figure.tolist() == pytest.approx(two.figure.tolist())
    assert one.unit == pytest.approx(two.unit)


def test_a_recall_without_a_miss_is_not_certain() -> None:
    outcome, of = np.arange(400) % 4 == 0, split_periods(np.arange(400) // 100, np.arange(400))
    low, high = ratio_spread(outcome, outcome, of, worst=1).later("share")
    assert (0.9 < low < 0.99, high) == (True, 1.0)


def test_a_period_without_the_figure_is_left_out() -> None:
    outcome = np.arange(400) >= 200
    found = ratio_spread(outcome, outcome, split_periods(np.arange(400) // 100, np.arange(400)), worst=1)
    assert found.period.tolist() == [2, 3]


def test_periods_are_the_folds_and_runs_never_part_a_block() -> None:
    fold, block = np.repeat([3, 5, 8], 100), np.repeat(np.arange(60), 5)
    of = split_periods(fold, block)
    assert of.period.tolist() == np.repeat([0, 1, 2], 100).tolist()
    assert of.period_of_run.tolist() == np.repeat([0, 1, 2], 20).tolist()
    for each in np.unique(block):
        assert len(np.unique(of.run[block == each])) == 1


def test_too_few_folds_are_cut_into_parts_that_can_be_told_apart() -> None:
    assert np.bincount(split_periods(np.zeros(100, dtype=np.int64), np.arange(100)).period).tolist() == [20] * 5
    assert np.bincount(split_periods(np.arange(100) // 50, np.arange(100)).period).tolist() == [20] * 5


def test_a_period_of_few_blocks_is_cut_by_rows() -> None:
    of = split_periods(np.repeat([0, 1, 2], 100), np.zeros(300, dtype=np.int64))
    assert np.bincount(of.period_of_run).tolist() == [20, 20, 20]
