"""Which candidate is taken, by what each lost on rows that came after all that it was fitted on."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rowcast.fit.out_of_fold import OutOfFold
from rowcast.models import calibration
from rowcast.models.calibration import Floats
from rowcast.models.target import Target

AVERAGE = "average of all"
_CLOSE = 0.5  # standard errors within which a simpler candidate is taken: one loses more on later rows

# Why a candidate is taken: it has the least loss, and none that is simpler comes close; it is the simplest that comes
# close to the least; the average is clearly better than the best alone; or nobody had a choice.
Rule = Literal["least", "simplest", "average", "given"]


@dataclass(frozen=True)
class Selection:
    """The candidate that is taken, and why."""

    name: str
    rule: Rule
    against: str | None = None  # the best alone, where another is taken


def add_average(scores: OutOfFold) -> OutOfFold:
    """Return the scores, with the plain average of all candidates' where there are several.

    The lines that bring them to one scale are fitted on all rows, those that are judged by them among them: two
    or a few numbers for each candidate, for which later rows pay little.
    """
    if len(scores.raw) < 2:
        return scores
    mean = sum(to_common_scale(raw, scores.target) for raw in scores.raw.values()) / len(scores.raw)
    return OutOfFold(scores.target, scores.fold, scores.block, {**scores.raw, AVERAGE: np.asarray(mean)})


def score_alike(scores: OutOfFold, name: str, later: dict[str, Floats]) -> Floats:
    """Return later rows' raw scores by the candidate `name`; the average's lines are fitted on `scores` alone."""
    if name != AVERAGE:
        return later[name]
    lines = {each: calibration.fit_line(scores.raw[each], scores.target) for each in later}
    scaled = [_apply(line, later[each]) for each, line in lines.items()]
    return np.asarray(sum(scaled) / len(scaled))


def to_common_scale(raw: Floats, target: Target) -> Floats:
    """Return raw scores on the scale that candidates share, by `calibration.fit_line`."""
    return _apply(calibration.fit_line(raw, target), raw)


def _apply(line: tuple[float, tuple[float, ...]], raw: Floats) -> Floats:
    slope, intercept = line
    return np.asarray(slope * raw + (np.array(intercept) if raw.ndim > 1 else intercept[0]), dtype=np.float64)


def select_candidate(scores: OutOfFold) -> Selection:
    """Return the simplest candidate whose loss is within half a standard error of the least (after Breiman, Friedman
    et al. 1984, Classification and Regression Trees, 3.4.3); their average where it is better than that by as much.

    Candidates come simplest first. The loss is log loss after calibration, or a regression's squared error: costs at
    one threshold would tell less of few failures. Standard errors are of paired differences, whole blocks at a time.
    """
    losses = {name: _loss(raw, scores.target) for name, raw in scores.raw.items()}
    mean = {name: float(loss.mean()) for name, loss in losses.items()}
    single = [name for name in losses if name != AVERAGE]
    best = min(single, key=lambda name: round(mean[name], 9))
    if AVERAGE in losses:
        gain, error = _difference(losses[best], losses[AVERAGE], scores)
        if gain > _CLOSE * error:
            return Selection(AVERAGE, "average", best)
    for name in single[: single.index(best)]:
        excess, error = _difference(losses[name], losses[best], scores)
        if excess <= _CLOSE * error:
            return Selection(name, "simplest", best)
    return Selection(best, "least")


def _loss(raw: Floats, target: Target) -> Floats:
    found, truth = calibration.fit(raw, target)(raw), target.values
    if target.kind == "regression":
        return np.asarray((truth - found) ** 2, dtype=np.float64)
    right = np.where(truth, found, 1 - found) if found.ndim == 1 else found[np.arange(len(found)), truth]
    return np.asarray(-np.log(right), dtype=np.float64)


def _difference(one: Floats, other: Floats, scores: OutOfFold) -> tuple[float, float]:
    """How much more `one` loses per row than `other`, and the standard error of that."""
    difference = one - other
    _, place = np.unique(scores.block, return_inverse=True)
    off = np.bincount(place, weights=difference - difference.mean())
    blocks = len(off)
    error = float(np.sqrt((off**2).sum() * blocks / max(1, blocks - 1))) / len(difference)
    return float(difference.mean()), error
