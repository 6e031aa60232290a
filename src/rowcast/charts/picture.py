"""A control chart as a picture: the days, what is usual of them, the EWMA with its limits, and what happened."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from statistics import median

from rowcast.charts import words
from rowcast.drawing import axes
from rowcast.drawing.markup import Markup, element, join
from rowcast.monitor.control_charts import SMOOTHED, Mark, Point
from rowcast.watch.chart_data import Chart

_TOP, _BOTTOM, _HEIGHT = 22.0, 200.0, 224.0
_NOTE = 130.0  # width of a mark's text, at most
_GAP = 6.0  # between texts of marks


def picture(chart: Chart, days: tuple[date, date], title: str, name: str) -> Markup:
    """Draw a chart from one day to another; `name` tells its title apart from those of others on the page."""
    frame = _frame(chart, days)
    broken = [f"{words.day(point)} breaks {' and '.join(point.broken)}" for point in chart.points if point.broken]
    first, last = chart.points[0], chart.points[-1]
    about = f"from {words.day(first)} to {words.day(last)}; {'; '.join(broken) or 'no rule is broken'}"
    return axes.svg(
        name,
        title,
        about,
        _HEIGHT,
        *(_background(frame, stretch) for stretch in _stretches(chart.points)),
        axes.draw_axes(
            frame, _dates(days), axes.ticks(frame.y.low, frame.y.high, is_share=chart.kind == "share"), "", ""
        ),
        *(_stretch(frame, stretch) for stretch in _stretches(chart.points)),
        _marks(frame, _happened(chart.marks, days)),
        _days(frame, chart),
    )


def _frame(chart: Chart, days: tuple[date, date]) -> axes.Frame:
    """All days fit; of limits those of a usual day, since a day of few rows has wide ones."""
    limits = [point.limits for point in chart.points if point.limits]
    values = [point.subgroup.value for point in chart.points]
    if limits:
        values += [median(each.low for each in limits), median(each.high for each in limits)]
    is_share = chart.kind == "share"
    low, high = axes.domain(values, zero=is_share, ceiling=1.0 if is_share else None)
    steps = axes.ticks(low, high, is_share=is_share)
    half = timedelta(hours=12).total_seconds()
    return axes.make_frame((_at(days[0]) - half, _at(days[1]) + half), (low, high), steps, _BOTTOM, _TOP)


def _dates(days: tuple[date, date]) -> list[tuple[float, str]]:
    first, last = (datetime.combine(day, time(), UTC) for day in days)
    return [(moment.timestamp(), text) for moment, text in axes.moments(first, max(last, first + timedelta(days=1)))]


def _at(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def _stretches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Points between days with marks."""
    for _, stretch in groupby((point for point in points if point.role != "mixed"), lambda point: point.stretch):
        yield list(stretch)


def _background(frame: axes.Frame, points: Sequence[Point]) -> Markup:
    """From 3 sigma down to 3 sigma up: of the baseline in grey, over the whole height while it has too few days."""
    parts = []
    last: list[tuple[float, float, float]] = []
    for role, among in groupby(points, lambda point: point.role):
        edges = [
            (
                _at(point.subgroup.day),
                *((each.low, each.high) if (each := point.limits) else (frame.y.low, frame.y.high)),
            )
            for point in among
        ]
        outline = [*last[-1:], *edges]
        upper = [frame.point(x, high) for x, _, high in outline]
        lower = [frame.point(x, low) for x, low, _ in outline]
        class_ = "learned" if role == "baseline" else "band"
        parts.append(element("polygon", points=" ".join([*upper, *reversed(lower)]), class_=class_))
        last = edges
    return join(parts)


def _stretch(frame: axes.Frame, points: Sequence[Point]) -> Markup:
    """The centre, and the EWMA with its limits."""
    parts = []
    limited = [(_at(point.subgroup.day), point.limits) for point in points if point.limits]
    if limited:
        y = frame.y(limited[0][1].centre)
        parts.append(axes.line(frame.x(limited[0][0]), y, frame.x(limited[-1][0]), y, "centre"))
    smoothed = [(_at(point.subgroup.day), point.smoothed) for point in points if point.smoothed]
    if smoothed:
        parts.append(_line(frame, ((x, each.low) for x, each in smoothed), "reach"))
        parts.append(_line(frame, ((x, each.high) for x, each in smoothed), "reach"))
        parts.append(_line(frame, ((x, each.value) for x, each in smoothed), "line"))
    return join(parts)


