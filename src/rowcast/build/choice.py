"""Which candidate is taken."""

import numpy as np

from rowcast.build.out_of_fold import OutOfFold
from rowcast.models import calibration


def best(scores: OutOfFold) -> str:
    """The candidate with the least loss after calibration; of equals the simpler, which is named first."""
    return min(scores.raw, key=lambda name: round(_loss(scores, name), 9))


def _loss(scores: OutOfFold, name: str) -> float:
    found = calibration.fit(scores.raw[name], scores.target)(scores.raw[name])
    truth = scores.target.values
    if scores.target.kind == "regression":
        return float(np.abs(truth - found).mean())
    right = np.where(truth, found, 1 - found) if found.ndim == 1 else found[np.arange(len(found)), truth]
    return float(-np.log(right).mean())
