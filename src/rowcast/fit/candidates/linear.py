"""Linear models: clipped, imputed, scaled numbers, flags of missing values and one-hot categories."""

import warnings
from typing import Any

import numpy as np

from rowcast.fit.candidates.candidate import FittedCandidate
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target


def fit_linear(matrix: Matrix, target: Target, penalty: float) -> FittedCandidate:
    """Fit logistic, multinomial or ridge regression; `penalty` weighs the squared weights of the scaled inputs."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if target.kind == "regression":
        label, regression = target.values, Ridge(alpha=penalty)
    else:
        label = target.values.astype(np.int64)
        regression = LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=1000)
    steps = [("prepare", ColumnTransformer(_preparation(matrix))), ("scale", StandardScaler()), ("regress", regression)]
    pipeline = Pipeline(steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stopping short of convergence is no reason to fail: the folds judge it
        pipeline.fit(matrix.values, label)
    return FittedCandidate("linear", pipeline, target)


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