def _line(frame: axes.Frame, points: Iterable[tuple[float, float]], class_: str) -> Markup:
    return element("polyline", points=" ".join(frame.point(*point) for point in points), class_=class_)


def _days(frame: axes.Frame, chart: Chart) -> Markup:
    """A dot a day, those that break a rule in red, and so the EWMA where it is beyond its limits."""
    parts = [
        _line(frame, ((_at(point.subgroup.day), point.subgroup.value) for point in stretch), "trace")
        for stretch in _stretches(chart.points)
    ]
    for point in chart.points:
        x, subgroup = frame.x(_at(point.subgroup.day)), point.subgroup
        rules = [rule for rule in point.broken if rule != SMOOTHED]
        text = f"{words.day(point)}: {words.value(chart, subgroup.value)}, {subgroup.rows:,} rows"
        said = element("title", "; ".join([text, *rules]))
        class_ = "dot alarm" if rules else "dot" if point.role == "watched" else "dot other"
        parts.append(element("circle", said, cx=x, cy=frame.y(subgroup.value), r=4.0 if rules else 2.5, class_=class_))
        if point.smoothed and SMOOTHED in point.broken:
            said = element("title", f"{words.day(point)}: EWMA {words.value(chart, point.smoothed.value)}")
            parts.append(element("circle", said, cx=x, cy=frame.y(point.smoothed.value), r=2.5, class_="dot alarm"))
    return join(parts)


def list_numbered(chart: Chart, days: tuple[date, date]) -> list[str]:
    """Return what happened, by the number that the picture gives it; nothing where its texts find room there."""
    happened = _happened(chart.marks, days)
    if _place_texts(_frame(chart, days), happened) is not None:
        return []
    return [f"{day}: {what}" for day, what in happened]


def _happened(marks: Sequence[Mark], days: tuple[date, date]) -> list[tuple[date, str]]:
    """What happened on each day that the picture shows."""
    shown = (mark for mark in marks if days[0] <= mark.day <= days[1])
    among = groupby(sorted(shown, key=lambda mark: mark.day), lambda mark: mark.day)
    return [(day, "; ".join(dict.fromkeys(mark.what for mark in of_day))) for day, of_day in among]


def _marks(frame: axes.Frame, happened: Sequence[tuple[date, str]]) -> Markup:
    """Upright lines, each with what happened, or with numbers where texts would touch."""
    parts = []
    for day, what in happened:
        x = frame.x(_at(day))
        said = element("title", f"{day}: {what}")
        parts.append(element("line", said, x1=x, y1=frame.bottom, x2=x, y2=frame.top - 4, class_="mark"))
    texts = _place_texts(frame, happened)
    for middle, text in _number(frame, happened) if texts is None else texts:
        parts.append(axes.label(middle, frame.top - 9, text, class_="note"))
    return join(parts)


def _place_texts(frame: axes.Frame, happened: Sequence[tuple[date, str]]) -> list[tuple[float, str]] | None:
    """Where each text stands; None where they would touch, or one would have to be cut."""
    if any(axes.shorten(what, _NOTE) != what for _, what in happened):
        return None
    found = [_place(frame.x(_at(day)), what) for day, what in happened]
    return None if any(_touch(one, other) for one, other in pairwise(found)) else found


def _number(frame: axes.Frame, happened: Sequence[tuple[date, str]]) -> list[tuple[float, str]]:
    """Where each day's number stands; those that would touch are one range of numbers."""
    ranges: list[tuple[int, int]] = []
    for place in range(len(happened)):
        ranges.append((place, place))
        while len(ranges) > 1 and _touch(*(_place_range(frame, happened, each) for each in ranges[-2:])):
            ranges[-2:] = [(ranges[-2][0], place)]
    return [_place_range(frame, happened, each) for each in ranges]


def _place_range(frame: axes.Frame, happened: Sequence[tuple[date, str]], places: tuple[int, int]) -> tuple[float, str]:
    first, last = places
    middle = (frame.x(_at(happened[first][0])) + frame.x(_at(happened[last][0]))) / 2
    return _place(middle, str(first + 1) if first == last else f"{first + 1}–{last + 1}")


def _place(x: float, text: str) -> tuple[float, str]:
    half = axes.width_of(text) / 2
    return min(max(x, half), axes.WIDTH - half), text


def _touch(one: tuple[float, str], other: tuple[float, str]) -> bool:
    return one[0] + (axes.width_of(one[1]) + axes.width_of(other[1])) / 2 + _GAP > other[0]
