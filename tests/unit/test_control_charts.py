"""Control charts: against examples computed by hand, and against what is known of their false alarms."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rowcast.monitor.control_charts import (
    BASELINE,
    BEYOND,
    EARLY,
    FOUR_OF_FIVE,
    ONE_SIDE,
    SMOOTHED,
    TWO_OF_THREE,
    Baseline,
    Effect,
    Mark,
    Subgroup,
    apply_limits,
    current_violations,
    find_learning,
    fit_baseline,
    make_chart,
    past_violations,
    western_electric,
)

FIRST = date(2026, 5, 1)
KNOWN = Baseline(centre=0.0, variance=1.0, size=100, count=10**7, weight=1e12, kind="value")  # nothing to estimate


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def daily(values: Sequence[float], rows: int | Sequence[int] = 100) -> list[Subgroup]:
    counts = [rows] * len(values) if isinstance(rows, int) else rows
    return [Subgroup(day(number), value, counts[number]) for number, value in enumerate(values)]


def quiet(days: int = BASELINE) -> list[float]:
    """Alternately 9 and 11: a mean of 10."""
    return [9.0, 11.0] * (days // 2)


# The rules of Western Electric, on distances in sigma


@pytest.mark.parametrize(
    ("rule", "values", "places"),
    [
        (BEYOND, [0, 3.1, 0, -3.1, 2.9, 3.0], [1, 3]),
        (TWO_OF_THREE, [2.1, 0, 2.1, 0, 0, 2.1], [2]),
        (TWO_OF_THREE, [-2.1, -2.1, 0, -2.1], [1, 3]),
        (TWO_OF_THREE, [2.1, -2.1, 0], []),
        (FOUR_OF_FIVE, [1.1, 1.1, 0, 1.1, 1.1, 0.9, 1.1], [4]),
        (FOUR_OF_FIVE, [1.1, 1.1, 1.1, 0.9, 0.9, 1.1], []),
        (FOUR_OF_FIVE, [1.1, 1.1, -1.1, -1.1, 1.1], []),
        (ONE_SIDE, [0.1] * 9 + [-0.1] + [0.1] * 8, [7, 8, 17]),
        (ONE_SIDE, [-0.1] * 7 + [0.0] + [-0.1] * 7, []),
    ],
)
def test_a_pattern_is_broken_by_the_day_that_completes_it(rule: str, values: list[float], places: list[int]) -> None:
    reach = np.tile([1.0, 2.0, 3.0], (len(values), 1))
    assert np.flatnonzero(western_electric(np.array(values, dtype=float), reach)[rule]).tolist() == places


# Limits


def test_limits_are_those_of_prediction_from_the_baselines_own_spread() -> None:
    points = make_chart(daily([*quiet(), 10.0]))
    sd = np.sqrt(BASELINE / (BASELINE - 1))  # each day is 1 off
    sigma3 = stats.t.ppf(stats.norm.cdf(3), BASELINE - 1) * sd * np.sqrt(1 + 1 / BASELINE)
    for point in points:
        assert point.limits is not None
        assert (point.limits.low, point.limits.centre, point.limits.high) == pytest.approx(
            (10 - sigma3, 10, 10 + sigma3)
        )
    assert [point.role for point in points] == ["baseline"] * BASELINE + ["watched"]
    assert sigma3 == pytest.approx(3.968, abs=0.001)


def test_limits_come_close_to_three_sigma_as_days_are_added() -> None:
    held = fit_baseline(daily([9.0, 11.0] * 5_000))
    assert held.sigmas(3)[-1] * np.sqrt(held.variance * (1 + 1 / held.weight)) == pytest.approx(3, abs=0.002)


def test_a_day_of_a_quarter_of_the_usual_rows_has_a_spread_twice_as_large_and_one_of_more_rows_the_usual() -> None:
    points = apply_limits(daily([0.0] * 3, [100, 25, 400]), KNOWN)
    assert [point.limits.high for point in points if point.limits] == pytest.approx([3, 6, 3], rel=1e-4)


def test_a_share_is_held_no_steadier_than_rows_that_have_nothing_in_common() -> None:
    held = fit_baseline(daily([0.1] * 20), "share")
    assert held.variance == pytest.approx(1 / 402)
    limits = held.limits(3 * np.sqrt(held.variance), 100)
    assert limits.centre == pytest.approx(0.1)
    # the binomial's own 1.35 and 998.65 of a thousand
    assert (100 * limits.low, 100 * limits.high) == pytest.approx(stats.binom(100, 0.1).ppf([0.00135, 0.99865]), abs=1)
    assert fit_baseline(daily([0.1] * 20), "probability").variance < 1e-9


@pytest.mark.parametrize("kind", ["share", "probability"])
def test_limits_of_shares_and_probabilities_end_at_0_and_1(kind: Literal["share", "probability"]) -> None:
    limits = fit_baseline(daily([0.1, 0.2] * 10), kind).limits(9.0, 100)
    assert (limits.low, limits.high) == (0, 1)


def test_a_single_failure_among_few_rows_is_no_news_where_one_in_twenty_fails() -> None:
    points = make_chart(daily([0.05] * BASELINE + [1.0, 1.0], [100] * BASELINE + [1, 20]), kind="share")
    assert points[-2].broken == ()
    assert BEYOND in points[-1].broken


def test_days_without_any_failure_still_leave_room_for_one() -> None:
    points = make_chart(daily([0.0] * BASELINE + [0.01, 0.2]), kind="share")
    assert points[-2].broken == ()
    assert BEYOND in points[-1].broken


def test_a_sensor_that_never_moves_is_broken_by_the_first_move_and_not_by_rounding() -> None:
    points = make_chart(daily([0.3] * BASELINE + [0.1 + 0.2, 0.31]))
    assert points[-2].broken == ()
    assert BEYOND in points[-1].broken


# The EWMA


def test_the_ewma_is_roberts() -> None:
    points = apply_limits(daily([1.0, 2.0, -1.0]), KNOWN)
    smoothed = [point.smoothed for point in points if point.smoothed]
    assert [each.value for each in smoothed] == pytest.approx([0.2, 0.56, 0.248])  # 0.2 x + 0.8 z
    # 3 sqrt(0.2 / 1.8 (1 - 0.8^2t)) for t = 1, 2, 3
    assert [each.high for each in smoothed] == pytest.approx([0.6, 0.76837, 0.85899], rel=1e-4)
    assert [each.low for each in smoothed] == pytest.approx([-each.high for each in smoothed])


def test_the_ewma_sees_a_small_shift_that_stays_where_no_day_alone_is_out() -> None:
    points = make_chart(daily([*quiet(), *[11.5, 12.0] * 6]))
    assert not any(BEYOND in point.broken for point in points)
    assert SMOOTHED in points[-1].broken
    assert ONE_SIDE in points[-1].broken


def test_the_ewma_of_a_baseline_of_few_days_has_the_centres_own_error_in_its_limits() -> None:
    few, many = (Baseline(0.0, 1.0, 100, 10**7, weight, "value") for weight in (14.0, 1e12))
    one, other = (apply_limits(daily([0.0] * 60), held)[-1].smoothed for held in (few, many))
    assert one is not None
    assert other is not None
    assert one.high**2 - other.high**2 == pytest.approx(9 / 14, rel=1e-3)


# Marks


def test_after_a_mark_a_baseline_begins_anew_and_its_own_day_tells_nothing() -> None:
    moved = [*quiet(), 10.0, 30.0, *[value + 20 for value in quiet()], 30.0, 10.0]
    points = make_chart(daily(moved), [Mark(day(BASELINE + 1), "pump changed")])
    roles = ["baseline"] * BASELINE + ["watched", "mixed"] + ["baseline"] * BASELINE + ["watched"] * 2
    assert [point.role for point in points] == roles
    assert [bool(point.broken) for point in points] == [False] * (len(moved) - 1) + [True]
    assert points[-1].limits is not None
    assert points[-1].limits.centre == pytest.approx(30)


def test_a_mark_on_a_day_without_rows_counts_too() -> None:
    subgroups = [each for each in daily([*quiet(), 10.0, 10.0, 12.0]) if each.day != day(BASELINE + 1)]
    points = make_chart(subgroups, [Mark(day(BASELINE + 1), "cleaned")])
    assert [(point.role, point.stretch) for point in points[-2:]] == [("watched", 0), ("baseline", 1)]


def test_too_few_days_after_a_mark_have_no_limits_and_break_nothing() -> None:
    points = make_chart(daily([*quiet(), *quiet(EARLY - 1), 9.0, 99.0]), [Mark(day(BASELINE), "cleaned")])
    assert points[-1].limits is None
    assert points[-1].broken == ()


def test_a_baseline_of_some_days_has_wide_limits_which_further_days_narrow() -> None:
    points = make_chart(daily([*quiet(), 10.0, *quiet(10)[:9], 99.0]), [Mark(day(BASELINE), "cleaned")])
    after = points[BASELINE + 1 :]
    assert [point.limits is None for point in after] == [True] * EARLY + [False] * 5
    widths = [point.limits.high - point.limits.low for point in after if point.limits]
    assert widths == sorted(widths, reverse=True)
    assert {point.role for point in after} == {"baseline"}
    assert [point.broken for point in after] == [()] * 9 + [(BEYOND,)]


EFFECTS = st.sampled_from(get_args(Effect))
DAYS_WITH_ROWS = st.sets(st.integers(0, 120), min_size=1, max_size=80).map(sorted)
MARKS = st.lists(st.tuples(st.integers(-5, 125), EFFECTS), max_size=8)


def drawn(days: list[int], marks: list[tuple[int, Effect]]) -> tuple[list[Subgroup], list[Mark]]:
    subgroups = [Subgroup(day(number), float(np.sin(7.0 * number)), 50) for number in days]
    return subgroups, [Mark(day(number), "cleaned", effect) for number, effect in marks]


@settings(max_examples=150, deadline=None)
@given(DAYS_WITH_ROWS, MARKS)
def test_only_what_has_changed_a_figure_takes_its_limits_away(days: list[int], marks: list[tuple[int, Effect]]) -> None:
    subgroups, made = drawn(days, marks)
    points = make_chart(subgroups, made)
    assert [point.subgroup for point in points] == subgroups
    anew = sorted(day(number) for number, effect in marks if effect == "anew")
    for point in points:
        begun = max((each for each in anew if each <= point.subgroup.day), default=None)
        before = [each for each in subgroups if (begun is None or each.day > begun) and each.day < point.subgroup.day]
        assert (point.role == "mixed") == (point.subgroup.day == begun)
        if point.role != "mixed" and len(before) >= EARLY:
            assert point.limits is not None  # whatever else happened, and however often
        if point.role == "watched":
            assert len(before) >= BASELINE
    shown = [mark for mark in made if mark.effect != "none"]
    assert points == make_chart(subgroups, shown)


@settings(max_examples=150, deadline=None)
@given(DAYS_WITH_ROWS, MARKS)
def test_what_a_chart_says_of_its_limits_comes_true(days: list[int], marks: list[tuple[int, Effect]]) -> None:
    subgroups, made = drawn(days, marks)
    made = [mark for mark in made if mark.day <= subgroups[-1].day]
    learning = find_learning(subgroups, made)
    assert (make_chart(subgroups, made)[-1].limits is None) == (learning is not None and learning.limits == "none")
    if learning is None:
        return
    further = [
        Subgroup(subgroups[-1].day + timedelta(days=number), 0.5, 50) for number in range(1, learning.missing + 1)
    ]
    assert further[-1].day == learning.ready_on
    for count in range(1, learning.missing + 1):
        later = find_learning([*subgroups, *further[:count]], made)
        if count < learning.missing:
            assert later is not None
            assert (later.limits, later.since, later.ready_on) == (learning.limits, learning.since, learning.ready_on)
        else:
            assert later is None or (learning.limits, later.limits) in {("none", "early"), ("early", "before")}


def test_limits_stay_after_an_event_that_may_have_changed_nothing_until_there_are_new_ones() -> None:
    moved = [*quiet(), 10.0, 30.0, *[value + 20 for value in quiet()], 30.0, 10.0]
    points = make_chart(daily(moved), [Mark(day(BASELINE + 1), "power dip", "later")])
    assert [point.role for point in points] == ["baseline"] * BASELINE + ["watched"] * (len(moved) - BASELINE)
    assert [BEYOND in point.broken for point in points[BASELINE:]] == [False] + [True] * 15 + [False, True]
    assert points[-1].limits is not None
    assert points[-1].limits.centre == pytest.approx(30)


def test_nothing_gives_nothing() -> None:
    assert make_chart([], [Mark(FIRST, "cleaned")]) == []


# What is told of a chart


def test_what_stands_is_told_with_the_day_since_which_each_day_breaks_it() -> None:
    points = make_chart(daily([*quiet(), 20.0, 10.0, 20.0, 20.0]))
    assert current_violations(points)[BEYOND] == day(BASELINE + 2)
    assert BEYOND not in past_violations(points)


def test_what_is_over_is_told_with_the_day_that_broke_it_last() -> None:
    points = make_chart(daily([*quiet(), 20.0, 20.0, 10.0, 9.0]))
    assert BEYOND not in current_violations(points)
    assert past_violations(points)[BEYOND] == day(BASELINE + 1)


# False alarms, by simulation


def first_broken(rules: set[str], days: int, runs: int, seed: int) -> list[int]:
    """On which day of each run a rule is broken first; `days` + 1 where it is on none."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        points = apply_limits(daily(random.normal(size=days).tolist()), KNOWN)
        found.append(next((place for place, point in enumerate(points, 1) if rules & set(point.broken)), days + 1))
    return found


