"""What decisions cost, and which costs least."""

import numpy as np

from rowcast.config import Task
from rowcast.models.decision import Costs, cheapest_class, cost_matrix, decision_costs


def test_of_many_classes_the_one_with_the_least_expected_cost_is_taken() -> None:
    random = np.random.default_rng(2)
    task = Task(cost_missed=7, cost_false_alarm=2)
    probability = random.dirichlet([1, 1, 1, 1], 300)
    paid = {
        place: sum(probability[:, truth] * (0 if truth == place else 7 if place == 0 else 2) for truth in range(4))
        for place in range(4)
    }
    expected = np.array([paid[place] for place in range(4)]).argmin(axis=0)
    assert cheapest_class(probability, Costs.of(task)).tolist() == expected.tolist()
    assert set(expected) == {0, 1, 2, 3}


def test_what_needs_no_action_is_dear_to_miss_and_a_defect_taken_for_another_is_looked_at_anyway() -> None:
    assert cost_matrix(Costs(20, 1), 3).tolist() == [[0, 1, 1], [20, 0, 1], [20, 1, 0]]
    assert cheapest_class(np.array([[0.9, 0.06, 0.04], [0.97, 0.02, 0.01]]), Costs(20, 1)).tolist() == [1, 0]


def test_of_several_classes_a_missed_failure_costs_more_than_one_taken_for_another() -> None:
    truth, place = np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 1, 1, 0])
    assert decision_costs(truth, place, Costs(20, 1)).tolist() == [0, 1, 20, 0, 1, 20]
