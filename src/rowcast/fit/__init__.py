"""Training rows to a challenger: reduction, candidates, time-ordered validation, calibration, threshold.

Whatever is fitted to judge a model is fitted inside a fold, on rows before those it predicts; the model that is handed
over is then fitted in the same way on all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast import config
from rowcast.contract import Contract
from rowcast.errors import TrainingError
from rowcast.fit.blas import single_thread
from rowcast.fit.candidates import Candidate, default_candidates, small_candidates, user_candidate
from rowcast.fit.changed_scales import find_changed_scales
from rowcast.fit.column_sets import SetTrial, try_column_sets
from rowcast.fit.cross_fitting import cross_fit
from rowcast.fit.evaluation import Evaluation, evaluate
from rowcast.fit.fold_fits import predict_gate_rows, predict_out_of_fold, reduce_features
from rowcast.fit.folds import FOLDS
from rowcast.fit.forward import ForwardPredictions, predict_forward
from rowcast.fit.leakage import find_suspects
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.periods import SuspectPeriod, blank, find_others
from rowcast.fit.quality import measure_quality
from rowcast.fit.selection import AVERAGE, Selection, add_average, select_candidate
from rowcast.fit.sharing import fit_candidate, share_fits
from rowcast.fit.suspect_periods import find_suspect_periods
from rowcast.fit.training_data import TrainingData
from rowcast.fit.translatable import measure_price
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
_SHOWN = ("auc", "auc_low", "auc_high", "average_precision", "log_loss", "r2", "cost_per_row")
_IMPORTED = "imported"
_EXPLAINED = 500  # rows over which contributions are averaged


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
    suspect_periods: tuple[SuspectPeriod, ...] = ()  # whose rows, or values of a column, were set aside


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
    limit, given = limit or TrialLimit(), training
    _check_enough(training.target, model)
    tried = _list_candidates(training.target, model, seed)
    suspects = find_changed_scales(training)
    learned = np.arange(len(given.target))
    training = replace(given, matrix=blank(given.matrix, suspects)) if suspects else given
    scores, place = predict_out_of_fold(training, tried[: limit.most], model, seed, limit.spent)
    tried = tried[: len(scores.raw)]
    if more_suspects := find_suspect_periods(training, scores, place):
        suspects = (*suspects, *more_suspects)
        learned = find_others([each for each in suspects if each.column is None], len(given.target))
        training = replace(given, matrix=blank(given.matrix, suspects)).take(learned)
        _check_enough(training.target, model)
        scores, place = predict_out_of_fold(training, tried, model, seed, lambda: 0.0)
    rows, later = predict_gate_rows(training, tried, model, seed)
    # The champion saw the values that are left out: where there are such, the two cannot be compared.
    compared = np.isin(learned[rows], find_others(suspects, len(given.target)))
    rows, later = rows[compared], {name: raw[compared] for name, raw in later.items()}
    before = scores.take(place < (training.judged_from or 0))
    forward = predict_forward(before, later, learned[rows], select_candidate, task)
    alone, scores = scores, add_average(scores)
    when = training.time[place] if training.is_dated else None
    judged = evaluate(scores, select_candidate, task, confidence, when)
    latest = find_latest(training.time, model.window)
    target = training.target.take(latest)
    _check_enough(target, model)
    reduced = reduce_features(training.matrix.take(latest), target, model, seed)
    matrix = training.matrix.take(latest).select(reduced.kept)
    chosen = judged.choice.name
    members = tuple(
        _member(candidate, scores, matrix, target, chosen == AVERAGE)
        for candidate in tried
        if chosen in (candidate.name, AVERAGE)
    )
    challenger = _model(target, contract, matrix, members, judged, task)
    shares = _explain(challenger, matrix)
    more: dict[str, Any] = {
        "choice": {"rule": judged.choice.rule, "against": judged.choice.against},
        "ran": len(tried),
        "suspects": [vars(each) for each in find_suspects(matrix, target)],
        "set_aside": [_describe(each, given) for each in suspects],
    }
    if model.translatable:
        more["translatable"] = _compare_with_larger(training, alone, model, task, seed, limit.spent)
    return FitResult(
        model=challenger,
        metrics={**_about(chosen, target, matrix), **more, **judged.record},
        candidates=tuple(_measure(scores, name, name == chosen, task) for name in scores.raw),
        dropped=reduced.dropped,
        features_ranked=_rank(challenger, shares, reduced.relevance),
        contributions=shares,
        forward=forward,
        suspect_periods=suspects,
    )


def _list_candidates(target: Target, model: config.Model, seed: int) -> list[Candidate]:
    if model.estimator != "default":
        return [user_candidate(model.estimator, seed)]
    return (small_candidates if model.translatable else default_candidates)(target.kind, seed)


def _compare_with_larger(
    training: TrainingData,
    small: OutOfFold,
    model: config.Model,
    task: config.Task,
    seed: int,
    spent: Callable[[], float],
) -> dict[str, Any]:
    """What it costs that larger candidates were left out, by their predictions of the same rows."""
    larger = [each for each in default_candidates(training.target.kind, seed) if each.name not in small.raw]
    others, _ = predict_out_of_fold(training, larger, model, seed, spent)
    return measure_price(small, others, task)


def find_latest(time: npt.NDArray[np.int64], window: timedelta | None) -> slice:
    """Return which rows (n,), in time order, a version is fitted on: those no older than the window."""
    if window is None or not len(time):
        return slice(None)
    return slice(int(np.searchsorted(time, time[-1] - window // timedelta(microseconds=1))), None)


def _describe(period: SuspectPeriod, training: TrainingData) -> dict[str, Any]:
    """What is kept of a period whose rows, or values of a column, are not learned from."""
    ends = [
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(training.time[place]))).isoformat()
        for place in (period.first, period.last)
    ]
    about = {"fault": period.fault, "column": period.column, "auc": period.auc, "usual_auc": period.usual_auc}
    return {"from": ends[0], "to": ends[1], "rows": period.last - period.first + 1, **about}


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
    "SetTrial",
    "SuspectPeriod",
    "TrainingData",
    "TrialLimit",
    "calibrate_imported",
    "find_latest",
    "fit_challenger",
    "share_fits",
    "try_column_sets",
]