def test_the_four_rules_cry_wolf_once_in_92_days() -> None:
    """Champ and Woodall 1987, Technometrics 29(4): an average run length of 91.75 with known limits."""
    runs = first_broken({BEYOND, TWO_OF_THREE, FOUR_OF_FIVE, ONE_SIDE}, 600, 250, seed=1)
    assert np.mean(runs) == pytest.approx(91.75, abs=3 * 91.75 / np.sqrt(250))


def test_the_ewma_cries_wolf_once_in_about_560_days() -> None:
    """Lucas and Saccucci 1990, Technometrics 32(1): 560 for a weight of 0.2 and 3 sigma."""
    runs = np.array(first_broken({SMOOTHED}, 300, 400, seed=2))
    assert np.mean(runs <= 300) == pytest.approx(1 - np.exp(-300 / 560), abs=0.075)


def test_a_baseline_of_few_days_does_not_make_a_day_beyond_three_sigma_more_likely() -> None:
    random = np.random.default_rng(3)
    points = [
        point
        for _ in range(1_500)
        for point in make_chart(daily(random.normal(size=BASELINE + 10).tolist()))[BASELINE:]
    ]
    early = [make_chart(daily(random.normal(size=EARLY + 1).tolist()))[-1].broken for _ in range(3_000)]
    assert np.mean([broken == (BEYOND,) for broken in early]) == pytest.approx(2 * stats.norm.sf(3), abs=0.0029)
    beyond = np.mean([BEYOND in point.broken for point in points])
    assert beyond == pytest.approx(2 * stats.norm.sf(3), abs=0.0012)
    assert 0.01 < np.mean([bool(point.broken) for point in points]) < 0.04
