"""The command that replays policies over the history, stopped in the middle and called again."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import Job

pytest_plugins = ("job_fixtures",)

ASKED = ("backtest", "--policies", "never", "--step", "6h")


def moments(job: Job) -> int:
    """How many moments have had their run, under all policies together."""
    found = (job.folder / ".rowcast").glob("wafers/backtest/*/*/moments")
    return sum(int(path.read_text() or 0) for path in found)


def without_seconds(report: dict[str, Any]) -> dict[str, Any]:
    return {**report, "policies": [{**each, "seconds": None} for each in report["policies"]]}


@pytest.mark.long
def test_a_killed_backtest_goes_on_and_says_what_one_that_was_not_killed_says(
    untrained: Job, start: Callable[..., Any]
) -> None:
    untrained.estimator("quick", source={"label_delay": "6h"}, retrain={"every": "8h", "min_new_labels": 1})
    for least, number in ((2, signal.SIGINT), (4, signal.SIGKILL)):
        process = start(untrained, *ASKED)
        while moments(untrained) < least:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate()
        if number is signal.SIGINT:
            assert said == "error: interrupted\n  the same command goes on where it was\n"
    done = untrained.run(*ASKED, "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    report = done.json
    assert report["verdict"]["own"] == "every:8h"
    assert [each["name"] for each in report["policies"]] == ["never", "every:8h", "always:8h"]
    assert [each["built"] > 1 for each in report["policies"]] == [False, True, True]
    assert report["rows"] > 50
    said = untrained.call(*ASKED, "--html", "backtest.html")  # which replays nothing
    assert said.code == 0
    for part in ("never", "every:8h (yours)", "best in hindsight", "[retrain]", "label"):
        assert part in said.out
    assert "<svg" in (untrained.folder / "backtest.html").read_text()
    again = untrained.run(*ASKED, "--json", "--fresh")
    assert without_seconds(again.json) == without_seconds(report)
    assert not list(Path(untrained.folder).glob("pipeline.log"))


def test_what_cannot_be_replayed_is_refused_in_a_line(plain: Job) -> None:
    assert "there is no policy 'weekly'" in plain.refused("backtest", "--policies", "weekly", code=2)
    assert "there is no rule 'sure'" in plain.refused("backtest", "--rules", "sure", code=2)
    assert "--step" in plain.refused("backtest", "--step", "often", code=2)
    plain.configure({"source": {"time": None}})
    assert "source.time" in plain.refused("backtest", code=2)
