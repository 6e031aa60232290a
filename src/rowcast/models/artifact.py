"""What a trained model is, and its bytes.

The bytes are a zip of `model.json` and one estimator: LightGBM's text, or skops. Neither is trusted: the SHA-256 is
checked first, then every type against the list below, then that every tree stays inside its own arrays, since both
LightGBM and scikit-learn follow a tree's indices unchecked.
"""

import hashlib
import io
import json
import os
import warnings
import zipfile
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rowcast.contract import Contract
from rowcast.errors import EstimatorError, ModelError, RowcastError
from rowcast.models import calibration as calibrations
from rowcast.models import usual as usuals
from rowcast.models.calibration import Calibration, Floats
from rowcast.models.matrix import Matrix
from rowcast.models.soundness import RETRAIN, check_lightgbm, check_sklearn
from rowcast.models.usual import Usual

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # 13 times faster where cores are shared; read once, at import

Engine = Literal["lightgbm", "linear", "sklearn"]

FORMAT = 1
MAX_PART_BYTES = 1 << 30
_PARTS: dict[Engine, str] = {"lightgbm": "lightgbm.txt", "linear": "sklearn.skops", "sklearn": "sklearn.skops"}

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


@dataclass(frozen=True)
class Model:
    """One version of a model: everything that turns a feature matrix into a decision."""

    features: tuple[str, ...]  # in the order that the estimator was fitted on
    contract: Contract  # of all candidate columns, not of the features alone
    estimator: Any  # lightgbm.Booster or a fitted scikit-learn estimator
    engine: Engine  # "linear" is rowcast's own pipeline, which can explain itself
    calibration: Calibration
    threshold: float  # on the calibrated probability: a row is flagged where score >= threshold
    classes: tuple[Any, Any]  # (negative, positive) as the source spells them
    usual: Usual = field(default_factory=dict)  # of the features, in the training rows

    def score(self, matrix: Matrix, num_threads: int = 1) -> Floats:
        """Calibrated probability of the positive class, shape (n,), float64; columns are found by name.

        The size of a batch changes a score by less than 1e-9. `num_threads` holds for LightGBM. Raises ModelError
        where a feature is missing or coded otherwise, EstimatorError where a user's estimator fails.
        """
        return self.calibration(raw_scores(self.engine, self.estimator, self._select(matrix), num_threads))

    def contributions(self, matrix: Matrix, num_threads: int = 1) -> Floats | None:
        """Share of each feature in the raw score (log-odds before calibration), shape (n, f), in `features` order.

        They sum to the raw score less a constant of the model. LightGBM: exact tree SHAP values (Lundberg et al. 2020,
        Nature Machine Intelligence 2). Linear: coefficient times distance from the training mean, the parts made of
        one column added up. None for a user's own estimator.
        """
        return raw_contributions(self.engine, self.estimator, self._select(matrix), num_threads)

    def to_bytes(self) -> bytes:
        """Serialise; equal models give equal bytes. Raises ModelError for an estimator that could not be loaded."""
        described = {
            "format": FORMAT,
            "engine": self.engine,
            "features": self.features,
            "contract": json.loads(self.contract.to_json()),
            "calibration": calibrations.to_dict(self.calibration),
            "threshold": self.threshold,
            "classes": self.classes,
            "usual": self.usual,
        }
        if self.engine == "lightgbm":
            text = self.estimator.model_to_string()
            check_lightgbm(text, len(self.features))
            part = text.encode()
        else:
            part = storable(self.estimator)
        text = json.dumps(described, ensure_ascii=False, allow_nan=False, indent=1)
        return _zip({"model.json": text.encode(), _PARTS[self.engine]: part}, zipfile.ZIP_DEFLATED)

    @classmethod
    def from_bytes(cls, data: bytes, sha256: str) -> "Model":
        """Load what `to_bytes` wrote. Raises ModelError unless the bytes are the ones saved and are safe to load."""
        if hashlib.sha256(data).hexdigest() != sha256.lower():
            raise ModelError("the model's bytes were changed: their SHA-256 is not the recorded one", hint=RETRAIN)
        try:
            return cls._read(data)
        except RowcastError:
            raise
        except Exception as error:  # whatever a malformed file provokes in a parser, the answer is the same
            raise ModelError(f"the model's bytes cannot be read: {one_line(error)}", hint=RETRAIN) from None

    @classmethod
    def _read(cls, data: bytes) -> "Model":
        parts = _unzip(data)
        described = json.loads(parts.pop("model.json"))
        if described["format"] != FORMAT:
            raise ModelError(
                f"the model has format {described['format']!r}, this rowcast reads {FORMAT}", hint="upgrade rowcast"
            )
        engine: Engine = described["engine"]
        part = parts.pop(_PARTS[engine])
        if parts:
            raise ModelError(f"the model's bytes hold an unknown part: {sorted(parts)[0]!r}", hint=RETRAIN)
        features = tuple(described["features"])
        contract = Contract.from_json(json.dumps(described["contract"]))
        contract.select(features)
        negative, positive = described["classes"]
        return cls(
            features=features,
            contract=contract,
            estimator=_load_lightgbm(part, len(features)) if engine == "lightgbm" else _load_sklearn(part),
            engine=engine,
            calibration=calibrations.from_dict(described["calibration"]),
            threshold=float(described["threshold"]),
            classes=(negative, positive),
            usual=usuals.from_dict(described.get("usual", {})),
        )

    def _select(self, matrix: Matrix) -> Matrix:
        absent = [name for name in self.features if name not in matrix.names]
        if absent:
            raise ModelError(
                f"the model needs column '{absent[0]}', which the rows lack"
                + (f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""),
                hint="bring the column back, or retrain without it: 'rowcast retrain'",
            )
        selected = matrix.select(self.features)
        for rule in self.contract.select(self.features).rules:
            known = rule.categories if rule.kind == "category" else None
            if selected.categories.get(rule.name) != known:
                raise ModelError(
                    f"column '{rule.name}' is coded differently from what the model was trained on",
                    hint="make the matrix with the model's own contract",
                )
        return selected


