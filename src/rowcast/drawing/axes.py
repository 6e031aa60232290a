"""The frame of a picture: scales, round ticks, axes. Coordinates are those of the SVG's viewBox."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rowcast.drawing.markup import Markup, element, join

WIDTH = 480.0
LETTER = 6.9  # mean width of a letter at the size that the style sheet gives
Tick = tuple[float, str]


@dataclass(frozen=True)
class Scale:
    """A straight line from values to coordinates; what lies outside is put on the nearer end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Frame:
    """The rectangle that points are drawn in."""

    x: Scale
    y: Scale

    @property
    def left(self) -> float:
        return self.x.start

    @property
    def right(self) -> float:
        return self.x.end

    @property
    def bottom(self) -> float:
        return self.y.start

    @property
    def top(self) -> float:
        return self.y.end

    def point(self, x: float, y: float) -> str:
        """Return a point in the picture as SVG writes it."""
        return f"{self.x(x):.2f},{self.y(y):.2f}"


def make_frame(
    x: tuple[float, float], y: tuple[float, float], texts: Sequence[Tick], bottom: float = 250, top: float = 34
) -> Frame:
    """Return a frame with room for the texts of y's ticks at its left."""
    left = max(len(text) for _, text in texts) * LETTER + 14
    return Frame(Scale(*x, left, WIDTH - 14), Scale(*y, bottom, top))


def step_of(low: float, high: float, most: int) -> float:
    """Return the smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, … that parts low to high into at most `most` steps."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * part for part in (1, 2, 5, 10) if power * part >= rough * (1 - 1e-9))


def domain(
    values: Sequence[float], most: int = 5, zero: bool = False, ceiling: float | None = None
) -> tuple[float, float]:
    """Return round bounds around the values; `zero` is among them where asked for, and nothing is above the ceiling."""
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):  # all the same
        reach = abs(high) / 10 or 1.0
        low, high = low - (0 if zero and low >= 0 else reach), high + reach
    step = step_of(low, high, most)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return low, high if ceiling is None else min(high, max(ceiling, low + step / 10))


def ticks(low: float, high: float, most: int = 5, is_share: bool = False) -> list[Tick]:
    """Return round values between low and high, and how they are written."""
    step = step_of(low, high, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(place * step, format_tick(place * step, step, is_share)) for place in range(first, last + 1)]


def format_tick(value: float, step: float, is_share: bool = False) -> str:
    """Return a tick's value with as many digits as its step has."""
    value, step, unit = (100 * value, 100 * step, " %") if is_share else (value, step, "")
    if max(abs(value), step) >= 1e7 or step < 1e-6:
        digits = _power(value) - _power(step) + 1 if value else 1
        return f"{value:.{max(1, digits)}g}{unit}"
    return f"{value + 0.0:,.{max(0, -_power(step))}f}{unit}"


def _power(value: float) -> int:
    """Of ten, in a value's scientific notation."""
    return math.floor(math.log10(abs(value)) + 1e-9)


_HOURS = (1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 14)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


def moments(low: datetime, high: datetime, most: int = 6) -> list[tuple[datetime, str]]:
    """Return round moments from low to high: full hours, days, Mondays, first days of months or years."""
    hours = (high - low).total_seconds() / 3600
    for step in _HOURS:
        if hours / step <= most:
            return _by_hours(low, high, step)
    months = (high.year - low.year) * 12 + high.month - low.month
    step = next((step for step in _MONTHS if months / step <= most), 1200)
    found: list[tuple[datetime, str]] = []
    for count in range(-(-(low.year * 12 + low.month - 1) // step) * step, high.year * 12 + high.month, step):
        moment = datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)
        if low <= moment <= high:
            names_year = not found or moment.month == 1
            found.append((moment, f"{moment:{'%Y' if step >= 12 else '%b %Y' if names_year else '%b'}}"))
    return found


def _by_hours(low: datetime, high: datetime, step: int) -> list[tuple[datetime, str]]:
    monday = datetime(2001, 1, 1, tzinfo=UTC)
    first = -((monday - low) // timedelta(hours=step))
    found = []
    moment = monday + first * timedelta(hours=step)
    while moment <= high:
        if moment >= low:
            found.append((moment, f"{moment:%H:%M}" if step < 24 else f"{moment.day} {moment:%b}"))
        moment += timedelta(hours=step)
    return found


def svg(name: str, title: str, description: str, height: float, *content: object) -> Markup:
    """Return a picture that scales with its place; `name` tells its title apart from those of others on the page."""
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *content,
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="chart",
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def label(x: float, y: float, text: object, anchor: str = "middle", class_: str | None = None) -> Markup:
    """Return a text at a point of the picture."""
    return element("text", text, x=float(x), y=float(y), text_anchor=anchor, class_=class_)


def draw_axes(frame: Frame, x: Sequence[Tick], y: Sequence[Tick], x_title: str, y_title: str) -> Markup:
    """Draw lines at the ticks of y, the base line, the ticks' texts, and the axes' titles, y's on top."""
    parts = []
    for value, text in y:
        parts.append(line(frame.left, frame.y(value), frame.right, frame.y(value), "grid"))
        parts.append(label(frame.left - 7, frame.y(value) + 4, text, "end", "tick"))
    parts.append(line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"))
    parts += x_axis(frame, x)
    if x_title:
        parts.append(label((frame.left + frame.right) / 2, frame.bottom + 37, x_title, class_="name"))
    if y_title:
        parts.append(label(4, frame.top - 13, y_title, "start", "name"))
    return join(parts)


def x_axis(frame: Frame, x: Sequence[Tick]) -> list[Markup]:
    """Draw short strokes with their texts; a text that would touch the one before it is left out."""
    parts = []
    taken = -math.inf
    for value, text in x:
        place, half = frame.x(value), len(text) * LETTER / 2
        middle = min(max(place, half), WIDTH - half)
        parts.append(line(place, frame.bottom, place, frame.bottom + 4, "axis"))
        if middle - half > taken + 6:
            parts.append(label(middle, frame.bottom + 18, text, class_="tick"))
            taken = middle + half
    return parts


def width_of(text: str) -> float:
    """Return how wide a bold text of a mark is at most, in any usual font."""
    return sum(_width_of(letter) for letter in text)


def _width_of(letter: str) -> float:
    if ord(letter) > 0xFFFF or letter in "MWmw@%—…":
        return 16.0 if ord(letter) > 0xFFFF else 13.5
    return 13.0 if unicodedata.east_asian_width(letter) in "WF" else 9.0


def shorten(text: str, width: float) -> str:
    """Return a text cut to a width in pixels; a cut one ends in an ellipsis."""
    letters = max(4, int(width / LETTER))
    return text if len(text) <= letters else text[: letters - 1] + "…"
