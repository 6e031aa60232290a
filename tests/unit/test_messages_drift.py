"""Drift in sentences."""

from datetime import UTC, datetime

import pytest

from rowcast.messages.drift import describe_finding, describe_learning, name_series
from rowcast.monitor import Finding, Series

AT = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("looked_at", "said"),
    [
        (39, "told once 40 blocks and runs say what is usual: 39 so far"),
        (40, "told of the runs that follow: 40 blocks and runs say what is usual"),
    ],
)
def test_what_is_still_to_come_before_drift_is_told_has_not_come_yet(looked_at: int, said: str) -> None:
    assert describe_learning(looked_at, 40) == said


@pytest.mark.parametrize(
    ("category", "values", "said"),
    [
        ("", True, "remark is '' in 50.0% of the rows (was 10.0%)"),
        ("", False, "remark is of one category in 50.0% of the rows (was 10.0%)"),
        ("N/A", True, "remark is N/A in 50.0% of the rows (was 10.0%)"),
        (None, True, "remark is a rare one in 50.0% of the rows (was 10.0%)"),
        (None, False, "remark is a rare one in 50.0% of the rows (was 10.0%)"),
    ],
)
def test_the_empty_category_is_one_like_any_other(category: str | None, values: bool, said: str) -> None:
    found = Finding(Series("category", "remark", category), "3", AT, 0.1, 0.5, 0.4, 2.0, 1.0)
    assert describe_finding(found, values=values) == said


def test_a_share_of_the_empty_category_is_not_one_of_rare_ones() -> None:
    assert name_series(Series("category", "remark", "")) == "share of ''"
    assert name_series(Series("category", "remark")) == "share of rare categories"
