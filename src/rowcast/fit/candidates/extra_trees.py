"""Extra trees, kept as LightGBM's text: it scores many times faster, explains exactly, and is as safe to load."""

from typing import Any

import numpy as np

from rowcast.fit.candidates.boosted_trees import OBJECTIVES
from rowcast.fit.candidates.candidate import LARGE, THREADS, FittedCandidate
from rowcast.models.calibration import Floats
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

_TREES = 40  # more rank no better on the data of docs/models-method.md, and take longer to fit and to score
_LEAVES, _LEAST = 250, 3  # leaves of a tree at most; rows of a leaf at least
_MISSING_IS_NAN = 8  # of LightGBM's decision types; 2 more where missing goes left


def fit_extra_trees(matrix: Matrix, target: Target, seed: int) -> FittedCandidate:
    """Fit extremely randomised trees (Geurts, Ernst and Wehenkel 2006, Machine Learning 63(1)).

    A leaf holds at least a 250th of the rows. Its log-odds are smoothed by as many rows of the base rate as that, a
    tree's are shifted to that rate on average, and trees are averaged: so scores are on the same scale whether a fold
    or all rows were learned from, and what is calibrated on the one holds for the other. A category counts by its code:
    trees can cut it out of its neighbours.
    """
    import lightgbm
    from sklearn import config_context
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    many, leaf = len(matrix) > LARGE, max(_LEAST, len(matrix) // _LEAVES)
    classified = target.kind != "regression"
    forest = (ExtraTreesClassifier if classified else ExtraTreesRegressor)(
        _TREES,
        min_samples_leaf=leaf,
        max_features=0.5,
        random_state=seed,
        n_jobs=THREADS if many else 1,
    )
    with config_context(skip_parameter_validation=True):  # of each tree, which takes as long as small trees do
        forest.fit(matrix.values, target.values.astype(np.int64) if classified else target.values)
    seen = forest.classes_ if classified else np.zeros(1, np.int64)
    return FittedCandidate(
        "lightgbm", lightgbm.Booster(model_str=_text(forest, target, seen, matrix.values.shape[1], leaf)), target
    )


def _text(forest: Any, target: Target, seen: Any, width: int, smooth: int) -> str:
    scores = len(target.classes) if target.kind == "multiclass" else 1
    trees: list[str] = []
    for estimator in forest.estimators_:
        values = _leaves(estimator.tree_, target, seen, smooth) / len(forest.estimators_)
        trees += [_tree(len(trees) + place, estimator.tree_, values[:, place]) for place in range(scores)]
    more = {"binary": " sigmoid:1", "multiclass": f" num_class:{scores}", "regression": ""}
    objective = OBJECTIVES[target.kind] + more[target.kind]
    head = {
        "version": "v4",
        "num_class": scores,
        "num_tree_per_iteration": scores,
        "label_index": 0,
        "max_feature_idx": width - 1,
        "objective": objective,
        "feature_names": " ".join(f"Column_{place}" for place in range(width)),
        "feature_infos": " ".join(["[-1e308:1e308]"] * width),
        "tree_sizes": " ".join(str(len(tree)) for tree in trees),
    }
    lines = "".join(f"{name}={value}\n" for name, value in head.items())
    return f"tree\n{lines}\n{''.join(trees)}end of trees\n\n"


def _leaves(tree: Any, target: Target, seen: Any, smooth: int) -> Floats:
    """What each node says, shape (nodes, scores): log-odds, log-probabilities, or a value."""
    value = tree.value[:, 0, :]
    if target.kind == "regression":
        return np.asarray(value, dtype=np.float64)
    rows = tree.n_node_samples[:, None]
    base = target.counts / len(target)
    every = np.zeros((len(value), len(base)))
    every[:, seen] = value * rows
    share = np.log(np.maximum((every + smooth * base) / (rows + smooth), 1e-6))
    level = np.log(np.maximum(base, 1e-6))[None]
    if target.kind == "binary":
        share, level = share[:, 1:] - share[:, :1], level[:, 1:] - level[:, :1]
    leaf = tree.children_left == -1
    return np.asarray(share + level - (share * rows)[leaf].sum(axis=0) / len(target), dtype=np.float64)


def _tree(number: int, tree: Any, value: Floats) -> str:
    """One tree as LightGBM writes it: splits and leaves numbered in the order of scikit-learn's nodes."""
    left, right = tree.children_left, tree.children_right
    leaf = left == -1
    name = np.where(leaf, -np.cumsum(leaf), np.cumsum(~leaf) - 1)
    split, rows = np.flatnonzero(~leaf), tree.n_node_samples
    to_left = tree.__getstate__()["nodes"]["missing_go_to_left"][split].astype(np.int64)
    lines: dict[str, Any] = {"num_leaves": int(leaf.sum()), "num_cat": 0}
    if len(split):
        lines |= {
            "split_feature": tree.feature[split],
            "split_gain": np.ones(len(split), np.int64),
            "threshold": tree.threshold[split],
            "decision_type": _MISSING_IS_NAN + 2 * to_left,
            "left_child": name[left[split]],
            "right_child": name[right[split]],
        }
    lines |= {"leaf_value": value[leaf], "leaf_weight": rows[leaf], "leaf_count": rows[leaf]}
    if len(split):
        lines |= {"internal_value": value[split], "internal_weight": rows[split], "internal_count": rows[split]}
    lines |= {"is_linear": 0, "shrinkage": 1}
    written = [f"Tree={number}", *[f"{key}={_write(found)}" for key, found in lines.items()]]
    return "\n".join(written) + "\n\n\n"


def _write(found: Any) -> str:
    return " ".join(map(repr, found.tolist())) if isinstance(found, np.ndarray) else str(found)
