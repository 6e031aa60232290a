"""A recipe judged forward in time: rows predicted by fits, and by choices, that knew nothing later than the first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.config import Task
from rowcast.fit.cross_fitting import Choose, Places, decide_rows
from rowcast.fit.folds import is_trainable
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.selection import add_average, score_alike
from rowcast.models import calibration


@dataclass(frozen=True)
class ForwardPredictions:
    """What a recipe decides about the newest training rows as of the moment before the first of them."""

    rows: Places  # (m,), by their place among the training rows
    predicted: npt.NDArray[Any]  # (m,), as the target's values


def predict_forward(
    scores: OutOfFold, place: Places, border: int, choose: Choose, task: Task
) -> ForwardPredictions | None:
    """Return decisions about rows from `border` on; None where what came before is too little to decide by.

    `place` (n,) are the places of the scored rows among the training rows. Candidate, calibration and threshold are
    chosen on the folds that end before the border.
    """
    folds = np.unique(scores.fold)
    later_folds = [fold for fold in folds if place[scores.fold == fold].min() >= border]
    later = np.isin(scores.fold, later_folds)
    before = scores.take(~later)
    if not later.any() or not is_trainable(before.target):
        return None
    known = add_average(before)
    name = choose(known).name
    raw = score_alike(before, name, {each: values[later] for each, values in scores.raw.items()})
    _, predicted = decide_rows(raw, known.raw[name], known.target, task, calibration.fit)
    return ForwardPredictions(place[later], predicted)
