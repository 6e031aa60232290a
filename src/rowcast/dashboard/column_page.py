"""A column's page: where its values lay in training and lie now, tool by tool, and what the model makes of it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np

from rowcast import monitor
from rowcast.charts import words as chart_words
from rowcast.charts.page import draw_charts
from rowcast.charts_report import ChartsReport
from rowcast.dashboard import words
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.chart_page import link_chart
from rowcast.dashboard.column_look import ColumnLook, Spread, find_quantile, find_share_below, share_out
from rowcast.dashboard.drift_page import drift_table
from rowcast.dashboard.frame import Viewer, badge, link, moment, page, section, tile
from rowcast.drawing import axes
from rowcast.drawing.markup import Markup, element
from rowcast.drawing.parts import picture, table
from rowcast.drift_report import DriftReport
from rowcast.formatting import number, percent, visible
from rowcast.messages.drift import name_series

_BINS = 30
_MOST = 20  # categories
_DRAWN = 12  # charts
_HEIGHT, _TOP, _BOTTOM = 240.0, 20.0, 205.0


def column_page(
    found: ColumnLook,
    drift: DriftReport | BeingRead,
    charts: ChartsReport | BeingRead | None,
    viewer: Viewer,
    marked: float | None = None,
) -> str:
    """Return the page; `charts` is None where the job names no time. `marked` is a row's value, to be shown in it."""
    mine = drift if isinstance(drift, BeingRead) else drift.of(found.name)
    return page(
        f"{found.name}, {found.job}",
        viewer,
        element(
            "header",
            element("p", "Column", class_="kicker"),
            element("h1", found.name, " ", *([] if found.is_used else [badge("not used", "quiet")])),
            _when(found),
            _tiles(found, mine),
        ),
        section("spread", "Then and now", *_spread(found, marked)),
        section("groups", _by(charts), *_groups(found, charts)),
        section("drift", "Drift", _drift(found, mine)),
        crumbs=[(found.job, link(found.job)), ("Drift", link(found.job, "drift")), (found.name, None)],
    )


def _when(found: ColumnLook) -> Markup:
    if found.since is None or found.until is None or found.now is None:
        return element("p", f"As v{found.champion} learned it. It has scored nothing yet.", class_="soft")
    then = f"Then: {found.trained.rows:,} training rows of v{found.champion}. "
    now = f"Now: {found.now.rows:,} rows of runs as of "
    return element("p", then, now, moment(found.since), " to ", moment(found.until), ".", class_="soft")


def _drift(found: ColumnLook, mine: Sequence[monitor.State] | BeingRead) -> Markup:
    if isinstance(mine, BeingRead):
        return element("p", words.describe_reading(mine), class_="soft")
    return drift_table(found.job, mine) if mine else element("p", "Nothing is counted yet.")


def _tiles(found: ColumnLook, drift: Sequence[monitor.State] | BeingRead) -> Markup:
    weight = "–" if found.weight is None else number(found.weight)
    place = f"number {found.place} of {found.columns}" if found.weight is not None else "the model does not tell"
    return element(
        "div",
        tile("Weight", weight, f"by how much the score moves with it: {place}" if found.is_used else "not used"),
        *_ranges(found),
        _drift_tile(drift),
        class_="tiles",
    )


def _drift_tile(drift: Sequence[monitor.State] | BeingRead) -> Markup:
    if isinstance(drift, BeingRead):
        return tile("Drift", "…", words.describe_reading(drift))
    shifted = [state for state in drift if state.since is not None]
    said = ", ".join(name_series(state.series) for state in shifted)
    return tile("Drift", "shifted" if shifted else "none", said, state="warn" if shifted else "")


