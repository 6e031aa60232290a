"""Figures of out-of-fold rows, where they will lie on later rows, and the tables that are kept of them."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import spearmanr
from sklearn import metrics

from rowcast.config import Task
from rowcast.fit.cross_fitting import LabelledPredictions, cross_fit
from rowcast.fit.diagnostics import confusion, cost_curve, over_time, reliability
from rowcast.fit.evaluation import evaluate
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.quality import auc, average_precision, measure_quality
from rowcast.fit.selection import Selection
from rowcast.fit.threshold import choose_threshold
from rowcast.models import calibration
from rowcast.models.decision import Costs, cheapest_class
from rowcast.models.target import Target

TASK = Task(cost_missed=20.0, cost_false_alarm=1.0)
DAY = 86_400_000_000


def calibrate(raw: np.ndarray, target: Target) -> Any:
    """As a build does it for two classes; of many classes the scores are taken at their word."""
    if target.kind == "binary":
        return calibration.fit(raw, target)
    if target.kind == "regression":
        return lambda raw: raw
    return lambda raw: np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)


def only(scores: OutOfFold) -> Selection:
    return Selection(next(iter(scores.raw)), "given")


def binary(rows: int = 1000, seed: int = 0, share: float = 0.1, apart: float = 1.5, shift: Any = 0.0) -> OutOfFold:
    """Five folds; `shift` is added to the scores of each row, and tells nothing."""
    random = np.random.default_rng(seed)
    outcome = random.random(rows) < share
    raw = random.normal(size=rows) + apart * outcome + shift
    return OutOfFold(Target("binary", outcome, ("ok", "bad")), folds(rows), np.arange(rows), {"model": raw})


def folds(rows: int) -> np.ndarray:
    return np.arange(rows) * 5 // rows


def many(rows: int = 1500) -> OutOfFold:
    random = np.random.default_rng(1)
    truth = random.choice(3, rows, p=[0.8, 0.15, 0.05])
    raw = random.normal(size=(rows, 3)) + 2 * np.eye(3)[truth] + np.log([0.8, 0.15, 0.05])
    return OutOfFold(Target("multiclass", truth, ("ok", "scratch", "dent")), folds(rows), np.arange(rows), {"m": raw})


def value(rows: int = 1000) -> OutOfFold:
    random = np.random.default_rng(2)
    label = random.normal(size=rows) * 3 + 20
    raw = label + random.normal(size=rows)
    return OutOfFold(Target("regression", label), folds(rows), np.arange(rows), {"model": raw})


def judged(scores: OutOfFold, task: Task = TASK) -> LabelledPredictions:
    return cross_fit(scores, only, task, calibrate)


# No row judges itself


def test_calibration_and_threshold_of_a_row_come_from_other_folds() -> None:
    """One fold's outcomes are turned round: what its own rows are given stays the same, all others change."""
    scores = binary()
    here = scores.fold == 2
    turned = scores.target.values ^ here
    other = OutOfFold(Target("binary", turned, ("ok", "bad")), scores.fold, scores.block, scores.raw)
    one, two = judged(scores), judged(other)
    np.testing.assert_array_equal(one.probability[here], two.probability[here])
    np.testing.assert_array_equal(one.predicted[here], two.predicted[here])
    assert (one.probability[~here] != two.probability[~here]).all()


def test_the_candidate_that_judges_a_row_was_chosen_without_it() -> None:
    """A candidate of pure noise is lucky in one fold: that fold alone must not be judged by it."""
    scores = binary(seed=3, apart=0.0)
    lucky = np.random.default_rng(4).normal(size=1000) + 9.0 * scores.target.values * (scores.fold == 4)
    scores.raw["lucky"] = lucky

    def choose(of: OutOfFold) -> Selection:
        return Selection(max(of.raw, key=lambda name: auc(of.raw[name], of.target.values)), "given")

    assert choose(scores).name == "lucky"
    of = cross_fit(scores, choose, TASK, calibrate)
    here = scores.fold == 4
    assert auc(of.raw[here], scores.target.values[here]) == pytest.approx(0.5, abs=0.15)
    assert auc(lucky[here], scores.target.values[here]) > 0.99


def test_where_the_other_folds_lack_a_class_every_second_row_judges_the_rest() -> None:
    scores = binary(seed=5)
    late = np.arange(1000) > 850
    scores = OutOfFold(
        Target("binary", late, ("ok", "bad")), scores.fold, scores.block, {"m": late + scores.raw["model"]}
    )
    assert 0.8 < measure_quality(judged(scores), TASK)["recall"] < 1


# Figures


