"""Training rows to a challenger: reduction, candidates, time-ordered validation, calibration, threshold.

Whatever is fitted to judge a model is fitted inside a fold, on rows before those it predicts; the model that is handed
over is then fitted in the same way on all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast import config
from rowcast.contract import Contract
from rowcast.errors import TrainingError
from rowcast.fit.blas import single_thread
from rowcast.fit.candidates import Candidate, default_candidates, user_candidate
from rowcast.fit.cross_fitting import cross_fit
from rowcast.fit.evaluation import Evaluation, evaluate
from rowcast.fit.feature_selection import SelectedFeatures
from rowcast.fit.folds import FOLDS, Fold, folds
from rowcast.fit.forward import ForwardPredictions, predict_forward
from rowcast.fit.leakage import find_suspects
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.quality import measure_quality
from rowcast.fit.selection import AVERAGE, Selection, add_average, select_candidate
from rowcast.fit.sharing import choose_features, fit_candidate, share_fits
from rowcast.models import calibration
from rowcast.models.artifact import Member, Model
from rowcast.models.calibration import Floats
from rowcast.models.decision import Costs
from rowcast.models.estimators import raw_scores
from rowcast.models.imported import ImportedEstimator
from rowcast.models.matrix import Matrix
from rowcast.models.reference_range import reference_ranges
from rowcast.models.target import Target

MIN_CLASS_ROWS = 10  # rows of a class, below which it cannot be learned
MIN_RARER_OUT_OF_FOLD = 3
_SHOWN = ("auc", "auc_low", "auc_high", "average_precision", "log_loss", "r2", "cost_per_row")
_IMPORTED = "imported"
_EXPLAINED = 500  # rows over which contributions are averaged


@dataclass(frozen=True)
class TrainingData:
    """Labelled rows in time order."""

    matrix: Matrix  # n rows, all candidate columns
    target: Target
    time: npt.NDArray[np.int64]  # (n,), ascending; equal where no order is known
    known: npt.NDArray[np.int64]  # (n,), when each label arrived, in the unit of `time`
    group: npt.NDArray[np.int64] | None = None  # (n,), rows that belong together
    block: npt.NDArray[np.int64] | None = None  # (n,), rows that share luck: of a group, else of a day; None: none do
    is_dated: bool = False  # whether `time` is microseconds since 1970, and not the row's place
    judged_from: int | None = None  # the first row that the gate judges the recipe by; None: it judges by other rows


@dataclass(frozen=True)
class CandidateResult:
    """How good a candidate is, on rows that came after all that it was fitted on."""

    name: str
    figures: Mapping[str, Any]  # by name, such as auc, auc_low, auc_high, log_loss, cost_per_row; None is not known
    is_chosen: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the result as it is kept in JSON."""
        return {"name": self.name, **self.figures, "chosen": self.is_chosen}


@dataclass(frozen=True)
class FitResult:
    """A challenger and all that was learned on the way."""

    model: Model
    metrics: dict[str, Any]  # out of fold; JSON-safe
    candidates: tuple[CandidateResult, ...]  # that were tried, the average of all among them
    dropped: dict[str, str]  # column -> why the model does not use it
    features_ranked: list[tuple[str, float]]  # most important first
    contributions: Floats | None  # (k, f) of some of the training rows; None where the estimator tells none
    forward: ForwardPredictions | None = None  # of the rows from `judged_from` on, where there is enough before them


@dataclass(frozen=True)
class TrialLimit:
    """How many candidates a build tries."""

    spent: Callable[[], float] = lambda: 0.0  # seconds so far: above the model's budget no further one is tried
    most: int | None = None  # where a build is repeated, as many as ran then; None: all


