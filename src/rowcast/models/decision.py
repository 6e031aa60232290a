"""What wrong decisions cost, and the decision that costs least."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rowcast.config import Task

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """Of one row, in the config's units."""

    missed: float  # a row that needs action, and none was taken
    false_alarm: float  # action that was not needed, or of the wrong kind: somebody looks all the same

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the costs that the config names."""
        return cls(task.cost_missed, task.cost_false_alarm)


def cost_matrix(costs: Costs, classes: int) -> Floats:
    """Return the cost of deciding class j where class i is true, shape (k, k); class 0 needs no action."""
    cost = np.full((classes, classes), costs.false_alarm)
    cost[1:, 0] = costs.missed
    np.fill_diagonal(cost, 0.0)
    return cost


def cheapest_class(probability: Floats, costs: Costs) -> npt.NDArray[np.int64]:
    """Return the class of least expected cost for each row of `probability` (n, k); of equal ones the first."""
    expected = probability @ cost_matrix(costs, probability.shape[1])
    return np.asarray(expected.round(12).argmin(axis=1), dtype=np.int64)


def decision_costs(truth: npt.NDArray[Any], decided: npt.NDArray[Any], costs: Costs | None) -> Floats:
    """Return the cost of each decision, shape (n,), from places of classes, of which 0 needs no action.

    Without `costs` both are values, as a regression's, and the cost is how far they lie apart.
    """
    if costs is None:
        return np.asarray(np.abs(truth - decided), dtype=np.float64)
    wrong = np.where((truth > 0) & (decided == 0), costs.missed, costs.false_alarm)
    return np.where(truth == decided, 0.0, wrong)
