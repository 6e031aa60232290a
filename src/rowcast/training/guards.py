"""What holds a version back that the gate would let serve, by what is known of both versions and of the source."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast import features, gate
from rowcast.config import Task
from rowcast.job.run import Run
from rowcast.messages.events import VersionHeldBack
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.models.target import canonical_label
from rowcast.store.records import DecisionRecord
from rowcast.store.registry import Version
from rowcast.training.newest_rows import read_newest_rows

_CATEGORIES = 50  # of a column, at most: more are no groups

Bools = npt.NDArray[np.bool_]


def count_categories(matrix: Matrix) -> dict[str, dict[str, int]]:
    """Return how many of n rows are of each category, by column; columns of many categories are left out."""
    return {
        name: dict(zip(known, _count(matrix, name, len(known)), strict=True))
        for name, known in matrix.categories.items()
        if len(known) <= _CATEGORIES
    }


def _count(matrix: Matrix, name: str, categories: int) -> list[int]:
    values = matrix.values[:, matrix.names.index(name)]
    codes = values[np.isfinite(values)].astype(np.int64)
    counts = np.bincount(codes[(codes >= 0) & (codes < categories)], minlength=categories)
    return [int(count) for count in counts]


def find_held_back(
    run: Run,
    versions: tuple[Version, Version],
    models: Sequence[Model],
    judged: pa.RecordBatch,
    said: tuple[pa.Array, pa.Array],
) -> gate.HeldBack | None:
    """Return why the newer of two versions should not serve without a person's word; None where nothing is suspect.

    `models` are those of the champion and the newer version, `judged` rows with a label, `said` what was predicted of
    them: by the champion, and by the newer version or by a fit of its recipe that had not seen them.
    """
    champion, challenger = versions
    known = [int(version.metrics.get("labels_known") or 0) for version in versions]
    lost = gate.find_lost_labels(*known)
    if lost is None and _learns_from_all(run, challenger):
        lost = gate.find_lost_group(*(version.metrics.get("categories") or {} for version in (champion, challenger)))
    return lost or _find_jump(run, models, judged, said)


def _learns_from_all(run: Run, version: Version) -> bool:
    """Whether no row is left out since it is old."""
    model = run.job.settings.model
    return model.window is None and int(version.metrics.get("labels_known") or 0) < model.max_train_rows


def _find_jump(
    run: Run, models: Sequence[Model], judged: pa.RecordBatch, said: tuple[pa.Array, pa.Array]
) -> gate.HeldBack | None:
    """Return a jump of the share that is flagged, by what was predicted of the labelled rows and by what is now.

    The newer version has learned from rows that the fit of its recipe had not seen: what they taught it is no fault.
    """
    task = run.job.settings.task
    if task.kind == "regression":
        return None
    past = {column.name: column for model in models for column in model.past}
    newest = read_newest_rows(run, [(model.contract, model.features) for model in models], tuple(past.values()))
    if newest is None or not len(newest[0]):
        return None
    flags = _share(*(model.score(rows).flagged for model, rows in zip(models, newest, strict=True)))
    normal = canonical_label(models[0].classes[0])
    champion, challenger = (_flag(labels, task, normal) for labels in said)
    found = gate.find_jump(flags, _share(champion, challenger))
    if found is None:
        return None
    model = models[1]
    own = model.score(features.process(judged, model.contract, model.features)).flagged
    return gate.find_jump(flags, _share(champion, own))


def _share(champion: Bools, challenger: Bools) -> gate.Flagged:
    differing = float((champion != challenger).mean()) if len(champion) else 0.0
    was, now = (float(each.mean()) if len(each) else 0.0 for each in (champion, challenger))
    return gate.Flagged(len(champion), was, now, differing)


def _flag(labels: pa.Array, task: Task, normal: Any) -> Bools:
    if task.kind == "binary":
        return features.match_positive(labels, task.positive)
    return np.array([canonical_label(label) != normal for label in labels.to_pylist()], dtype=bool)


def list_held_back(run: Run, made: DecisionRecord) -> list[VersionHeldBack]:
    """Return what a person should know of a decision by which a version was held back."""
    held: Mapping[str, Any] | None = made.evidence.get("held_back")
    if held is None or made.previous is None:
        return []
    why = gate.HeldBack(**{**held, "guard": gate.Guard(held["guard"])})
    return [VersionHeldBack(made.version, made.previous, why, run.now, run.run_id)]
