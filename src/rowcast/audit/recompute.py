"""Scores computed again from source and model, and held against those stored."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
import structlog

from rowcast import features, predict
from rowcast.errors import RowcastError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.models.target import canonical_label
from rowcast.scoring.changes import Changes
from rowcast.scoring.required_columns import check_rows
from rowcast.source import take_rows
from rowcast.store.reading.held_rows import HeldResult, Stored

log = structlog.get_logger("rowcast")

TOLERANCE = 1e-9  # of a score computed again, in itself or as a share of it: other processors round otherwise

Mask = npt.NDArray[np.bool_]


@dataclass
class Recomputed:
    """Scored rows held against the source and their models."""

    changed: int = 0  # at the source since they were scored
    not_comparable: int = 0
    compared: int = 0
    wrong: int = 0


def recompute(job: Job, sample: int | None) -> Recomputed:
    """Compare every scored row with the source, and score some of those that have not changed again.

    About `sample` of them are chosen at random, each time anew; None chooses all.
    """
    changes, found, models = Changes(job), Recomputed(), _Models(job)
    rows = job.store.scalar(sa.select(sa.func.count()).select_from(job.own.prediction))
    share = 1.0 if sample is None or rows <= sample else sample / rows
    random = np.random.default_rng()
    for stored in changes.walk(job.own.prediction, to_score_again=False, with_results=True):
        changed, unknown = changes.compare(stored)
        found.changed += int(changed.sum())
        found.not_comparable += unknown
        if stored.is_read:
            chosen = ~changed if share == 1.0 else ~changed & (random.random(len(changed)) < share)
            _score_again(job, changes, models, stored, np.flatnonzero(chosen), found)
    return found


def _score_again(
    job: Job, changes: Changes, models: "_Models", stored: Stored, places: npt.NDArray[np.int64], found: Recomputed
) -> None:
    groups: dict[tuple[int, str | None], list[int]] = {}
    for place in places:
        row = stored.held[place]
        groups.setdefault((row.model_version, row.also_read), []).append(int(place))
    for (version, also_read), members in groups.items():
        names, model = changes.hashed_columns(version, also_read), models.load(version)
        if names is None:  # counted where the rows were compared
            continue
        if model is None:
            found.not_comparable += len(members)
            continue
        rows = take_rows(stored.fetched, np.array(members))
        checked = check_rows(job, model, rows, names)
        matrix = features.process(checked.good, model.contract, model.features)
        held = [stored.held[members[place]].result for place in checked.passed]
        wrong = _find_wrong(model, matrix, [result for result in held if result is not None])
        # What breaks the contract by now is left out: what [check.columns] says may have changed.
        found.not_comparable += len(members) - len(held)
        found.compared += len(held)
        found.wrong += int(wrong.sum())


def _find_wrong(model: Model, matrix: Matrix, held: list[HeldResult]) -> Mask:
    """Return which rows are stored with another score, threshold or prediction than the model gives them."""
    if not held:
        return np.zeros(0, dtype=bool)
    made = model.score(matrix)
    stored = np.array([result.score for result in held])
    same = np.isclose(made.score, stored, rtol=TOLERANCE, atol=TOLERANCE)
    same &= np.array([result.threshold == model.threshold for result in held])
    if model.kind == "regression":
        values = np.array([float(result.predicted) for result in held])
        same &= np.isclose(made.score, values, rtol=TOLERANCE, atol=TOLERANCE)
        return np.asarray(~same)
    again = predict.predict_labels(model, made).to_pylist()
    alike = np.array(
        [canonical_label(r.predicted) == canonical_label(label) for r, label in zip(held, again, strict=True)]
    )
    if model.threshold is not None:  # so near to it either decision is right
        alike |= np.isclose(stored, model.threshold, rtol=TOLERANCE, atol=TOLERANCE)
    return np.asarray(~(same & alike))


class _Models:
    """Versions, loaded once."""

    def __init__(self, job: Job) -> None:
        self._registry = job.registry
        self._loaded: dict[int, Model | None] = {}

    def load(self, version: int) -> Model | None:
        """Return a version; None for one that cannot be loaded."""
        if version not in self._loaded:
            try:
                self._loaded[version] = self._registry.load(version)
            except RowcastError as error:
                log.warning("scores of a version cannot be computed again", version=version, error=error)
                self._loaded[version] = None
        return self._loaded[version]
