"""How sure a model may be of a row: the classes that cannot be ruled out, or an interval around the value.

Conformal prediction (Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random world") in its split form, kept
as a few plain numbers, so that a row costs one comparison for each class.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.errors import ModelError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sets:
    """The classes of a row that cannot be ruled out."""

    least: tuple[float, ...]  # (k,), the probability from which on a class is in the set; 0: it always is

    def sets(self, probability: Floats) -> Bools:
        """Return the classes in each row's set, (n, k), from probabilities (n, k), or (n,) of the second of two."""
        if probability.ndim == 2:
            return np.asarray(probability >= np.array(self.least))
        found = np.empty((len(probability), 2), np.bool_)
        found[:, 0], found[:, 1] = 1 - probability >= self.least[0], probability >= self.least[1]
        return found

    def uncertain(self, probability: Floats) -> Bools:
        """Return where the set does not name one class, (n,): more than one is likely enough, or none."""
        return np.asarray(self.sets(probability).sum(axis=1) != 1)


@dataclass(frozen=True)
class Bands:
    """An interval around a predicted value, as wide as the errors were where values are alike."""

    edges: tuple[float, ...]  # (b - 1,), ascending: between b ranges of the predicted value
    reach: tuple[float, ...]  # (b,), half the interval's width in each range; infinite where rows were too few
    blind: float  # half the width of an interval by who knows the label's distribution and nothing of the row

    def interval(self, value: Floats) -> tuple[Floats, Floats]:
        """Return lowest and highest value, each (n,), from predicted values (n,)."""
        reach = self._reach(value)
        return value - reach, value + reach

    def uncertain(self, value: Floats) -> Bools:
        """Return where the interval is no narrower than the blind one, (n,)."""
        return np.asarray(self._reach(value) >= self.blind)

    def _reach(self, value: Floats) -> Floats:
        return np.array(self.reach)[np.searchsorted(np.array(self.edges), value)]


Conformal = Sets | Bands


def to_dict(conformal: Conformal) -> dict[str, Any]:
    """Return it safe for JSON: an infinite number is None."""
    if isinstance(conformal, Sets):
        return {"kind": "sets", "least": list(conformal.least)}
    finite = [None if math.isinf(reach) else reach for reach in (*conformal.reach, conformal.blind)]
    return {"kind": "bands", "edges": list(conformal.edges), "reach": finite[:-1], "blind": finite[-1]}


def from_dict(values: dict[str, Any]) -> Conformal:
    """Return what `to_dict` was given. Raise ModelError where the numbers could not have come from it."""
    try:
        if values["kind"] == "sets":
            least = np.array(values["least"], dtype=np.float64)
            read: Conformal = Sets(tuple(least.tolist()))
            sound = least.ndim == 1 and len(least) >= 2 and bool(((least >= 0) & (least <= 1)).all())
        else:
            edges = np.array(values["edges"], dtype=np.float64)
            reach = np.array([_number(each) for each in (*values["reach"], values["blind"])])
            read = Bands(tuple(edges.tolist()), tuple(reach[:-1].tolist()), float(reach[-1]))
            sound = values["kind"] == "bands" and edges.ndim == 1 and len(reach) == len(edges) + 2
            sound = sound and bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all() and (reach >= 0).all())
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ModelError("how sure the model is cannot be read", hint="it was changed or written by a newer rowcast")
    return read


def _number(value: float | None) -> float:
    return math.inf if value is None else float(value)
