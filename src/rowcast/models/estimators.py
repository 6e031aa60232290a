"""Scores and contributions of one fitted estimator, whatever library it is of.

Raw scores are log-odds of the positive class, shape (n,); log-probabilities up to a constant of the row, shape (n, k);
or values, shape (n,).
"""

import os
import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rowcast.errors import EstimatorError, ModelError
from rowcast.models.calibration import Floats
from rowcast.models.matrix import Matrix
from rowcast.models.target import Kind
from rowcast.models.validation import RETRAIN

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # 13 times faster where cores are shared; read once, at import

Engine = Literal["lightgbm", "linear", "sklearn"]  # "linear" is rowcast's own pipeline, which can explain itself

SURE = 1e-6  # no estimator is surer than this: the log of a probability stays finite


def raw_scores(
    engine: Engine,
    estimator: Any,
    matrix: Matrix,
    num_threads: int = 1,
    kind: Kind = "binary",
    classes: int = 2,
    order: tuple[int, ...] = (),
) -> Floats:
    """The estimator's score of each row before calibration: see this module.

    `classes` is k, of which the estimator may not have seen all; `order` names the place of each that it tells apart,
    where it numbers them otherwise. Raises EstimatorError where a user's estimator raises or returns something else
    than finite numbers of that shape.
    """
    if len(matrix) == 0:
        return np.empty((0, classes) if kind == "multiclass" else 0)
    if engine != "sklearn":
        try:
            return _own_scores(engine, estimator, matrix, num_threads, kind, classes, order)
        except Exception as error:
            raise ModelError("the model cannot score", hint=RETRAIN, detail=one_line(error)) from error
    numbered: Any = order or getattr(estimator, "classes_", range(classes))
    return _user_scores(estimator, matrix, kind, classes, np.array(numbered))


def _own_scores(
    engine: Engine,
    estimator: Any,
    matrix: Matrix,
    num_threads: int,
    kind: Kind,
    classes: int,
    order: tuple[int, ...],
) -> Floats:
    """Of LightGBM, or of rowcast's own pipeline."""
    if engine == "lightgbm":
        found = np.asarray(estimator.predict(matrix.values, raw_score=True, num_threads=num_threads), dtype=np.float64)
        if not order:
            return found
        several = kind == "multiclass"
        return _of_all(found.reshape(len(matrix), -1), np.array(order), classes) if several else _towards(found, order)
    # Summed row by row, for a BLAS product depends in its last bits on the number of rows.
    scaled, _ = scale_inputs(estimator, matrix)
    weights, intercept = read_weights(estimator)
    found = np.stack([(scaled * own).sum(axis=1) for own in weights], axis=1) + intercept
    return _of_all(found, estimator[-1].classes_, classes) if kind == "multiclass" else found[:, 0]


def _towards(found: Floats, order: npt.NDArray[Any] | tuple[int, ...]) -> Floats:
    """Log-odds of the positive class, from those of the estimator's second one."""
    return found if order[1] == 1 else -found


def raw_contributions(
    engine: Engine,
    estimator: Any,
    matrix: Matrix,
    num_threads: int = 1,
    place: npt.NDArray[np.int64] | None = None,
    against: npt.NDArray[np.int64] | None = None,
    order: tuple[int, ...] = (),
) -> Floats | None:
    """Share of each feature in the raw score, shape (n, f), less a constant of the model; None for a user's estimator.

    Of several classes: in the raw score of class `place` less that of class `against`, (n,) each.
    """
    if engine == "sklearn":
        return None
    if len(matrix) == 0:
        return np.empty(matrix.values.shape)
    rows, width = np.arange(len(matrix)), matrix.values.shape[1]
    if engine == "lightgbm":
        shares = np.asarray(
            estimator.predict(matrix.values, pred_contrib=True, num_threads=num_threads), dtype=np.float64
        ).reshape(len(matrix), -1, width + 1)[:, :, :-1]
        if place is None:
            return _towards(shares[:, 0], order or (0, 1))
        column = np.argsort(order) if order else np.arange(shares.shape[1])
        return shares[rows, column[place]] - shares[rows, column[against]]
    scaled, origin = scale_inputs(estimator, matrix)
    weights, _ = read_weights(estimator)
    if place is not None and len(weights) == 1:  # one log-odds stands for both of two classes
        weights = np.vstack([np.zeros_like(weights), weights])
    parts = scaled * (weights[0] if place is None else weights[place] - weights[against])
    folded = np.zeros(matrix.values.shape)
    for made, of in enumerate(origin):
        folded[:, of] += parts[:, made]
    return folded


