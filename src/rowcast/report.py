"""What commands print: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rowcast.formatting import number, on_one_line, printable

_MOST = 2_000  # characters of one value that are shown


def show(text: str = "", *, end: str = "\n", file: TextIO | None = None, flush: bool = False) -> None:
    """Print a text, and nothing that a terminal would act on: names, categories and keys may hold anything."""
    print(printable(text), end=end, file=file, flush=flush)


def as_json(value: Any) -> str:
    """Return a value as JSON on one line, in which no terminal finds anything to act on."""
    return printable(json.dumps(value, ensure_ascii=False, default=_plain))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows under headings, numbers to the right."""
    cells = [[text(row.get(column)) for column in columns] for row in rows]
    heads = [on_one_line(column) for column in columns]
    widths = [max(len(line[place]) for line in [heads, *cells]) for place in range(len(columns))]
    right = [all(isinstance(row.get(c), int | float | None) for row in rows) and bool(rows) for c in columns]

    def line(parts: Iterable[str]) -> str:
        padded = [p.rjust(w) if r else p.ljust(w) for p, w, r in zip(parts, widths, right, strict=True)]
        return "  ".join(padded).rstrip()

    return "\n".join([line(heads), line("-" * width for width in widths), *map(line, cells)])


def equation(audit: Mapping[str, Any]) -> str:
    """Promise 1 with its numbers."""
    parts: tuple[str, ...] = ("unusable", "out_of_scope", "scored", "quarantined", "pending")
    if audit["forgotten"]:
        parts = (*parts[:-1], "forgotten", parts[-1])
    sign = "=" if audit["source"] == sum(audit[part] for part in parts) else "≠"
    said = "it holds" if audit["holds"] else "IT DOES NOT HOLD"
    return f"{audit['source']:,} source {sign} {' + '.join(f'{audit[part]:,} {part}' for part in parts)}: {said}"


def facts(pairs: Mapping[str, Any]) -> str:
    """One name and value to a line."""
    names = {name: on_one_line(name) for name in pairs}
    width = max(map(len, names.values()))
    return "\n".join(f"{names[name]:<{width}}  {text(value)}" for name, value in pairs.items())


def text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else on_one_line(_shorten(str(value)))


def _shorten(words: str) -> str:
    """Return a text as people can take it in: a table is as wide as its widest cell, in each of its rows."""
    return words if len(words) <= _MOST else f"{words[:_MOST]}… ({len(words):,} characters)"


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
