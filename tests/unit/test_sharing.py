"""Fits that builds share: once for the same rows, settings and columns, and the same to the bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_candidates import ROWS, TARGETS

from rowcast.fit import sharing
from rowcast.fit.candidates import Candidate, FittedCandidate, default_candidates
from rowcast.fit.feature_selection import select_features
from rowcast.fit.sharing import choose_features, fit_candidate, share_fits
from rowcast.models.matrix import Matrix
from rowcast.models.storage import dump_estimator
from rowcast.models.target import Target


@pytest.fixture(autouse=True)
def each_fit_is_worth_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_QUICK", 0.0)


def counted(candidate: Candidate) -> tuple[Candidate, list[int]]:
    """The candidate, and the rows of each time that it is really fitted."""
    fits: list[int] = []

    def fit(matrix: Matrix, target: Target) -> FittedCandidate:
        fits.append(len(matrix))
        return candidate.fit(matrix, target)

    return replace(candidate, fit=fit), fits


@pytest.mark.parametrize("kind", TARGETS)
def test_what_is_read_back_scores_and_is_stored_as_what_was_fitted(kind: Any, tmp_path: Path) -> None:
    target = TARGETS[kind]
    for candidate in default_candidates(kind, 0):
        one, fits = counted(candidate)
        alone = candidate.fit(ROWS, target)
        with share_fits(tmp_path):
            for _ in range(2):
                shared = fit_candidate(one, ROWS, target)
                np.testing.assert_array_equal(shared.raw(ROWS), alone.raw(ROWS))
                stored, expected = (
                    dump_estimator(each.engine, each.estimator, 6, len(target.classes) if kind == "multiclass" else 1)
                    for each in (shared, alone)
                )
                assert stored == expected
        assert fits == [600]


CHANGES: dict[str, Callable[[Matrix, Target], tuple[Matrix, Target]]] = {
    "a row less": lambda rows, target: (rows.take(np.arange(599)), target.take(slice(599))),
    "another value": lambda rows, target: (
        replace(rows, values=rows.values + np.eye(600, 6, dtype=np.float32)),
        target,
    ),
    "another label": lambda rows, target: (rows, replace(target, values=~target.values)),
    "another column": lambda rows, target: (replace(rows, names=("z", *rows.names[1:])), target),
    "other categories": lambda rows, target: (replace(rows, categories={"tool": ("x", "z", "y")}), target),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_rows_are_fitted_anew(change: str, tmp_path: Path) -> None:
    one, fits = counted(default_candidates("binary", 0)[0])
    with share_fits(tmp_path):
        fit_candidate(one, ROWS, TARGETS["binary"])
        fit_candidate(one, *CHANGES[change](ROWS, TARGETS["binary"]))
    assert len(fits) == 2


def test_candidates_that_differ_in_name_or_seed_are_not_taken_for_one_another(tmp_path: Path) -> None:
    with share_fits(tmp_path):
        for candidate in [*default_candidates("binary", 0), *default_candidates("binary", 1)]:
            fit_candidate(candidate, ROWS, TARGETS["binary"])
    kept = [path for path in tmp_path.iterdir() if not path.suffix]
    assert len(kept) == 8  # both logistic models take no seed


def test_columns_are_chosen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = select_features(ROWS, TARGETS["binary"], 3, 0)
    with share_fits(tmp_path):
        assert choose_features(ROWS, TARGETS["binary"], 3, 0) == expected
        monkeypatch.delattr(sharing, "select_features")
        assert choose_features(ROWS, TARGETS["binary"], 3, 0) == expected
        with pytest.raises(NameError):
            choose_features(ROWS, TARGETS["binary"], 4, 0)


def test_an_estimator_that_is_fitted_sooner_than_stored_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_QUICK", np.inf)
    with share_fits(tmp_path):
        kinds = [fit_candidate(each, ROWS, TARGETS["binary"]).engine for each in default_candidates("binary", 0)]
    kept = [path for path in tmp_path.iterdir() if not path.suffix]
    assert len(kept) == kinds.count("lightgbm") < len(kinds)


def test_nothing_is_kept_where_nothing_is_shared(tmp_path: Path) -> None:
    one, fits = counted(default_candidates("binary", 0)[0])
    with share_fits(tmp_path):
        pass
    for _ in range(2):
        fit_candidate(one, ROWS, TARGETS["binary"])
    assert fits == [600, 600]
    assert not [*tmp_path.iterdir()]
