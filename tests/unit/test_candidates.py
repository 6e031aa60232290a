"""What is tried: each kind of model on each kind of target, the same one each time."""

import sys
import types
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from scipy.special import logit

from rowcast.fit.candidates import default_candidates, user_candidate
from rowcast.fit.candidates.boosted_trees import fit_boosted_trees
from rowcast.fit.candidates.extra_trees import fit_extra_trees
from rowcast.models.lightgbm_text import parse_trees
from rowcast.models.matrix import Matrix
from rowcast.models.storage import dump_estimator, load_estimator
from rowcast.models.target import Target

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(600, 6)).astype(np.float32)
VALUES[RANDOM.random(VALUES.shape) < 0.1] = np.nan
VALUES[:, 5] = RANDOM.integers(0, 3, 600)
ROWS = Matrix(VALUES, ("a", "b", "c", "d", "e", "tool"), {"tool": ("x", "y", "z")})
LINE = np.nan_to_num(VALUES[:, 0]) + (VALUES[:, 5] == 1)
TARGETS = {
    "binary": Target("binary", LINE > 1, ("ok", "bad")),
    "multiclass": Target("multiclass", np.digitize(LINE, [0.5, 1.5]), ("ok", "edge", "void")),
    "regression": Target("regression", LINE + RANDOM.normal(size=600) * 0.1),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_every_candidate_learns_comes_back_from_its_bytes_and_is_the_same_each_time(kind: Any) -> None:
    target = TARGETS[kind]
    for candidate in default_candidates(kind, 0):
        fitted, again = candidate.fit(ROWS, target), candidate.fit(ROWS, target)
        raw = fitted.raw(ROWS)
        assert raw.shape == ((600, 3) if kind == "multiclass" else (600,))
        np.testing.assert_array_equal(raw, again.raw(ROWS))
        if kind == "regression":
            assert np.corrcoef(raw, target.values)[0, 1] > 0.7
        else:
            found = raw.argmax(axis=1) if kind == "multiclass" else raw > np.quantile(raw, 1 - target.values.mean())
            assert (found == target.values).mean() > 0.75, candidate.name
        scores = 3 if kind == "multiclass" else 1
        part = dump_estimator(fitted.engine, fitted.estimator, 6, scores)
        same = type(fitted)(fitted.engine, load_estimator(fitted.engine, part, 6, scores), target)
        np.testing.assert_allclose(same.raw(ROWS), raw, rtol=0, atol=1e-12)


def test_a_users_lightgbm_is_scored_for_classes_that_its_rows_lack() -> None:
    module = types.ModuleType("mine")
    module.make = lambda: LGBMClassifier(n_estimators=20, n_jobs=1, verbosity=-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "mine", module)
        candidate = user_candidate("mine:make", 0)
    numbers = ROWS.select(("a", "b", "c"))
    target = Target("multiclass", np.digitize(np.nan_to_num(VALUES[:, 0]), [-0.5, 0.5]), ("ok", "edge", "void"))
    there = np.flatnonzero(target.values != 1)
    raw = candidate.fit(numbers.take(there), target.take(there)).raw(numbers)
    assert raw.shape == (600, 3)
    assert (raw[:, 1] < raw[:, [0, 2]].min(axis=1)).all()
    assert (raw[there].argmax(axis=1) == target.values[there]).mean() > 0.9


def test_the_simplest_come_first_and_names_are_different() -> None:
    names = [candidate.name for candidate in default_candidates("regression", 0)]
    assert names == ["ridge, penalty 1000", "ridge, penalty 10", "extra trees", "boosted trees", "boosted trees, large"]


def test_extra_trees_say_as_lightgbm_what_they_say_as_scikit_learn() -> None:
    """The log-odds of each leaf, smoothed by three rows and shifted to the base rate; of values the forest's mean."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    options = {"min_samples_leaf": 3, "max_features": 0.5, "random_state": 7}
    forest = ExtraTreesRegressor(40, **options).fit(VALUES, TARGETS["regression"].values)
    found = fit_extra_trees(ROWS, TARGETS["regression"], 7).raw(ROWS)
    np.testing.assert_allclose(found, forest.predict(VALUES), rtol=0, atol=1e-9)
    outcome = TARGETS["binary"].values
    base = outcome.mean()
    classifier = ExtraTreesClassifier(40, **options).fit(VALUES, outcome.astype(int))
    each = []
    for tree in classifier.estimators_:
        leaf = tree.apply(VALUES)
        rows = tree.tree_.n_node_samples[leaf]
        said = logit((tree.tree_.value[leaf, 0, 1] * rows + 3 * base) / (rows + 3))
        each.append(said + logit(base) - said.mean())
    np.testing.assert_allclose(fit_extra_trees(ROWS, TARGETS["binary"], 7).raw(ROWS), np.mean(each, axis=0), atol=1e-5)


def test_scores_are_on_one_scale_whether_half_of_the_rows_were_learned_from_or_all() -> None:
    """Calibration and threshold are found on scores of folds' models, and hold for the one of all rows."""
    random = np.random.default_rng(3)
    values = random.normal(size=(8_000, 20)).astype(np.float32)
    outcome = values[:, 0] + values[:, 1] * values[:, 2] + random.normal(size=8_000) > 3
    assert 0.03 < outcome.mean() < 0.1
    rows = Matrix(values, tuple(f"c{place}" for place in range(20)), {})
    target, later = Target("binary", outcome, ("ok", "bad")), rows.take(slice(6_000, None))
    for candidate in default_candidates("binary", 0):
        half, whole = (
            candidate.fit(rows.take(slice(0, n)), target.take(slice(0, n))).raw(later) for n in (3_000, 6_000)
        )
        assert half.mean() == pytest.approx(whole.mean(), abs=0.45), candidate.name
        assert half.std() == pytest.approx(whole.std(), rel=0.35), candidate.name


def test_the_contributions_of_extra_trees_are_exact() -> None:
    fitted = fit_extra_trees(ROWS, TARGETS["binary"], 0)
    shares = fitted.estimator.predict(VALUES[:50], pred_contrib=True)
    np.testing.assert_allclose(shares.sum(axis=1), fitted.raw(ROWS)[:50], atol=1e-9)
    assert len(parse_trees(fitted.estimator.model_to_string()).names) == 6


def test_the_number_of_boosted_trees_is_found_on_later_rows_where_they_can_tell() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(6_000, 5)).astype(np.float32)
    rows = Matrix(values, tuple("abcde"), {})
    noise = Target("binary", random.random(6_000) < 0.3, (0, 1))
    clear = Target("binary", values[:, 0] * values[:, 1] > 0.3, (0, 1))
    few = Target("binary", noise.values & (np.arange(6_000) % 10 == 0), (0, 1))
    counts = [fit_boosted_trees(rows, target, 0).estimator.num_trees() for target in (noise, clear, few)]
    assert counts[0] == 30  # the fewest: more trees only learn noise
    assert counts[1] > 100
    assert counts[2] == 50  # too few positives to tell
