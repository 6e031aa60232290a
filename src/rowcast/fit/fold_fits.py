"""Candidates fitted inside folds, and what they say of the rows that came after all that they were fitted on."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from rowcast import config
from rowcast.errors import TrainingError
from rowcast.fit.candidates import Candidate
from rowcast.fit.feature_selection import SelectedFeatures
from rowcast.fit.folds import Fold, cut_fold, folds, is_trainable
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.sharing import choose_features, fit_candidate
from rowcast.fit.training_data import TrainingData
from rowcast.models.calibration import Floats
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

MIN_RARER_OUT_OF_FOLD = 3


def reduce_features(matrix: Matrix, target: Target, model: config.Model, seed: int) -> SelectedFeatures:
    """Return the columns to train on. Raise TrainingError where none tells anything."""
    reduced = choose_features(matrix, target, model.max_features, seed)
    if not reduced.kept:
        raise TrainingError(
            f"none of {len(matrix.names)} columns tells anything in {len(matrix)} rows: all are constant or missing",
            hint="check [source] exclude and missing, and that the table has feature columns",
        )
    return reduced


def predict_out_of_fold(
    training: TrainingData, tried: list[Candidate], model: config.Model, seed: int, spent: Callable[[], float]
) -> tuple[OutOfFold, npt.NDArray[np.int64]]:
    """Predict every later row with models that saw only earlier ones; what is fitted is fitted on those alone.

    Beside the scores, the places of their rows among the training rows.
    """
    matrix, target = training.matrix, training.target
    split = folds(training.time, training.known, training.group, target, _window(model))
    _check_folds(split, target)
    kept = [reduce_features(matrix.take(fold.train), target.take(fold.train), model, seed).kept for fold in split]
    shape = (len(target), len(target.classes)) if target.kind == "multiclass" else (len(target),)
    raw: dict[str, Floats] = {}
    for candidate in tried:
        if raw and model.budget is not None and spent() > model.budget.total_seconds():
            break
        raw[candidate.name] = np.full(shape, np.nan)
        for fold, names in zip(split, kept, strict=True):
            chosen = matrix.select(names)
            fitted = fit_candidate(candidate, chosen.take(fold.train), target.take(fold.train))
            raw[candidate.name][fold.test] = fitted.raw(chosen.take(fold.test))
    fold_of = np.full(len(target), -1)
    for number, fold in enumerate(split):
        fold_of[fold.test] = number
    block = np.arange(len(target)) if training.block is None else training.block
    order = np.argsort(fold_of, kind="stable")
    seen = order[fold_of[order] >= 0]  # a group's later rows come with its first
    return OutOfFold(target, fold_of, block, raw).take(seen), seen


def predict_gate_rows(
    training: TrainingData, tried: list[Candidate], model: config.Model, seed: int
) -> tuple[npt.NDArray[np.int64], dict[str, Floats]]:
    """Predict the gate's rows with models that saw only what was known when the first of them came.

    Return their places (m,), and each candidate's raw scores of them; none where too little was known.
    """
    matrix, target, border = training.matrix, training.target, training.judged_from
    if border is None:
        return np.empty(0, np.int64), {}
    fold = cut_fold(training.time, training.known, training.group, (border, len(target)), _window(model))
    known = target.take(fold.train)
    if not len(fold.test) or not is_trainable(known):
        return np.empty(0, np.int64), {}
    chosen = matrix.select(reduce_features(matrix.take(fold.train), known, model, seed).kept)
    fitted = {each.name: fit_candidate(each, chosen.take(fold.train), known) for each in tried}
    return fold.test, {name: each.raw(chosen.take(fold.test)) for name, each in fitted.items()}


def _window(model: config.Model) -> int | None:
    """How far back training rows go, in microseconds."""
    return None if model.window is None else model.window // timedelta(microseconds=1)


def _check_folds(split: list[Fold], target: Target) -> None:
    tested = target.take(np.concatenate([fold.test for fold in split])) if split else target.take(slice(0))
    if target.kind == "regression" and len(tested):
        return
    needing = int((tested.values > 0).sum())
    rarer = min(needing, len(tested) - needing)
    if rarer < MIN_RARER_OUT_OF_FOLD:
        raise TrainingError(
            f"the rows cannot be validated in time order: only {rarer} of the rarer class come late enough",
            hint="wait for more labels; check that they take less time than the rows span, that [source] time has many "
            "values, and that [source] group is not one group",
        )
