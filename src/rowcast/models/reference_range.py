"""What the values of a column usually are: the measure by which a person reads the value of one row."""

from typing import Any

import numpy as np

from rowcast.errors import ModelError
from rowcast.formatting import number, percent, visible
from rowcast.models.matrix import Matrix

# column -> [low, high] of its middle 90 %, or category -> share of the rows for the most common ones
ReferenceRanges = dict[str, list[float] | dict[str, float]]

MIDDLE = (0.05, 0.95)  # quantiles between which a number is usual
MOST_COMMON = 5  # categories named


def reference_ranges(matrix: Matrix) -> ReferenceRanges:
    """Return for each column of n training rows the 5th and 95th percentile of its values, or for a category the
    share of the rows that each of the most common ones has. A column without a value in any row is left out.

    Six significant digits, so that JSON keeps it as it is.
    """
    found: ReferenceRanges = {}
    for place, name in enumerate(matrix.names):
        values = matrix.values[:, place]
        known = values[~np.isnan(values)]
        if not len(known):
            continue
        if name in matrix.categories:
            count = np.bincount(known.astype(np.int64))
            common = np.argsort(-count, kind="stable")[:MOST_COMMON]
            labels = matrix.categories[name]
            found[name] = {labels[code]: _short(count[code] / len(matrix)) for code in common if count[code]}
        else:
            found[name] = [_short(bound) for bound in np.quantile(known.astype(np.float64), MIDDLE)]
    return found


def from_dict(values: Any) -> ReferenceRanges:
    """Return what `reference_ranges` gave, read from a model's bytes. Raise ModelError where it is anything else."""
    if not isinstance(values, dict) or not all(isinstance(name, str) and _sound(of) for name, of in values.items()):
        raise ModelError(
            "the usual values of the model's columns cannot be read",
            hint="they were changed or written by a newer rowcast",
        )
    return values


def format_range(of: list[float] | dict[str, float] | None) -> str:
    """Return one column's reference range for people: '1.2 to 2.9', or 'A 52 %, B 31 %'."""
    if isinstance(of, dict):
        return ", ".join(f"{visible(label)} {percent(share)}" for label, share in of.items())
    return "-" if of is None else " to ".join(map(number, of))


def _sound(of: Any) -> bool:
    numbers = list(of.values()) if isinstance(of, dict) else of
    if not isinstance(numbers, list) or not all(type(n) in (int, float) and np.isfinite(n) for n in numbers):
        return False
    if isinstance(of, dict):
        return all(isinstance(label, str) for label in of) and min(numbers, default=0) >= 0 and sum(numbers) <= 1.001
    return len(numbers) == 2 and numbers[0] <= numbers[1]


def _short(number: float) -> float:
    return float(f"{number:.6g}")
