"""Sets of columns are kept where they help on later rows, and only there."""

import numpy as np

from rowcast.fit import TrainingData, try_column_sets
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target


def make_rows(n: int = 3000, kind: str = "binary") -> TrainingData:
    """Rows in time order: `x` tells a little, `last` what came before, `noise` nothing."""
    random = np.random.default_rng(3)
    x, state, outcome = random.normal(size=n), 0.0, np.zeros(n)
    for row in range(n):
        state = 0.9 * state + random.normal()
        outcome[row] = state + x[row]
    known = outcome > 1 if kind == "binary" else outcome
    last = np.concatenate([[np.nan], known[:-1]]).astype(np.float32)
    names = ("x", "last", "noise", "more noise")
    values = np.column_stack([x, last, random.normal(size=(n, 2))]).astype(np.float32)
    target = Target("binary", known, (0, 1)) if kind == "binary" else Target("regression", known)
    return TrainingData(Matrix(values, names, {}), target, np.arange(n), np.arange(n))


def test_a_set_that_tells_something_is_kept_and_one_that_does_not_is_not() -> None:
    for kind in ("binary", "regression"):
        found = try_column_sets(make_rows(kind=kind), {"noise": ["noise", "more noise"], "past": ["last"]})
        assert [(trial.name, trial.is_kept) for trial in found] == [("past", True), ("noise", False)]
        assert found[0].gain > 3 * found[0].error


def test_nothing_is_kept_where_rows_cannot_be_validated_in_time_order() -> None:
    rows = make_rows(60)
    alone = TrainingData(rows.matrix, rows.target, np.zeros(60, np.int64), np.zeros(60, np.int64))
    assert [trial.is_kept for trial in try_column_sets(alone, {"past": ["last"]})] == [False]
