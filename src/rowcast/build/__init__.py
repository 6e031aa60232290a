"""Training rows to a challenger: reduction, candidates, time-ordered validation, calibration, threshold.

Whatever is fitted to judge a model is fitted inside a fold, on rows before those it predicts; the model that is handed
over is then fitted in the same way on all of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast import config
from rowcast.build.candidates import Candidate, Fitted, default, user
from rowcast.build.folds import Fold, folds
from rowcast.build.quality import OutOfFold, best, cheapest_threshold, honest, metrics
from rowcast.build.reduction import Reduced, reduce
from rowcast.contract import Contract
from rowcast.errors import TrainingError
from rowcast.models import calibration
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.models.usual import usual

MIN_RARER = 10  # rows of the rarer class in all
MIN_RARER_OUT_OF_FOLD = 3
_EXPLAINED = 2_000  # rows over which contributions are averaged


@dataclass(frozen=True)
class Training:
    """Labelled rows in time order."""

    matrix: Matrix  # n rows, all candidate columns
    outcome: npt.NDArray[np.bool_]  # (n,), True is the positive class
    time: npt.NDArray[np.int64]  # (n,), ascending; equal where no order is known
    group: npt.NDArray[np.int64] | None = None  # (n,), rows that belong together


@dataclass(frozen=True)
class Built:
    """A challenger and all that was learned on the way."""

    model: Model
    metrics: dict[str, float | int | str | None]  # out of fold; JSON-safe
    candidates: list[dict[str, Any]]  # name, auc, auc_low, auc_high, log_loss, cost_per_row, chosen
    dropped: dict[str, str]  # column -> why the model does not use it
    features_ranked: list[tuple[str, float]]  # most important first


def build(
    training: Training,
    contract: Contract,
    model: config.Model,
    task: config.Task,
    classes: tuple[Any, Any],
    seed: int = 0,
) -> Built:
    """Train, validate and choose; `classes` are (negative, positive) as the source spells them.

    A repeat with the same rows, config and seed gives the same model. Raises TrainingError where the rows do not
    allow a model, EstimatorError where a user's estimator fails, ModelError where it could not be stored.
    """
    _check_enough(training, model, classes)
    tried = default(seed) if model.estimator == "default" else [user(model.estimator, seed)]
    scores = _out_of_fold(training, tried, model, seed)
    chosen = best(scores)
    judged = honest(scores, task)
    reduced = _reduced(training.matrix, training.outcome, model, seed)
    matrix = training.matrix.select(reduced.kept)
    fitted = next(each for each in tried if each.name == chosen).fit(matrix, training.outcome)
    to_probability = calibration.fit(scores.raw[chosen], scores.outcome)
    challenger = Model(
        features=reduced.kept,
        contract=contract,
        estimator=fitted.estimator,
        engine=fitted.engine,
        calibration=to_probability,
        threshold=cheapest_threshold(to_probability(scores.raw[chosen]), scores.outcome, task),
        classes=classes,
        usual=usual(matrix),
    )
    counts = {"rows": len(training.outcome), "positives": int(training.outcome.sum()), "features": len(reduced.kept)}
    return Built(
        model=challenger,
        metrics={"candidate": chosen, **counts, **metrics(scores, chosen, judged, task)},
        candidates=[_figures(scores, name, name == chosen, task) for name in scores.raw],
        dropped=reduced.dropped,
        features_ranked=_ranked(challenger, matrix, reduced),
    )


def _check_enough(training: Training, model: config.Model, classes: tuple[Any, Any]) -> None:
    rows, positives = len(training.outcome), int(training.outcome.sum())
    if rows < model.min_train_rows:
        raise TrainingError(
            f"{rows} labelled rows are too few to train on: min_train_rows is {model.min_train_rows}",
            hint="wait for more labels, or lower [model] min_train_rows",
        )
    for name, count in ((classes[1], positives), (classes[0], rows - positives)):
        if count < MIN_RARER:
            raise TrainingError(
                f"only {count} of {rows} labelled rows are {name!r}: {MIN_RARER} are needed of each class",
                hint="wait for more labels, raise [model] max_train_rows, or check [task] positive",
            )


def _reduced(matrix: Matrix, outcome: npt.NDArray[np.bool_], model: config.Model, seed: int) -> Reduced:
    reduced = reduce(matrix, outcome, model.max_features, seed)
    if not reduced.kept:
        raise TrainingError(
            f"none of {len(matrix.names)} columns tells anything in {len(matrix)} rows: all are constant or missing",
            hint="check [source] exclude and missing, and that the table has feature columns",
        )
    return reduced


def _out_of_fold(training: Training, tried: list[Candidate], model: config.Model, seed: int) -> OutOfFold:
    """Predict every later row with models that saw only earlier ones; what is fitted is fitted on those alone."""
    matrix, outcome = training.matrix, training.outcome
    split = folds(training.time, training.group, outcome)
    _check_folds(split, outcome)
    raw = {candidate.name: np.full(len(outcome), np.nan) for candidate in tried}
    fold_of = np.full(len(outcome), -1)
    for number, fold in enumerate(split):
        earlier, known = Matrix(matrix.values[: fold.train], matrix.names, matrix.categories), outcome[: fold.train]
        kept = _reduced(earlier, known, model, seed).kept
        earlier, later = earlier.select(kept), matrix.take(fold.test).select(kept)
        fold_of[fold.test] = number
        for candidate in tried:
            fitted: Fitted = candidate.fit(earlier, known)
            raw[candidate.name][fold.test] = fitted.raw(later)
    seen = fold_of >= 0
    return OutOfFold(outcome[seen], fold_of[seen], {name: values[seen] for name, values in raw.items()})


def _check_folds(split: list[Fold], outcome: npt.NDArray[np.bool_]) -> None:
    tested = outcome[np.concatenate([fold.test for fold in split])] if split else outcome[:0]
    rarer = min(int(tested.sum()), int((~tested).sum()))
    if rarer < MIN_RARER_OUT_OF_FOLD:
        raise TrainingError(
            f"the rows cannot be validated in time order: only {rarer} of the rarer class come late enough",
            hint="wait for more labels; check that [source] time has many values and [source] group is not one group",
        )


def _figures(scores: OutOfFold, name: str, chosen: bool, task: config.Task) -> dict[str, Any]:
    alone = OutOfFold(scores.outcome, scores.fold, {name: scores.raw[name]})
    figures = metrics(alone, name, honest(alone, task), task)
    shown = ("auc", "auc_low", "auc_high", "average_precision", "log_loss", "cost_per_row")
    return {"name": name, **{key: figures[key] for key in shown}, "chosen": chosen}


def _ranked(model: Model, matrix: Matrix, reduced: Reduced) -> list[tuple[str, float]]:
    """Features by mean absolute contribution; a user's estimator shows none, so by their own relevance."""
    rows = matrix.take(np.linspace(0, len(matrix) - 1, min(len(matrix), _EXPLAINED)).astype(np.int64))
    shares = model.contributions(rows)
    if shares is None:
        weight = [reduced.relevance[name] for name in model.features]
    else:
        weight = np.abs(shares).mean(axis=0).tolist()
    return sorted(zip(model.features, weight, strict=True), key=lambda item: -item[1])


__all__ = ["Built", "Training", "build"]
