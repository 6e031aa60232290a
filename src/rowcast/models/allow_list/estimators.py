"""Linear models, networks, and models made of others."""

from itertools import pairwise
from typing import Any

import numpy as np

from rowcast.models.allow_list.known import Known, are_fitted, classes_are_counted, is_fitted
from rowcast.models.validation import are_labels, is_any_array, is_array, is_finite, is_whole


def make_list() -> list[Known]:
    """Return linear models, networks, what calibrates and what averages others."""
    from sklearn import calibration, dummy, ensemble, isotonic, linear_model, naive_bayes, neural_network, preprocessing
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    width = "n_features_in_"
    line, bag = ("coef_", "intercept_", width), ("estimators_", "estimators_features_", width)
    layers = ("coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_", width)
    dummies = ("_strategy", "sparse_output_")
    return [
        Known(linear_model.LogisticRegression, (*line, "classes_"), _line_of_classes_is_sound),
        Known(linear_model.SGDClassifier, (*line, "classes_"), _line_of_classes_is_sound),
        Known(LinearDiscriminantAnalysis, (*line, "classes_"), _line_of_classes_is_sound),
        Known(linear_model.RidgeClassifier, (*line, "_label_binarizer"), _ridge_of_classes_is_sound, ("classes_",)),
        Known(linear_model.LinearRegression, line, _line_is_sound),
        Known(linear_model.Ridge, line, _line_is_sound),
        Known(linear_model.Lasso, line, _line_is_sound),
        Known(linear_model.ElasticNet, line, _line_is_sound),
        Known(linear_model.SGDRegressor, line, _line_is_sound),
        Known(naive_bayes.GaussianNB, ("classes_", "theta_", "var_", "class_prior_", width), _bayes_is_sound),
        Known(neural_network.MLPClassifier, (*layers, "classes_", "_label_binarizer"), _layers_are_sound),
        Known(neural_network.MLPRegressor, layers, _layers_are_sound),
        Known(ensemble.BaggingClassifier, (*bag, "classes_", "n_classes_"), _bag_is_sound),
        Known(ensemble.BaggingRegressor, bag, _bag_is_sound),
        Known(ensemble.VotingClassifier, ("estimators_", "classes_", "le_"), _vote_is_sound),
        Known(ensemble.VotingRegressor, ("estimators_",), _vote_is_sound),
        Known(calibration.CalibratedClassifierCV, ("calibrated_classifiers_", "classes_"), _calibrated_is_sound),
        Known(
            calibration._CalibratedClassifier,
            ("estimator", "calibrators", "classes", "method"),
            _calibrated_member_is_sound,
        ),
        Known(calibration._SigmoidCalibration, ("a_", "b_"), lambda item: is_finite(item.a_) and is_finite(item.b_)),
        Known(
            isotonic.IsotonicRegression,
            ("X_thresholds_", "y_thresholds_", "X_min_", "X_max_", "increasing_"),
            _steps_are_sound,
            finish=lambda item: item._build_f(item.X_thresholds_, item.y_thresholds_),
        ),
        Known(
            dummy.DummyClassifier, ("class_prior_", "classes_", "n_classes_", "n_outputs_"), _prior_is_sound, dummies
        ),
        Known(dummy.DummyRegressor, ("constant_", "n_outputs_"), _constant_is_sound, dummies),
        Known(preprocessing.LabelEncoder, ("classes_",), lambda item: are_labels(item.classes_)),
        Known(
            preprocessing.LabelBinarizer,
            ("classes_", "y_type_", "sparse_input_"),
            lambda item: (
                are_labels(item.classes_) and item.y_type_ in ("binary", "multiclass") and item.sparse_input_ is False
            ),
        ),
    ]


def _line_of_classes_is_sound(item: Any) -> bool:
    if not are_labels(item.classes_):
        return False
    rows = 1 if len(item.classes_) == 2 else len(item.classes_)
    return is_array(item.coef_, rows, item.n_features_in_) and is_array(item.intercept_, rows)


def _ridge_of_classes_is_sound(item: Any) -> bool:
    if not is_fitted(item._label_binarizer, "LabelBinarizer"):
        return False
    rows, columns = len(item._label_binarizer.classes_), item.n_features_in_
    if rows == 2:
        return is_any_array(item.coef_, (columns,), (1, columns)) and is_any_array(item.intercept_, (1,), ())
    return is_array(item.coef_, rows, columns) and is_any_array(item.intercept_, (rows,), ())