def test_figures_are_those_of_the_field() -> None:
    scores = binary()
    of = judged(scores)
    found, outcome, raw = measure_quality(of, TASK), scores.target.values, scores.raw["model"]
    each = [scores.fold == fold for fold in range(5)]
    weight = [outcome[here].sum() * (~outcome[here]).sum() for here in each]
    by_fold = [metrics.roc_auc_score(outcome[here], raw[here]) for here in each]
    assert found["auc"] == pytest.approx(np.average(by_fold, weights=weight))
    precise = [metrics.average_precision_score(outcome[here], raw[here]) for here in each]
    assert found["average_precision"] == pytest.approx(
        np.average(precise, weights=[outcome[here].sum() for here in each])
    )
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(outcome, of.probability))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(outcome, of.probability))
    assert found["precision"] == pytest.approx(metrics.precision_score(outcome, of.predicted))
    assert found["recall"] == pytest.approx(metrics.recall_score(outcome, of.predicted))
    assert found["flagged_share"] == pytest.approx(of.predicted.mean())
    missed, alarms = (outcome & ~of.predicted).sum(), (~outcome & of.predicted).sum()
    assert found["cost_per_row"] == pytest.approx((20 * missed + alarms) / 1000)
    assert found["cost_per_row_flag_none"] == pytest.approx(20 * outcome.mean())
    assert found["cost_per_row_flag_all"] == pytest.approx((~outcome).mean())
    assert (found["rows_out_of_fold"], found["positives_out_of_fold"]) == (1000, outcome.sum())


def test_ranking_with_ties_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(6)
    for _ in range(20):
        score, outcome = np.round(random.normal(size=60), 1), random.random(60) < 0.3
        assert auc(score, outcome) == pytest.approx(metrics.roc_auc_score(outcome, score))
        assert average_precision(score, outcome) == pytest.approx(metrics.average_precision_score(outcome, score))


def test_a_level_that_moves_from_fold_to_fold_neither_helps_nor_hurts_the_auc() -> None:
    """Each fold has its own model: rows of one are never ranked among those of another."""
    still, moved = binary(), binary(shift=5.0 * folds(1000))
    assert measure_quality(judged(moved), TASK)["auc"] == pytest.approx(measure_quality(judged(still), TASK)["auc"])


def test_figures_of_many_classes_are_those_of_the_field() -> None:
    scores = many()
    of = judged(scores)
    found, truth = measure_quality(of, TASK), scores.target.values
    assert of.predicted.tolist() == cheapest_class(of.probability, Costs.of(TASK)).tolist()
    assert found["accuracy"] == pytest.approx((truth == of.predicted).mean())
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, of.probability))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(truth, of.probability, multi_class="ovr"), abs=0.02)
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, of.predicted), abs=0.03)
    assert found["cost_per_row"] < found["cost_per_row_flag_none"] == pytest.approx(20 * (truth > 0).mean())


def test_figures_of_a_regression_are_those_of_the_field() -> None:
    scores = value()
    found, label, raw = measure_quality(judged(scores), TASK), scores.target.values, scores.raw["model"]
    assert found["mae"] == found["cost_per_row"] == pytest.approx(np.abs(label - raw).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((label - raw) ** 2).mean()))
    assert found["r2"] == pytest.approx(metrics.r2_score(label, raw))
    assert found["spearman"] == pytest.approx(spearmanr(label, raw).statistic)
    assert found["cost_per_row_median"] == pytest.approx(np.abs(label - np.median(label)).mean(), rel=0.01)


@pytest.mark.parametrize("make", [binary, many, value])
def test_every_figure_has_its_interval(make: Any) -> None:
    found = measure_quality(judged(make()), TASK)
    assert found["interval_rows"] == found["rows_out_of_fold"]
    with_interval = [name.removesuffix("_low") for name in found if name.endswith("_low")]
    assert len(with_interval) >= 5
    for name in with_interval:
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"], name


def test_what_cannot_be_told_is_none() -> None:
    scores = binary(share=0.01, seed=1)
    found = measure_quality(judged(scores, Task(cost_missed=0.001, cost_false_alarm=1)), TASK)
    assert (found["precision"], found["precision_low"], found["precision_high"]) == (None, None, None)
    assert (found["recall"], found["flagged_share"]) == (0, 0)


# Later rows


@pytest.mark.parametrize(
    ("positives", "drifts"), [(35, False), pytest.param(200, False, marks=pytest.mark.long), (200, True)]
)
def test_intervals_hold_the_figures_of_later_rows(positives: int, drifts: bool) -> None:
    """Drift: how far apart the classes are differs from fold to fold, and once more in the later rows."""
    held = dict.fromkeys(("auc", "cost_per_row", "recall", "average_precision"), 0)
    rows, task = positives * 10, Task(cost_missed=10, cost_false_alarm=1)

    def given(raw: np.ndarray, target: Target) -> Any:
        return lambda raw: expit(1.2 * raw - 3)

    for seed in range(60):
        random = np.random.default_rng(seed)
        apart = 1.2 + 0.5 * drifts * random.normal(size=6)
        scores, later = binary(rows, seed, apart=apart[folds(rows)]), binary(rows, seed + 1000, apart=apart[5])
        found = measure_quality(cross_fit(scores, only, task, given), task)
        line = choose_threshold(expit(1.2 * scores.raw["model"] - 3), scores.target.values, task)
        raw, outcome = later.raw["model"], later.target.values
        flagged = expit(1.2 * raw - 3) >= line
        truth = {
            "auc": auc(raw, outcome),
            "cost_per_row": (10 * (outcome & ~flagged) + (~outcome & flagged)).mean(),
            "recall": flagged[outcome].mean(),
            "average_precision": average_precision(raw, outcome),
        }
        for name, came in truth.items():
            held[name] += found[f"{name}_low"] <= came <= found[f"{name}_high"]
    for name, count in held.items():
        assert count >= 54, (name, count)  # of 60: 57 promised, 53 one time in thirty


