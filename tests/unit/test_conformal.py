"""How sure a model may be of a row: sets of classes and intervals, their promise, and when they cannot tell."""

import json
from typing import Any

import numpy as np
import pytest

from rowcast.errors import ModelError
from rowcast.fit.confidence import fit_conformal, measure_coverage
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.models.conformal import Bands, Sets, from_dict, to_dict
from rowcast.models.target import Target

CLASSES = ("ok", "bad")


def scored(random: np.random.Generator, rows: int, share: float = 0.1, apart: float = 2.0, shift: Any = 0.0) -> Any:
    """Probabilities of a model that is right on average, and outcomes; `shift` moves what positives score."""
    outcome = random.random(rows) < share
    line = random.normal(size=rows) + outcome * (apart + shift) + np.log(share / (1 - share)) - apart / 2
    return 1 / (1 + np.exp(-line)), Target("binary", outcome, CLASSES)


def folds(rows: int) -> np.ndarray:
    return np.arange(rows) * 5 // rows


def plain_probability(raw: np.ndarray, target: Target) -> Any:
    return lambda raw: raw


# The stored form


def test_a_row_is_sure_where_one_class_alone_cannot_be_ruled_out() -> None:
    sets = Sets((0.8, 0.3))
    probability = np.array([0.1, 0.25, 0.5])
    assert sets.sets(probability).tolist() == [[True, False], [False, False], [False, True]]
    assert sets.uncertain(probability).tolist() == [False, True, False]
    assert Sets((0.2, 0.3)).uncertain(probability).tolist() == [False, False, True]


def test_of_many_classes_each_has_its_own_bound() -> None:
    sets = Sets((0.5, 0.1, 0.0))
    probability = np.array([[0.6, 0.3, 0.1], [0.95, 0.03, 0.02]])
    assert sets.sets(probability).tolist() == [[True, True, True], [True, False, True]]
    assert sets.uncertain(probability).tolist() == [True, True]


def test_an_interval_is_as_wide_as_errors_were_where_values_are_alike() -> None:
    bands = Bands((10.0,), (1.0, 4.0), 3.0)
    low, high = bands.interval(np.array([5.0, 20.0]))
    assert (low.tolist(), high.tolist()) == ([4.0, 16.0], [6.0, 24.0])
    assert bands.uncertain(np.array([5.0, 20.0])).tolist() == [False, True]


@pytest.mark.parametrize(
    "conformal", [Sets((0.8, 0.0)), Sets((0.1, 0.2, 0.3)), Bands((1.0,), (2.0, float("inf")), 3.0)]
)
def test_it_survives_json(conformal: Any) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(conformal), allow_nan=False))) == conformal


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "sets", "least": [0.5]},
        {"kind": "sets", "least": [0.5, 1.5]},
        {"kind": "sets", "least": [0.5, float("nan")]},
        {"kind": "sets", "least": 0.5},
        {"kind": "bands", "edges": [1.0], "reach": [1.0], "blind": 1.0},
        {"kind": "bands", "edges": [2.0, 1.0], "reach": [1.0, 1.0, 1.0], "blind": 1.0},
        {"kind": "bands", "edges": [], "reach": [-1.0], "blind": 1.0},
        {"kind": "bands", "edges": [], "reach": ["wide"], "blind": 1.0},
        {"kind": "guess", "edges": [], "reach": [1.0], "blind": 1.0},
        {},
    ],
)
def test_what_could_not_have_been_stored_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="how sure the model is"):
        from_dict(broken)


# The promise


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_each_class_is_covered_as_promised_on_later_rows_of_the_same_kind(share: float) -> None:
    random, held = np.random.default_rng(3), []
    for _ in range(60):
        probability, target = scored(random, 1000, share)
        later, truth = scored(random, 2000, share)
        sets = fit_conformal(probability, target, folds(1000), 0.9).conformal.sets(later)
        held.append([sets[truth.values == place, place].mean() for place in (0, 1)])
    normal, positive = np.mean(held, axis=0)
    # Never below the promise; a little above, since a level that fell short by luck alone is raised as well.
    assert 0.895 < normal < 0.92
    assert 0.895 < positive < 0.95


