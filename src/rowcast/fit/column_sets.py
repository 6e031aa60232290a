"""Sets of columns on trial: which of them lower the loss on rows that came later, beyond one standard error."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.fit.candidates.boosted_trees import train_booster
from rowcast.fit.folds import Fold, folds
from rowcast.fit.sharing import choose_features
from rowcast.fit.training_data import TrainingData
from rowcast.models.calibration import Floats
from rowcast.models.target import Target

_ROWS = 30_000  # the latest ones that are looked at
_COLUMNS = 60  # others that stand beside a set
_FOLDS = 3  # the last ones
_ROUNDS = 60  # of boosted trees, which are good enough to tell
_LEAST_BLOCKS = 5


@dataclass(frozen=True)
class SetTrial:
    """What a set of columns brought beside all that was kept before it."""

    name: str
    gain: float  # loss per row that it saves on later rows
    error: float  # standard error of the gain
    is_kept: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is kept in JSON."""
        return asdict(self)


def try_column_sets(training: TrainingData, sets: Mapping[str, Sequence[str]], seed: int = 0) -> tuple[SetTrial, ...]:
    """Return which sets of columns to keep, as they were tried: the best first, until none helps any more.

    Each fold's models see only what was known when its rows came. A set is kept where it saves more than one standard
    error, by days or groups of rows. None is kept where the rows cannot be validated in time order.
    """
    latest = training.take(np.arange(max(0, len(training.target) - _ROWS), len(training.target)))
    split = folds(latest.time, latest.known, latest.group, latest.target)[-_FOLDS:]
    waiting = {name: tuple(names) for name, names in sets.items()}
    if not split:
        return tuple(SetTrial(name, 0.0, 0.0, is_kept=False) for name in waiting)
    tried = {column for names in waiting.values() for column in names}
    others = latest.matrix.select(tuple(name for name in latest.matrix.names if name not in tried))
    before = split[0].train
    kept = choose_features(others.take(before), latest.target.take(before), _COLUMNS, seed).kept
    lost, found = _lose(latest, split, kept, seed), list[SetTrial]()
    while waiting:
        trials = {name: _lose(latest, split, (*kept, *names), seed) for name, names in waiting.items()}
        measured = {name: _measure(lost - loss, latest, split) for name, loss in trials.items()}
        best = max(measured, key=lambda name: measured[name][0])
        helps = measured[best][0] > measured[best][1]
        if not helps:
            return (*found, *(SetTrial(name, *measured[name], is_kept=False) for name in waiting))
        found.append(SetTrial(best, *measured[best], is_kept=True))
        lost, kept = trials[best], (*kept, *waiting.pop(best))
    return tuple(found)


def _lose(training: TrainingData, split: Sequence[Fold], names: Sequence[str], seed: int) -> Floats:
    """Return the loss of each row that the folds predict, one fold after another."""
    matrix = training.matrix.select(tuple(names))
    lost = []
    for fold in split:
        known = training.target.take(fold.train)
        leaf = max(5, min(50, len(fold.train) // 50))
        how = {"num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": leaf, "lambda_l2": 1.0, "seed": seed}
        booster = train_booster(matrix.take(fold.train), known, how, _ROUNDS)
        said = np.asarray(booster.predict(matrix.values[fold.test], num_threads=1), np.float64)
        lost.append(_loss(training.target.take(fold.test), said))
    return np.concatenate(lost)


def _loss(truth: Target, said: Floats) -> Floats:
    """Return log loss, or of values the squared error."""
    if truth.kind == "regression":
        return np.asarray((truth.values - said) ** 2, np.float64)
    if truth.kind == "binary":
        said = np.where(truth.values, said, 1 - said)
    else:
        said = said[np.arange(len(said)), truth.values]
    return -np.log(np.maximum(said, 1e-6))


def _measure(gain: Floats, training: TrainingData, split: Sequence[Fold]) -> tuple[float, float]:
    """Return the mean gain and its standard error, by blocks of rows that share luck."""
    places = np.concatenate([fold.test for fold in split])
    block: npt.NDArray[np.int64] = places if training.block is None else training.block[places]
    _, number = np.unique(block, return_inverse=True)
    if training.block is None or number.max(initial=0) + 1 < _LEAST_BLOCKS:  # stretches of rows stand for days
        number = np.arange(len(places)) * 4 * _LEAST_BLOCKS // len(places)
    counts, sums = np.bincount(number), np.bincount(number, weights=gain)
    mean = float(gain.mean())
    spread = np.sqrt(((sums - mean * counts) ** 2).sum() * len(counts) / (len(counts) - 1))
    return mean, float(spread / len(gain))
