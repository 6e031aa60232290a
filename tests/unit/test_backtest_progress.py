"""How far a backtest is, where there is no terminal to show bars on."""

import pytest

from rowcast.cli.backtest import ProgressLines


def test_a_line_now_and_then_says_how_far_it_is_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 0.0
    monkeypatch.setattr("rowcast.cli.backtest.time.monotonic", lambda: seconds)
    progress = ProgressLines()
    for minute in range(3):
        seconds = 60.0 * minute
        for policy in ("never", "every-7d"):
            progress(policy, 10 * minute, 40)
            seconds += 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "replayed: never 10 of 40, every-7d 0 of 40",
        "replayed: never 20 of 40, every-7d 10 of 40; about 2 min left for these",
    ]
