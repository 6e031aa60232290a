"""Columns that tell the outcome too well to be true: most often they were written after it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

TOO_WELL = 0.99  # area under the ROC curve, or squared rank correlation, of one column alone


@dataclass(frozen=True)
class Suspect:
    """A column that may have been written after the outcome."""

    column: str
    why: str


def find_suspects(matrix: Matrix, target: Target) -> list[Suspect]:
    """Return the columns of numbers that alone tell the outcome nearly without error."""
    from scipy.stats import rankdata

    truth = target.values > 0 if target.classes else rankdata(target.values)
    found: list[Suspect] = []
    for place, name in enumerate(matrix.names):
        values = matrix.values[:, place]
        known = ~np.isnan(values)
        if name in matrix.categories or known.mean() < 0.5:
            continue
        ranks = rankdata(values[known])
        strength = _auc(ranks, truth[known]) if target.classes else _correlation(ranks, truth[known]) ** 2
        strength = max(strength, 1 - strength) if target.classes else strength
        if strength > TOO_WELL:
            what = "an AUC" if target.classes else "a squared rank correlation"
            why = f"alone it tells the outcome with {what} of {strength:.3f}: was it known before the outcome?"
            found.append(Suspect(name, why))
    return found


def _auc(ranks: Any, truth: Any) -> float:
    positives = int(truth.sum())
    if not 0 < positives < len(truth):
        return 0.5
    above = ranks[truth].sum() - positives * (positives + 1) / 2
    return float(above / positives / (len(truth) - positives))


def _correlation(one: Any, other: Any) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else 0.0
