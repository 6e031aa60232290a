"""Trees and what is made of them."""

from typing import Any

import numpy as np

from rowcast.models.allow_list.known import Known, are_fitted, classes_are_counted, is_fitted
from rowcast.models.validation import MOST_COLUMNS, are_labels, is_array, is_whole, stay_inside

TREE = "sklearn.tree._tree.Tree"


def make_list() -> list[Known]:
    """Return the types made of trees."""
    from sklearn import ensemble
    from sklearn import tree as trees
    from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    classes, width = ("classes_", "n_classes_"), "n_features_in_"
    tree, forest = ("tree_", "n_outputs_", width), ("estimators_", "n_outputs_", width)
    boosted = ("estimators_", "n_trees_per_iteration_", "init_", width)
    histogram = ("_predictors", "_baseline_prediction", "_bin_mapper", "n_trees_per_iteration_", width)
    coded = ("_n_features", "is_categorical_", "_preprocessor", "_is_categorical_remapped")
    return [
        Known(trees.DecisionTreeClassifier, (*tree, *classes), _tree_is_sound),
        Known(trees.DecisionTreeRegressor, tree, _tree_is_sound),
        Known(trees.ExtraTreeClassifier, (*tree, *classes), _tree_is_sound),
        Known(trees.ExtraTreeRegressor, tree, _tree_is_sound),
        Known(ensemble.RandomForestClassifier, (*forest, *classes), _forest_is_sound),
        Known(ensemble.RandomForestRegressor, forest, _forest_is_sound),
        Known(ensemble.ExtraTreesClassifier, (*forest, *classes), _forest_is_sound),
        Known(ensemble.ExtraTreesRegressor, forest, _forest_is_sound),
        Known(ensemble.GradientBoostingClassifier, (*boosted, *classes), _boosting_is_sound, finish=_make_loss),
        Known(ensemble.GradientBoostingRegressor, boosted, _boosting_is_sound, finish=_make_loss),
        Known(
            ensemble.HistGradientBoostingClassifier, (*histogram, "classes_"), _histograms_are_sound, coded, _make_loss
        ),
        Known(ensemble.HistGradientBoostingRegressor, histogram, _histograms_are_sound, coded, _make_loss),
        Known(TreePredictor, ("nodes", "raw_left_cat_bitsets"), _predictor_is_sound),
        Known(_BinMapper, ("is_categorical_", "bin_thresholds_"), _bins_are_sound),
    ]


def build_tree(arguments: tuple[Any, ...], state: dict[str, Any]) -> Any:
    """Return scikit-learn's tree with this state; None where it would read outside its arrays."""
    from sklearn.tree._tree import NODE_DTYPE, Tree

    columns, classes, outputs = arguments
    nodes, values = state["nodes"], state["values"]
    sound = is_whole(columns, 1, MOST_COLUMNS) and is_whole(outputs, 1, 1) and is_array(classes, 1, kinds="i", low=1)
    sound = sound and isinstance(nodes, np.ndarray) and nodes.dtype == NODE_DTYPE and nodes.ndim == 1 and len(nodes) > 0
    sound = sound and is_whole(state["node_count"], len(nodes), len(nodes))
    sound = sound and is_whole(state["max_depth"], 0, len(nodes))
    if not sound or not is_array(values, len(nodes), 1, int(classes[0])):
        return None
    leaf = nodes["left_child"] == -1
    if not stay_inside(nodes["left_child"], nodes["right_child"], leaf):
        return None
    if not (((nodes["feature"] >= 0) & (nodes["feature"] < columns)) | leaf).all():
        return None
    tree = Tree(int(columns), classes.astype(np.intp), int(outputs))
    tree.__setstate__({**state, "nodes": np.ascontiguousarray(nodes), "values": np.ascontiguousarray(values)})
    return tree


def _tree_is_sound(item: Any) -> bool:
    from sklearn.tree._tree import Tree

    sound = is_whole(item.n_outputs_, 1, 1) and isinstance(item.tree_, Tree)
    sound = sound and item.tree_.n_features == item.n_features_in_
    if not hasattr(item, "classes_"):
        return sound and item.tree_.value.shape[1:] == (1, 1)
    return sound and classes_are_counted(item) and item.tree_.value.shape[1:] == (1, len(item.classes_))


