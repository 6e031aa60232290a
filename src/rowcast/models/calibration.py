"""From a model's raw score to a probability: a map in a handful of plain numbers that keeps the order of the scores."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.errors import ModelError
from rowcast.models.target import Target

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ISOTONIC_POSITIVES = 1000  # of the rarer class; below it the two numbers of a sigmoid generalise better
_KNOT_ROWS = 50  # at least, behind each knot of an isotonic map
_LIMIT = 1e-9  # a probability is never 0 or 1, so a threshold of 1 flags no row and one of 0 flags all


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-(slope * raw + intercept))), slope > 0."""

    slope: float
    intercept: float

    def __call__(self, raw: Floats) -> Floats:
        from scipy.special import expit

        return _inside(expit(self.slope * raw + self.intercept))


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between knots; constant outside them."""

    raw: tuple[float, ...]  # ascending
    probability: tuple[float, ...]  # not descending

    def __call__(self, raw: Floats) -> Floats:
        return _inside(np.interp(raw, self.raw, self.probability))


@dataclass(frozen=True)
class Softmax:
    """softmax(slope * raw + intercept) over k classes, slope > 0."""

    slope: float
    intercept: tuple[float, ...]  # k

    def __call__(self, raw: Floats) -> Floats:
        from scipy.special import softmax

        return np.asarray(softmax(self.slope * raw + np.array(self.intercept), axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Identity:
    """A regression's value is what it predicts."""

    def __call__(self, raw: Floats) -> Floats:
        return raw


Calibration = Sigmoid | Isotonic | Softmax | Identity
_NAMES: dict[str, type[Any]] = {"sigmoid": Sigmoid, "isotonic": Isotonic, "softmax": Softmax, "identity": Identity}


def fit(raw: Floats, target: Target) -> Calibration:
    """Fit out-of-fold raw scores to their outcomes.

    Two classes: raw (n,), a sigmoid, or isotonic where both classes are many. More: raw (n, k), one temperature and an
    offset for each class (Alexandari, Kundaje and Shrikumar 2020, ICML). Values stay as they are.
    """
    if target.kind == "regression":
        return Identity()
    if target.kind == "multiclass":
        return _softmax(raw, target.values)
    rarer = int(target.counts.min())
    return _isotonic(raw, target.values) if rarer >= ISOTONIC_POSITIVES else _sigmoid(raw, target.values)


def fit_line(raw: Floats, target: Target) -> tuple[float, tuple[float, ...]]:
    """Return slope and intercept that bring raw scores to log-odds, or to log-probabilities up to a row's constant; of
    several classes one intercept each. Values stay as they are.
    """
    if target.kind == "regression":
        return 1.0, (0.0,)
    if target.kind == "multiclass":
        found = _softmax(raw, target.values)
        return found.slope, found.intercept
    sigmoid = _sigmoid(raw, target.values)
    return sigmoid.slope, (sigmoid.intercept,)


def to_dict(calibration: Calibration) -> dict[str, Any]:
    """Return the calibration safe for JSON."""
    return {"kind": type(calibration).__name__.lower(), **asdict(calibration)}


def from_dict(values: dict[str, Any]) -> Calibration:
    """Return what `to_dict` was given. Raise ModelError where the map is unknown, not finite or not monotone."""
    try:
        kind = _NAMES[values["kind"]]
        read: Calibration
        if kind is Identity:
            read, sound = Identity(), True
        elif kind is Softmax:
            offsets = np.array([values["slope"], *values["intercept"]], dtype=np.float64)
            read = Softmax(float(offsets[0]), tuple(offsets[1:].tolist()))
            sound = bool(np.isfinite(offsets).all() and offsets[0] > 0 and len(offsets) > 2)
        elif kind is Sigmoid:
            numbers = np.array([values["slope"], values["intercept"]], dtype=np.float64)
            read = Sigmoid(*numbers.tolist())
            sound = bool(np.isfinite(numbers).all() and numbers[0] > 0)
        else:
            raw, probability = (np.array(values[name], dtype=np.float64) for name in ("raw", "probability"))
            read = Isotonic(tuple(raw.tolist()), tuple(probability.tolist()))
            sound = raw.ndim == 1 and raw.shape == probability.shape and len(raw) > 0
            sound = sound and bool(np.isfinite(raw).all() and np.isfinite(probability).all())
            sound = sound and bool((np.diff(raw) > 0).all() and (np.diff(probability) >= 0).all())
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ModelError("the model's calibration cannot be read", hint="it was changed or written by a newer rowcast")
    return read


