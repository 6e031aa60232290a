"""The allow-list: which types of scikit-learn's may come out of a file, and of each which attributes and shapes.

Native code of scikit-learn's and scipy's follows what is in a fitted estimator unchecked. So a type is on the list only
where each attribute that predicting reads is checked here. Parameters are checked by scikit-learn's own rules for them.
"""

from functools import cache
from typing import Any

import numpy as np

from rowcast.models.allow_list.known import ELEMENTWISE, Known
from rowcast.models.allow_list.trees import TREE, build_tree

__all__ = ["PLAIN_TYPES", "TREE", "build_tree", "known_functions", "known_types"]

PLAIN_TYPES: dict[str, Any] = {
    **{f"builtins.{kind.__name__}": kind for kind in (bool, float, int, object, str)},
    **{f"numpy.{kind.__name__}": kind for kind in (np.float32, np.float64, np.int32, np.int64, np.number, np.object_)},
}


@cache
def known_types() -> dict[str, Known]:
    """Return the allow-list, by the name of each type."""
    from rowcast.models.allow_list import estimators, transformers, trees

    listed = [*estimators.make_list(), *trees.make_list(), *transformers.make_list()]
    return {known.name: known for known in listed}


@cache
def known_functions() -> dict[str, Any]:
    """Return the functions that a file may name."""
    from sklearn import feature_selection as scores

    listed: list[Any] = [scores.chi2, scores.f_classif, scores.f_regression]  # they selected columns: none is called
    listed += [scores.mutual_info_classif, scores.mutual_info_regression]
    return {**ELEMENTWISE, **{f"{score.__module__}.{score.__qualname__}": score for score in listed}}
