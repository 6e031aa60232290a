"""The bytes of fitted estimators: LightGBM's text, or skops; never pickle.

Neither is trusted, since LightGBM and scikit-learn follow what is in a model unchecked. A file is parsed strictly, and
the libraries are given only what was written or built anew from what was parsed.
"""

import io
import json
import zipfile
from typing import Any

from rowcast.errors import ModelError
from rowcast.models.estimators import Engine, one_line
from rowcast.models.lightgbm_text import Trees, parse_trees, write_trees
from rowcast.models.sklearn_file import ONLY_SKLEARN, read_sklearn
from rowcast.models.validation import RETRAIN

MAX_PART_BYTES = 1 << 30
SUFFIX: dict[Engine, str] = {"lightgbm": "lightgbm.txt", "linear": "skops", "sklearn": "skops"}


def dump_estimator(engine: Engine, estimator: Any, width: int, classes: int) -> bytes:
    """One fitted estimator of `width` columns. Raises ModelError for one that could not be loaded."""
    if engine != "lightgbm":
        return check_storable(estimator)
    trees = parse_trees(estimator.model_to_string())
    _check_fits(trees, width, classes)
    return write_trees(trees).encode()


def load_estimator(engine: Engine, part: bytes, width: int, classes: int) -> Any:
    """Return the estimator in a part of a model file; `classes` is 1 where a row has one score. Raise ModelError."""
    if engine not in SUFFIX:
        raise ModelError(f"the model has an estimator of kind {engine!r}, which is not known", hint="upgrade rowcast")
    return load_lightgbm(parse_trees(part.decode()), width, classes) if engine == "lightgbm" else load_sklearn(part)


def check_storable(estimator: Any) -> bytes:
    """Return a scikit-learn estimator as skops bytes, with what predicting needs alone.

    Raises ModelError naming the first type that would not be loaded.
    """
    import skops.io

    try:
        told = skops.io.dumps(estimator)
        return _canonical(skops.io.dumps(read_sklearn(unzip_parts(told))))
    except ModelError:
        raise
    except Exception as error:
        name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
        raise ModelError(f"estimator {name} cannot be saved", hint=ONLY_SKLEARN, detail=one_line(error)) from error


def load_sklearn(data: bytes) -> Any:
    """Return the estimator in skops bytes. Raises ModelError for what is not on the allow-list or does not fit."""
    estimator = read_sklearn(unzip_parts(data))  # its parts too have a size limit
    if not hasattr(estimator, "predict"):
        raise ModelError("the model's estimator cannot predict", hint=RETRAIN)
    return estimator


def load_lightgbm(trees: Trees, width: int, classes: int) -> Any:
    """Return a booster with these trees. Raises ModelError where they are of other columns or classes."""
    import lightgbm

    _check_fits(trees, width, classes)
    return lightgbm.Booster(model_str=write_trees(trees))


def _check_fits(trees: Trees, width: int, classes: int) -> None:
    if len(trees.names) != width or trees.scores != classes:
        raise ModelError(
            f"the model's LightGBM text has {len(trees.names)} columns and {trees.scores} scores of a row, "
            f"where {width} and {classes} are needed",
            hint=RETRAIN,
        )


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