def _inside(probability: Floats) -> Floats:
    return np.minimum(np.maximum(probability, _LIMIT), 1 - _LIMIT)  # np.clip takes a single row three times as long


def _sigmoid(raw: Floats, outcome: Bools) -> Sigmoid:
    """Platt 1999, "Probabilistic outputs for support vector machines", with his smoothed targets."""
    from scipy.optimize import minimize

    positives, negatives = int(outcome.sum()), int((~outcome).sum())
    target = np.where(outcome, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, scale = float(raw.mean()), float(raw.std()) or 1.0
    scaled = (raw - centre) / scale

    def loss(parameters: Floats) -> tuple[float, Floats]:
        line = parameters[0] * scaled + parameters[1]
        error = 1 / (1 + np.exp(-np.clip(line, -500, 500))) - target
        return float(np.mean(np.logaddexp(0, line) - target * line)), np.array([error @ scaled, error.sum()]) / len(raw)

    start = np.array([1.0, np.log((positives + 1) / (negatives + 1))])
    # A model that ranks the wrong way round out of fold keeps a slope just above 0: its scores then are the base rate.
    bounds = [(0.01, None), (None, None)]
    options = {"ftol": 1e-14, "gtol": 1e-10, "maxiter": 500}
    slope, intercept = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Sigmoid(float(slope / scale), float(intercept - slope * centre / scale))


def _softmax(raw: Floats, place: npt.NDArray[np.int64]) -> Softmax:
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    rows, classes = raw.shape
    scale = float((raw - raw.mean(axis=1, keepdims=True)).std()) or 1.0
    scaled = raw / scale
    truth = np.zeros((rows, classes))
    truth[np.arange(rows), place] = 1
    # As Platt's smoothed targets: no class is so sure, nor so rare, that its offset could run away.
    truth = (truth * rows + 1) / (rows + classes)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        logs = log_softmax(parameters[0] * scaled + parameters[1:], axis=1)
        error = np.exp(logs) - truth
        slopes = np.array([float((error * scaled).sum()), *error.sum(axis=0)])
        return float(-(truth * logs).sum()) / rows, slopes / rows

    bounds = [(0.01, None), *[(None, None)] * classes]
    options = {"ftol": 1e-14, "gtol": 1e-10, "maxiter": 500}
    found = minimize(
        loss, np.array([1.0] + [0.0] * classes), jac=True, method="L-BFGS-B", bounds=bounds, options=options
    ).x
    offsets = found[1:] - found[1]
    return Softmax(float(found[0] / scale), tuple(offsets.tolist()))


def _isotonic(raw: Floats, outcome: Bools) -> Isotonic:
    """Centred isotonic regression: Oron and Flournoy 2017, Statistics in Biopharmaceutical Research 9(3).

    The pooled blocks of isotonic regression, joined by straight lines between their centres: no steps, and ties only
    outside the outer knots. Knots of few rows are merged, and those closer than a thousandth of the spread, so that the
    last bits of a raw score, which differ between batch sizes, cannot matter.
    """
    from scipy.optimize import isotonic_regression

    values, place = np.unique(raw, return_inverse=True)
    weight = np.bincount(place).astype(np.float64)
    fitted = isotonic_regression(np.bincount(place, weights=outcome) / weight, weights=weight)
    start = fitted.blocks[:-1]
    size = np.add.reduceat(weight, start)
    centre = np.add.reduceat(weight * values, start) / size
    event = fitted.x[start] * size
    gap = 1e-3 * (float(raw.std()) or 1.0)
    knots: list[list[float]] = []  # centre, events, rows
    for knot in zip(centre.tolist(), event.tolist(), size.tolist(), strict=True):
        if knots and (knot[0] - knots[-1][0] < gap or knots[-1][2] < _KNOT_ROWS):
            _merge(knots, [*knot])
        else:
            knots.append([*knot])
    if len(knots) > 1 and knots[-1][2] < _KNOT_ROWS:
        _merge(knots, knots.pop())
    # A block of equal outcomes has still seen only so many rows.
    probability = [min(max(events, 0.5), rows - 0.5) / rows for _, events, rows in knots]
    return Isotonic(tuple(knot[0] for knot in knots), tuple(np.maximum.accumulate(probability).tolist()))


def _merge(knots: list[list[float]], knot: list[float]) -> None:
    """Make the last knot and `knot` one."""
    centre, events, rows = knots[-1]
    together = rows + knot[2]
    knots[-1] = [(centre * rows + knot[0] * knot[2]) / together, events + knot[1], together]
