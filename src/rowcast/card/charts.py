"""The pictures of a card, each a function from its part of the record to an SVG. Colours are the style sheet's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from rowcast.drawing import axes
from rowcast.drawing.markup import Markup, element, join
from rowcast.formatting import number, percent

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Span:
    """A number with its interval, as one line of a picture."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    is_main: bool = False  # what the picture is about; the others are there to compare with
    target: float | None = None  # what it should have been


def reliability(bins: Rows, name: str) -> Markup:
    """Draw predicted against observed share, bin by bin, with the diagonal on which they are equal."""
    top = axes.domain([each[key] for each in bins for key in ("predicted", "observed_high")], zero=True, ceiling=1.0)[1]
    steps = axes.ticks(0, top, is_share=True)
    frame = axes.make_frame((0, top), (0, top), steps)
    about = [f"predicted {percent(each['predicted'])}, observed {percent(each['observed'])}" for each in bins]
    return axes.svg(
        name,
        "Predicted and observed shares of positives",
        "; ".join(about),
        324,
        axes.draw_axes(frame, steps, steps, "predicted probability", "observed share, 95 % interval"),
        axes.line(frame.left, frame.bottom, frame.right, frame.top, "ideal"),
        _intervals(
            frame, [(each["predicted"], each["observed"], *_bounds(each, "observed"), _rows(each)) for each in bins]
        ),
        _counts(frame, [(each["predicted"], each["rows"]) for each in bins], 294, 322),
    )


def residuals(bins: Rows, name: str) -> Markup:
    """Draw by how much what was observed lies above what was predicted, bin by bin."""
    points = []
    for each in bins:
        low, high = _bounds(each, "observed")
        of = each["predicted"]
        points.append((of, each["observed"] - of, low - of, high - of, _rows(each)))
    spread = axes.domain([value for point in points for value in point[1:4]] + [0.0])
    span = axes.domain([point[0] for point in points])
    frame = axes.make_frame(span, spread, axes.ticks(*spread))
    about = [f"at {number(x)} observed is {number(y)} above predicted" for x, y, *_ in points]
    return axes.svg(
        name,
        "What was observed, less what was predicted",
        "; ".join(about),
        324,
        axes.draw_axes(
            frame, axes.ticks(*span), axes.ticks(*spread), "predicted", "observed less predicted, 95 % interval"
        ),
        axes.line(frame.left, frame.y(0), frame.right, frame.y(0), "ideal"),
        _intervals(frame, points),
        _counts(frame, [(each["predicted"], each["rows"]) for each in bins], 294, 322),
    )


