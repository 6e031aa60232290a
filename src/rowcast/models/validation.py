"""Whether the trees of a stored model stay inside their own arrays: both LightGBM and scikit-learn follow a tree's
indices unchecked, so that a forged one could read or write anywhere.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.errors import ModelError

RETRAIN = "go back to an intact version with 'rowcast promote V', or build a new one with 'rowcast retrain'"
_TOLD = ("leaf_count", "leaf_weight", "internal_count", "internal_value", "internal_weight", "split_gain")


def check_sklearn(estimator: Any) -> None:
    """Raise ModelError where any tree that hangs on the estimator points outside of itself."""
    for item in _reach(estimator, set()):
        _check_item(item)


def _reach(item: Any, seen: set[int]) -> Iterator[Any]:
    """Every object that hangs on `item`, once."""
    if item is None or isinstance(item, str | bytes | int | float | type) or id(item) in seen:
        return
    seen.add(id(item))
    yield item
    below = [*getattr(item, "__dict__", {}).values()]
    if isinstance(item, np.ndarray):
        below += item.ravel().tolist() if item.dtype == object else []
    elif isinstance(item, dict | list | tuple | set):
        below += item.values() if isinstance(item, dict) else item
    for part in below:
        yield from _reach(part, seen)


def _check_item(item: Any) -> None:
    """Raise ModelError where a tree, or what holds trees, would read or write outside its arrays."""
    from sklearn import ensemble
    from sklearn.tree._tree import Tree

    sound = True
    histogram = (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor)
    if isinstance(item, Tree):
        sound = 0 < item.node_count <= item.capacity  # first: the arrays below are as long as node_count claims
        leaf = item.children_left == -1 if sound else np.empty(0, dtype=bool)
        sound = sound and _inside(item.children_left, item.children_right, leaf)
        sound = sound and bool(((item.feature >= 0) & (item.feature < item.n_features) | leaf).all())
    elif isinstance(getattr(item, "tree_", None), Tree):
        sound = item.tree_.n_features == item.n_features_in_
    elif isinstance(item, histogram):
        known = item._bin_mapper.is_categorical_
        trees = [tree for stage in item._predictors for tree in stage]
        sound = len(known) == item.n_features_in_ and all(_histogram_tree_is_sound(tree, known) for tree in trees)
    elif hasattr(item, "estimators_"):
        members = item.estimators_.ravel().tolist() if isinstance(item.estimators_, np.ndarray) else item.estimators_
        given = getattr(item, "estimators_features_", [range(getattr(item, "n_features_in_", 0))] * len(members))
        trees = [getattr(member, "tree_", None) for member in members]
        sound = all(tree is None or tree.n_features == len(own) for tree, own in zip(trees, given, strict=True))
        if isinstance(item, ensemble.GradientBoostingClassifier | ensemble.GradientBoostingRegressor):
            sound = sound and item.estimators_.ndim == 2 and item.estimators_.shape[1] == item.n_trees_per_iteration_
            sound = sound and all(tree.value.shape[1:] == (1, 1) for tree in trees)
    if not sound:
        raise ModelError(f"a {type(item).__name__} in the model points outside of itself", hint=RETRAIN)


def _inside(left: npt.NDArray[Any], right: npt.NDArray[Any], leaf: npt.NDArray[np.bool_]) -> bool:
    """Whether children come after their parents and exist: then every walk ends, at a leaf."""
    here = np.arange(len(leaf))
    return bool((((left > here) & (left < len(leaf)) & (right > here) & (right < len(leaf))) | leaf).all())


def _histogram_tree_is_sound(tree: Any, known: npt.NDArray[np.bool_]) -> bool:
    nodes = tree.nodes
    leaf = nodes["is_leaf"].astype(bool)
    if len(nodes) == 0 or not _inside(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), leaf):
        return False
    feature = nodes["feature_idx"].astype(np.int64)
    if not ((feature >= 0) & (feature < len(known)) | leaf).all():
        return False
    split = nodes["is_categorical"].astype(bool) & ~leaf
    sets = tree.raw_left_cat_bitsets
    return bool(
        known[feature[split]].all() and (nodes["bitset_idx"][split] < len(sets)).all() and sets.shape[1:] == (8,)
    )


def check_lightgbm(text: str, width: int, classes: int) -> None:
    """Raise ModelError unless every tree of the text stays inside its own arrays and the model's `width` columns.

    `classes` is how many scores a row gets.
    """
    head, *blocks = re.split(r"^(?=Tree=)", text, flags=re.MULTILINE)
    header = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    last, ending, _ = blocks[-1].partition("end of trees\n") if blocks else ("", "", "")
    trees = [*blocks[:-1], last]
    sizes = [str(len(tree.encode())) for tree in trees]
    sound = bool(blocks) and bool(ending) and "\0" not in text and "\r" not in text
    sound = sound and header.get("tree_sizes") == " ".join(sizes) and header.get("max_feature_idx") == str(width - 1)
    sound = sound and header.get("num_class") == header.get("num_tree_per_iteration") == str(classes)
    sound = sound and len(trees) % classes == 0
    if not sound or not all(_text_tree_is_sound(tree, width) for tree in trees):
        raise ModelError(
            f"the model's LightGBM text does not hold {classes} tree(s) a round that stay inside their own arrays",
            hint=RETRAIN,
        )


def _text_tree_is_sound(tree: str, width: int) -> bool:
    lines = tree.rstrip("\n").split("\n")[1:]
    if len(lines) > 21 or not all("=" in line for line in lines) or not tree.endswith("\n\n"):
        return False  # LightGBM looks for "=" in up to 22 lines without asking where the text ends
    fields = dict(line.split("=", 1) for line in lines)
    leaves, groups = (_integers(fields.get(name, "")) for name in ("num_leaves", "num_cat"))
    if len(leaves) != 1 or leaves[0] < 1 or len(groups) != 1 or fields.get("is_linear", "0") != "0":
        return False
    splits, count = int(leaves[0]) - 1, int(groups[0])
    if len(fields.get("leaf_value", "").split(" ")) != splits + 1 or splits == 0:
        return splits == 0
    left, right, feature, kind = (
        _integers(fields.get(name, "")) for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    threshold = fields.get("threshold", "").split(" ")
    if any(len(array) != splits for array in (left, right, feature, kind, threshold)):
        return False
    if any(fields[name].count(" ") != splits - (name[:5] != "leaf_") for name in _TOLD if name in fields):
        return False
    here = np.arange(splits)
    for child in (left, right):  # a split is named by its number, which is above its parent's; leaf k by -k - 1
        if not (((child > here) & (child < splits)) | ((child < 0) & (child >= -splits - 1))).all():
            return False
    if not ((feature >= 0) & (feature < width) & (kind >= 0) & (kind < 16)).all():
        return False
    place = [threshold[node] for node in np.flatnonzero(kind & 1)]
    if count == 0:
        return not place
    bounds, bits = (_integers(fields.get(name, "")) for name in ("cat_boundaries", "cat_threshold"))
    sound = len(bounds) == count + 1 and bounds[0] == 0 and bool((np.diff(bounds) >= 0).all())
    return (
        sound and int(bounds[-1]) == len(bits) and all(re.fullmatch("[0-9]+", at) and int(at) < count for at in place)
    )


def _integers(text: str) -> npt.NDArray[np.int64]:
    """Numbers parted by one space each; none at all where the text is anything else."""
    plain = re.fullmatch(r"-?[0-9]{1,10}( -?[0-9]{1,10})*", text)
    return np.array(text.split(" ") if plain else [], dtype=np.int64)
