"""Fits that several builds share: each is kept in a folder, by what was fitted, how, and on which rows.

Replays of several policies train on the same rows again and again: on the day on which two of them retrain, and in the
folds, whose training rows depend on the day alone. What took long to fit is read back, the same to the bit.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rowcast.errors import ModelError
from rowcast.fit.candidates import Candidate, FittedCandidate
from rowcast.fit.feature_selection import SelectedFeatures, select_features
from rowcast.models.estimators import Engine
from rowcast.models.matrix import Matrix
from rowcast.models.storage import dump_estimator, load_estimator, unzip_parts, zip_parts
from rowcast.models.target import Target

_ABOUT, _ESTIMATOR = "about.json", "estimator"
_STORED = 0  # how zipfile leaves parts as they are
_QUICK = 1.0  # seconds of a fit: below, an estimator of scikit-learn takes as long to be stored and read back

_folder: ContextVar[Path | None] = ContextVar("rowcast_shared_fits", default=None)


@contextmanager
def share_fits(folder: Path) -> Iterator[None]:
    """Keep what is fitted within in the folder, and read back what was fitted before, also by other processes."""
    folder.mkdir(parents=True, exist_ok=True)
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def fit_candidate(candidate: Candidate, matrix: Matrix, target: Target) -> FittedCandidate:
    """Return the candidate fitted to these rows, where fits are shared as it was fitted before."""
    with _turn(_digest(matrix, target, candidate.name, getattr(candidate.fit, "keywords", {}))) as path:
        classes = len(target.classes) if target.kind == "multiclass" else 1
        if path is None:
            return candidate.fit(matrix, target)
        if parts := _read(path):
            about = json.loads(parts[_ABOUT])
            engine = cast(Engine, about["engine"])
            estimator = load_estimator(engine, parts[_ESTIMATOR], len(matrix.names), classes)
            return FittedCandidate(engine, estimator, target, tuple(about["order"]))
        begun = time.perf_counter()
        fitted = candidate.fit(matrix, target)
        if fitted.engine != "lightgbm" and time.perf_counter() - begun < _QUICK:
            return fitted
        with suppress(ModelError):  # what cannot be stored is told where it is to serve
            stored = dump_estimator(fitted.engine, fitted.estimator, len(matrix.names), classes)
            _write(path, {"engine": fitted.engine, "order": fitted.order}, stored)
        return fitted


def choose_features(matrix: Matrix, target: Target, max_features: int, seed: int) -> SelectedFeatures:
    """Do as `select_features`, where fits are shared as it was done before."""
    with _turn(_digest(matrix, target, "columns", {"most": max_features, "seed": seed})) as path:
        if path is not None and (parts := _read(path)):
            about = json.loads(parts[_ABOUT])
            return SelectedFeatures(tuple(about["kept"]), about["dropped"], about["relevance"])
        selected = select_features(matrix, target, max_features, seed)
        if path is not None:
            _write(path, asdict(selected))
        return selected


def _digest(matrix: Matrix, target: Target, what: str, how: dict[str, Any]) -> str:
    """Return a digest of all that a fit depends on; empty where none is shared."""
    if _folder.get() is None:
        return ""
    told = [what, sorted(how.items()), matrix.names, sorted(matrix.categories.items()), matrix.values.shape]
    digest = hashlib.blake2b(
        repr([told, target.kind, target.classes, target.values.dtype.str]).encode(), digest_size=16
    )
    digest.update(matrix.values.tobytes())
    digest.update(target.values.tobytes())
    return digest.hexdigest()


@contextmanager
def _turn(digest: str) -> Iterator[Path | None]:
    """Give the file of a fit, while no other process is at the same one; None where none is shared."""
    folder = _folder.get()
    if folder is None:
        yield None
        return
    with (folder / f"{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it ends with the process, however that ends
        yield folder / digest


def _read(path: Path) -> dict[str, bytes]:
    """Return what a file holds; nothing where there is none."""
    try:
        return unzip_parts(path.read_bytes())
    except FileNotFoundError:
        return {}


def _write(path: Path, about: dict[str, Any], estimator: bytes = b"") -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(zip_parts({_ABOUT: json.dumps(about).encode(), _ESTIMATOR: estimator}, _STORED))
    os.replace(part, path)
