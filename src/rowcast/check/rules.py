"""Which rows of a column break its rule."""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowcast.check.values import FLOAT32_MAX, Column, Mask, convert, find_extremes, to_floats, to_mask
from rowcast.config import Reading
from rowcast.contract import ColumnRule, Misfit

Broken = tuple[str, Mask, object]  # a rule's name, the rows that break it, what it allows


def by_column(misfits: Iterable[Misfit]) -> dict[str, dict[int, str]]:
    """Return the texts of misfits by column and row, blank ones left out: so many a CSV import writes NULL."""
    found: dict[str, dict[int, str]] = {}
    for misfit in misfits:
        if misfit.value.strip():
            found.setdefault(misfit.column, {})[misfit.row] = misfit.value
    return found


def examine(
    original: Column, rule: ColumnRule, reading: Reading, texts: Mapping[int, str]
) -> tuple[Column, list[Broken]]:
    """Return the column in its kind's type, and the rules that rows of it break."""
    column, failed = convert(original, rule.kind, reading, texts)
    mistyped = np.zeros(len(column), np.bool_) if failed is None else failed
    broken: list[Broken] = []
    if failed is not None:
        broken.append(("type", mistyped, rule.kind))
    if rule.kind == "number":
        broken.extend(_out_of_bounds(column, rule))
    if not rule.nullable and column.null_count:
        broken.append(("null", to_mask(column.is_null()) & ~mistyped, None))
    if rule.closed:
        known = pc.is_in(column, value_set=pa.array(rule.categories, column.type))
        broken.append(("category", ~to_mask(known) & to_mask(column.is_valid()), ", ".join(rule.categories)))
    return column, broken


def _out_of_bounds(column: Column, rule: ColumnRule) -> Iterator[Broken]:
    low, high = find_extremes(column)
    lowest = -math.inf if rule.min is None else rule.min
    highest = math.inf if rule.max is None else rule.max
    if low >= max(lowest, -FLOAT32_MAX) and high <= min(highest, FLOAT32_MAX):
        return
    values = to_floats(column)
    infinite = np.abs(values) > FLOAT32_MAX
    yield "finite", infinite, FLOAT32_MAX
    yield "min", (values < lowest) & ~infinite, rule.min
    yield "max", (values > highest) & ~infinite, rule.max