def test_always_answering_the_frequent_class_does_not_keep_the_promise() -> None:
    """Marginal sets would: 95 % of the rows are good. Class by class the rare one is covered too, and says so."""
    probability, target = scored(np.random.default_rng(4), 4000, 0.05, apart=0.5)
    sets = fit_conformal(probability, target, folds(4000), 0.9).conformal
    held = sets.sets(probability)[target.values, 1].mean()
    assert held >= 0.9
    assert sets.uncertain(probability).mean() > 0.6


def test_a_good_model_is_seldom_uncertain() -> None:
    probability, target = scored(np.random.default_rng(5), 4000, 0.2, apart=5.0)
    assert fit_conformal(probability, target, folds(4000), 0.99).conformal.uncertain(probability).mean() < 0.05


def test_a_class_of_too_few_rows_is_always_in_the_set() -> None:
    probability, _ = scored(np.random.default_rng(6), 300)
    outcome = np.arange(300) % 40 == 0  # eight of them: at 0.9 nine are needed
    fitted = fit_conformal(probability, Target("binary", outcome, CLASSES), folds(300), 0.9)
    assert fitted.conformal.sets(probability)[:, 1].all()
    assert not fitted.conformal.sets(probability)[:, 0].all()


def test_the_level_rises_where_the_promise_would_not_have_been_kept_forward_in_time() -> None:
    """What failures look like moves from fold to fold: sets of earlier folds fall short on each later one."""
    random, found = np.random.default_rng(7), {"plain": [], "raised": []}
    for _ in range(20):
        shift = -0.25 * folds(3000)
        probability, target = scored(random, 3000, 0.2, 3.0, shift)
        later, truth = scored(random, 3000, 0.2, 3.0, -1.25)
        fitted = fit_conformal(probability, target, folds(3000), 0.9)
        plain = np.quantile(probability[target.values], 0.1)
        assert fitted.level[1] > 0.9
        found["plain"].append((later[truth.values] >= plain).mean())
        found["raised"].append(fitted.conformal.sets(later)[truth.values, 1].mean())
    assert np.mean(found["plain"]) < 0.83
    assert np.mean(found["raised"]) > np.mean(found["plain"]) + 0.06


def test_one_fold_unlike_all_others_does_not_make_every_row_uncertain() -> None:
    """After a break no level would have held: the sets stay sets, and the record tells."""
    probability, target = scored(np.random.default_rng(15), 3000, 0.2, 4.0, np.where(folds(3000) == 3, -4.0, 0.0))
    fitted = fit_conformal(probability, target, folds(3000), 0.9)
    assert fitted.level[1] == pytest.approx(0.99)
    assert 0.1 < fitted.conformal.uncertain(probability).mean() < 0.9
    assert not fitted.conformal.sets(probability)[:, 1].all()


def test_many_classes_are_each_covered() -> None:
    random, held = np.random.default_rng(8), []
    for _ in range(20):
        truth = random.choice(3, 2000, p=[0.8, 0.15, 0.05])
        line = random.normal(size=(2000, 3)) + 2 * np.eye(3)[truth] + np.log([0.8, 0.15, 0.05])
        probability = np.exp(line) / np.exp(line).sum(axis=1, keepdims=True)
        half = np.arange(2000) < 1000
        target = Target("multiclass", truth, ("ok", "scratch", "dent"))
        sets = fit_conformal(probability[half], target.take(half), folds(1000), 0.9).conformal.sets(probability[~half])
        held.append([sets[truth[~half] == place, place].mean() for place in range(3)])
    assert (np.mean(held, axis=0) > 0.89).all()
    assert (np.mean(held, axis=0) < 0.97).all()


# Regression


