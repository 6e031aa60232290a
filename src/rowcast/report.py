"""What commands print: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rowcast.formatting import number


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows under headings, numbers to the right."""
    cells = [[text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[place]) for line in [list(columns), *cells]) for place in range(len(columns))]
    right = [all(isinstance(row.get(c), int | float | None) for row in rows) and bool(rows) for c in columns]

    def line(parts: Iterable[str]) -> str:
        padded = [p.rjust(w) if r else p.ljust(w) for p, w, r in zip(parts, widths, right, strict=True)]
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), line("-" * width for width in widths), *map(line, cells)])


def equation(audit: Mapping[str, Any]) -> str:
    """Promise 1 with its numbers."""
    parts = ("unusable", "out_of_scope", "scored", "quarantined", "pending")
    sign = "=" if audit["source"] == sum(audit[part] for part in parts) else "≠"
    said = "it holds" if audit["holds"] else "IT DOES NOT HOLD"
    return f"{audit['source']:,} source {sign} {' + '.join(f'{audit[part]:,} {part}' for part in parts)}: {said}"


def facts(pairs: Mapping[str, Any]) -> str:
    """One name and value to a line."""
    width = max(map(len, pairs))
    return "\n".join(f"{name:<{width}}  {text(value)}" for name, value in pairs.items())


def text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
