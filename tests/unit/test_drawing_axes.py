"""Scales, round ticks, and the text of a tick."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.drawing.axes import Scale, domain, moments, ticks

FINITE = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-6)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_scale_goes_from_end_to_end_and_not_beyond() -> None:
    down = Scale(0, 10, 200, 20)
    assert [down(value) for value in (0, 5, 10, -3, 99)] == [200, 110, 20, 200, 20]


@given(st.lists(FINITE, min_size=1, max_size=5), st.booleans())
def test_a_domain_holds_its_values_and_a_few_ticks(values: list[float], zero: bool) -> None:
    low, high = domain(values, zero=zero)
    slack = 1e-9 * max(map(abs, (*values, 1e-9)))
    assert low < high
    assert low - slack <= min(values) <= max(values) <= high + slack
    assert not zero or low <= 0 <= high
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert len({text for _, text in found}) == len(found)
    assert all(low - slack <= value <= high + slack for value, _ in found)


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 0.1, ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]),
        (-1, 1, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (145_000, 155_000, ["146,000", "148,000", "150,000", "152,000", "154,000"]),
        (0, 2e8, ["0", "5e+07", "1e+08", "1.5e+08", "2e+08"]),
    ],
)
def test_ticks_are_round_and_written_as_finely_as_they_step(low: float, high: float, texts: list[str]) -> None:
    assert [text for _, text in ticks(low, high)] == texts


def test_shares_are_written_in_percent_and_stop_at_all() -> None:
    assert [text for _, text in ticks(0, 0.02, is_share=True)] == ["0.0 %", "0.5 %", "1.0 %", "1.5 %", "2.0 %"]
    assert domain([0.8, 0.97], ceiling=1.0) == (0.8, 1.0)
    assert domain([0.88, 1.0], ceiling=1.0)[1] == 1.0


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        ("2026-01-05", "2026-05-30", ["Feb 2026", "Mar", "Apr", "May"]),
        ("2025-11-05", "2026-02-20", ["Dec 2025", "Jan 2026", "Feb"]),
        ("2026-07-01", "2026-07-20", ["6 Jul", "13 Jul", "20 Jul"]),
        ("2026-07-01T05:30", "2026-07-01T09:10", ["06:00", "07:00", "08:00", "09:00"]),
        ("2019-03-01", "2023-03-01", ["2020", "2021", "2022", "2023"]),
        ("1996-05-07", "1998-12-05", ["Jul 1996", "Jan 1997", "Jul", "Jan 1998", "Jul"]),
    ],
)
def test_moments_are_full_hours_mondays_or_first_days(low: str, high: str, texts: list[str]) -> None:
    assert [text for _, text in moments(at(low), at(high))] == texts


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.timedeltas(timedelta(hours=2), timedelta(days=9000))
)
def test_moments_are_few_in_order_and_inside(low: datetime, length: timedelta) -> None:
    low = low.replace(tzinfo=UTC)
    found = [moment for moment, _ in moments(low, low + length)]
    assert len(found) <= 7
    assert found == sorted(set(found))
    assert all(low <= moment <= low + length for moment in found)
