"""Control charts as one HTML file: no script, no link to outside, readable in light, dark and on paper."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from rowcast.charts import words
from rowcast.charts.picture import list_numbered, picture
from rowcast.charts_report import ChartsReport
from rowcast.drawing import parts
from rowcast.drawing.document import document
from rowcast.drawing.markup import Markup, element
from rowcast.messages.forgotten import describe_forgotten
from rowcast.monitor.control_charts import BASELINE
from rowcast.source import days_until
from rowcast.watch.chart_data import Chart

_FOLDED_FROM = 9  # days with events
Link = Callable[[Chart], str]  # the address of a page of the chart alone


def page(report: ChartsReport) -> str:
    """Return the whole file."""
    named = {id(chart): f"chart-{place}" for place, chart in enumerate(report.charts)}
    broken = _list_broken(report, {chart: f"#{name}" for chart, name in named.items()})
    content = [_header(report), broken, *_by_figure(report, report.charts, named)]
    return document(f"{report.job}: control charts", *content, origin="the rows that have been scored")


def leaf(report: ChartsReport, place: int, most: int, where: str, link: Link) -> list[Markup | None]:
    """Return one of several pages of at most so many charts: those that break a rule come first.

    `where` is what the addresses of these pages begin with; `place` counts from 1.
    """
    ranked = _rank(report.charts)
    named = {id(chart): f"chart-{number}" for number, chart in enumerate(ranked)}
    links = {id(chart): f"{where}page={number // most + 1}#chart-{number}" for number, chart in enumerate(ranked)}
    begin, shown = (place - 1) * most, ranked[(place - 1) * most : place * most]
    turned = [(place - 1, "Previous")] if place > 1 else []
    turned += [(place + 1, "Next")] if begin + most < len(ranked) else []
    said = f"Charts {begin + 1:,} to {begin + len(shown):,} of {len(ranked):,}, those that break a rule first."
    inner = [element("a", text, href=f"{where}page={other}") for other, text in turned]
    turn = element("nav", element("p", said), *inner, aria_label="Pages", class_="sections") if turned else None
    broken = _list_broken(report, links) if place == 1 else None
    return [_header(report), broken, turn, *_by_figure(report, shown, named, link), turn if shown else None]


def _by_figure(
    report: ChartsReport, charts: Sequence[Chart], named: dict[int, str], link: Link | None = None
) -> list[Markup]:
    """Return a section for each figure that is charted, or one where rows are not grouped."""
    window, group_by = find_window(report), report.group_by
    sections: dict[tuple[str, bool] | None, list[Chart]] = {}
    for chart in charts:
        sections.setdefault((chart.what, chart.is_column) if group_by else None, []).append(chart)
    found = []
    for figure, these in sections.items():
        heading: list[object] = ["All rows"]
        if figure is not None:
            what, is_column = figure
            heading = [f"{what} by {group_by}".capitalize()]
            if is_column:
                heading = [element("code", what), f", mean by {group_by}"]
        drawn = [_draw(each, window, named[id(each)], link) for each in these]
        found.append(element("section", element("h2", *heading), element("div", *drawn, class_="pair")))
    return found


def excerpt(report: ChartsReport, where: str, link: Link, most: int = 2) -> list[Markup]:
    """Return what is broken now, with links to a page of all charts, and the first charts: those that break a rule."""
    ranked, window = _rank(report.charts), find_window(report)
    named = {id(chart): f"{where}#chart-{place}" for place, chart in enumerate(ranked)}
    rows = _broken_rows(report.charts, named)
    drawn = [_draw(chart, window, f"chart-{n}", link, is_named=True) for n, chart in enumerate(ranked[:most])]
    broken = parts.compact_table(_broken_headings(report.group_by), rows, numbers=(2, 3))
    said = element("p", f"{len(rows)} of {len(report.charts)} charts break a rule on their last day.")
    return [said, *([broken] if rows else []), element("div", *drawn, class_="pair")]


def _rank(charts: Sequence[Chart]) -> list[Chart]:
    """Those that break a rule on their last day first."""
    return sorted(charts, key=lambda chart: not chart.points[-1].broken)


def draw_charts(report: ChartsReport, link: Link) -> list[Markup]:
    """Return the charts alone, for a page that says around them what they are of."""
    drawn = [_draw(chart, find_window(report), f"chart-{n}", link) for n, chart in enumerate(report.charts)]
    return [element("div", *drawn, class_="pair")]


def draw_days(chart: Chart, days: tuple[date, date]) -> list[Markup | None]:
    """Return a chart's picture of the days from one to another, and its numbers of these days."""
    points = [point for point in chart.points if days[0] <= point.subgroup.day <= days[1]]
    said = f"{days[0]} to {days[1]}."
    if not points:
        return [element("p", f"{said} No row of these days was scored.")]
    shown = replace(chart, points=points)
    title = chart.what if chart.group is None else f"{chart.what}, {chart.group}"
    rows = [
        [
            str(point.subgroup.day),
            f"{point.subgroup.rows:,}",
            words.value(chart, point.subgroup.value),
            "-"
            if point.limits is None
            else f"{words.value(chart, point.limits.low)} to {words.value(chart, point.limits.high)}",
            "-" if point.smoothed is None else words.value(chart, point.smoothed.value),
            " and ".join(point.broken),
        ]
        for point in reversed(points)
    ]
    headings = ["day", "rows", "value", "between 3 sigma", "EWMA", "rule broken"]
    return [
        parts.picture(picture(shown, days, title, "chart"), f"{said} {_caption(chart)}"),
        _list_happened(list_numbered(shown, days)),
        _legend(),
        parts.compact_table(headings, rows, numbers=(1, 2, 3, 4)),
    ]


