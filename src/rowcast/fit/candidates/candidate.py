"""A way to fit a model, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rowcast.models.calibration import Floats
from rowcast.models.estimators import Engine, raw_scores
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

LARGE = 20_000  # rows from which more trees and a second thread pay
THREADS = 2


@dataclass(frozen=True)
class FittedCandidate:
    """An estimator that was fitted, how it is scored, and on what."""

    engine: Engine
    estimator: Any
    target: Target
    order: tuple[int, ...] = ()  # places of the classes that it tells apart; (): as it numbers them

    def raw(self, matrix: Matrix) -> Floats:
        """Return scores before calibration, shape (n,), or (n, k) of several classes."""
        kind, classes = self.target.kind, len(self.target.classes)
        return raw_scores(self.engine, self.estimator, matrix, THREADS, kind, classes, self.order)


@dataclass(frozen=True)
class Candidate:
    """A way to fit a model: training matrix and target to a fitted one, the same one each time."""

    name: str
    fit: Callable[[Matrix, Target], FittedCandidate]
