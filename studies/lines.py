"""What thresholds that were chosen on few positives cost on later rows."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from rowcast.config import Task
from rowcast.fit import threshold as thresholds
from rowcast.fit.threshold import choose_threshold
from rowcast.models import calibration
from rowcast.models.target import Target
from studies.histories import Floats


def study(positives: int) -> list[dict[str, Any]]:
    """Scores whose calibration a sigmoid can be, and others; thresholds from `positives` of them, judged on many."""
    sound = {"as a sigmoid has it": ("even", "far", "none"), "otherwise": ("half", "wide", "skewed", "heavy tails")}
    found = []
    for calibrated, shapes in sound.items():
        over: dict[str, list[float]] = {name: [] for name in LINES}
        for shape in shapes:
            for share, task in ((0.07, Task()), (0.02, Task(cost_missed=50.0))):
                outcome, raw = _drawn(shape, 200_000, share, np.random.default_rng(99))
                order = np.argsort(raw)
                cost = _costs(outcome[order], task)
                for seed in range(30):
                    known, seen = _drawn(shape, round(positives / share), share, np.random.default_rng(seed))
                    target = Target("binary", known, ("good", "bad"))
                    fitted = calibration.fit(seen, target)
                    later = fitted(raw[order])
                    for name, line in LINES.items():
                        place = np.searchsorted(later, line(fitted(seen), known, task))
                        over[name].append(float(cost[place] / cost.min() - 1))
        found.append(
            {"positives": positives, "calibration": calibrated}
            | {name: f"{100 * np.mean(each):.1f}" for name, each in over.items()}
        )
    return found


def _drawn(shape: str, rows: int, share: float, random: np.random.Generator) -> tuple[Any, Floats]:
    outcome, noise = random.random(rows) < share, random.normal(size=rows)
    if shape == "half":
        return outcome, noise + 3 * (outcome & (random.random(rows) < 0.5))
    if shape == "wide":
        return outcome, np.where(outcome, 1 + 2 * noise, noise)
    if shape == "skewed":
        return outcome, noise + np.where(outcome, 1.5, 2.0 * (random.random(rows) < 0.1))
    if shape == "heavy tails":
        return outcome, random.standard_t(2, size=rows) + 1.5 * outcome
    return outcome, noise + {"even": 1.0, "far": 2.2, "none": 0.0}[shape] * outcome


def _costs(outcome: Any, task: Task) -> Floats:
    """Of flagging all rows from each place on, rows in ascending order of score; the last flags none."""
    missed = np.concatenate([[0], np.cumsum(outcome)]) * task.cost_missed
    alarms = np.concatenate([np.cumsum(~outcome[::-1])[::-1], [0]]) * task.cost_false_alarm
    return np.asarray(missed + alarms)


def _elkan(_probability: Floats, _outcome: Any, task: Task) -> float:
    return task.cost_false_alarm / (task.cost_false_alarm + task.cost_missed)


def _between(probability: Floats, outcome: Any, task: Task) -> float:
    """The cheapest where each row counts half by its outcome and half by its probability."""
    order = np.argsort(probability)
    likely = (outcome + probability)[order] / 2
    missed = np.concatenate([[0], np.cumsum(likely)]) * task.cost_missed
    alarms = np.concatenate([np.cumsum(1 - likely[::-1])[::-1], [0]]) * task.cost_false_alarm
    return float(np.append(probability[order], 1.0)[np.argmin(missed + alarms)])


def _near(errors: float, probability: Floats, outcome: Any, task: Task) -> float:
    """As `rowcast.build.threshold`, with so many standard errors tolerated."""
    with mock.patch.object(thresholds, "TOLERATED", errors):
        return choose_threshold(probability, outcome, task)


LINES: dict[str, Callable[[Floats, Any, Task], float]] = {
    "cheapest": partial(_near, 0.0),
    "half way": _between,
    "kept": choose_threshold,
    "half an error": partial(_near, 0.5),
    "Elkan": _elkan,
}