def find_window(report: ChartsReport) -> tuple[date, date]:
    """Return the first and the last day that a report's charts may show."""
    counted = days_until(report.as_of, report.days, report.timezone)
    return (counted.first, counted.date(report.days - 1))


def _header(report: ChartsReport) -> Markup:
    charts, window = report.charts, find_window(report)
    broken = sum(bool(chart.points[-1].broken) for chart in charts)
    said = f"{broken} of {len(charts)} charts break a rule on their last day." if charts else "No row has been scored."
    learning = sum(chart.points[-1].limits is None for chart in charts)
    if learning:
        said += f" {learning} of {len(charts)} have no limits yet; each says why, and from when there will be some."
    if report.forgotten_until is not None:
        missing = describe_forgotten(report.forgotten_until)
        said += f" {missing[0].upper()}{missing[1:]}."
    return element(
        "header",
        element("p", "Control charts", class_="kicker"),
        element("h1", report.job),
        element(
            "p",
            f"Rows of {window[0]} to {window[1]} that have been scored, by the day of their event ({report.timezone}).",
        ),
        element("p", said),
        _legend(),
    )


def _legend() -> Markup:
    known = [
        (element("circle", cx=14.0, cy=7.0, r=2.5, class_="dot"), "a day"),
        (element("rect", x=0.0, y=0.0, width=28.0, height=14.0, class_="band"), "between 3 sigma up and down"),
        (element("line", x1=0.0, y1=7.0, x2=28.0, y2=7.0, class_="line"), "EWMA"),
        (element("line", x1=0.0, y1=7.0, x2=28.0, y2=7.0, class_="reach"), "its limits"),
        (element("circle", cx=14.0, cy=7.0, r=4.0, class_="dot alarm"), "breaks a rule"),
        (element("rect", x=0.0, y=0.0, width=28.0, height=14.0, class_="learned"), f"baseline, {BASELINE} days"),
        (element("line", x1=14.0, y1=0.0, x2=14.0, y2=14.0, class_="mark"), "maintenance, or another version"),
    ]
    items = [
        element("li", element("svg", shape, viewBox="0 0 28 14", aria_hidden="true", class_="key"), text)
        for shape, text in known
    ]
    return element(
        "div",
        element("ul", *items, class_="legend"),
        element(
            "p",
            "Limits come from the spread between the baseline's days. Those of a sensor begin anew after maintenance "
            "of the group, those of scores after another version came into service. Maintenance leaves limits of "
            "scores and fail rates as they are: these tell what it did. After an event that names no group, limits "
            "stay until there are new ones. About three days in a hundred break a rule by chance, chart by chart: "
            "charts show, alarms are for 'rowcast drift'.",
            class_="soft",
        ),
    )


def _list_broken(report: ChartsReport, links: dict[int, str]) -> Markup | None:
    """What is so now, at a glance."""
    rows = _broken_rows(report.charts, links)
    if not rows:
        return None
    broken = parts.compact_table(_broken_headings(report.group_by), rows, numbers=(2, 3))
    return element("section", element("h2", "Broken now"), broken)


def _broken_headings(group_by: str | None) -> list[str]:
    return ["chart", group_by or "group", "last day", "reference range", "rule broken"]


def _broken_rows(charts: Sequence[Chart], named: dict[int, str]) -> list[list[object]]:
    return [
        [
            element("a", chart.what, href=f"{named[id(chart)]}-figure"),
            chart.group or "",
            words.value(chart, chart.points[-1].subgroup.value),
            words.reference_range(chart),
            words.describe_violations(chart),
        ]
        for chart in charts
        if chart.points[-1].broken
    ]


def _draw(chart: Chart, window: tuple[date, date], name: str, link: Link | None, *, is_named: bool = False) -> Markup:
    """Return a chart under its group; `is_named` says where no heading above tells what it is of."""
    title = chart.what if chart.group is None else f"{chart.what}, {chart.group}"
    heading = title if is_named or chart.group is None else chart.group
    larger = state = None
    if link is not None:
        larger = element("a", "Larger", href=link(chart), class_="larger", aria_label=f"{title} larger")
    if chart.points[-1].broken:
        state = parts.tag("broken", words.describe_violations(chart))
    elif chart.points[-1].limits is None and chart.learning:
        state = parts.tag(
            f"no limits until {chart.learning.ready_on}", words.describe_learning(chart.learning), "tag quiet"
        )
    return element(
        "div",
        element("h3", heading, state),
        larger,
        parts.picture(picture(chart, window, title, name), _caption(chart)),
        _list_happened(list_numbered(chart, window)),
        id=f"{name}-figure",
    )


def _list_happened(texts: Sequence[str]) -> Markup | None:
    """What the picture has numbers for; a long list is folded."""
    if not texts:
        return None
    listed = element("ol", *(element("li", text) for text in texts), class_="happened")
    if len(texts) <= _FOLDED_FROM:
        return listed
    return element("details", element("summary", f"{len(texts)} days with events"), listed)


def _caption(chart: Chart) -> str:
    last = chart.points[-1]
    said = f"{words.day(last)}: {words.value(chart, last.subgroup.value)} of {last.subgroup.rows:,} rows, "
    said += f"reference range {words.reference_range(chart)}."
    told = [words.describe_violations(chart), words.describe_past_violation(chart)]
    if chart.learning:
        told.append(words.describe_learning(chart.learning))
    return said + "".join(f" {text}." for text in told if text)
