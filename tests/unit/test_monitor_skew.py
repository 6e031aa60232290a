"""When more rows differ between the service's answers and the batch than may: false alarms, detection, its end."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from rowcast.monitor.skew import UNIT, Skew, SkewUnit, find_skews

FIRST = datetime(2026, 5, 1, tzinfo=UTC)
MOST = 0.01
MONTH = 180  # units


def units(*counts: tuple[int, int]) -> list[SkewUnit]:
    """Rows and differing ones, unit by unit."""
    return [SkewUnit(FIRST + place * UNIT, rows, differing) for place, (rows, differing) in enumerate(counts)]


def standing(*counts: tuple[int, int], most: float = MOST) -> Skew | None:
    found = find_skews(units(*counts), most, 0.05)
    return found[-1] if found and found[-1].until is None else None


def test_no_row_differs_and_nothing_is_found() -> None:
    assert find_skews(units(*[(60, 0)] * MONTH), MOST, 0.05) == []
    assert find_skews([], MOST, 0.05) == []


def test_a_unit_sent_wrongly_is_found_within_half_a_day_and_dated_back() -> None:
    before = [(60, 0)] * 50
    assert standing(*before, (60, 60)) is None
    found = standing(*before, (60, 60), (60, 60), (60, 60))
    assert found == Skew(FIRST + 50 * UNIT, 180, 180)


def test_it_is_found_where_it_was_there_from_the_first_row_on() -> None:
    found = standing(*[(10, 10)] * 3)
    assert found is not None
    assert found.since == FIRST


def test_one_lot_that_is_corrected_is_no_skew() -> None:
    assert standing(*[(60, 0)] * 50, (60, 25), (60, 25), *[(60, 0)] * 20) is None


@pytest.mark.parametrize(("share", "within"), [(0.3, 4), (0.1, 6), (0.05, 12), (0.03, 30)])
def test_a_smaller_share_is_found_later(share: float, within: int) -> None:
    found = [standing(*[(100, 0)] * 20, *[(100, int(100 * share))] * count) for count in range(1, within + 1)]
    assert found[-1] is not None
    assert found[0] is None


def test_more_may_differ_where_the_config_says_so() -> None:
    assert standing(*[(100, 8)] * MONTH, most=0.1) is None
    assert standing(*[(100, 8)] * MONTH, most=0.05) is not None


def test_it_stands_until_no_more_differ_than_may() -> None:
    wrong, right = [(60, 60)] * 3, [(60, 0)] * 4
    assert standing(*wrong, *right[:3]) is not None
    [found] = find_skews(units(*wrong, *right), MOST, 0.05)
    assert (found.since, found.until) == (FIRST, FIRST + 7 * UNIT)
    assert standing(*wrong, *[(2, 0)] * 4) is not None  # eight rows say nothing of one in a hundred
    twice = find_skews(units(*wrong, *right, *wrong), MOST, 0.05)
    assert [each.since - FIRST for each in twice] == [timedelta(0), 7 * UNIT]


def months(random: np.random.Generator, shares: Sequence[float], rows: int, count: int) -> Iterator[list[SkewUnit]]:
    """Months without skew: each unit has a share of its own, by which its rows differ."""
    for _ in range(count):
        drawn = random.choice(np.asarray(shares), size=MONTH)
        yield units(*[(rows, int(differing)) for differing in random.binomial(rows, drawn)])


@pytest.mark.parametrize(
    "shares",
    [[MOST], [0.0] * 99 + [1.0], [0.0] * 19 + [0.2], [0.0, 2 * MOST]],
    ids=["alike", "all of one in a hundred", "a fifth of one in twenty", "none or twice as many"],
)
@pytest.mark.parametrize("rows", [1, 50])
def test_no_more_false_alarms_than_allowed_however_the_rows_of_hours_belong_together(
    shares: list[float], rows: int
) -> None:
    random = np.random.default_rng(7)
    counts = [len(find_skews(month, MOST, 1.0)) for month in months(random, shares, rows, 300)]
    assert np.mean(counts) <= 1.0
