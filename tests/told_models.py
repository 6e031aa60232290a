"""Models of every kind, fitted on a few random rows, for the tests of what tells them in SQL."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from rowcast.contract import ColumnRule, Contract
from rowcast.fit.candidates.boosted_trees import fit_boosted_trees, train_booster
from rowcast.fit.candidates.candidate import FittedCandidate
from rowcast.fit.candidates.extra_trees import fit_extra_trees
from rowcast.fit.candidates.linear import fit_linear
from rowcast.models.artifact import Member, Model
from rowcast.models.calibration import Identity, Isotonic, Sigmoid, Softmax
from rowcast.models.decision import Costs
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

TOOLS = ("B", "a", "b ", "it's", 'ä "{0}"', "back\\slash", "c7")
NAMES = ("flow", "gauge", "steps", "single", "is_hot", "tool")
CONTRACT = Contract(
    (
        ColumnRule("flow", "number"),
        ColumnRule("gauge", "number", min=-50.0, max=50.0),
        ColumnRule("steps", "number"),
        ColumnRule("single", "number", nullable=False),
        ColumnRule("is_hot", "boolean"),
        ColumnRule("tool", "category", categories=TOOLS),
    )
)


def training(rows: int, seed: int) -> Matrix:
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, len(NAMES)))
    values[:, 2] = random.integers(0, 9, rows)
    values[:, 4] = random.integers(0, 2, rows)
    values[:, 5] = random.integers(0, len(TOOLS), rows)
    values[:, 0] *= 1e4
    values[random.random(values.shape) < 0.07] = np.nan
    values[: rows // 3, 1][random.random(rows // 3) < 0.5] = 0.0
    return Matrix(values.astype(np.float32), NAMES, {"tool": TOOLS})


def outcome(matrix: Matrix, kind: str) -> Target:
    seen = np.nan_to_num(matrix.values.astype(np.float64))
    signal = seen[:, 0] / 1e4 + np.where(seen[:, 5] == 3, 1.5, 0) - seen[:, 1] * seen[:, 4]
    noise = np.random.default_rng(5).normal(size=len(matrix)) / 2
    if kind == "regression":
        return Target("regression", 40 * (signal + noise))
    if kind == "binary":
        return Target("binary", signal + noise > 0.7, ("good", "bad"))
    return Target("multiclass", np.digitize(signal + noise, (0, 1)).astype(np.int64), (0, 1, 2))


def zero_is_missing(matrix: Matrix, target: Target, seed: int) -> FittedCandidate:
    parameters = {"num_leaves": 31, "zero_as_missing": True, "min_data_in_leaf": 3, "seed": seed}
    return FittedCandidate("lightgbm", train_booster(matrix, target, parameters, 20), target)


def deep(matrix: Matrix, target: Target, seed: int) -> FittedCandidate:
    parameters = {"num_leaves": 60, "min_data_in_leaf": 1, "min_data_per_group": 1, "cat_smooth": 0.1, "seed": seed}
    return FittedCandidate("lightgbm", train_booster(matrix, target, parameters, 15), target)


def linear(matrix: Matrix, target: Target, _: int) -> FittedCandidate:
    return fit_linear(matrix, target, 1.0)


KINDS: dict[str, tuple[Callable[[Matrix, Target, int], FittedCandidate], ...]] = {
    "boosted trees": (fit_boosted_trees,),
    "trees that take 0 for missing": (zero_is_missing,),
    "deep trees": (deep,),
    "extra trees": (fit_extra_trees,),
    "linear": (linear,),
    "average": (fit_extra_trees, fit_boosted_trees, linear),
}


@lru_cache
def make_model(kind: str, task: str, rows: int = 600) -> Model:
    """A fitted model, brought back from its bytes as a stored one is."""
    matrix = training(rows, 3)
    target = outcome(matrix, task)
    members = []
    for place, fit in enumerate(KINDS[kind]):
        found = fit(matrix, target, 7)
        intercept = (0.1, -0.2, 0.3) if task == "multiclass" else (0.25,)
        members.append(Member(found.engine, found.estimator, 0.8 + place, intercept, found.order))
    about: dict[str, Any] = {
        "binary": {"calibration": Sigmoid(0.7, -0.2), "threshold": 0.3, "classes": target.classes},
        "multiclass": {"calibration": Softmax(0.7, (0.0, 0.2, -0.1)), "costs": Costs(20, 1), "classes": (0, 1, 2)},
        "regression": {"calibration": Identity(), "limits": (-20.0, 35.0)},
    }
    if kind == "extra trees" and task == "binary":
        about["binary"]["calibration"] = Isotonic((-3.0, -1.0, 0.5, 2.0), (0.01, 0.05, 0.4, 0.9))
    made = Model(kind=target.kind, features=NAMES, contract=CONTRACT, members=tuple(members), **about[task])
    data = made.to_bytes()
    return Model.from_bytes(data, hashlib.sha256(data).hexdigest())
