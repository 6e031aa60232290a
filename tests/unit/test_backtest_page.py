"""What a backtest says: on the terminal and as a page, whatever policies are called and cost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rowcast.backtest.comparison import Difference, Interval
from rowcast.backtest.page import page
from rowcast.backtest.record import HINDSIGHT, BacktestReport, PolicyResult, Prices, Verdict
from rowcast.backtest.words import describe, describe_verdict, list_notes

START = datetime(2026, 3, 1, tzinfo=UTC)
MOMENTS = tuple(START + timedelta(days=day) for day in range(40))


def policy(name: str, cost: float, difference: Difference) -> PolicyResult:
    values = tuple(cost * day for day in range(len(MOMENTS)))
    return PolicyResult(name, '[retrain]\npolicy = "never"', cost, difference, 3, 1, 2, 0, 12.3, values)


ALIKE, DEARER = Difference(0.0, Interval(0.0, 0.0), False), Difference(40.0, Interval(10.0, 70.0), True)
FOUND = BacktestReport(
    job="<wafers>",
    start=MOMENTS[0],
    end=MOMENTS[-1],
    step=timedelta(days=1),
    moments=MOMENTS,
    rows=5_000,
    left_out=12,
    block_days=7,
    prices=Prices(50.0, 0.0),
    labels_at_once=True,
    of_values=False,
    policies=(policy("never", 340.0, DEARER), policy("every:7d", 300.0, ALIKE), policy("on-drift", 300.0, ALIKE)),
    hindsight=280.0,
    verdict=Verdict("every:7d", "every:7d", ("every:7d", "on-drift"), "on-drift", "[retrain]", "some are tied"),
    folder=Path("folder"),
)


def test_the_terminal_shows_each_policy_the_verdict_and_the_lines_to_paste() -> None:
    said = describe(FOUND)
    for part in (
        "never",
        "every:7d",
        "on-drift (yours)",
        HINDSIGHT,
        "10.0 to 70.0",
        "340.0",
        "5,000 rows",
        "[retrain]",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (FOUND.verdict, "never costs more than every:7d. every:7d and on-drift cannot be told apart"),
        (
            replace(FOUND.verdict, tied=("every:7d",), outcome="one is cheapest"),
            "every:7d is the cheapest, by more than chance explains. To have it",
        ),
        (
            replace(FOUND.verdict, recommended="never", tied=("never", "every:7d", "on-drift"), outcome="all are tied"),
            "These cannot be told apart on your data. The simplest of them is never. Yours, on-drift, is among them",
        ),
        (replace(FOUND.verdict, own="every:7d"), "That is what rowcast.toml asks for"),
    ],
)
def test_the_verdict_says_what_can_be_told_and_what_to_do(verdict: Verdict, said: str) -> None:
    assert said in describe_verdict(replace(FOUND, verdict=verdict))


def test_notes_say_what_the_figures_rest_on() -> None:
    notes = " ".join(list_notes(FOUND))
    for part in ("50 for a build", "by 7 days", "label_delay", "12 labelled rows"):
        assert part in notes
    assert "label_delay" not in " ".join(list_notes(replace(FOUND, labels_at_once=False)))


@pytest.mark.parametrize(
    ("high", "low", "said"),
    [
        (-5.0, -30.0, "would have cost less than every:7d: [gate] rule"),
        (40.0, 3.0, "would have cost more than every:7d"),
        (9.0, -9.0, "to compare with"),
    ],
)
def test_what_is_there_to_compare_with_is_never_said_to_cost_more_than_the_chosen(
    high: float, low: float, said: str
) -> None:
    always = replace(policy("always:7d", 290.0, Difference(1.0, Interval(low, high), low > 0)), is_yardstick=True)
    report = replace(FOUND, policies=(*FOUND.policies, always))
    assert "always" not in describe_verdict(report)
    assert said in " ".join(list_notes(report))


@pytest.mark.parametrize("cost", [0.0, 1.0, 1e9])
def test_the_page_is_well_formed_and_its_pictures_name_each_line(cost: float) -> None:
    policies = tuple(policy(each.name, cost, each.difference) for each in FOUND.policies)
    made = page(replace(FOUND, policies=policies))
    tree = ElementTree.fromstring(made.removeprefix("<!DOCTYPE html>\n"))
    pictures = [element for element in tree.iter("svg") if element.get("role") == "img"]
    assert len(pictures) == 3
    for picture in pictures:
        assert {element.text for element in picture.iter("text")} >= {"never", "every:7d", "on-drift"}
    assert sum(e.get("class") == "point" for e in pictures[0].iter("circle")) == 3
    for picture in pictures[1:]:
        lines = list(picture.iter("polyline"))
        assert [len(line.get("points", "").split()) for line in lines] == [40, 40, 40]
        heights = sorted(float(e.get("y", "")) for e in picture.iter("text") if (e.get("class") or "").startswith("of"))
        assert min(b - a for a, b in pairwise(heights)) >= 14
    assert "&lt;wafers&gt;" in made