# The record


def test_a_record_is_json_and_complete() -> None:
    when = np.arange(1000) * DAY // 10
    found = evaluate(binary(), only, TASK, 0.9, when)
    json.dumps(found.record, allow_nan=False)
    assert (found.choice.name, 0 < found.threshold < 1) == ("model", True)
    assert {"reliability", "cost_curve", "confusion", "over_time", "coverage"} <= set(found.record)
    for make in (many, value):
        found = evaluate(make(), only, TASK, 0.9)
        json.dumps(found.record, allow_nan=False)
        assert found.threshold is None
        assert "cost_curve" not in found.record
    assert "confusion" not in found.record


def test_reliability_sets_what_came_beside_what_was_predicted() -> None:
    table = reliability(judged(binary(6000)))
    assert len(table) == 10
    assert sum(row["rows"] for row in table) == 6000
    for row, after in pairwise(table):
        assert row["low"] <= row["predicted"] <= row["high"] <= after["low"]
        assert row["observed_low"] <= row["observed"] <= row["observed_high"]
    assert np.mean([row["observed_low"] <= row["predicted"] <= row["observed_high"] for row in table]) >= 0.9
    assert table[-1]["observed"] > 4 * table[0]["observed"]


def test_reliability_has_no_more_bins_than_positives_can_fill() -> None:
    assert len(reliability(judged(binary(600, share=0.03)))) <= 4


def test_reliability_of_many_classes_is_that_of_a_row_that_needs_action() -> None:
    of = judged(many())
    table = reliability(of)
    assert sum(row["rows"] * row["observed"] for row in table) == pytest.approx((of.target.values > 0).sum())


def test_reliability_of_a_regression_tells_where_labels_lie_off_the_value() -> None:
    for row in reliability(judged(value(5000))):
        assert row["observed_low"] < row["observed"] < row["observed_high"]
        assert (row["residual_low"], row["residual_high"]) == pytest.approx((-1.6, 1.6), abs=0.9)


def test_the_cost_curve_runs_from_flagging_all_to_flagging_hardly_any() -> None:
    of = judged(binary())
    table, found = cost_curve(of, TASK), measure_quality(of, TASK)
    assert 40 <= len(table) <= 50
    assert table[0]["cost_per_row"] == pytest.approx(found["cost_per_row_flag_all"])
    assert (table[0]["flagged_share"], table[0]["recall"]) == (1, 1)
    assert table[-1]["flagged_share"] < 0.01
    for row in table:
        assert row["cost_low"] <= row["cost_per_row"] <= row["cost_high"]
    assert min(row["cost_per_row"] for row in table) < found["cost_per_row_flag_all"]


def test_confusion_tells_what_each_class_was_taken_for() -> None:
    of = judged(many())
    table = confusion(of)
    expected = metrics.confusion_matrix(of.target.values, of.predicted)
    assert [row["rows"] for row in table] == expected.ravel().tolist()
    assert [(row["truth"], row["predicted"]) for row in table[:4]] == [
        ("ok", "ok"),
        ("ok", "scratch"),
        ("ok", "dent"),
        ("scratch", "ok"),
    ]
    assert sum(row["share"] for row in table) == pytest.approx(3)
    for row in table:
        assert row["low"] <= row["share"] <= row["high"]


def test_over_time_has_a_row_for_each_fold_with_its_dates() -> None:
    scores = binary()
    table = over_time(judged(scores), TASK, np.arange(1000) * DAY // 10)
    assert [row["from"] for row in table] == ["1970-01-01", "1970-01-21", "1970-02-10", "1970-03-02", "1970-03-22"]
    assert [row["to"] for row in table][-1] == "1970-04-10"
    assert [row["rows"] for row in table] == [200] * 5
    for number, row in enumerate(table):
        here = scores.fold == number
        assert row["positives"] == scores.target.values[here].sum()
        assert row["auc"] == pytest.approx(auc(scores.raw["model"][here], scores.target.values[here]))
        assert row["auc_low"] < row["auc"] < row["auc_high"]
        assert row["cost_low"] < row["cost_per_row"] < row["cost_high"]


def test_over_time_without_times_has_no_dates_and_of_a_regression_an_error() -> None:
    table = over_time(judged(value()), TASK, None)
    assert [(row["from"], row["to"], row["positives"]) for row in table] == [(None, None, None)] * 5
    assert all(row["mae_low"] < row["mae"] < row["mae_high"] for row in table)
