"""From raw scores to score and decision as SQL."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rowcast.models.artifact import Model
from rowcast.models.calibration import Isotonic, Sigmoid, Softmax
from rowcast.models.decision import cost_matrix
from rowcast.translate.dialects import Dialect

_LIMIT = 1e-9  # a calibrated probability of two classes lies between it and 1 less it
_SUREST = float(np.log((1 - _LIMIT) / _LIMIT))
_FARTHEST = -700.0  # exp() of less is 0, where a system does not refuse it


@dataclass(frozen=True)
class Decided:
    """Derived tables on top of the raw scores, one on top of the other, and what is chosen from the last."""

    levels: list[dict[str, str]] = field(default_factory=list)  # new columns, by name
    score: str = "raw0"
    decision: str = "raw0"
    flagged: str = "0"
    chances: tuple[str, ...] = ()  # of several classes: the probability of each

    @property
    def chosen(self) -> dict[str, str]:
        """What is chosen, by name."""
        return {"score": self.score, "decision": self.decision, "flagged": self.flagged}


def write_decision(model: Model, dialect: Dialect) -> Decided:
    """Return score and decision, from columns raw0, raw1, … that hold a model's raw scores."""
    if model.kind == "regression":
        return _of_value(model, dialect)
    return _of_two(model, dialect) if model.kind == "binary" else _of_several(model, dialect)


def _of_value(model: Model, dialect: Dialect) -> Decided:
    low, high = model.limits
    outside = [] if low is None else [(f"raw0 < {dialect.number(low)}", "1")]
    outside += [] if high is None else [(f"raw0 > {dialect.number(high)}", "1")]
    return Decided(flagged=dialect.case([*outside, ("raw0 IS NOT NULL", "0")]))


def _of_two(model: Model, dialect: Dialect) -> Decided:
    """The decision is made on the raw score, so that no last bit of exp() can turn it."""
    no, yes = (dialect.literal(label) for label in model.classes)
    cut = find_cut(model)
    met = "1 = 0" if cut is None else f"raw0 >= {dialect.number(cut)}"
    score = _isotonic(model.calibration, dialect) if isinstance(model.calibration, Isotonic) else "sigmoid"
    levels = []
    if isinstance(model.calibration, Sigmoid):
        line = f"{dialect.number(model.calibration.slope)} * raw0 + {dialect.number(model.calibration.intercept)}"
        levels = [{"raw0": "raw0", "line": line}]
        score = dialect.case(
            [
                (f"line >= {dialect.number(_SUREST)}", dialect.number(1 - _LIMIT)),
                (f"line <= {dialect.number(-_SUREST)}", dialect.number(_LIMIT)),
            ],
            f"{dialect.number(1.0)} / ({dialect.number(1.0)} + exp(-line))",
        )
    there = "raw0 IS NOT NULL"
    return Decided(levels, score, dialect.case([(met, yes), (there, no)]), dialect.case([(met, "1"), (there, "0")]))


def _isotonic(calibration: Isotonic, dialect: Dialect) -> str:
    """Straight lines between knots, computed as numpy does."""
    raw, probability = calibration.raw, np.clip(calibration.probability, _LIMIT, 1 - _LIMIT).tolist()
    exact = calibration.probability
    number = dialect.number
    pairs = [(f"raw0 <= {number(raw[0])}", number(probability[0]))]
    for place in range(len(raw) - 1):
        slope = (exact[place + 1] - exact[place]) / (raw[place + 1] - raw[place])
        line = f"{number(slope)} * (raw0 - {number(raw[place])}) + {number(exact[place])}"
        pairs.append((f"raw0 < {number(raw[place + 1])}", line))
    return dialect.case([*pairs, ("raw0 IS NOT NULL", number(probability[-1]))])


def find_cut(model: Model) -> float | None:
    """Return the least raw score from which a model of two classes flags a row; None where it flags none."""

    def is_flagged(raw: float) -> bool:
        return bool(model.decide(np.array([raw])).flagged[0])

    return _find_first(is_flagged, -1e300, 1e300)


def _find_first(holds: Callable[[float], bool], low: float, high: float) -> float | None:
    """The least float between two for which a condition holds that goes on to hold; None where there is none."""
    first, last = _to_order(low), _to_order(high)
    if not holds(high):
        return None
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if holds(_from_order(middle)) else (middle + 1, last)
    return _from_order(first)


def _to_order(value: float) -> int:
    """A whole number that orders floats as they are ordered."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def _from_order(order: int) -> float:
    bits = order if order >= 0 else -order - (1 << 63)
    found: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return found


def _of_several(model: Model, dialect: Dialect) -> Decided:
    assert isinstance(model.calibration, Softmax)
    assert model.costs is not None
    number, places = dialect.number, range(len(model.classes))
    lines = {
        f"line{place}": f"{number(model.calibration.slope)} * raw{place} + {number(offset)}"
        for place, offset in enumerate(model.calibration.intercept)
    }
    most = {"most": dialect.greatest(list(lines))}
    shares = {
        f"share{place}": dialect.case(
            [(f"line{place} - most < {number(_FARTHEST)}", number(0.0))], f"exp(line{place} - most)"
        )
        for place in places
    }
    total = " + ".join(shares)
    chances = {f"chance{place}": f"share{place} / ({total})" for place in places}
    cost = cost_matrix(model.costs, len(places))
    expected = {
        # Rounded, so that costs which are equal but for their last bits count as equal.
        f"cost{decided}": "floor(("
        + " + ".join(f"chance{true} * {number(float(cost[true, decided]))}" for true in places if true != decided)
        + f") * {number(1e12)} + {number(0.5)})"
        for decided in places
    }
    found = _cheapest(len(places))
    labels = [dialect.literal(label) for label in model.classes]
    return Decided(
        [
            lines,
            {**{name: name for name in lines}, **most},
            shares,
            chances,
            {**{name: name for name in chances}, **expected},
        ],
        dialect.case([(when, f"chance{place}") for place, when in enumerate(found)]),
        dialect.case([(when, labels[place]) for place, when in enumerate(found)]),
        dialect.case([(when, str(int(place > 0))) for place, when in enumerate(found)]),
        tuple(chances),
    )


def _cheapest(classes: int) -> list[str]:
    """For each class the condition that it costs least, where none before it did."""
    conditions = []
    for place in range(classes):
        later = [f"cost{place} <= cost{other}" for other in range(place + 1, classes)]
        conditions.append(" AND ".join(later) or f"cost{place} IS NOT NULL")
    return conditions
