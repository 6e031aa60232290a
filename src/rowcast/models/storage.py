"""The bytes of fitted estimators: LightGBM's text, or skops; never pickle.

Neither is trusted: every type is checked against the list below, then that every tree stays inside its own arrays,
since both LightGBM and scikit-learn follow a tree's indices unchecked.
"""

import io
import json
import zipfile
from typing import Any

from rowcast.errors import ModelError
from rowcast.models.estimators import Engine, one_line
from rowcast.models.validation import RETRAIN, check_lightgbm, check_sklearn

MAX_PART_BYTES = 1 << 30
SUFFIX: dict[Engine, str] = {"lightgbm": "lightgbm.txt", "linear": "skops", "sklearn": "skops"}

# Beyond what skops trusts itself (scikit-learn's estimators, numbers, strings, arrays, containers). Each was read for
# what its construction, attributes and call can do. No name of a general callable (functools, operator) may enter.
REVIEWED = (
    "numpy.clip",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",  # its indices are checked below
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",  # its indices are checked below
    "sklearn.utils._bunch.Bunch",
)


def dump_estimator(engine: Engine, estimator: Any, width: int, classes: int) -> bytes:
    """One fitted estimator of `width` columns. Raises ModelError for one that could not be loaded."""
    if engine != "lightgbm":
        return check_storable(estimator)
    text: str = estimator.model_to_string()
    check_lightgbm(text, width, classes)
    return text.encode()


def load_estimator(engine: Engine, part: bytes, width: int, classes: int) -> Any:
    """What `dumped` wrote; `classes` is 1 unless there are several scores of a row. Raises ModelError."""
    if engine not in SUFFIX:
        raise ModelError(f"the model has an estimator of kind {engine!r}, which is not known", hint="upgrade rowcast")
    return load_lightgbm(part, width, classes) if engine == "lightgbm" else load_sklearn(part)


def check_storable(estimator: Any) -> bytes:
    """A scikit-learn estimator as skops bytes. Raises ModelError naming the first type that would not be loaded."""
    import skops.io

    try:
        data = _canonical(skops.io.dumps(estimator))
    except Exception as error:
        name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
        raise ModelError(f"estimator {name} cannot be saved", hint=_only_sklearn(), detail=one_line(error)) from error
    _check_types(data)
    return data


def _check_types(data: bytes) -> list[str]:
    import skops.io

    found: list[str] = skops.io.get_untrusted_types(data=data)
    for name in found:
        if name not in REVIEWED:
            raise ModelError(f"the model holds type {name}, which is not on the allow-list", hint=_only_sklearn())
    return found


def _only_sklearn() -> str:
    return (
        "a model file must not be able to run code: build the estimator from scikit-learn's own classes "
        "(Pipeline, ColumnTransformer, ...), or return a lightgbm.LGBMClassifier itself"
    )


def load_sklearn(data: bytes) -> Any:
    import skops.io

    unzip_parts(data)  # its parts too have a size limit
    estimator = skops.io.loads(data, trusted=_check_types(data))
    if not hasattr(estimator, "predict"):
        raise ModelError("the model's estimator cannot predict", hint=RETRAIN)
    check_sklearn(estimator)
    return estimator


def load_lightgbm(part: bytes, width: int, classes: int) -> Any:
    import lightgbm

    text = part.decode()
    check_lightgbm(text, width, classes)
    return lightgbm.Booster(model_str=text)


def zip_parts(parts: dict[str, bytes], compression: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, compress_type=compression)
    return out.getvalue()


def unzip_parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_PART_BYTES:
            raise ModelError(f"the model's bytes unpack to more than {MAX_PART_BYTES >> 20} MiB", hint=RETRAIN)
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def _canonical(data: bytes) -> bytes:
    """skops names parts and objects by memory address; number them in order, so that equal models have equal bytes."""
    parts = unzip_parts(data)
    schema = json.loads(parts.pop("schema.json"))
    names: dict[str, str] = {}
    numbers: dict[int, int] = {}

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "__id__" in node:
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
            if isinstance(node.get("file"), str):
                suffix = node["file"].rpartition(".")[2]
                node["file"] = names.setdefault(node["file"], f"{len(names) + 1}.{suffix}")
        for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(below)

    walk(schema)
    renamed = {new: parts[old] for old, new in names.items()}
    return zip_parts({"schema.json": json.dumps(schema).encode(), **renamed}, zipfile.ZIP_STORED)