def raw_scores(engine: Engine, estimator: Any, matrix: Matrix, num_threads: int = 1) -> Floats:
    """The estimator's score of each row before calibration, shape (n,); log-odds where it has them.

    Raises EstimatorError where a user's estimator raises or returns something else than n finite numbers.
    """
    if len(matrix) == 0:
        return np.empty(0)
    if engine == "lightgbm":
        return np.asarray(estimator.predict(matrix.values, raw_score=True, num_threads=num_threads), dtype=np.float64)
    if engine == "linear":
        # Summed row by row, for a BLAS product depends in its last bits on the number of rows.
        parts, _ = _linear_parts(estimator, matrix)
        return np.asarray(parts.sum(axis=1) + float(estimator[-1].intercept_[0]), dtype=np.float64)
    return _user_scores(estimator, matrix)


def raw_contributions(engine: Engine, estimator: Any, matrix: Matrix, num_threads: int = 1) -> Floats | None:
    """See `Model.contributions`."""
    if engine == "sklearn":
        return None
    if len(matrix) == 0:
        return np.empty(matrix.values.shape)
    if engine == "lightgbm":
        shares = estimator.predict(matrix.values, pred_contrib=True, num_threads=num_threads)
        return np.asarray(shares[:, :-1], dtype=np.float64)
    parts, origin = _linear_parts(estimator, matrix)
    folded = np.zeros(matrix.values.shape)
    for place, column in enumerate(origin):
        folded[:, column] += parts[:, place]
    return folded


