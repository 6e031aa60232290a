"""Pictures of the pages: the rows of each day, and cost over time."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from rowcast.dashboard.looks import DAYS, Look
from rowcast.drawing import axes
from rowcast.drawing.markup import Markup, element
from rowcast.formatting import number
from rowcast.quality_report import QualityReport
from rowcast.store.records import DecisionRecord
from rowcast.watch.quality import Part

_WIDE, _HIGH = 240.0, 40.0
_HEIGHT, _TOP, _BOTTOM = 288.0, 44.0, 250.0


def draw_activity(look: Look, name: str) -> Markup:
    """Draw the rows that were scored each day as bars, days without a run as gaps."""
    scored: dict[date, int] = defaultdict(int)
    for run in look.activity:
        scored[run.as_of.date()] += run.scored or 0
    days, last = DAYS, look.until.date()
    most = max([*scored.values(), 1])
    step = _WIDE / days
    bars = []
    for place in range(days):
        day = last - timedelta(days=days - 1 - place)
        if scored.get(day):
            high = max(2.0, (_HIGH - 4) * (scored[day] / most) ** 0.5)
            said = element("title", f"{day}: {scored[day]:,} rows")
            bars.append(element("rect", said, x=place * step, y=_HIGH - high, width=step * 0.75, height=high,
                                class_="bar"))  # fmt: skip
    about = f"{len(scored)} of {days} days with a run, {sum(scored.values()):,} rows scored, at most {most:,} on a day"
    return element(
        "svg",
        element("title", f"Rows scored in {days} days", id=f"{name}-title"),
        element("desc", about, id=f"{name}-desc"),
        *bars,
        axes.line(0, _HIGH, _WIDE, _HIGH, "axis"),
        viewBox=f"0 0 {_WIDE:g} {_HIGH:g}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="spark",
    )


def draw_cost(found: QualityReport, decisions: Sequence[DecisionRecord]) -> Markup | None:
    """Draw what a row cost by day: estimated as a band, realised as points, promotions marked; None if not known."""
    parts = [part for version in found.versions for part in version.days if part.day is not None]
    told = [part for part in parts if "cost_per_row" in part.estimated]
    known = [part for part in parts if "cost_per_row" in part.realised]
    if not told and not known:
        return None
    values = [value for part in told for value in _bounds(part)]
    values += [part.realised["cost_per_row"].value for part in known]
    span = axes.domain(sorted(values), zero=True)
    window = (found.as_of - timedelta(days=found.days), found.as_of)
    frame = axes.make_frame(
        (window[0].timestamp(), window[1].timestamp() + 43200), span, axes.ticks(*span), _BOTTOM, _TOP
    )
    made = _list_promotions(decisions, window)
    dates = [(at.timestamp(), text) for at, text in axes.moments(*window)]
    return axes.svg(
        "cost-by-day",
        "Cost per row by day",
        f"{len(told)} days with an estimate, {len(known)} with labels, {len(made)} promotions",
        _HEIGHT,
        axes.draw_axes(frame, dates, axes.ticks(*span), "", "cost per row"),
        *_promotion_marks(frame, made),
        *(_interval(frame, part) for part in told),
        *(_realised(frame, part) for part in known),
    )


def _at(part: Part) -> float:
    assert part.day is not None
    return datetime.combine(part.day, time(12), UTC).timestamp()


def _bounds(part: Part) -> tuple[float, float]:
    figure = part.estimated["cost_per_row"]
    low, high = figure.low, figure.high
    return (figure.value if low is None else low, figure.value if high is None else high)


def _interval(frame: axes.Frame, part: Part) -> Markup:
    x, (low, high) = frame.x(_at(part)), _bounds(part)
    figure = part.estimated["cost_per_row"]
    said = element("title", f"{part.day}: estimated {number(figure.value)}, 95 % interval {number(low)} to "
                            f"{number(high)}, {part.rows:,} rows")  # fmt: skip
    return element(
        "g",
        said,
        element("line", x1=x, y1=frame.y(low), x2=x, y2=frame.y(high), class_="estimate"),
        element("line", x1=x - 3, y1=frame.y(figure.value), x2=x + 3, y2=frame.y(figure.value), class_="line"),
    )


def _realised(frame: axes.Frame, part: Part) -> Markup:
    value = part.realised["cost_per_row"].value
    said = element("title", f"{part.day}: realised {number(value)}, {part.labelled:,} labelled rows")
    return element("circle", said, cx=frame.x(_at(part)), cy=frame.y(value), r=3.0, class_="mark-point")


def _list_promotions(
    decisions: Sequence[DecisionRecord], window: tuple[datetime, datetime]
) -> Sequence[tuple[datetime, str]]:
    return [
        (each.decided_at, f"v{each.version}")
        for each in reversed(decisions)
        if each.outcome.changes_champion and window[0] <= each.decided_at <= window[1]
    ]


def _promotion_marks(frame: axes.Frame, made: Sequence[tuple[datetime, str]]) -> list[Markup]:
    marks, taken = [], -1e9
    for at, text in made:
        x = frame.x(at.timestamp())
        marks.append(element("line", element("title", f"{at:%Y-%m-%d}: {text} came into service"), x1=x,
                             y1=frame.bottom, x2=x, y2=frame.top - 4, class_="served"))  # fmt: skip
        half = len(text) * axes.LETTER / 2
        middle = min(max(x, half), axes.WIDTH - half)
        if middle - half > max(taken, 90):  # the axis' title stands at the left
            marks.append(axes.label(middle, frame.top - 10, text, class_="of p3"))
            taken = middle + half
    return marks
