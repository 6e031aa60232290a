"""The page of one control chart: larger, for fewer days where somebody asks for them, and with its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from rowcast.charts.page import draw_days, find_window
from rowcast.charts_report import ChartsReport
from rowcast.dashboard import words
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.frame import Viewer, link, page
from rowcast.drawing.markup import Markup, element
from rowcast.errors import RunError
from rowcast.watch.chart_data import Chart

_SPANS = (28, 14, 7)  # days


@dataclass(frozen=True)
class AskedChart:
    """Which chart is asked for, and which of its days."""

    what: str
    is_column: bool
    group: str | None  # None: of all rows
    days: int | None = None  # None: all that were read
    until: date | None = None  # the last day; None: the newest

    @classmethod
    def read(cls, query: Mapping[str, Sequence[str]]) -> Self:
        """Read a query. What is no number of days, or no day, is as if it were not there."""
        given = {name: values[0] for name, values in query.items() if values}
        days, until = given.get("days", ""), given.get("until", "")
        return cls(
            given.get("of", given.get("column", "")),
            "column" in given,
            given.get("group"),
            int(days) if days.isdecimal() and len(days) < 5 and int(days) else None,
            date.fromisoformat(until) if _is_day(until) else None,
        )


def link_chart(job: str, chart: Chart, days: int | None = None, until: date | None = None) -> str:
    """Return the address of a chart's page."""
    given = {"column" if chart.is_column else "of": chart.what, "group": chart.group, "days": days, "until": until}
    return link(job, "chart", **{name: str(value) for name, value in given.items() if value is not None})


def chart_page(job: str, found: ChartsReport | BeingRead, asked: AskedChart, viewer: Viewer) -> str:
    """Return the page. Raise RunError where there is no such chart."""
    if isinstance(found, BeingRead):
        content: list[Markup | None] = [element("p", words.describe_reading(found))]
    else:
        content = _content(found, _find(found, asked), asked)
    name = asked.what if asked.group is None else f"{asked.what}, {asked.group}"
    crumbs = [(job, link(job)), ("Charts", link(job, "charts")), (name, None)]
    heading = element("header", element("p", "Control chart", class_="kicker"), element("h1", name))
    return page(f"{name}, {job}", viewer, heading, *content, crumbs=crumbs)


def _find(report: ChartsReport, asked: AskedChart) -> Chart:
    wanted = (asked.what, asked.is_column, asked.group)
    for chart in report.charts:
        if (chart.what, chart.is_column, chart.group) == wanted:
            return chart
    raise RunError("there is no such chart of these days", hint="the page of all charts has those that there are")


def _content(report: ChartsReport, chart: Chart, asked: AskedChart) -> list[Markup | None]:
    first, last = find_window(report)
    until = min(max(asked.until or last, first), last)
    since = first if asked.days is None else max(first, until - timedelta(days=asked.days - 1))
    return [
        element(
            "nav", *_turn(report.job, chart, (first, last), (since, until), asked), aria_label="Days", class_="days"
        ),
        element("section", *draw_days(chart, (since, until)), class_="large"),
    ]


def _turn(
    job: str, chart: Chart, whole: tuple[date, date], shown: tuple[date, date], asked: AskedChart
) -> list[Markup]:
    """Links to fewer days or to all, and to those before and after."""
    spans: list[int | None] = [None, *(days for days in _SPANS if timedelta(days=days) <= whole[1] - whole[0])]
    found = [
        element("a", f"{(whole[1] - whole[0]).days + 1 if days is None else days} days",
                href=link_chart(job, chart, days, None if days is None else asked.until),
                aria_current="true" if days == asked.days else None)
        for days in spans
    ]  # fmt: skip
    if asked.days is not None:
        step = timedelta(days=max(1, asked.days // 2))
        if shown[0] > whole[0]:
            found.append(element("a", "Earlier", href=link_chart(job, chart, asked.days, shown[1] - step)))
        if shown[1] < whole[1]:
            found.append(element("a", "Later", href=link_chart(job, chart, asked.days, min(shown[1] + step, whole[1]))))
    return found


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
