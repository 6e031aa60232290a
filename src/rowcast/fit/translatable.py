"""What it costs in quality to keep to candidates that are told in little SQL."""

from typing import Any

import numpy as np

from rowcast.config import Task
from rowcast.fit.cross_fitting import cross_fit, row_costs
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.selection import add_average, select_candidate
from rowcast.fit.variation import ratio_spread, split_periods
from rowcast.models import calibration


def measure_price(small: OutOfFold, others: OutOfFold, task: Task) -> dict[str, Any]:
    """Return how much more a row costs by the best of the small candidates than by the best of all, of the same rows.

    `low` and `high` say where the difference of as many later rows lies, with 95 % probability; `candidate` names the
    best of all. Costs are the task's, or a regression's absolute error.
    """
    every = OutOfFold(small.target, small.fold, small.block, {**small.raw, **others.raw})
    costs = []
    for scores in map(add_average, (small, every)):
        judged = cross_fit(scores, select_candidate, task, calibration.fit)
        costs.append(row_costs(judged.target, judged.predicted, task))
    more = costs[0] - costs[1]
    spread = ratio_spread(more, np.ones(len(more)), split_periods(small.fold, small.block))
    low, high = (None, None) if spread is None else spread.later("any")
    best = select_candidate(add_average(every)).name
    return {"candidate": best, "cost_per_row": float(more.mean()), "low": low, "high": high}
