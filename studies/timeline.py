"""The picture of docs/history.md: when labels of earlier wafers become known, and which of them count for a row."""

from dataclasses import dataclass
from pathlib import Path

from rowcast.drawing.axes import WIDTH, Scale, label, line, svg
from rowcast.drawing.markup import Markup, element, join

PICTURE = Path(__file__).parents[1] / "docs" / "static" / "history.svg"
_STYLE = """
.chart { font: 13px system-ui, sans-serif }
.chart { --ink: #1f2937; --soft: #6b7280; --good: #15803d; --bad: #b45309; --row: #1d4ed8 }
@media (prefers-color-scheme: dark) {
  .chart { --ink: #e5e7eb; --soft: #9ca3af; --good: #4ade80; --bad: #fbbf24; --row: #93c5fd }
}
text { fill: var(--ink) } .soft { fill: var(--soft) } .name { font-weight: 600 }
.axis { stroke: var(--soft) } .waits { stroke: var(--soft); stroke-width: 2 } .late { stroke-dasharray: 3 4 }
.event { fill: var(--soft) } .row { stroke: var(--row); stroke-width: 2 } text.row { fill: var(--row); stroke: none }
.counts { fill: var(--good) } .open { fill: none; stroke: var(--bad); stroke-width: 2 }
text.counts { fill: var(--good) } text.open { fill: var(--bad); stroke: none }
"""
_ROW = 14.0  # o'clock
_TOP, _APART = 62.0, 34.0


@dataclass(frozen=True)
class _Wafer:
    name: str
    event: float  # o'clock
    known: float
    said: str


_WAFERS = (
    _Wafer("W1 passed", 6.5, 9.5, "counts"),
    _Wafer("W2 failed", 7.5, 13.0, "counts: the newest known"),
    _Wafer("W3 failed", 9.0, 14.0, "not yet: known just then"),
    _Wafer("W4 passed", 11.0, 16.5, "not yet: known later"),
    _Wafer("W5 failed", 14.0, 15.0, "not yet: of the same moment"),
)


def draw() -> Markup:
    """Return the picture, which brings its own style."""
    scale, bottom = Scale(6.0, 26.0, 84.0, WIDTH - 8), _TOP + _APART * len(_WAFERS)
    parts = [
        element("style", Markup(_STYLE)),
        label(4, 16, "Wafers of one tool, and when their labels were known", "start", "name"),
    ]
    parts.append(line(scale(6), bottom, scale(18), bottom, "axis"))
    parts += [label(scale(hour), bottom + 18, f"{hour}:00", class_="soft") for hour in (6, 10, 14, 18)]
    parts.append(line(scale(_ROW), 34, scale(_ROW), bottom + 4, "row"))
    parts.append(label(scale(_ROW), 30, "the row to be scored", class_="row"))
    for place, wafer in enumerate(_WAFERS):
        parts.append(_draw_wafer(wafer, scale, _TOP + _APART * place))
    parts.append(label(4, bottom + 42, "● event", "start", "soft"))
    parts.append(
        label(84, bottom + 42, "◆ the label becomes known: it counts for rows strictly later", "start", "soft")
    )
    says = "Five wafers of one tool. Two labels were known strictly before the row's event and count; three were not."
    return svg("history", "What counts for a row", says, bottom + 54, *parts)


def _draw_wafer(wafer: _Wafer, scale: Scale, y: float) -> Markup:
    counts = wafer.known < _ROW
    x, end = scale(wafer.event), scale(wafer.known)
    diamond = element("path", d=f"M{end:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z", class_="counts" if counts else "open")
    return join(
        [
            label(4, y + 4, wafer.name, "start"),
            line(x, y, end - 6, y, "waits" if counts else "waits late"),
            element("circle", cx=x, cy=y, r=4.0, class_="event"),
            diamond,
            label(scale(17.2), y + 4, wafer.said, "start", "counts" if counts else "open"),
        ]
    )


def write(path: Path = PICTURE) -> None:
    """Draw the picture anew: `python -m studies timeline`."""
    picture = draw().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    path.write_text(f"{picture}\n", encoding="utf-8")
