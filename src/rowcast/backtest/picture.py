"""What policies cost, in pictures: with intervals, and over time, a line each that is named at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from rowcast.backtest.record import HINDSIGHT, BacktestReport, PolicyResult
from rowcast.drawing import axes
from rowcast.drawing.markup import Markup, element

_TOP, _BOTTOM, _HEIGHT = 34.0, 250.0, 292.0
_GAP = 15.0  # between two names, at least
_ROW = 27.0  # from one policy to the next, where they stand below one another


@dataclass(frozen=True)
class Line:
    """A policy's values, one for each moment."""

    name: str
    values: tuple[float, ...]
    place: int  # of the policy: its colour and its strokes


def draw_intervals(found: BacktestReport) -> Markup:
    """Draw what each policy costs, with the interval of how much more than the cheapest that is."""
    cheapest = next(each.cost for each in found.policies if each.name == found.verdict.cheapest)
    names = [*(each.name for each in found.policies), HINDSIGHT]
    reaches = [_find_reach(each, cheapest) for each in found.policies]
    low, high = axes.domain([found.hindsight, *(value for reach in reaches for value in reach)])
    bottom = _TOP + _ROW * len(names)
    left = min(max(map(len, names)) * axes.LETTER + 14, 0.6 * axes.WIDTH)
    frame = axes.Frame(axes.Scale(low, high, left, axes.WIDTH - 14), axes.Scale(0.0, 1.0, bottom, _TOP))
    parts: list[Markup] = [axes.line(frame.x(cheapest), _TOP, frame.x(cheapest), bottom, "mark")]
    for place, (name, value) in enumerate(
        zip(names, [*(e.cost for e in found.policies), found.hindsight], strict=True)
    ):
        y = _TOP + _ROW * (place + 0.5)
        is_own = name == found.verdict.own
        parts.append(axes.label(left - 9, y + 4, axes.shorten(name, left - 14), "end", "main" if is_own else "tick"))
        other = " other" if place >= len(reaches) or found.policies[place].is_yardstick else ""
        if place < len(reaches):
            start, end = reaches[place]
            parts.append(axes.line(frame.x(start), y, frame.x(end), y, f"whisker{other}"))
        parts.append(element("circle", cx=frame.x(value), cy=y, r=5.0, class_=f"point{other}"))
    told = "; ".join(f"{each.name} {each.cost:,.1f}" for each in found.policies)
    return axes.svg(
        "intervals",
        "Cost per 1,000 rows",
        f"cost per 1,000 rows: {told}; {HINDSIGHT} {found.hindsight:,.1f}",
        bottom + 42,
        axes.draw_axes(frame, axes.ticks(low, high), [], "", "cost per 1,000 rows"),
        *parts,
    )


def _find_reach(policy: PolicyResult, cheapest: float) -> tuple[float, float]:
    interval = policy.difference.interval
    return (policy.cost, policy.cost) if interval is None else (cheapest + interval.low, cheapest + interval.high)


def draw_cost(found: BacktestReport) -> Markup:
    """Draw the cost of each policy from the first moment on."""
    lines = [Line(each.name, each.cumulative, place) for each, place in _colours(found)]
    return _draw(found, lines, "cost", "Cost so far", "cost since the beginning")


def draw_saving(found: BacktestReport) -> Markup:
    """Draw what each policy has saved so far beside the config's own."""
    own = next(each.cumulative for each in found.policies if each.name == found.verdict.own)
    lines = [
        Line(each.name, tuple(mine - one for one, mine in zip(each.cumulative, own, strict=True)), place)
        for each, place in _colours(found)
    ]
    return _draw(found, lines, "saving", "Saved so far", f"saved beside {found.verdict.own}")


def _colours(found: BacktestReport) -> list[tuple[PolicyResult, int]]:
    """Return each policy with the place of its colour; the last, whose line is dashed, is for what no config asks."""
    plain = iter(range(len(found.policies)))
    return [(each, 5 if each.is_yardstick else next(plain) % 5) for each in found.policies]


def _draw(found: BacktestReport, lines: Sequence[Line], name: str, title: str, y_title: str) -> Markup:
    times = [moment.timestamp() for moment in found.moments]
    low, high = axes.domain([value for line in lines for value in line.values], zero=True)
    steps = axes.ticks(low, high)
    wide = axes.make_frame((times[0], times[-1]), (low, high), steps, _BOTTOM, _TOP)
    room = max(len(line.name) for line in lines) * axes.LETTER + 8
    frame = axes.Frame(axes.Scale(times[0], times[-1], wide.left, axes.WIDTH - room), wide.y)
    dates = [(moment.timestamp(), text) for moment, text in axes.moments(found.moments[0], found.moments[-1], most=5)]
    ends = "; ".join(f"{line.name} {line.values[-1]:,.0f}" for line in lines)
    return axes.svg(
        name,
        title,
        f"{y_title}, from {found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}; at the end: {ends}",
        _HEIGHT,
        axes.draw_axes(frame, dates, steps, "", y_title),
        *(_curve(frame, times, line) for line in lines),
        *_names(frame, lines),
    )


def _curve(frame: axes.Frame, times: Sequence[float], line: Line) -> Markup:
    points = " ".join(frame.point(x, y) for x, y in zip(times, line.values, strict=True))
    return element("polyline", element("title", line.name), points=points, class_=f"policy p{line.place}")


def _names(frame: axes.Frame, lines: Sequence[Line]) -> list[Markup]:
    """Write each name beside the end of its line, apart from the others."""
    ordered = sorted(lines, key=lambda line: frame.y(line.values[-1]))
    places: list[float] = []
    for line in ordered:
        places.append(max(frame.y(line.values[-1]), places[-1] + _GAP if places else 0.0))
    over = max(0.0, places[-1] - frame.bottom)
    for back in range(len(places) - 1, -1, -1):  # what would be below the axis is moved up
        most = frame.bottom if back == len(places) - 1 else places[back + 1] - _GAP
        places[back] = min(places[back], most) if over else places[back]
    return [
        axes.label(frame.right + 6, place + 4, line.name, "start", f"of p{line.place}")
        for place, line in zip(places, ordered, strict=True)
    ]
