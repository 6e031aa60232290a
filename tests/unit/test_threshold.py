"""Where the line is drawn: by cost, by a capacity, by a recall to reach; and which of many classes costs least."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rowcast.config import Task
from rowcast.fit.threshold import choose_threshold

ROWS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40)


def of(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows]) / 40 + 0.1, np.array([row[1] for row in rows])


@settings(deadline=None, max_examples=200)
@given(ROWS, st.floats(0.1, 100), st.floats(0.1, 100))
def test_no_threshold_is_cheaper_than_the_chosen_one_but_for_luck(
    rows: list[tuple[int, bool]], missed: float, alarm: float
) -> None:
    score, outcome = of(rows)

    def cost(line: float) -> float:
        flagged = score >= line
        return float(missed * (outcome & ~flagged).sum() + alarm * (~outcome & flagged).sum())

    chosen = choose_threshold(score, outcome, Task(cost_missed=missed, cost_false_alarm=alarm))
    assert 0 <= chosen <= 1
    assert not np.isclose(score, chosen, atol=1e-6).any()  # in the middle: the last bits of a score cannot matter

    def luck(other: float) -> float:
        between = (score >= chosen) != (score >= other)
        return float(np.sqrt(missed**2 * outcome[between].sum() + alarm**2 * (~outcome[between]).sum()))

    least = min(cost(other) for other in (0.0, 1.0, *score))
    cheapest = [other for other in (0.0, 1.0, *score) if cost(other) <= least + 1e-6]
    assert any(cost(chosen) <= least + luck(other) + 1e-6 for other in cheapest)


def test_what_luck_cannot_explain_is_cheapest() -> None:
    """Twenty failures at 0.2, where the costs alone would draw the line at 0.5."""
    score = np.repeat([0.1, 0.2, 0.7], [100, 30, 10])
    outcome = np.concatenate([np.zeros(100), np.ones(20), np.zeros(10), np.ones(10)]).astype(bool)
    assert 0.1 < choose_threshold(score, outcome, Task(cost_missed=1, cost_false_alarm=1)) < 0.2


def test_what_luck_can_explain_is_left_to_the_costs() -> None:
    """Sixteen failures of thirty: flagging them saves 2, give or take 5.5."""
    score = np.repeat([0.1, 0.2, 0.7], [100, 30, 10])
    outcome = np.concatenate([np.zeros(100), np.ones(16), np.zeros(14), np.ones(10)]).astype(bool)
    assert 0.2 < choose_threshold(score, outcome, Task(cost_missed=1, cost_false_alarm=1)) < 0.7


def test_a_model_that_knows_nothing_flags_all_or_none() -> None:
    random = np.random.default_rng(16)
    score, outcome = np.full(400, 0.3), random.random(400) < 0.3
    assert choose_threshold(score, outcome, Task(cost_missed=100, cost_false_alarm=1)) == 0
    assert choose_threshold(score, outcome, Task(cost_missed=0.01, cost_false_alarm=1)) == 1


@settings(deadline=None, max_examples=200)
@given(ROWS, st.floats(0.01, 0.99))
def test_a_capacity_is_used_up_and_never_exceeded(rows: list[tuple[int, bool]], most: float) -> None:
    score, outcome = of(rows)
    chosen = choose_threshold(score, outcome, Task(max_flagged=most))
    flagged = score >= chosen
    assert flagged.mean() <= most + 1e-9
    if not flagged.all():
        next_down = score >= score[~flagged].max()
        assert next_down.mean() > most  # rows of one score are flagged together or not at all
    assert not np.isclose(score, chosen, atol=1e-6).any()


def test_a_capacity_flags_the_riskiest_whatever_they_cost() -> None:
    score = np.arange(100) / 100
    task = Task(max_flagged=0.07, cost_missed=0.001, cost_false_alarm=1000)
    assert np.flatnonzero(score >= choose_threshold(score, score > 0.5, task)).tolist() == list(range(93, 100))
    assert choose_threshold(np.full(50, 0.4), np.arange(50) > 40, task) == 1  # all or none: none


@pytest.mark.parametrize("positives", [20, 60])
def test_a_target_recall_is_reached_on_later_rows(positives: int) -> None:
    random, found, flagged = np.random.default_rng(1), [], []
    for _ in range(400):
        outcome = np.arange(10 * positives) < positives
        score, later = (1 / (1 + np.exp(-random.normal(size=len(outcome)) - 2 * outcome)) for _ in range(2))
        line = choose_threshold(score, outcome, Task(min_recall=0.9))
        found.append((later[outcome] >= line).mean())
        flagged.append((later >= line).mean())
    assert 0.9 <= np.mean(found) < 0.93
    assert np.mean(flagged) < 0.5


def test_a_recall_that_few_positives_cannot_show_flags_every_row() -> None:
    score, outcome = np.arange(40) / 40, np.arange(40) >= 32
    assert choose_threshold(score, outcome, Task(min_recall=0.9)) == 0
    assert choose_threshold(score, outcome, Task(min_recall=0.8)) > 0


def test_a_capacity_and_a_recall_at_once_are_refused() -> None:
    with pytest.raises(ValidationError, match="name one of them"):
        Task(max_flagged=0.1, min_recall=0.9)