def _line_is_sound(item: Any) -> bool:
    return is_array(item.coef_, item.n_features_in_) and is_any_array(item.intercept_, (), (1,))


def _bayes_is_sound(item: Any) -> bool:
    if not are_labels(item.classes_):
        return False
    shape = (len(item.classes_), item.n_features_in_)
    return (
        is_array(item.theta_, *shape)
        and is_array(item.var_, *shape, low=1e-300)
        and is_array(item.class_prior_, len(item.classes_), low=0, high=1)
    )


def _bag_is_sound(item: Any) -> bool:
    members, given, columns = item.estimators_, item.estimators_features_, item.n_features_in_
    if hasattr(item, "classes_") and not classes_are_counted(item):
        return False
    if not isinstance(members, list) or not isinstance(given, list) or not len(members) == len(given) > 0:
        return False
    return len(members) == item.n_estimators and all(
        isinstance(own, np.ndarray)
        and is_array(own, len(own), kinds="iu", low=0, high=columns - 1)
        and getattr(member, "n_features_in_", len(own)) == len(own)
        and hasattr(member, "predict")
        for member, own in zip(members, given, strict=True)
    )


def _vote_is_sound(item: Any) -> bool:
    sound = isinstance(item.estimators_, list) and len(item.estimators_) > 0
    sound = sound and all(hasattr(member, "predict") for member in item.estimators_)
    return sound and (
        not hasattr(item, "classes_") or (are_labels(item.classes_) and is_fitted(item.le_, "LabelEncoder"))
    )


def _calibrated_is_sound(item: Any) -> bool:
    return (
        are_labels(item.classes_)
        and are_fitted(item.calibrated_classifiers_, "_CalibratedClassifier")
        and len(item.calibrated_classifiers_) > 0
        and all(np.array_equal(member.classes, item.classes_) for member in item.calibrated_classifiers_)
    )


def _calibrated_member_is_sound(item: Any) -> bool:
    if not are_labels(item.classes) or item.method not in ("sigmoid", "isotonic") or not hasattr(item.estimator, "fit"):
        return False
    maps = 1 if len(item.classes) == 2 else len(item.classes)
    return are_fitted(item.calibrators, "_SigmoidCalibration", "IsotonicRegression") and len(item.calibrators) == maps


def _steps_are_sound(item: Any) -> bool:
    raw, fitted = item.X_thresholds_, item.y_thresholds_
    return (
        isinstance(raw, np.ndarray)
        and len(raw) > 0
        and is_array(raw, len(raw))
        and is_array(fitted, len(raw))
        and bool((np.diff(raw) >= 0).all())
        and is_finite(item.X_min_)
        and is_finite(item.X_max_)
        and isinstance(item.increasing_, bool | np.bool_)
    )


def _layers_are_sound(item: Any) -> bool:
    weights, offsets = item.coefs_, item.intercepts_
    of_classes = hasattr(item, "classes_")
    if of_classes and not (are_labels(item.classes_) and is_fitted(item._label_binarizer, "LabelBinarizer")):
        return False
    outputs = 1 if not of_classes or len(item.classes_) == 2 else len(item.classes_)
    if not isinstance(weights, list) or not isinstance(offsets, list) or not len(weights) == len(offsets) > 0:
        return False
    if not all(isinstance(each, np.ndarray) and each.ndim == 2 and is_array(each, *each.shape) for each in weights):
        return False
    shapes = [each.shape for each in weights]
    return (
        shapes[0][0] == item.n_features_in_
        and shapes[-1][1] == outputs
        and all(before[1] == after[0] for before, after in pairwise(shapes))
        and all(is_array(offset, shape[1]) for offset, shape in zip(offsets, shapes, strict=True))
        and is_whole(item.n_layers_, len(weights) + 1, len(weights) + 1)
        and is_whole(item.n_outputs_, outputs, outputs)
        and item.out_activation_ in ("logistic", "softmax", "identity")
    )


def _prior_is_sound(item: Any) -> bool:
    counted = classes_are_counted(item) and is_whole(item.n_outputs_, 1, 1)
    return counted and is_array(item.class_prior_, len(item.classes_), low=0, high=1)


def _constant_is_sound(item: Any) -> bool:
    return is_whole(item.n_outputs_, 1, 1) and is_array(item.constant_, 1, 1)