def test_an_interval_covers_later_labels_and_is_wide_where_errors_are() -> None:
    random, held, wide = np.random.default_rng(9), [], []
    for _ in range(30):
        value = random.uniform(0, 10, 4000)
        label = value + random.normal(size=4000) * (0.2 + 0.2 * value)
        half = np.arange(4000) < 2000
        fitted = fit_conformal(value[half], Target("regression", label[half]), folds(2000), 0.9)
        low, high = fitted.conformal.interval(value[~half])
        covered = (low <= label[~half]) & (label[~half] <= high)
        held.append([covered[value[~half] < 2].mean(), covered[value[~half] > 8].mean()])
        wide.append([(high - low)[value[~half] < 2].mean(), (high - low)[value[~half] > 8].mean()])
    assert (np.mean(held, axis=0) > 0.89).all()
    assert (np.mean(held, axis=0) < 0.94).all()
    assert np.mean(wide, axis=0)[1] > 3 * np.mean(wide, axis=0)[0]


def test_a_model_that_knows_no_more_than_the_labels_is_uncertain_of_every_row() -> None:
    random = np.random.default_rng(10)
    label = random.normal(size=400)
    blind = fit_conformal(random.normal(size=400), Target("regression", label), folds(400), 0.9).conformal
    sighted = fit_conformal(
        label + 0.1 * random.normal(size=400), Target("regression", label), folds(400), 0.9
    ).conformal
    assert blind.uncertain(label).all()
    assert not sighted.uncertain(label).any()


def test_an_interval_of_too_few_rows_has_no_end() -> None:
    low, high = fit_conformal(np.arange(8.0), Target("regression", np.arange(8.0)), folds(8), 0.9).conformal.interval(
        np.zeros(1)
    )
    assert (low[0], high[0]) == (-np.inf, np.inf)


# What is kept of it


def test_coverage_is_measured_forward_in_time_and_stands_beside_the_promise() -> None:
    probability, target = scored(np.random.default_rng(11), 2000, 0.2)
    scores = OutOfFold(target, folds(2000), np.arange(2000), {"model": probability})
    fitted = fit_conformal(probability, target, scores.fold, 0.9)
    table = measure_coverage(scores, "model", fitted, 0.9, plain_probability)
    json.dumps(table, allow_nan=False)
    assert [row["of"] for row in table] == ["ok", "bad", "all"]
    later = folds(2000) > 0
    assert [row["rows"] for row in table] == [(~target.values[later]).sum(), target.values[later].sum(), later.sum()]
    for row in table:
        assert row["promised"] == 0.9
        assert row["low"] < row["covered"] < row["high"]
        assert row["covered"] == pytest.approx(0.9, abs=0.05)
        assert 0 < row["uncertain"] < 1
        assert not row["always"]


def test_coverage_of_a_fold_comes_from_earlier_folds_alone() -> None:
    """The last fold's positives score like nothing before: sets that had seen them would cover them."""
    random = np.random.default_rng(12)
    probability, target = scored(random, 2000, 0.2, 4.0, np.where(folds(2000) == 4, -4.0, 0.0))
    scores = OutOfFold(target, folds(2000), np.arange(2000), {"model": probability})
    fitted = fit_conformal(probability, target, scores.fold, 0.9)
    row = measure_coverage(scores, "model", fitted, 0.9, plain_probability)[1]
    assert row["covered"] < 0.8
    assert row["low"] < 0.5
    assert row["level"] > 0.9


def test_a_class_that_is_always_in_the_set_is_named() -> None:
    probability, _ = scored(np.random.default_rng(13), 300)
    target = Target("binary", np.arange(300) % 40 == 0, CLASSES)
    scores = OutOfFold(target, folds(300), np.arange(300), {"model": probability})
    fitted = fit_conformal(probability, target, scores.fold, 0.9)
    assert [row["always"] for row in measure_coverage(scores, "model", fitted, 0.9, plain_probability)] == [
        False,
        True,
        False,
    ]


def test_one_fold_shows_no_later_time() -> None:
    probability, target = scored(np.random.default_rng(14), 200)
    scores = OutOfFold(target, np.zeros(200, dtype=np.int64), np.arange(200), {"model": probability})
    table = measure_coverage(
        scores, "model", fit_conformal(probability, target, scores.fold, 0.9), 0.9, plain_probability
    )
    assert [(row["rows"], row["covered"], row["low"]) for row in table] == [(0, None, None)] * 3