def scale_inputs(pipeline: Any, matrix: Matrix) -> tuple[Floats, list[int]]:
    """Return a linear pipeline's scaled inputs, shape (n, inputs), and the column that each was made of."""
    prepare, scale, _ = (step for _, step in pipeline.steps)
    origin: list[int] = []
    for name, _, columns in prepare.transformers_:
        made = prepare.output_indices_[name]
        origin += list(columns) if len(columns) == made.stop - made.start else [columns[0]] * (made.stop - made.start)
    scaled = scale.transform(prepare.transform(matrix.values))
    return np.ascontiguousarray(scaled, dtype=np.float64), origin


def read_weights(pipeline: Any) -> tuple[Floats, Floats]:
    """Return weights (1 or k, inputs) and intercepts of a linear pipeline's regression."""
    last = pipeline[-1]
    return np.atleast_2d(last.coef_).astype(np.float64), np.atleast_1d(last.intercept_).astype(np.float64)


def _of_all(found: Floats, seen: npt.NDArray[Any], classes: int) -> Floats:
    """Scores of all k classes, from those of the classes that an estimator has seen."""
    if found.shape[1] == 1 and len(seen) == 2:  # one log-odds stands for both
        found = np.column_stack([np.zeros(len(found)), found[:, 0]])
    every = np.repeat(found.min(axis=1, keepdims=True) + np.log(SURE), classes, axis=1)
    every[:, seen] = found
    return every


def _user_scores(estimator: Any, matrix: Matrix, kind: Kind, classes: int, seen: npt.NDArray[Any]) -> Floats:
    """`seen` are the places of the classes that the estimator tells apart, as it numbers them."""
    frame = to_frame(matrix)
    wanted: tuple[int, ...] = (len(matrix),)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a user's estimator may warn; it may not stop a run that way
            if kind != "regression" and hasattr(estimator, "predict_proba"):
                found, wanted = np.asarray(estimator.predict_proba(frame)), (len(matrix), len(seen))
            elif kind != "regression" and hasattr(estimator, "decision_function"):
                found = np.asarray(estimator.decision_function(frame))
                if kind == "multiclass" and len(seen) > 2:
                    wanted = (len(matrix), len(seen))
            else:
                found = np.asarray(estimator.predict(frame))
    except Exception as error:
        raise EstimatorError(
            f"estimator {_name(estimator)} raised while scoring",
            detail=one_line(error),
            hint="missing numbers and texts arrive as NaN: it must take both",
        ) from error
    if found.shape != wanted or found.dtype.kind not in "fiub" or not np.isfinite(found).all():
        what = "values that are not finite numbers" if found.shape == wanted else f"shape {found.shape}"
        raise EstimatorError(
            f"estimator {_name(estimator)} returned {what} where {wanted} numbers are needed",
            hint="predict_proba gives a column for each class, predict one number for each row; decision_function one "
            "number, or a column for each class where there are more than two",
        )
    found = found.astype(np.float64)
    if kind != "regression" and hasattr(estimator, "predict_proba"):
        found = np.log(np.clip(found, SURE, 1 - SURE))
        return _towards(found[:, 1] - found[:, 0], seen) if kind == "binary" else _of_all(found, seen, classes)
    if kind != "multiclass":
        return _towards(found, seen) if kind == "binary" else found
    if not hasattr(estimator, "decision_function"):
        found = np.where(found[:, None] == seen, 0.0, np.log(SURE))
    return _of_all(found.reshape(len(matrix), -1), seen, classes)


def _name(estimator: Any) -> str:
    steps = getattr(estimator, "steps", None)
    return f"Pipeline of {type(steps[-1][1]).__name__}" if steps else type(estimator).__name__


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


def one_line(error: BaseException) -> str:
    """Type and message of an exception on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
