"""A user's own estimator, in place of rowcast's candidates."""

import importlib
import warnings
from functools import partial
from typing import Any

import numpy as np

from rowcast.errors import EstimatorError
from rowcast.fit.candidates.candidate import Candidate, FittedCandidate
from rowcast.models.estimators import one_line, to_frame
from rowcast.models.matrix import Matrix
from rowcast.models.storage import check_storable
from rowcast.models.target import Target


def user_candidate(spec: str, seed: int) -> Candidate:
    """Return the candidate that "package.module:factory" builds.

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
        check_storable(template)  # refused now, not after hours of training
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
            f"estimator '{spec}' cannot be imported",
            detail=one_line(error),
            hint="install its package, or add its folder to PYTHONPATH",
        ) from error
    try:
        return clone(factory())
    except (Exception, SystemExit) as error:
        raise EstimatorError(
            f"estimator '{spec}' cannot be built",
            detail=one_line(error),
            hint="the factory takes no arguments and returns a scikit-learn compatible estimator, not yet fitted",
        ) from error


def _fit_user(spec: str, template: Any, matrix: Matrix, target: Target) -> FittedCandidate:
    from sklearn.base import clone

    frame = to_frame(matrix)
    estimator = clone(template)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            label = target.values if target.kind == "regression" else target.values.astype(np.int64)
            estimator.fit(frame, label)
    except (Exception, SystemExit) as error:
        raise EstimatorError(
            f"estimator '{spec}' raised in fit",
            detail=one_line(error),
            hint="it is given a DataFrame with NaN for missing numbers, text columns for categories, and y as 0 and 1 "
            "(several classes: 0, 1, 2 …; a regression: the values)",
        ) from error
    if _is_lightgbm(estimator):
        seen = tuple(estimator.classes_.tolist()) if target.kind == "multiclass" else ()
        return FittedCandidate("lightgbm", estimator.booster_, target, seen)
    return FittedCandidate("sklearn", estimator, target)


def _is_lightgbm(estimator: Any) -> bool:
    """Whether LightGBM's own text can hold all of it."""
    import lightgbm

    return type(estimator) in (lightgbm.LGBMClassifier, lightgbm.LGBMRegressor)