def _ranges(found: ColumnLook) -> list[Markup]:
    edges, now = found.edges, found.now
    if isinstance(edges, monitor.Categories):
        seen = "–" if now is None else f"{int((now.within > 0).sum()):,}"
        new = "" if now is None else f"{percent(now.below)} of the newest rows have others"
        return [tile("Categories", f"{len(edges.known):,}", "in training"), tile("Now", seen, "of them seen", new)]
    return [
        tile("Usual", _between(edges, found.trained, 0.05, 0.95), "where nine in ten training rows lie"),
        tile("Now", _between(edges, now, 0.05, 0.95), "where nine in ten of the newest rows lie"),
    ]


def _between(edges: monitor.Numbers, spread: Spread | None, low: float, high: float) -> str:
    ends = [None] if spread is None else [find_quantile(edges, spread, share) for share in (low, high)]
    return "–" if None in ends else " to ".join(number(end) for end in ends if end is not None)


def _spread(found: ColumnLook, marked: float | None) -> list[Markup | None]:
    legend = "Blue: in training. Orange: now. Shares are of all rows."
    if isinstance(found.edges, monitor.Categories):
        return [_categories(found.edges, found.trained, found.now)]
    drawn = _draw(found.edges, found, marked)
    return [
        None if marked is None else _place(found.edges, found.trained, marked),
        element(
            "div",
            element("div", picture(drawn, legend)) if drawn is not None else None,
            element("div", _numbers(found.edges, found.trained, found.now)),
            class_="pair",
        ),
    ]


def _place(edges: monitor.Numbers, trained: Spread, value: float) -> Markup | None:
    """Say where a row's value lies among those of training."""
    below = find_share_below(edges, trained, value)
    if below is None:
        return None
    share = " to ".join(dict.fromkeys(percent(end) for end in below))
    return element("p", f"The row's value is {number(value)}: {share} of the training rows lie below it.")


def _numbers(edges: monitor.Numbers, trained: Spread, now: Spread | None) -> Markup:
    def both(name: str, one: object, other: object) -> list[object]:
        return [name, one, "–" if now is None else other]

    def quantile(spread: Spread | None, share: float) -> str:
        value = None if spread is None else find_quantile(edges, spread, share)
        return "–" if value is None else number(value)

    rows = [
        both(name, quantile(trained, share), quantile(now, share))
        for name, share in (("5 % lie below", 0.05), ("half lie below", 0.5), ("95 % lie below", 0.95))
    ]
    rows += [
        both(name, percent(getattr(trained, part)), percent(getattr(now, part, 0.0)))
        for name, part in (
            ("missing", "missing"),
            ("below all of training", "below"),
            ("above all of training", "above"),
        )
    ]
    return table(["", "in training", "now"], rows, (1, 2))


def _categories(edges: monitor.Categories, trained: Spread, now: Spread | None) -> Markup:
    shares = np.zeros(len(edges.known)) if now is None else now.within
    order = np.argsort(-np.maximum(shares, trained.within), kind="stable")
    rows: list[list[object]] = [
        [
            visible(edges.known[place]),
            percent(float(trained.within[place])),
            "–" if now is None else percent(float(shares[place])),
        ]
        for place in order[:_MOST]
    ]
    if len(order) > _MOST:
        rest = order[_MOST:]
        rows.append(
            [f"{len(rest)} others", percent(float(trained.within[rest].sum())), percent(float(shares[rest].sum()))]
        )
    rows.append(["not seen in training", percent(trained.below), "–" if now is None else percent(now.below)])
    rows.append(["missing", percent(trained.missing), "–" if now is None else percent(now.missing)])
    return table(["category", "in training", "now"], rows, (1, 2))


