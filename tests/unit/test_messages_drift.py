"""Drift in sentences."""

import pytest

from rowcast.messages.drift import describe_learning


@pytest.mark.parametrize(
    ("looked_at", "said"),
    [
        (39, "told once 40 blocks and runs say what is usual: 39 so far"),
        (40, "told of the runs that follow: 40 blocks and runs say what is usual"),
    ],
)
def test_what_is_still_to_come_before_drift_is_told_has_not_come_yet(looked_at: int, said: str) -> None:
    assert describe_learning(looked_at, 40) == said
