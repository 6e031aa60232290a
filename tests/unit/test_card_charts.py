"""Each picture, of any record: everything inside the frame, well-formed, named, told in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cards import NASTY, binary, regression
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import is_sound, parsed, texts

from rowcast.card import charts
from rowcast.card.charts import Span

SHARE = st.floats(0, 1)
NUMBER = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)
ROWS = st.integers(0, 100_000)
EXAMPLES = settings(max_examples=40, deadline=None)


@st.composite
def bins(draw: st.DrawFn, value: st.SearchStrategy[float] = SHARE) -> list[dict[str, Any]]:
    found = []
    for _ in range(draw(st.integers(1, 6))):
        low, observed, high = sorted(draw(st.tuples(value, value, value)))
        found.append(
            {
                "predicted": draw(value),
                "observed": observed,
                "observed_low": low,
                "observed_high": high,
                "rows": draw(ROWS),
            }
        )
    return found


@EXAMPLES
@given(bins())
def test_any_reliability_is_sound(record: list[dict[str, Any]]) -> None:
    svg = parsed(charts.reliability(record, "r"))
    is_sound(svg)
    assert len(svg.findall("circle")) == len(record)


def test_reliability_draws_predicted_to_the_right_and_observed_up() -> None:
    record = binary()["reliability"]
    dots = parsed(charts.reliability(record, "r")).findall("circle")
    across, up = ([float(dot.attrib[way]) for dot in dots] for way in ("cx", "cy"))
    assert across == sorted(across)
    assert up == sorted(up, reverse=True)
    assert "predicted probability" in texts(parsed(charts.reliability(record, "r")))


@EXAMPLES
@given(bins(NUMBER))
def test_any_residuals_are_sound(record: list[dict[str, Any]]) -> None:
    is_sound(parsed(charts.residuals(record, "r")))


def test_residuals_lie_above_the_line_where_more_was_observed() -> None:
    svg = parsed(charts.residuals(regression()["reliability"], "r"))
    [zero] = [float(each.attrib["y1"]) for each in svg.iter("line") if each.get("class") == "ideal"]
    above = [float(dot.attrib["cy"]) < zero for dot in svg.findall("circle")]
    assert above == [True, False, True, False, True, False]


@st.composite
def curves(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for share in draw(st.lists(SHARE, min_size=1, max_size=8)):
        low, cost, high = sorted(draw(st.tuples(*[st.floats(0, 1e4)] * 3)))
        found.append(
            {"threshold": draw(SHARE), "flagged_share": share, "cost_per_row": cost, "cost_low": low, "cost_high": high}
        )
    return found


@EXAMPLES
@given(curves(), st.none() | SHARE)
def test_any_cost_curve_is_sound(record: list[dict[str, Any]], threshold: float | None) -> None:
    svg = parsed(charts.cost_curve(record, threshold, "c"))
    is_sound(svg)
    marks = [each for each in svg.iter("circle") if each.get("class") == "mark-point"]
    assert len(marks) == (threshold is not None)


def test_the_threshold_in_force_is_marked_where_the_curve_has_it() -> None:
    record = binary()["cost_curve"]
    here = record[7]
    svg = parsed(charts.cost_curve(record, here["threshold"] * 1.001, "c"))
    [mark] = [each for each in svg.iter("circle") if each.get("class") == "mark-point"]
    [curve] = svg.iter("polyline")
    assert f"{mark.get('cx')},{mark.get('cy')}" in [
        ",".join(f"{float(n):.2f}".rstrip("0").rstrip(".") for n in point.split(","))
        for point in curve.attrib["points"].split()
    ]
    assert any(text.endswith("35 % flagged") for text in texts(svg))


@st.composite
def periods(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    dated = draw(st.booleans())
    start = draw(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
    for _ in range(draw(st.integers(1, 6))):
        end = start + draw(st.timedeltas(timedelta(0), timedelta(days=900)))
        low, value, high = sorted(draw(st.tuples(NUMBER, NUMBER, NUMBER)))
        ends = draw(st.sampled_from([(low, high), (None, None)]))
        found.append(
            {
                "from": start.replace(tzinfo=UTC).isoformat() if dated else None,
                "to": end.isoformat() if dated else None,
                "rows": draw(ROWS),
                "mae": value,
                "mae_low": ends[0],
                "mae_high": ends[1],
            }
        )
        start = end
    return found


@EXAMPLES
@given(periods(), st.none() | st.tuples(NUMBER, st.just("chance")))
def test_any_figure_over_time_is_sound(record: list[dict[str, Any]], level: tuple[float, str] | None) -> None:
    svg = parsed(charts.over_time(record, "mae", "mae", "error", "t", level))
    is_sound(svg)
    assert len(svg.findall("circle")) == len(record)


def test_a_period_without_the_figure_is_left_out() -> None:
    record = binary()["over_time"]
    record[2]["auc"] = None
    svg = parsed(charts.over_time(record, "auc", "auc", "AUC", "t", (0.5, "chance")))
    is_sound(svg)
    assert len(svg.findall("circle")) == 4
    assert "chance" in texts(svg)


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    found = []
    for _ in range(draw(st.integers(1, 5))):
        low, value, high = sorted(draw(st.tuples(NUMBER, NUMBER, NUMBER)))
        ends = draw(st.sampled_from([(low, high), (None, None)]))
        name = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
        found.append(Span(name, value, *ends, draw(st.booleans()), draw(st.none() | NUMBER)))
    return found


@EXAMPLES
@given(spans(), st.booleans(), st.lists(st.tuples(NUMBER, st.just("no gain")), max_size=2))
def test_any_row_of_intervals_is_sound(rows: list[Span], zero: bool, lines: list[tuple[float, str]]) -> None:
    svg = parsed(charts.spans(rows, "Gain", "gain per row", "g", zero=zero, lines=lines))
    is_sound(svg)
    assert len(svg.findall("circle")) == len(rows)


def test_a_long_name_is_cut_and_told_in_full_where_it_is_pointed_at() -> None:
    long = "the candidate with the longest name of all of them"
    svg = parsed(charts.spans([Span(long, 0.7)], "AUC", "AUC", "g"))
    assert any(text.endswith("…") for text in texts(svg))
    assert svg.find("circle/title").text == f"{long}: 0.7"


@pytest.mark.parametrize(("share", "width"), [(0.5, "50"), (-1.0, "0"), (7.0, "100")])
def test_a_bar_is_as_long_as_its_share(share: float, width: str) -> None:
    svg = parsed(charts.share_bar(share))
    is_sound(svg)
    assert svg.find("rect").get("width") == width


def test_a_name_is_never_markup() -> None:
    svg = charts.spans([Span(NASTY, 1.0)], NASTY, NASTY, "g")
    assert "<script" not in svg
    assert NASTY[:4] in parsed(svg).find("title").text
