"""Training sets a period aside whose labels, or a column, contradict all other rows; what really changed is kept."""

from typing import Any

import numpy as np
import pytest

from rowcast import config
from rowcast.contract import ColumnRule, Contract
from rowcast.fit import FitResult, TrainingData, fit_challenger
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target
from rowcast.store.records import PeriodFault

DAY = 86_400_000_000
DAYS, EACH = 60, 50
ROWS = DAYS * EACH
BAD = slice(40 * EACH, 50 * EACH)
RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(ROWS, 4)).astype(np.float32)
OUTCOME = VALUES[:, 0] + 0.7 * RANDOM.normal(size=ROWS) > 0.8
NAMES = ("a", "b", "c", "d")


def fitted(outcome: np.ndarray, values: np.ndarray = VALUES, judged_from: int | None = None) -> FitResult:
    time = np.arange(ROWS) // EACH * DAY + np.arange(ROWS) % EACH
    target = Target("binary", outcome, (0, 1))
    rows = TrainingData(Matrix(values, NAMES, {}), target, time, time, None, time // DAY, True, judged_from)
    contract = Contract(tuple(ColumnRule(name, "number") for name in NAMES))
    return fit_challenger(rows, contract, config.Model(min_train_rows=20), config.Task(cost_missed=5))


def changed(rows: slice, to: Any) -> np.ndarray:
    outcome = OUTCOME.copy()
    outcome[rows] = to
    return outcome


def days(built: FitResult) -> list[tuple[str, int, int]]:
    return [(each.fault, each.first // EACH, each.last // EACH) for each in built.suspect_periods]


def test_rows_that_are_as_ever_are_all_learned_from() -> None:
    built = fitted(OUTCOME)
    assert built.suspect_periods == ()
    assert built.metrics["rows"] == ROWS
    assert built.metrics["set_aside"] == []


@pytest.mark.parametrize(
    ("fault", "labels"),
    [
        (PeriodFault.LABELS_CONTRADICT, RANDOM.permutation(OUTCOME[BAD])),
        (PeriodFault.LABELS_CONTRADICT, np.roll(OUTCOME[BAD], 1)),  # joined to the row before
        (PeriodFault.LABELS_CONSTANT, False),
        (PeriodFault.LABELS_CONSTANT, True),
    ],
    ids=["shuffled", "of the row before", "all good", "all bad"],
)
def test_labels_that_contradict_what_every_model_said_before_are_set_aside(fault: PeriodFault, labels: Any) -> None:
    built = fitted(changed(BAD, labels))
    [(found, first, last)] = days(built)
    assert found is fault
    assert abs(first - 40) <= 3  # periods are whole days with rows enough, so their edges need not be the fault's
    assert abs(last - 49) <= 3
    [kept] = built.metrics["set_aside"]
    assert kept["rows"] == ROWS - built.metrics["rows"]
    assert kept["from"].startswith("1970-02-")


def test_a_model_that_set_shuffled_labels_aside_is_as_good_as_one_that_never_saw_them() -> None:
    shuffled = fitted(changed(BAD, RANDOM.permutation(OUTCOME[BAD])))
    clean = fitted(OUTCOME)
    assert shuffled.metrics["auc"] == pytest.approx(clean.metrics["auc"], abs=0.02)


def test_a_column_that_knows_the_outcome_for_a_while_is_found_and_named() -> None:
    values = VALUES.copy()
    values[BAD, 2] = OUTCOME[BAD] * 3.0
    built = fitted(OUTCOME, values)
    [found] = built.suspect_periods
    assert (found.fault, found.column) == (PeriodFault.COLUMN_KNOWS, "c")
    assert found.auc is not None
    assert found.auc > 0.95 > 0.85 > found.usual_auc
    assert abs(found.first // EACH - 40) <= 3


def test_rows_are_learned_from_without_the_values_of_a_column_that_knows_the_outcome_but_judge_nobody() -> None:
    values = VALUES.copy()
    values[BAD, 2] = OUTCOME[BAD] * 3.0
    built = fitted(OUTCOME, values, judged_from=BAD.start)
    assert built.metrics["rows"] == ROWS
    assert built.forward is not None
    [found] = built.suspect_periods
    assert set(built.forward.rows.tolist()).isdisjoint(range(found.first, found.last + 1))
    assert len(built.forward.rows) > 100
    clean = fitted(OUTCOME)
    assert built.metrics["auc"] == pytest.approx(clean.metrics["auc"], abs=0.02)


def test_the_column_that_usually_tells_most_is_found_to_know_the_outcome_to_the_row() -> None:
    values, leak = VALUES.copy(), slice(40 * EACH + 20, 50 * EACH + 20)
    outcome = values[:, 0] + 0.7 * values[:, 1] + 0.7 * np.random.default_rng(3).normal(size=ROWS) > 0.8
    low, high = np.quantile(values[:, 0], (0.25, 0.75))
    values[leak, 0] = np.where(outcome[leak], high, low)
    [found] = fitted(outcome, values).suspect_periods
    assert (found.fault, found.column) == (PeriodFault.COLUMN_KNOWS, "a")
    assert found.usual_auc is not None
    assert found.usual_auc > 0.8  # in a hundred rows, as many as a period has, close to knowing it
    assert abs(found.first - leak.start) <= 20
    assert abs(found.last + 1 - leak.stop) <= 20


def test_a_relation_that_really_changed_is_learned_from() -> None:
    """From day 45 on another column tells: no model from before knows, but the new rows tell it themselves."""
    noise = 0.7 * np.random.default_rng(1).normal(size=ROWS)
    outcome = changed(slice(45 * EACH, None), (VALUES[:, 1] + noise > 0.8)[45 * EACH :])
    assert fitted(outcome).suspect_periods == ()


def test_another_product_is_learned_from_though_no_model_from_before_can_predict_it() -> None:
    values, product = VALUES.copy(), slice(39 * EACH, 51 * EACH)
    values[product, 3] += 6  # unlike all others'
    noise = np.random.default_rng(2).permutation(OUTCOME[product])
    assert fitted(changed(product, noise), values).suspect_periods == ()


def test_the_gates_rows_are_named_by_their_place_among_all() -> None:
    border = 48 * EACH
    built = fitted(changed(BAD, RANDOM.permutation(OUTCOME[BAD])), judged_from=border)
    assert built.forward is not None
    [period] = built.suspect_periods
    judged = set(built.forward.rows.tolist())
    assert judged == set(range(border, ROWS)) - set(range(period.first, period.last + 1))


def test_other_kinds_and_rows_without_times_are_left_alone() -> None:
    time, noise = np.arange(ROWS), RANDOM.permutation(OUTCOME)
    rows = TrainingData(Matrix(VALUES, NAMES, {}), Target("binary", noise, (0, 1)), time, time)
    contract = Contract(tuple(ColumnRule(name, "number") for name in NAMES))
    assert fit_challenger(rows, contract, config.Model(), config.Task()).suspect_periods == ()
