"""All that is learned from out-of-fold rows: calibration, threshold, how sure, and a record of quality."""

from dataclasses import dataclass
from typing import Any

from rowcast.config import Task
from rowcast.fit import diagnostics
from rowcast.fit.confidence import fit_conformal, measure_coverage
from rowcast.fit.cross_fitting import Choose, Places, cross_fit
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.quality import measure_quality
from rowcast.fit.selection import Selection
from rowcast.fit.threshold import choose_threshold
from rowcast.models import calibration
from rowcast.models.calibration import Calibration
from rowcast.models.conformal import Conformal


@dataclass(frozen=True)
class Evaluation:
    """What a model is handed over with."""

    choice: Selection
    calibration: Calibration
    threshold: float | None  # None unless binary
    conformal: Conformal
    record: dict[str, Any]  # figures, and the tables of `rowcast.fit.diagnostics`; safe for JSON


def evaluate(
    scores: OutOfFold, choose: Choose, task: Task, confidence: float, when: Places | None = None
) -> Evaluation:
    """Choose a candidate, fit what turns its scores into decisions, and measure all of it on rows it was not fitted on.

    `when` (m,) says when the rows came, in microseconds since 1970, where that is known.
    """
    choice = choose(scores)
    name = choice.name
    raw, target = scores.raw[name], scores.target
    fitted_map = calibration.fit(raw, target)
    probability = fitted_map(raw)
    fitted = fit_conformal(probability, target, scores.fold, confidence)
    judged = cross_fit(scores, choose, task, calibration.fit)
    kept = measure_quality(judged, task) | {
        "reliability": diagnostics.reliability(judged),
        "over_time": diagnostics.over_time(judged, task, when),
        "coverage": measure_coverage(scores, name, fitted, confidence, calibration.fit),
    }
    if target.classes:
        kept["confusion"] = diagnostics.confusion(judged)
    if target.kind == "binary":
        kept["cost_curve"] = diagnostics.cost_curve(judged, task)
    return Evaluation(
        choice=choice,
        calibration=fitted_map,
        threshold=choose_threshold(probability, target.values, task) if target.kind == "binary" else None,
        conformal=fitted.conformal,
        record=kept,
    )