@single_thread()
def fit_challenger(
    training: TrainingData,
    contract: Contract,
    model: config.Model,
    task: config.Task,
    confidence: float = 0.9,
    seed: int = 0,
    limit: TrialLimit | None = None,
) -> FitResult:
    """Train, validate and choose; `confidence` is how often a prediction's set or interval is to hold the truth.

    The same rows, config and seed give the same model. Raise TrainingError where the rows do not allow one,
    EstimatorError where a user's estimator fails, ModelError where it could not be stored.
    """
    target, limit = training.target, limit or TrialLimit()
    _check_enough(target, model)
    tried = (
        default_candidates(target.kind, seed)
        if model.estimator == "default"
        else [user_candidate(model.estimator, seed)]
    )
    scores, place = _out_of_fold(training, tried[: limit.most], model, seed, limit.spent)
    tried = tried[: len(scores.raw)]
    border, forward = training.judged_from, None
    if border is not None:
        forward = predict_forward(scores, place, border, select_candidate, task)
    scores = add_average(scores)
    when = training.time[place] if training.is_dated else None
    judged = evaluate(scores, select_candidate, task, confidence, when)
    latest = find_latest(training.time, model.window)
    target = target.take(latest)
    _check_enough(target, model)
    reduced = _reduce(training.matrix.take(latest), target, model, seed)
    matrix = training.matrix.take(latest).select(reduced.kept)
    chosen = judged.choice.name
    members = tuple(
        _member(candidate, scores, matrix, target, chosen == AVERAGE)
        for candidate in tried
        if chosen in (candidate.name, AVERAGE)
    )
    challenger = _model(target, contract, matrix, members, judged, task)
    shares = _explain(challenger, matrix)
    more = {
        "choice": {"rule": judged.choice.rule, "against": judged.choice.against},
        "ran": len(tried),
        "suspects": [vars(each) for each in find_suspects(matrix, target)],
    }
    return FitResult(
        model=challenger,
        metrics={**_about(chosen, target, matrix), **more, **judged.record},
        candidates=tuple(_measure(scores, name, name == chosen, task) for name in scores.raw),
        dropped=reduced.dropped,
        features_ranked=_rank(challenger, shares, reduced.relevance),
        contributions=shares,
        forward=forward,
    )


