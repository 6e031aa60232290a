"""A model that was fitted elsewhere, from its file: LightGBM's text or skops, never a pickle."""

import io
import zipfile
from dataclasses import dataclass
from typing import Any

from rowcast.errors import ModelError
from rowcast.models.estimators import Engine
from rowcast.models.lightgbm_text import parse_trees
from rowcast.models.storage import load_lightgbm, load_sklearn
from rowcast.models.target import Kind, canonical_label
from rowcast.models.validation import RETRAIN

_CONVERT = (
    "convert it where you trust it: skops.io.dump(estimator, 'model.skops') for scikit-learn, "
    "booster.save_model('model.txt') for LightGBM (LGBMClassifier has it as .booster_)"
)
_WRITE_ANEW = (
    "the file was changed or cut off since it was written: write it anew where the model was fitted, by "
    "skops.io.dump(estimator, 'model.skops') or booster.save_model('model.txt'), and copy it byte by byte"
)
_NO_ROWS = (
    "such a model carries its training rows, which no file may: fit one that does not, such as LogisticRegression, "
    "ExtraTreesClassifier or LightGBM's, and import that"
)
# What can be done where a type is on no list, by the beginning of its name.
_OTHER_WAYS = (
    ("lightgbm.", "save LightGBM's own text, and import that: model.booster_.save_model('model.txt')"),
    ("xgboost.", "no file of it can be imported: fit LightGBM on the same rows, and import its text"),
    ("catboost.", "no file of it can be imported: fit LightGBM on the same rows, and import its text"),
    ("sklearn.neighbors.", _NO_ROWS),
    ("sklearn.svm.", _NO_ROWS),
)
# How files begin that load by running what they hold: pickle, and joblib's compressed forms of it.
_PICKLES = (
    b"\x80",
    b"(",
    b"c",
    b"]",
    b"}",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
)
_OBJECTIVES: dict[Kind, tuple[str, ...]] = {
    "binary": ("binary", "cross_entropy"),
    "multiclass": ("multiclass", "multiclassova"),
    "regression": ("regression", "huber", "fair", "quantile", "mape", "regression_l1", "regression_l2"),
}


@dataclass(frozen=True)
class ImportedEstimator:
    """A fitted estimator and the columns that it was fitted on, in their order."""

    engine: Engine
    estimator: Any
    features: tuple[str, ...]
    order: tuple[int, ...]  # the places of the classes, as the estimator numbers them; () for values


def read_estimator(name: str, data: bytes, kind: Kind, classes: tuple[Any, ...]) -> ImportedEstimator:
    """The estimator in a file's bytes; `classes` are those of the labels.

    LightGBM's text does not name classes: 0 and 1 are negative and positive, more are numbered in their sorted order,
    as LGBMClassifier does.

    Raises ModelError for a pickle, with the way to convert it, for what is not on the allow-list, and for a model that
    does not name its columns or is of another kind.
    """
    refuse_pickle(name, data)
    return _lightgbm(name, data, kind, classes) if _is_text(data) else _sklearn(name, data, kind, classes)


def check_file(name: str, data: bytes) -> None:
    """Raise ModelError for a file that holds no model which could be imported, whatever its columns and classes are."""
    refuse_pickle(name, data)
    try:
        if _is_text(data):
            parse_trees(_decode(data))
        else:
            load_sklearn(data)
    except ModelError as error:
        if error.hint != RETRAIN:
            raise
        # No version is broken: the way out is where the file came from.
        raise ModelError(f"{name}: {error.what}", hint=_WRITE_ANEW, detail=error.detail) from error


def refuse_pickle(name: str, data: bytes) -> None:
    """Raise ModelError for a file that is neither LightGBM's text nor skops, with the way to convert it."""
    is_zip = zipfile.is_zipfile(io.BytesIO(data))
    if _is_text(data) or (is_zip and b"schema.json" in data):
        return
    if is_zip or data.startswith(_PICKLES):
        raise ModelError(f"{name} is a pickle, or holds one: loading it would run whatever it says", hint=_CONVERT)
    raise ModelError(f"{name} is neither LightGBM's text nor a skops file", hint=_CONVERT)


def _is_text(data: bytes) -> bool:
    return data.startswith((b"tree\n", b"tree\r\n", b"\xef\xbb\xbftree"))


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ModelError("the model's LightGBM text is no UTF-8", hint=RETRAIN) from None


def _lightgbm(name: str, data: bytes, kind: Kind, classes: tuple[Any, ...]) -> ImportedEstimator:
    trees = parse_trees(_decode(data))
    if trees.objective not in _OBJECTIVES[kind]:
        raise ModelError(
            f"{name} was trained for {trees.objective!r}, and [task] kind is {kind}",
            hint=f"LightGBM's objectives for it are {', '.join(_OBJECTIVES[kind])}",
        )
    if all(column == f"Column_{place}" for place, column in enumerate(trees.names)):
        raise ModelError(
            f"{name} does not name its columns", hint="train on a DataFrame, or give Dataset(feature_name=[…])"
        )
    if trees.splits_on_categories:
        raise ModelError(
            f"{name} splits on categories by codes that it does not explain",
            hint="train on numbers only; or let a scikit-learn pipeline encode texts, and import that by skops",
        )
    estimator = load_lightgbm(trees, len(trees.names), len(classes) if kind == "multiclass" else 1)
    order = tuple(sorted(range(len(classes)), key=lambda place: classes[place])) if kind == "multiclass" else ()
    return ImportedEstimator("lightgbm", estimator, trees.names, order)


def _sklearn(name: str, data: bytes, kind: Kind, classes: tuple[Any, ...]) -> ImportedEstimator:
    from sklearn.base import is_classifier, is_regressor

    try:
        estimator = load_sklearn(data)
    except ModelError as error:
        error.hint = next((way for package, way in _OTHER_WAYS if error.about.startswith(package)), error.hint)
        raise
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        raise ModelError(f"{name} does not name its columns", hint="fit it on a pandas DataFrame")
    if not (is_regressor(estimator) if kind == "regression" else is_classifier(estimator)):
        raise ModelError(
            f"{name} holds a {type(estimator).__name__}, and [task] kind is {kind}",
            hint="import a classifier for classes, a regressor for values",
        )
    order: tuple[int, ...] = ()
    if kind != "regression":
        places = {canonical_label(label): place for place, label in enumerate(classes)}
        told = [canonical_label(label) for label in estimator.classes_.tolist()]
        if sorted(told) != sorted(places):
            raise ModelError(
                f"{name} tells other classes apart than those of the labels",
                detail=f"it knows {', '.join(told)}, and the labels are {', '.join(places)}",
                hint="import a model of the same outcome, trained on labels spelled as the source spells them",
            )
        order = tuple(places[label] for label in told)
    return ImportedEstimator("sklearn", estimator, tuple(map(str, names)), order)
