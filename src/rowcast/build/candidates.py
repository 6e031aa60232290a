"""What is tried: a regularised linear model, boosted trees, or a user's own estimator in place of both."""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.errors import EstimatorError
from rowcast.models.calibration import Floats
from rowcast.models.estimators import Engine, one_line, raw_scores, to_frame
from rowcast.models.matrix import Matrix
from rowcast.models.storage import storable

Bools = npt.NDArray[np.bool_]

LARGE = 20_000  # rows from which more trees and a second thread pay
THREADS = 2
_TREES = {
    "objective": "binary",
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "max_bin": 255,
}


@dataclass(frozen=True)
class Fitted:
    """An estimator that was fitted, and how it is scored."""

    engine: Engine
    estimator: Any

    def raw(self, matrix: Matrix) -> Floats:
        """Score before calibration, shape (n,)."""
        return raw_scores(self.engine, self.estimator, matrix, THREADS)


@dataclass(frozen=True)
class Candidate:
    """A way to fit a model: training matrix and outcome (n,) to a fitted one, the same one each time."""

    name: str
    fit: Callable[[Matrix, Bools], Fitted]


def default(seed: int) -> list[Candidate]:
    """rowcast's own candidates, simplest first."""
    return [
        Candidate("logistic, C=0.001", partial(fit_logistic, strength=0.001)),
        Candidate("logistic, C=0.1", partial(fit_logistic, strength=0.1)),
        Candidate("lightgbm", partial(fit_trees, seed=seed)),
    ]


def fit_logistic(matrix: Matrix, outcome: Bools, strength: float) -> Fitted:
    """Ridge logistic regression on clipped, imputed, scaled numbers, flags of missing values and one-hot categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    steps = [("prepare", ColumnTransformer(_preparation(matrix))), ("scale", StandardScaler()), ("regress", regression)]
    pipeline = Pipeline(steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping short of convergence is no reason to fail: the folds judge it
        pipeline.fit(matrix.values, outcome.astype(np.int64))
    return Fitted("linear", pipeline)


def _preparation(matrix: Matrix) -> list[tuple[str, Any, list[int]]]:
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    parts: list[tuple[str, Any, list[int]]] = []
    numbers = [place for place in range(len(matrix.names)) if place not in matrix.categorical]
    share = np.isnan(matrix.values).mean(axis=0)
    flagged = [place for place in numbers if 0.01 <= share[place] <= 0.99]
    if numbers:
        # Bounds from the training rows: one wild value can neither move the scale nor decide a score.
        low, high = np.nanquantile(matrix.values[:, numbers].astype(np.float64), (0.005, 0.995), axis=0)
        clip = FunctionTransformer(np.clip, kw_args={"a_min": low, "a_max": high})
        impute = SimpleImputer(strategy="median", keep_empty_features=True)
        parts.append(("numbers", Pipeline([("clip", clip), ("impute", impute)]), numbers))
    if flagged:
        parts.append(("missing", MissingIndicator(features="all"), flagged))
    for place in matrix.categorical:
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=10, max_categories=30, sparse_output=False
        )
        parts.append((f"category {place}", encoder, [place]))
    return parts


def fit_trees(matrix: Matrix, outcome: Bools, seed: int) -> Fitted:
    """Boosted trees: small ones, more of them where rows are many."""
    many = len(matrix) > LARGE
    leaf, rounds = (50, 200) if many else (max(5, min(30, len(matrix) // 50)), 100)
    # Trees of 31 leaves, or more trees that learn more slowly, were no better and took longer to score and to explain.
    shape = {"num_leaves": 16, "learning_rate": 0.075, "min_data_in_leaf": leaf, "lambda_l2": 1.0 if many else 5.0}
    positives = int(outcome.sum())
    # The root: full weight makes a few positives decide every split, none makes many columns drown them.
    weight = float(np.sqrt((len(outcome) - positives) / positives))
    sampling = {"feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1, "scale_pos_weight": weight}
    return Fitted("lightgbm", _boost(matrix, outcome, {**shape, **sampling, "seed": seed}, rounds))


def fit_ranking_trees(matrix: Matrix, outcome: Bools, seed: int) -> Floats:
    """Gain that each column brings to a short run of boosted trees, shape (f,)."""
    leaf = max(5, min(50, len(matrix) // 50))
    shape = {"num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": leaf, "lambda_l2": 5.0, "seed": seed}
    sampling = {"feature_fraction": 0.3, "bagging_fraction": 0.8, "bagging_freq": 1}
    booster = _boost(matrix, outcome, {**shape, **sampling}, 60)
    return np.asarray(booster.feature_importance("gain"), dtype=np.float64)


def _boost(matrix: Matrix, outcome: Bools, parameters: dict[str, Any], rounds: int) -> Any:
    import lightgbm

    threads = THREADS if len(matrix) > LARGE else 1  # on few rows the second thread costs more than it brings
    parameters = {**_TREES, "num_threads": threads, **parameters}
    data = lightgbm.Dataset(
        matrix.values, outcome.astype(np.float32), categorical_feature=matrix.categorical, params=parameters
    )
    return lightgbm.train(parameters, data, num_boost_round=rounds)


def user(spec: str, seed: int) -> Candidate:
    """The candidate that "package.module:factory" builds.

    Raises EstimatorError where it cannot be imported or built, ModelError where it could not be loaded again.
    """
    template = _template(spec)
    unset = [
        name
        for name, value in template.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    ]
    template.set_params(**dict.fromkeys(unset, seed))
    if not _is_lightgbm(template):
        storable(template)  # refused now, not after hours of training
    return Candidate(spec, partial(_fit_user, spec, template))


def _template(spec: str) -> Any:
    from sklearn.base import clone

    module, _, name = spec.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except AttributeError:
        raise EstimatorError(
            f"estimator '{spec}': module '{module}' has no '{name}'",
            hint="[model] estimator is 'package.module:factory'",
        ) from None
    except (Exception, SystemExit) as error:
        raise EstimatorError(
            f"estimator '{spec}' cannot be imported: {one_line(error)}",
            hint="install its package, or add its folder to PYTHONPATH",
        ) from error
    try:
        return clone(factory())
    except (Exception, SystemExit) as error:
        raise EstimatorError(
            f"estimator '{spec}' cannot be built: {one_line(error)}",
            hint="the factory takes no arguments and returns a scikit-learn compatible estimator, not yet fitted",
        ) from error


def _fit_user(spec: str, template: Any, matrix: Matrix, outcome: Bools) -> Fitted:
    from sklearn.base import clone

    frame = to_frame(matrix)
    estimator = clone(template)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(frame, outcome.astype(np.int64))
    except (Exception, SystemExit) as error:
        raise EstimatorError(
            f"estimator '{spec}' raised in fit: {one_line(error)}",
            hint="it is given a DataFrame with NaN for missing numbers, text columns for categories, and y as 0 and 1",
        ) from error
    if _is_lightgbm(estimator):
        return Fitted("lightgbm", estimator.booster_)
    return Fitted("sklearn", estimator)


def _is_lightgbm(estimator: Any) -> bool:
    """Whether LightGBM's own text can hold all of it."""
    import lightgbm

    return type(estimator) is lightgbm.LGBMClassifier