def _linear_parts(pipeline: Any, matrix: Matrix) -> tuple[Floats, list[int]]:
    """Coefficient times scaled input, shape (n, inputs), and for each input the column that it was made of."""
    prepare, scale, regression = (step for _, step in pipeline.steps)
    origin: list[int] = []
    for name, _, columns in prepare.transformers_:
        made = prepare.output_indices_[name]
        origin += list(columns) if len(columns) == made.stop - made.start else [columns[0]] * (made.stop - made.start)
    scaled = scale.transform(prepare.transform(matrix.values))
    return np.ascontiguousarray(scaled * regression.coef_[0], dtype=np.float64), origin


def _user_scores(estimator: Any, matrix: Matrix) -> Floats:
    steps = getattr(estimator, "steps", None)
    name = f"Pipeline of {type(steps[-1][1]).__name__}" if steps else type(estimator).__name__
    frame = to_frame(matrix)
    wanted: tuple[int, ...] = (len(matrix),)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a user's estimator may warn; it may not stop a run that way
            if hasattr(estimator, "predict_proba"):
                found, wanted = np.asarray(estimator.predict_proba(frame)), (len(matrix), 2)
            else:
                method = estimator.decision_function if hasattr(estimator, "decision_function") else estimator.predict
                found = np.asarray(method(frame))
    except Exception as error:
        raise EstimatorError(
            f"estimator {name} raised while scoring: {one_line(error)}",
            hint="missing numbers and texts arrive as NaN: it must take both",
        ) from error
    if found.shape != wanted or found.dtype.kind not in "fiub" or not np.isfinite(found).all():
        what = "values that are not finite numbers" if found.shape == wanted else f"shape {found.shape}"
        raise EstimatorError(
            f"estimator {name} returned {what} where {wanted} numbers are needed",
            hint="predict_proba gives two columns, decision_function and predict one number for each row",
        )
    if found.ndim == 1:
        return found.astype(np.float64)
    probability = np.clip(found[:, 1].astype(np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(probability / (1 - probability)), dtype=np.float64)


def to_frame(matrix: Matrix) -> Any:
    """The pandas DataFrame that a user's estimator is given. Raises EstimatorError where pandas is not installed."""
    try:
        # A fixed type: text that is missing in all rows of a batch must be missing in the same way as in some.
        return matrix.to_pandas().astype(dict.fromkeys(matrix.categories, "str"))
    except ModuleNotFoundError:
        raise EstimatorError(
            "your own estimator is given a pandas DataFrame, and pandas is not installed",
            hint="pip install 'rowcast[estimator]'",
        ) from None


def storable(estimator: Any) -> bytes:
    """A scikit-learn estimator as skops bytes. Raises ModelError naming the first type that would not be loaded."""
    import skops.io

    try:
        data = _canonical(skops.io.dumps(estimator))
    except Exception as error:
        name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
        raise ModelError(f"estimator {name} cannot be saved: {one_line(error)}", hint=_only_sklearn()) from error
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


def _load_sklearn(data: bytes) -> Any:
    import skops.io

    _unzip(data)  # its parts too have a size limit
    estimator = skops.io.loads(data, trusted=_check_types(data))
    if not hasattr(estimator, "predict"):
        raise ModelError("the model's estimator cannot predict", hint=RETRAIN)
    check_sklearn(estimator)
    return estimator


def _load_lightgbm(part: bytes, width: int) -> Any:
    import lightgbm

    text = part.decode()
    check_lightgbm(text, width)
    return lightgbm.Booster(model_str=text)


def _zip(parts: dict[str, bytes], compression: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content, compress_type=compression)
    return out.getvalue()


def _unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_PART_BYTES:
            raise ModelError(f"the model's bytes unpack to more than {MAX_PART_BYTES >> 20} MiB", hint=RETRAIN)
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def _canonical(data: bytes) -> bytes:
    """skops names parts and objects by memory address; number them in order, so that equal models have equal bytes."""
    parts = _unzip(data)
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
    return _zip({"schema.json": json.dumps(schema).encode(), **renamed}, zipfile.ZIP_STORED)


def one_line(error: BaseException) -> str:
    """Type and message of an exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