def cost_curve(points: Rows, threshold: float | None, name: str) -> Markup:
    """Draw cost per row by the share of rows that are flagged, with the threshold below; the one in force is marked."""
    rows = sorted(points, key=lambda each: (each["flagged_share"], -each["threshold"]))
    values = [value for each in rows for value in (each["cost_per_row"], *_bounds(each, "cost", "cost_per_row"))]
    span = axes.domain(values, zero=True)
    frame = axes.make_frame((0, 1), span, axes.ticks(*span), bottom=244)
    shares, costs = [each["flagged_share"] for each in rows], [each["cost_per_row"] for each in rows]
    steps: list[axes.Tick] = [(value, percent(value)) for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    below = [
        axes.label(frame.x(share), frame.bottom + 33, f"≥ {_at(share, shares, rows):.2g}", class_="tick faint")
        for share in (0.2, 0.4, 0.6, 0.8)
    ]
    upper = [frame.point(each["flagged_share"], _bounds(each, "cost", "cost_per_row")[1]) for each in rows]
    lower = [frame.point(each["flagged_share"], _bounds(each, "cost", "cost_per_row")[0]) for each in rows]
    least = min(rows, key=lambda each: each["cost_per_row"])
    return axes.svg(
        name,
        "Cost per row by how many rows are flagged",
        f"from {number(costs[0])} at {percent(shares[0])} to {number(costs[-1])} at {percent(shares[-1])} flagged; "
        f"least {number(least['cost_per_row'])} at {percent(least['flagged_share'])}",
        312,
        axes.draw_axes(frame, steps, axes.ticks(*span), "", "cost per row, 95 % interval"),
        *below,
        axes.label(
            (frame.left + frame.right) / 2,
            frame.bottom + 54,
            "rows flagged, and from which probability on",
            class_="name",
        ),
        element("polygon", points=" ".join([*upper, *reversed(lower)]), class_="band"),
        element("polyline", points=" ".join(frame.point(*at) for at in zip(shares, costs, strict=True)), class_="line"),
        _mark_threshold(frame, rows, threshold) if threshold is not None else None,
    )


def _mark_threshold(frame: axes.Frame, rows: Rows, threshold: float) -> Markup:
    """The threshold in force, on the curve at the nearest threshold there."""
    here = min(rows, key=lambda each: abs(each["threshold"] - threshold))
    x, y = frame.x(here["flagged_share"]), frame.y(here["cost_per_row"])
    text = f"threshold {number(threshold)}: {percent(here['flagged_share'])} flagged"
    on_left = x + 8 + len(text) * axes.LETTER > axes.WIDTH
    return join(
        [
            axes.line(x, frame.bottom, x, frame.top, "mark"),
            element("circle", cx=x, cy=y, r=5.5, class_="mark-point"),
            axes.label(x - 8 if on_left else x + 8, frame.top + 9, text, "end" if on_left else "start", "note"),
        ]
    )


def _at(share: float, shares: Sequence[float], rows: Rows) -> float:
    """The threshold at which this share of the rows is flagged, between the two nearest of the record."""
    for (before, after), (low, high) in zip(pairwise(shares), pairwise(rows), strict=True):
        if before <= share <= after:
            part = (share - before) / (after - before) if after > before else 0.0
            return float(low["threshold"] + part * (high["threshold"] - low["threshold"]))
    return float(rows[0 if share < shares[0] else -1]["threshold"])


def over_time(
    periods: Rows, key: str, bounds: str, title: str, name: str, level: tuple[float, str] | None = None
) -> Markup:
    """Draw a figure in each period of time, with its interval; below, how many rows it is of.

    `bounds` is what the interval's keys begin with; `level` a value to compare with, and its name.
    """
    shown = [each for each in periods if each.get(key) is not None]
    values = [value for each in shown for value in (each[key], *_bounds(each, bounds, key))]
    span = axes.domain(values + ([level[0]] if level else []))
    times = [_times(each) for each in shown]
    dated = all(start and end for start, end in times)
    if dated:
        stamps = [moment.timestamp() for pair in times for moment in pair if moment]
        first, last = min(stamps), max(*stamps, min(stamps) + 1)
        steps = [
            (moment.timestamp(), text)
            for moment, text in axes.moments(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC))
        ]
        extents = [(start.timestamp(), end.timestamp()) for start, end in times if start and end]
    else:
        first, last = 0.5, len(shown) + 0.5
        steps = [(float(place), str(place)) for place in range(1, len(shown) + 1)]
        extents = [(place - 0.4, place + 0.4) for place in range(1, len(shown) + 1)]
    frame = axes.make_frame((first, last), span, axes.ticks(*span))
    points = [
        ((start + end) / 2, each[key], *_bounds(each, bounds, key), _period(each))
        for each, (start, end) in zip(shown, extents, strict=True)
    ]
    lasting = [
        axes.line(frame.x(start), frame.y(each[key]), frame.x(end), frame.y(each[key]), "line")
        for each, (start, end) in zip(shown, extents, strict=True)
    ]
    return axes.svg(
        name,
        f"{title} over time",
        "; ".join(f"{_period(each)}: {number(each[key])}" for each in shown),
        324,
        axes.draw_axes(frame, steps, axes.ticks(*span), "" if dated else "period", f"{title}, 95 % interval"),
        _level(frame, *level) if level else None,
        *lasting,
        _intervals(frame, points),
        _counts(frame, [(point[0], each["rows"]) for point, each in zip(points, shown, strict=True)], 294, 322),
    )


def _level(frame: axes.Frame, value: float, text: str) -> Markup:
    y = frame.y(value)
    return join(
        [
            axes.line(frame.left, y, frame.right, y, "ideal"),
            axes.label(frame.right, max(y - 5, 12), text, "end", "note"),
        ]
    )


