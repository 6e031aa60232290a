"""Boosted trees: small ones, as many as pay on rows that came later, and larger ones."""

from typing import Any

import numpy as np

from rowcast.fit.candidates.candidate import LARGE, THREADS, FittedCandidate
from rowcast.models.calibration import Floats
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

PARAMETERS = {"deterministic": True, "force_row_wise": True, "verbosity": -1, "max_bin": 255}
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
_METRICS = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "l2"}

_LATER = 0.2  # of the rows, the last in time, tell how many trees pay
_ROUNDS = (30, 50, 250)  # fewest; where the later rows cannot tell; most
_PATIENCE = 20  # rounds without gain
# Rows of each class, or of a regression, that the later rows must have to tell: with fewer the number of trees is luck,
# and the scores of folds with different numbers are on different scales.
_TELLING = 200


def fit_boosted_trees(matrix: Matrix, target: Target, seed: int) -> FittedCandidate:
    """Fit LightGBM (Ke et al. 2017, NeurIPS 30), shallow and slow enough for few positives in many columns.

    The number of trees is found by early stopping on the last fifth of the rows, where that holds enough of each class
    to tell; all rows are then fitted with it. What moves with time is followed best by small trees.
    """
    parameters = {"num_leaves": 8, "learning_rate": 0.12, **_spread(matrix, seed)}
    return _fit(matrix, target, parameters, _rounds(matrix, target, parameters))


def fit_few_boosted_trees(matrix: Matrix, target: Target, seed: int) -> FittedCandidate:
    """Fit LightGBM with few trees, of few leaves: SQL that a database computes in a moment."""
    return _fit(matrix, target, {"num_leaves": 15, "learning_rate": 0.2, **_spread(matrix, seed)}, 30)


def fit_large_boosted_trees(matrix: Matrix, target: Target, seed: int) -> FittedCandidate:
    """Fit LightGBM with trees of as many leaves, and as many trees, as it has by default: best where nothing moves."""
    return _fit(matrix, target, {"num_leaves": 31, "learning_rate": 0.1, **_spread(matrix, seed)}, 100)


def _spread(matrix: Matrix, seed: int) -> dict[str, Any]:
    """What keeps each tree from learning single rows and columns by heart."""
    leaf = 50 if len(matrix) > LARGE else max(5, min(30, len(matrix) // 50))
    sampling = {"feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0}
    return {"min_data_in_leaf": leaf, **sampling, "seed": seed}


def _fit(matrix: Matrix, target: Target, parameters: dict[str, Any], rounds: int) -> FittedCandidate:
    return FittedCandidate("lightgbm", train_booster(matrix, target, parameters, rounds), target)


def measure_gains(matrix: Matrix, target: Target, seed: int) -> Floats:
    """Return the gain that each column brings to a short run of boosted trees, shape (f,)."""
    leaf = max(5, min(50, len(matrix) // 50))
    shape = {"num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": leaf, "lambda_l2": 5.0, "seed": seed}
    sampling = {"feature_fraction": 0.3, "bagging_fraction": 0.8, "bagging_freq": 1}
    booster = train_booster(matrix, target, {**shape, **sampling}, 60)
    return np.asarray(booster.feature_importance("gain"), dtype=np.float64)


def _rounds(matrix: Matrix, target: Target, parameters: dict[str, Any]) -> int:
    import lightgbm

    fewest, unknown, most = _ROUNDS
    border = int(len(matrix) * (1 - _LATER))
    early, late = target.take(slice(border)), target.take(slice(border, None))
    if (min(late.counts.min(), early.counts.min()) if target.classes else len(late)) < _TELLING:
        return unknown
    parameters = _complete(parameters, target, border) | {"metric": _METRICS[target.kind]}
    data = _data(matrix, target, parameters, slice(border))
    later = lightgbm.Dataset(
        matrix.values[border:], late.values.astype(np.float32), reference=data, params=parameters, free_raw_data=False
    )
    stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
    booster = lightgbm.train(parameters, data, num_boost_round=most, valid_sets=[later], callbacks=[stop])
    return max(fewest, int(booster.best_iteration / (1 - _LATER)))  # more rows bear more trees


def train_booster(matrix: Matrix, target: Target, parameters: dict[str, Any], rounds: int) -> Any:
    """Train and return a LightGBM booster: the same rows and parameters give the same one."""
    import lightgbm

    parameters = _complete(parameters, target, len(matrix))
    return lightgbm.train(parameters, _data(matrix, target, parameters, slice(None)), num_boost_round=rounds)


def _complete(parameters: dict[str, Any], target: Target, rows: int) -> dict[str, Any]:
    threads = THREADS if rows > LARGE else 1  # on few rows the second thread costs more than it brings
    classes = {"num_class": len(target.classes)} if target.kind == "multiclass" else {}
    return {**PARAMETERS, "objective": OBJECTIVES[target.kind], "num_threads": threads, **classes, **parameters}


def _data(matrix: Matrix, target: Target, parameters: dict[str, Any], rows: slice) -> Any:
    import lightgbm

    return lightgbm.Dataset(
        matrix.values[rows],
        target.values[rows].astype(np.float32),
        categorical_feature=matrix.categorical,
        params=parameters,
        free_raw_data=False,
    )