def find_latest(time: npt.NDArray[np.int64], window: timedelta | None) -> slice:
    """Return which rows (n,), in time order, a version is fitted on: those no older than the window."""
    if window is None or not len(time):
        return slice(None)
    return slice(int(np.searchsorted(time, time[-1] - window // timedelta(microseconds=1))), None)


def _about(candidate: str, target: Target, matrix: Matrix) -> dict[str, Any]:
    about = {"candidate": candidate, "kind": target.kind, "rows": len(target), "features": len(matrix.names)}
    return about | ({"positives": int(target.values.sum())} if target.kind == "binary" else {})


def _member(candidate: Candidate, scores: OutOfFold, matrix: Matrix, target: Target, is_one_of_several: bool) -> Member:
    fitted = fit_candidate(candidate, matrix, target)
    if not is_one_of_several:
        return Member(fitted.engine, fitted.estimator)
    slope, intercept = calibration.fit_line(scores.raw[candidate.name], scores.target)
    return Member(fitted.engine, fitted.estimator, slope, intercept)


@single_thread()
def calibrate_imported(
    training: TrainingData,
    contract: Contract,
    estimator: ImportedEstimator,
    model: config.Model,
    task: config.Task,
    confidence: float = 0.9,
) -> FitResult:
    """Calibrate and evaluate an estimator that was fitted elsewhere on rows that it has not seen: those of `training`.

    Raises TrainingError where the rows are too few or lack a column, EstimatorError where the estimator fails.
    """
    target = training.target
    _check_enough(target, model)
    matrix = _columns(training.matrix, estimator)
    raw = raw_scores(
        estimator.engine, estimator.estimator, matrix, 1, target.kind, len(target.classes), estimator.order
    )
    # All rows are later than what it has seen; parts of them judge one another's calibration and threshold.
    part = np.searchsorted(training.time, training.time) * FOLDS // len(target)
    block = np.arange(len(target)) if training.block is None else training.block
    scores = OutOfFold(target, part, block, {_IMPORTED: raw})
    judged = evaluate(scores, _choose_imported, task, confidence, training.time if training.is_dated else None)
    members = (Member(estimator.engine, estimator.estimator, order=estimator.order),)
    challenger = _model(target, contract, matrix, members, judged, task)
    shares = _explain(challenger, matrix)
    return FitResult(
        model=challenger,
        metrics={**_about(_IMPORTED, target, matrix), **judged.record},
        candidates=(),
        dropped={name: "not among the model's columns" for name in training.matrix.names if name not in matrix.names},
        features_ranked=_rank(challenger, shares, {}),
        contributions=shares,
    )


def _choose_imported(_: OutOfFold) -> Selection:
    return Selection(_IMPORTED, "given")


def _columns(matrix: Matrix, estimator: ImportedEstimator) -> Matrix:
    """The columns that an imported estimator was fitted on."""
    absent = [name for name in estimator.features if name not in matrix.names]
    if absent:
        raise TrainingError(
            f"the model was fitted on column '{absent[0]}', which the rows lack"
            + (f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""),
            hint="its columns must have the source's names; one that holds hardly any value in these rows counts as "
            "lacking",
        )
    texts = [name for name in estimator.features if name in matrix.categories]
    if texts and estimator.engine == "lightgbm":
        raise TrainingError(
            f"the model reads column '{texts[0]}' as a number, and it holds categories",
            hint="let a scikit-learn pipeline encode texts, and import that by skops",
        )
    return matrix.select(estimator.features)


def _model(
    target: Target,
    contract: Contract,
    matrix: Matrix,
    members: tuple[Member, ...],
    judged: Evaluation,
    task: config.Task,
) -> Model:
    return Model(
        kind=target.kind,
        features=matrix.names,
        contract=contract,
        members=members,
        calibration=judged.calibration,
        classes=target.classes,
        threshold=judged.threshold,
        costs=Costs.of(task),
        limits=(task.low, task.high),
        conformal=judged.conformal,
        reference_ranges=reference_ranges(matrix),
    )


def _check_enough(target: Target, model: config.Model) -> None:
    rows = len(target)
    if rows < model.min_train_rows:
        raise TrainingError(
            f"{rows} labelled rows are too few to train on: min_train_rows is {model.min_train_rows}",
            hint="wait for more labels, or lower [model] min_train_rows",
            about="rows",
        )
    if target.kind == "regression":
        return
    needing = int(target.counts[1:].sum())
    named = f"{target.classes[1]!r}" if target.kind == "binary" else f"other than {target.classes[0]!r}"
    for name, count in ((named, needing), (f"{target.classes[0]!r}", rows - needing)):
        if count < MIN_CLASS_ROWS:
            raise TrainingError(
                f"only {count} of {rows} labelled rows are of one class: {MIN_CLASS_ROWS} are needed of each class",
                hint="wait for more labels, raise [model] max_train_rows, or check [task] positive",
                detail=f"those that are {name}",
                about="class",
            )


def _reduce(matrix: Matrix, target: Target, model: config.Model, seed: int) -> SelectedFeatures:
    reduced = choose_features(matrix, target, model.max_features, seed)
    if not reduced.kept:
        raise TrainingError(
            f"none of {len(matrix.names)} columns tells anything in {len(matrix)} rows: all are constant or missing",
            hint="check [source] exclude and missing, and that the table has feature columns",
        )
    return reduced


def _out_of_fold(
    training: TrainingData, tried: list[Candidate], model: config.Model, seed: int, spent: Callable[[], float]
) -> tuple[OutOfFold, npt.NDArray[np.int64]]:
    """Predict every later row with models that saw only earlier ones; what is fitted is fitted on those alone.

    Beside the scores, the places of their rows among the training rows.
    """
    matrix, target = training.matrix, training.target
    window = None if model.window is None else model.window // timedelta(microseconds=1)
    split = folds(training.time, training.known, training.group, target, window, training.judged_from)
    _check_folds(split, target)
    kept = [_reduce(matrix.take(fold.train), target.take(fold.train), model, seed).kept for fold in split]
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


def _measure(scores: OutOfFold, name: str, is_chosen: bool, task: config.Task) -> CandidateResult:
    found = measure_quality(cross_fit(scores, lambda _: Selection(name, "given"), task, calibration.fit), task)
    return CandidateResult(name, {key: found[key] for key in _SHOWN if key in found}, is_chosen)


def _explain(model: Model, matrix: Matrix) -> Floats | None:
    rows = len(matrix)
    return model.contributions(matrix.take(np.linspace(0, rows - 1, min(rows, _EXPLAINED)).astype(np.int64)))


def _rank(model: Model, shares: Floats | None, relevance: dict[str, float]) -> list[tuple[str, float]]:
    """Features by mean absolute contribution; where an estimator tells none, by what is known of their relevance."""
    if shares is not None:
        relevance = dict(zip(model.features, np.abs(shares).mean(axis=0).tolist(), strict=True))
    known = [(name, relevance[name]) for name in model.features if name in relevance]
    return sorted(known, key=lambda item: -item[1])


__all__ = [
    "MIN_CLASS_ROWS",
    "CandidateResult",
    "FitResult",
    "TrainingData",
    "TrialLimit",
    "calibrate_imported",
    "find_latest",
    "fit_challenger",
    "share_fits",
]
