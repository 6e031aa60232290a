"""What the sections of the page are made of: figures, tables, and what unfolds."""

from collections.abc import Iterable, Sequence
from typing import Any

from rowcast.drawing.markup import Markup, element
from rowcast.formatting import number


def picture(svg: Markup, caption: str | None, numbers: Markup | None = None) -> Markup:
    """Return a picture with its caption and, folded, its numbers."""
    return element(
        "figure",
        svg,
        element("figcaption", caption) if caption else None,
        fold("Numbers", numbers) if numbers else None,
    )


def fold(summary: str, content: Markup, is_open: bool = False) -> Markup:
    """Return content that folds away under a summary line, and needs no script to open."""
    return element("details", element("summary", summary), content, open="open" if is_open else None)


def compact_table(headings: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Markup:
    """Return a table without the columns that hold nothing in any row."""
    kept = list(rows)
    places = [place for place in range(len(headings)) if any(row[place] not in ("", "-") for row in kept)]
    right = set(numbers)
    narrowed = [[row[place] for place in places] for row in kept]
    return table(
        [headings[place] for place in places], narrowed, [n for n, place in enumerate(places) if place in right]
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Markup:
    """Return a table; the columns `numbers` are aligned to the right."""
    right = set(numbers)

    def cells(row: Sequence[object], name: str) -> Markup:
        made = []
        for place, cell in enumerate(row):
            class_ = "num" if place in right else None
            is_heading = name == "th" and cell != ""  # a column without a heading has an empty cell there
            made.append(element(name if is_heading else "td", cell, class_=class_, scope="col" if is_heading else None))
        return element("tr", *made)

    head = element("thead", cells(headings, "th")) if any(headings) else None
    return scroll_box(element("table", head, element("tbody", *(cells(row, "td") for row in rows))))


def scroll_box(content: Markup) -> Markup:
    """Return a box in which what is too wide can be scrolled, by keyboard too."""
    return element("div", content, class_="scrolling", tabindex="0", role="group", aria_label="Table")


def tag(text: str, why: str, class_: str = "tag") -> Markup:
    """Return a small mark with the reason for it."""
    return element("span", text, class_=class_, title=why)


def or_dash(value: Any) -> str:
    """Return a number as text; a dash where there is none."""
    if value is None or value == "":
        return "-"
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