def _draw(edges: monitor.Numbers, found: ColumnLook, marked: float | None) -> Markup | None:
    """Draw the share of rows by value: training as bars, now as a line. None where no value is known."""
    spreads = [found.trained, *([found.now] if found.now is not None else [])]
    ends = [find_quantile(edges, spread, share) for spread in spreads for share in (0.04, 0.96)]
    known = [end for end in (*ends, marked) if end is not None]
    if not known or max(known) <= min(known):
        return None
    reach = (max(known) - min(known)) / 3  # the outermost bins may be wide
    outermost = [edges.bounds[0], edges.bounds[-1], *([] if marked is None else [marked])]
    low_end, high_end = max(min(known) - reach, min(outermost)), min(max(known) + reach, max(outermost))
    limits = np.linspace(low_end, high_end, _BINS + 1)
    trained, now = share_out(edges, found.trained, limits), None
    if found.now is not None:
        now = share_out(edges, found.now, limits)
    high = axes.domain([0.0, float(max(trained.max(), 0.0 if now is None else now.max()))], zero=True, ceiling=1.0)
    shares, values = axes.ticks(*high, is_share=True), axes.ticks(float(limits[0]), float(limits[-1]))
    frame = axes.make_frame((float(limits[0]), float(limits[-1])), high, shares, _BOTTOM, _TOP)
    bars = [
        element("rect", element("title", f"{number(low)} to {number(top)}: {percent(float(share))} in training"),
                x=frame.x(low), y=frame.y(share), width=max(frame.x(top) - frame.x(low) - 0.5, 0.5),
                height=frame.bottom - frame.y(share), class_="then")
        for (low, top), share in zip(pairwise(limits.tolist()), trained.tolist(), strict=True)
    ]  # fmt: skip
    line = None
    if now is not None:
        steps = zip(pairwise(limits.tolist()), now.tolist(), strict=True)
        points = " ".join(f"{frame.point(low, share)} {frame.point(top, share)}" for (low, top), share in steps)
        line = element("polyline", points=points, class_="now")
    return axes.svg(
        "column-spread",
        f"Values of {found.name} in training and now",
        f"half of the training rows lie in {_between(edges, found.trained, 0.25, 0.75)}, half of the newest in "
        f"{_between(edges, found.now, 0.25, 0.75)}",
        _HEIGHT,
        *bars,
        axes.draw_axes(frame, values, shares, "", "share of rows"),
        line,
        _mark(frame, marked) if marked is not None else None,
    )


def _mark(frame: axes.Frame, value: float) -> Markup:
    x = frame.x(value)
    said = element("title", f"the row: {number(value)}")
    return element("line", said, x1=x, y1=frame.bottom, x2=x, y2=frame.top, class_="served")


def _by(charts: ChartsReport | BeingRead | None) -> str:
    return f"By day and {charts.group_by}" if isinstance(charts, ChartsReport) and charts.group_by else "By day"


def _groups(found: ColumnLook, charts: ChartsReport | BeingRead | None) -> list[Markup | None]:
    if isinstance(charts, BeingRead):
        return [element("p", words.describe_reading(charts), class_="soft")]
    if charts is None:
        said = "There are no control charts: they are of numbers, and need [source] time."
        return [element("p", said, class_="soft")]
    mine = tuple(each for each in charts.charts if each.is_column and each.what == found.name)
    if not mine:
        return [element("p", "No row of these days has a value in it.", class_="soft")]
    rows = [
        [
            each.group or "all rows",
            f"{sum(point.subgroup.rows for point in each.points):,}",
            chart_words.value(each, each.points[-1].subgroup.value),
            chart_words.reference_range(each),
            chart_words.describe_violations(each) or "",
        ]
        for each in mine
    ]
    headings = [charts.group_by or "", "rows", "last day", "between 3 sigma", "rule broken"]
    drawn = sorted(mine, key=lambda each: not each.points[-1].broken)[:_DRAWN]
    all_of_it = element("a", f"All {len(mine):,} charts", href=link(found.job, "charts", column=found.name))
    more = element("p", f"{_DRAWN} of them are drawn, those that break a rule first. ", all_of_it)
    listed = table(headings, rows, (1, 2, 3))
    return [
        listed,
        more if len(mine) > _DRAWN else None,
        *draw_charts(replace(charts, charts=tuple(drawn)), partial(link_chart, found.job)),
    ]