def _forest_is_sound(item: Any) -> bool:
    of_classes = hasattr(item, "classes_")
    kind = "Classifier" if of_classes else "Regressor"
    sound = is_whole(item.n_outputs_, 1, 1) and (not of_classes or classes_are_counted(item))
    sound = sound and are_fitted(item.estimators_, f"DecisionTree{kind}", f"ExtraTree{kind}")
    return (
        sound
        and len(item.estimators_) == item.n_estimators
        and all(
            tree.n_features_in_ == item.n_features_in_
            and (not of_classes or tree.tree_.value.shape[2] == len(item.classes_))
            for tree in item.estimators_
        )
    )


def _boosting_is_sound(item: Any) -> bool:
    stages, scores = item.estimators_, item.n_trees_per_iteration_
    if hasattr(item, "classes_"):
        if not classes_are_counted(item):
            return False
        wanted = 1 if len(item.classes_) == 2 else len(item.classes_)
        first = isinstance(item.init_, str) or (
            is_fitted(item.init_, "DummyClassifier") and len(item.init_.classes_) == len(item.classes_)
        )
    else:
        wanted, first = 1, isinstance(item.init_, str) or is_fitted(item.init_, "DummyRegressor")
    if not (first and is_whole(scores, wanted, wanted) and isinstance(stages, np.ndarray) and stages.dtype == object):
        return False
    if stages.ndim != 2 or stages.shape[0] == 0 or stages.shape[1] != wanted:
        return False
    trees = stages.ravel().tolist()
    return are_fitted(trees, "DecisionTreeRegressor") and all(
        tree.n_features_in_ == item.n_features_in_ for tree in trees
    )


def _make_loss(item: Any) -> None:
    item._loss = item._get_loss(sample_weight=None)


def _predictor_is_sound(item: Any) -> bool:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes, sets = item.nodes, item.raw_left_cat_bitsets
    if not isinstance(nodes, np.ndarray) or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        return False
    if not isinstance(sets, np.ndarray) or not is_array(sets, len(sets), 8, kinds="u") or sets.dtype != np.uint32:
        return False
    leaf = nodes["is_leaf"].astype(bool)
    split = nodes["is_categorical"].astype(bool) & ~leaf
    return (
        stay_inside(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), leaf)
        and bool(np.isfinite(nodes["value"]).all())
        and bool((nodes["bitset_idx"][split] < len(sets)).all())
    )


def _bins_are_sound(item: Any) -> bool:
    known, bounds = item.is_categorical_, item.bin_thresholds_
    if not isinstance(known, np.ndarray) or known.ndim != 1 or not is_array(known, len(known), kinds="bu", high=1):
        return False
    if not isinstance(bounds, list) or len(bounds) != len(known):
        return False
    coded = [each for each, is_coded in zip(bounds, known.tolist(), strict=True) if is_coded]
    return all(isinstance(each, np.ndarray) and is_array(each, len(each), low=0, high=255) for each in coded)


def _histograms_are_sound(item: Any) -> bool:
    scores, base, columns = item.n_trees_per_iteration_, item._baseline_prediction, item.n_features_in_
    wanted = 1
    if hasattr(item, "classes_"):
        if not are_labels(item.classes_):
            return False
        wanted = 1 if len(item.classes_) == 2 else len(item.classes_)
    if not (
        is_whole(scores, wanted, wanted) and is_array(base, 1, wanted) and is_fitted(item._bin_mapper, "_BinMapper")
    ):
        return False
    if getattr(item, "_preprocessor", None) is not None or len(item._bin_mapper.is_categorical_) != columns:
        return False
    coded = item._bin_mapper.is_categorical_.astype(bool)
    if not isinstance(item._predictors, list) or not all(
        isinstance(stage, list) and len(stage) == wanted and are_fitted(stage, "TreePredictor")
        for stage in item._predictors
    ):
        return False
    for nodes in (tree.nodes for stage in item._predictors for tree in stage):
        split = ~nodes["is_leaf"].astype(bool)
        feature = nodes["feature_idx"].astype(np.int64)[split]
        if not ((feature >= 0) & (feature < columns)).all():
            return False
        if not coded[feature[nodes["is_categorical"].astype(bool)[split]]].all():
            return False
    return True
