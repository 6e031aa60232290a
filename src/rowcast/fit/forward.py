"""A recipe judged forward in time: rows predicted by fits, and by choices, that knew nothing later than the first."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from rowcast.config import Task
from rowcast.fit.cross_fitting import Choose, Places, decide_rows
from rowcast.fit.folds import is_trainable
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.selection import add_average, score_alike
from rowcast.models import calibration
from rowcast.models.calibration import Floats


@dataclass(frozen=True)
class ForwardPredictions:
    """What a recipe decides about the newest training rows as of the moment before the first of them."""

    rows: Places  # (m,), by their place among the training rows
    predicted: npt.NDArray[Any]  # (m,), as the target's values


def predict_forward(
    before: OutOfFold, later: dict[str, Floats], rows: Places, choose: Choose, task: Task
) -> ForwardPredictions | None:
    """Return decisions about the gate's rows; None where what came before is too little to decide by.

    `later` are each candidate's raw scores of them, (m,) or (m, k), and `rows` their places, (m,). Candidate,
    calibration and threshold are chosen on the scores of the rows before.
    """
    if not len(rows) or not len(before.target) or not is_trainable(before.target):
        return None
    known = add_average(before)
    name = choose(known).name
    raw = score_alike(before, name, later)
    _, predicted = decide_rows(raw, known.raw[name], known.target, task, calibration.fit)
    return ForwardPredictions(rows, predicted)