def spans(rows: Sequence[Span], title: str, axis: str, name: str, zero: bool = False, is_share: bool = False,
          lines: Sequence[tuple[float, str]] = ()) -> Markup:  # fmt: skip
    """Draw numbers with their intervals one below another, each as text too; `lines` are values to compare with."""
    text = percent if is_share else number
    known = [value for row in rows for value in (row.value, row.low, row.high, row.target) if value is not None]
    span = axes.domain([*known, *(value for value, _ in lines)], zero=zero, ceiling=1.0 if is_share else None)
    names = min(max(len(row.name) for row in rows) * axes.LETTER + 10, 170)
    said = max(len(text(row.value)) for row in rows) * axes.LETTER + 12
    top, pitch = 16 + 16 * bool(lines), 30
    bottom = top + pitch * len(rows)
    frame = axes.Frame(axes.Scale(*span, max(names, 20), axes.WIDTH - max(said, 20)), axes.Scale(0, 1, bottom, top))
    parts: list[Markup] = []
    for value, _ in axes.ticks(*span, is_share=is_share):
        parts.append(axes.line(frame.x(value), top, frame.x(value), bottom, "grid"))
    parts.append(axes.line(frame.left, bottom, frame.right, bottom, "axis"))
    parts += axes.x_axis(frame, axes.ticks(*span, is_share=is_share))
    for value, note in lines:
        half = len(note) * axes.LETTER / 2
        parts.append(axes.line(frame.x(value), top - 4, frame.x(value), bottom, "ideal"))
        parts.append(axes.label(min(max(frame.x(value), half), axes.WIDTH - half), top - 9, note, class_="note"))
    for place, row in enumerate(rows):
        parts.append(_span(frame, row, top + pitch * (place + 0.5), text(row.value), names))
    parts.append(axes.label((frame.left + frame.right) / 2, bottom + 37, axis, class_="name"))
    about = [f"{row.name}: {text(row.value)}" for row in rows]
    return axes.svg(name, title, "; ".join(about), bottom + 44, *parts)


def _span(frame: axes.Frame, row: Span, y: float, said: str, width: float) -> Markup:
    x, class_ = frame.x(row.value), "point" if row.is_main else "point other"
    parts = [
        axes.label(width - 8, y + 4, axes.shorten(row.name, width - 10), "end", "row main" if row.is_main else "row")
    ]
    if row.low is not None and row.high is not None:
        parts.append(
            axes.line(frame.x(row.low), y, frame.x(row.high), y, "whisker" if row.is_main else "whisker other")
        )
    if row.target is not None:
        parts.append(axes.line(frame.x(row.target), y - 10, frame.x(row.target), y + 10, "target"))
    parts.append(element("circle", element("title", f"{row.name}: {said}"), cx=x, cy=float(y), r=5.0, class_=class_))
    parts.append(axes.label(axes.WIDTH - 2, y + 4, said, "end", "row main" if row.is_main else "row"))
    return join(parts)


def share_bar(share: float) -> Markup:
    """Draw a bar as long as a share of 1, for the cell of a table; the number stands beside it."""
    width = min(max(share, 0.0), 1.0) * 100
    return element(
        "svg",
        element("rect", x=0.0, y=0.0, width=width, height=8.0, class_="bar"),
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        aria_hidden="true",
        class_="bar",
    )


# What several pictures share


def _intervals(frame: axes.Frame, points: Sequence[tuple[float, float, float, float, str]]) -> Markup:
    """Points (x, y) with a line from low to high, and what is said of each when it is pointed at."""
    parts = []
    for x, y, low, high, text in points:
        parts.append(axes.line(frame.x(x), frame.y(low), frame.x(x), frame.y(high), "whisker"))
        dot = element("title", text)
        parts.append(element("circle", dot, cx=frame.x(x), cy=frame.y(y), r=5.0, class_="point"))
    return join(parts)


def _counts(frame: axes.Frame, rows: Sequence[tuple[float, int]], top: float, bottom: float) -> Markup:
    """A strip of bars below the axis: how many rows each point is of."""
    most = max(count for _, count in rows) or 1
    parts = [axes.label(4, bottom - 1, "rows", "start", "tick faint")]
    for x, count in rows:
        height = max(1.0, (bottom - top) * count / most)
        parts.append(
            element(
                "rect",
                element("title", f"{count:,} rows"),
                x=frame.x(x) - 4,
                y=bottom - height,
                width=8.0,
                height=height,
                class_="count",
            )
        )
    return join(parts)


def _bounds(row: Mapping[str, Any], prefix: str, value: str = "") -> tuple[float, float]:
    """The interval of a row of the record; where it has none, the value itself."""
    low, high = row.get(f"{prefix}_low"), row.get(f"{prefix}_high")
    return (row[value or prefix] if low is None else low, row[value or prefix] if high is None else high)


def _rows(row: Mapping[str, Any]) -> str:
    return f"predicted {number(row['predicted'])}, observed {number(row['observed'])}, {row['rows']:,} rows"


def _times(row: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    def moment(text: str | None) -> datetime | None:
        if not text:
            return None
        read = datetime.fromisoformat(text)
        return read if read.tzinfo else read.replace(tzinfo=UTC)

    return moment(row.get("from")), moment(row.get("to"))


def _period(row: Mapping[str, Any]) -> str:
    start, end = _times(row)
    rows = f"{row['rows']:,} rows"
    return f"{start:%Y-%m-%d} to {end:%Y-%m-%d}, {rows}" if start and end else rows
