"""What policies cost over time, as a picture: a line each, named at its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from rowcast.backtest.record import BacktestReport
from rowcast.drawing import axes
from rowcast.drawing.markup import Markup, element

_TOP, _BOTTOM, _HEIGHT = 34.0, 250.0, 292.0
_GAP = 15.0  # between two names, at least


@dataclass(frozen=True)
class Line:
    """A policy's values, one for each moment."""

    name: str
    values: tuple[float, ...]
    place: int  # of the policy: its colour and its strokes


def draw_cost(found: BacktestReport) -> Markup:
    """Draw the cost of each policy from the first moment on."""
    lines = [Line(each.name, each.cumulative, place) for place, each in enumerate(found.policies)]
    return _draw(found, lines, "cost", "Cost so far", "cost since the beginning")


def draw_saving(found: BacktestReport) -> Markup:
    """Draw what each policy has saved so far beside the config's own."""
    own = next(each.cumulative for each in found.policies if each.name == found.verdict.own)
    lines = [
        Line(each.name, tuple(mine - one for one, mine in zip(each.cumulative, own, strict=True)), place)
        for place, each in enumerate(found.policies)
    ]
    return _draw(found, lines, "saving", "Saved so far", f"saved beside {found.verdict.own}")


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
    return element("polyline", element("title", line.name), points=points, class_=f"policy p{line.place % 6}")


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
        axes.label(frame.right + 6, place + 4, line.name, "start", f"of p{line.place % 6}")
        for place, line in zip(places, ordered, strict=True)
    ]
