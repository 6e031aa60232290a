"""The contributions that a person is shown: those of one row that weigh most, each beside the column's value."""

from typing import Any

import numpy as np

from rowcast.models.calibration import Floats
from rowcast.models.matrix import Matrix
from rowcast.models.reference_range import ReferenceRanges


def select_top(
    matrix: Matrix, row: int, contributions: Floats, ranges: ReferenceRanges, top: int
) -> dict[str, dict[str, Any]]:
    """Return the `top` contributions of one row of `matrix` that weigh most, by column, the largest first.

    `contributions` has shape (f,). The result is JSON-safe. Each stands with the column's `value` in that row, a
    category as its label and None where missing or unknown, and with its `reference_range` (see
    `reference_range.ReferenceRanges`; None where that is not known). A column that contributes nothing is left out.
    """
    order = np.argsort(-np.abs(contributions), kind="stable")[:top]
    return {
        matrix.names[place]: {
            "contribution": float(f"{contributions[place]:.6g}"),
            "value": _value(matrix, row, place),
            "reference_range": ranges.get(matrix.names[place]),
        }
        for place in order.tolist()
        if contributions[place] != 0
    }


def _value(matrix: Matrix, row: int, place: int) -> float | str | None:
    value = float(matrix.values[row, place])
    if np.isnan(value):
        return None
    known = matrix.categories.get(matrix.names[place])
    return float(f"{value:.7g}") if known is None else known[int(value)]
