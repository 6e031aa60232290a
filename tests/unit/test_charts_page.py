"""The page of control charts: every picture inside its frame, well-formed, and told in words."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import is_sound, parsed, texts

from rowcast.charts import words
from rowcast.charts.page import excerpt, leaf, page
from rowcast.charts.picture import list_numbered, picture
from rowcast.charts_report import ChartsReport
from rowcast.drawing import axes
from rowcast.monitor.control_charts import BASELINE, Effect, Kind, Mark, Subgroup, make_chart
from rowcast.watch.chart_data import Chart

FIRST = date(2026, 5, 1)
DAYS = 60
WINDOW = (FIRST, FIRST + timedelta(days=DAYS - 1))
NOW = datetime(2026, 6, 29, 12, tzinfo=UTC)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def daily(values: list[float]) -> list[Subgroup]:
    return [Subgroup(day(number), value, 50) for number, value in enumerate(values)]


def made(
    values: list[float], marks: dict[int, str] | None = None, kind: Kind = "value", group: str | None = None, **of: Any
) -> Chart:
    happened = [Mark(day(number), what) for number, what in (marks or {}).items()]
    subgroups = daily(values)
    return Chart(
        of.get("what", "s01"), of.get("what") is None, group, kind, make_chart(subgroups, happened, kind), happened
    )


def classes(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [each for each in svg.iter() if each.get("class") == name]


QUIET = [9.0, 11.0] * (BASELINE // 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6), min_size=1, max_size=DAYS),
    st.dictionaries(st.integers(0, DAYS - 1), st.text(max_size=40), max_size=4),
)
def test_any_chart_of_values_is_sound(values: list[float], marks: dict[int, str]) -> None:
    is_sound(parsed(picture(made(values, dict(sorted(marks.items()))), WINDOW, "s01", "c")))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=DAYS))
def test_any_chart_of_shares_is_sound(values: list[float]) -> None:
    is_sound(parsed(picture(made(values, kind="share"), WINDOW, "fail rate", "c")))


def test_a_day_that_breaks_a_rule_is_red_and_says_so() -> None:
    svg = parsed(picture(made([*QUIET, 20.0, 10.0]), WINDOW, "s01", "c"))
    red = [each.find("title").text for each in classes(svg, "dot alarm")]
    assert red[0] == f"{day(BASELINE)}: 20, 50 rows; 1 beyond 3 sigma"
    assert len(classes(svg, "dot other")) == BASELINE
    assert f"{day(BASELINE)} breaks 1 beyond 3 sigma" in svg.find("desc").text


def test_a_mark_is_an_upright_line_with_what_happened_and_parts_the_lines_of_the_chart() -> None:
    svg = parsed(picture(made([*QUIET, 10.0, 10.0, *QUIET], {BASELINE + 1: "pump changed"}), WINDOW, "s01", "c"))
    [mark] = classes(svg, "mark")
    assert mark.get("x1") == mark.get("x2")
    assert mark.find("title").text == f"{day(BASELINE + 1)}: pump changed"
    assert "pump changed" in texts(svg)
    assert len(classes(svg, "trace")) == 2


def test_marks_whose_texts_would_touch_are_numbered_and_listed_below() -> None:
    chart = made(QUIET, {5: "pump changed", 6: "leak check", 30: "cleaned"})
    svg = parsed(picture(chart, WINDOW, "s01", "c"))
    assert len(classes(svg, "mark")) == 3
    assert [each.text for each in classes(svg, "note")] == ["1–2", "3"]
    assert list_numbered(chart, WINDOW) == [f"{day(5)}: pump changed", f"{day(6)}: leak check", f"{day(30)}: cleaned"]
    text = page(ChartsReport("wafers", NOW, DAYS, "UTC", None, (chart,)))
    assert f"<li>{day(6)}: leak check</li>" in text


SAID = st.text(st.characters(exclude_categories=("C", "Z")), max_size=30)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, DAYS - 1), SAID), min_size=1, max_size=80),
    st.sampled_from([7, 14, 60, 365]),
)
def test_texts_of_marks_never_touch_and_nothing_that_happened_is_left_out(
    happened: list[tuple[int, str]], days: int
) -> None:
    window = (FIRST, FIRST + timedelta(days=days - 1))
    marks = [Mark(day(number), what) for number, what in happened]
    chart = Chart("s01", True, None, "value", make_chart([Subgroup(FIRST, 1.0, 50)]), marks)
    svg = parsed(picture(chart, window, "s01", "c"))
    notes = classes(svg, "note")
    boxes = [(float(note.get("x")), axes.width_of(note.text or "") / 2) for note in notes]
    assert all(low + half <= high - reach for (low, half), (high, reach) in pairwise(boxes))
    assert all(half <= x <= axes.WIDTH - half for x, half in boxes)
    shown = {mark.day for mark in marks if mark.day <= window[1]}
    listed = list_numbered(chart, window)
    assert len(listed) in (0, len(shown))
    assert len(notes) == len(shown) if not listed else 1 <= len(notes) <= len(shown)
    said = " ".join(listed) if listed else " ".join(note.text or "" for note in notes)
    for mark in marks:
        if mark.day in shown:
            assert mark.what.strip() in said or listed


def test_words_say_what_is_so_and_what_was() -> None:
    found = made([*QUIET, 10.0, 25.0, 10.0, 10.0])
    assert words.describe_violations(found) == f"EWMA since {day(BASELINE + 1)}"
    assert words.describe_past_violation(found) == f"1 beyond 3 sigma until {day(BASELINE + 1)}"
    assert words.reference_range(found) == "6.032 to 13.97"


AFTER = f"after cleaned on {day(BASELINE + 1)}"


@pytest.mark.parametrize(
    ("values", "effect", "said", "more"),
    [
        (QUIET[:4], None, "No limits yet: they take 6 days with rows", 2),
        (QUIET[:9], None, "Wide limits, from 9 days, until there are 14 days with rows", 5),
        ([*QUIET, *[9.0] * 3], "anew", f"No limits yet: they take 6 days with rows {AFTER}", 5),
        ([*QUIET, *[9.0] * 9], "anew", f"Wide limits, from 7 days, until there are 14 days with rows {AFTER}", 7),
        (
            [*QUIET, *[9.0] * 3],
            "later",
            f"Limits from before {AFTER[6:]}, until there are 14 days with rows {AFTER}",
            13,
        ),
    ],
)
def test_a_chart_says_why_it_has_no_limits_of_its_own_and_from_when_it_will(
    values: list[float], effect: Effect | None, said: str, more: int
) -> None:
    said += f"; {more} more needed, so {day(len(values) - 1 + more)} at the earliest"
    marks = [] if effect is None else [Mark(day(BASELINE + 1), "cleaned", effect)]
    chart = Chart("s01", True, "A", "value", make_chart(daily(values), marks), marks)
    assert chart.learning is not None
    assert words.describe_learning(chart.learning) == said
    assert said in page(ChartsReport("wafers", NOW, DAYS, "UTC", "tool", (chart,)))
    assert list(words.list_learning([chart])) == [f"A: s01. {said}."]
    if chart.learning.limits == "none":
        assert words.reference_range(chart) == f"none until {chart.learning.ready_on}"


@pytest.mark.parametrize("group_by", [None, "tool"])
def test_the_page_leads_with_what_is_broken_now(group_by: str | None) -> None:
    group = None if group_by is None else "ETCH-01"
    charts = [made([*QUIET, 30.0], group=group), made([*QUIET, 10.0], group=group, what="mean score")]
    text = page(ChartsReport("wafers", NOW, DAYS, "UTC", group_by, tuple(charts)))
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert "1 of 2 charts break a rule on their last day." in text
    assert next(each.text for each in root.iter("h2")) == "Broken now"
    [link] = root.iter("a")
    assert [each for each in root.iter("div") if f"#{each.get('id')}" == link.get("href")]
    assert len({each.get("id") for each in root.iter() if each.get("id")}) == 2 * 3


def test_many_charts_are_several_pages_and_those_that_break_a_rule_come_first() -> None:
    charts = [made([*QUIET, 10.0], group=f"T{number:02}") for number in range(9)]
    charts += [made([*QUIET, 30.0], group="T99")]
    report = ChartsReport("wafers", NOW, DAYS, "UTC", "tool", tuple(charts))
    link = lambda chart: f"chart?group={chart.group}"  # noqa: E731
    pages = ["".join(str(each) for each in leaf(report, place, 4, "charts?", link) if each) for place in (1, 2, 3, 4)]
    shown = [re.findall(r"<h3[^>]*>(T\d\d)", text) for text in pages]
    assert shown == [["T99", "T00", "T01", "T02"], ["T03", "T04", "T05", "T06"], ["T07", "T08"], []]
    for text, turned in zip(pages, (["2"], ["1", "3"], ["2"], ["3"]), strict=True):
        assert list(dict.fromkeys(re.findall(r'href="charts\?page=(\d)">', text))) == turned
    assert "Charts 5 to 8 of 10" in pages[1]
    assert 'href="charts?page=1#chart-0-figure"' in pages[0]
    assert 'id="chart-0-figure"' in pages[0]
    assert "Broken now" not in pages[1]


def test_an_excerpt_draws_the_charts_that_break_a_rule_first_and_says_what_they_are_of() -> None:
    charts = [made([*QUIET, 10.0], group=f"T{number:02}") for number in range(3)]
    charts += [made([*QUIET, 30.0], group="T99")]
    report = ChartsReport("wafers", NOW, DAYS, "UTC", "tool", tuple(charts))
    text = "".join(str(each) for each in excerpt(report, "charts", lambda chart: f"chart?group={chart.group}"))
    assert re.findall(r"<h3[^>]*>([^<]+)", text) == [f"{charts[0].what}, T99", f"{charts[0].what}, T00"]
    assert 'href="charts#chart-0-figure"' in text  # where the page of all charts has the first of them
    assert 'href="chart?group=T99"' in text


def test_a_page_without_charts_says_why() -> None:
    assert "No row has been scored." in page(ChartsReport("wafers", NOW, DAYS, "UTC", None, ()))
