"""The contributions that a person is shown."""

import json

import numpy as np

from rowcast.models.matrix import Matrix
from rowcast.models.top_contributions import select_top

NAN = float("nan")
MATRIX = Matrix(
    np.array([[4.1, 1, 7, NAN], [0.1, NAN, 7, 2]], dtype=np.float32),
    ("s012", "tool", "idle", "s4"),
    {"tool": ("ETCH-01", "ätz")},
)
USUAL = {"s012": [1.2, 2.9], "tool": {"ETCH-01": 0.9}, "s4": [0.0, 1.0]}


def test_the_weightiest_come_first_whichever_way_they_push() -> None:
    found = select_top(MATRIX, 0, np.array([0.5, -0.83, 0.0, 0.1]), USUAL, top=2)
    assert list(found) == ["tool", "s012"]


def test_each_stands_beside_the_rows_value_and_what_is_usual() -> None:
    found = select_top(MATRIX, 0, np.array([0.5, -0.8312345678, 0.0, 0.1]), USUAL, top=10)
    assert found == {
        "tool": {"contribution": -0.831235, "value": "ätz", "reference_range": {"ETCH-01": 0.9}},
        "s012": {"contribution": 0.5, "value": 4.1, "reference_range": [1.2, 2.9]},
        "s4": {"contribution": 0.1, "value": None, "reference_range": [0.0, 1.0]},
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_missing_category_has_no_value_and_a_model_without_usual_values_names_none() -> None:
    found = select_top(MATRIX, 1, np.array([0.0, 1.0, 0.5, 0.0]), {}, top=10)
    assert found == {
        "tool": {"contribution": 1.0, "value": None, "reference_range": None},
        "idle": {"contribution": 0.5, "value": 7.0, "reference_range": None},
    }
