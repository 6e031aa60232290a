"""What the values of a column usually are, and how that is kept and read."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rowcast.errors import ModelError
from rowcast.models.matrix import Matrix
from rowcast.models.reference_range import format_range, from_dict, reference_ranges

NAN = float("nan")


def matrix_of(*values: float, categories: tuple[str, ...] = ()) -> Matrix:
    """One column `x`."""
    column = np.array(values, dtype=np.float32)[:, np.newaxis]
    return Matrix(column, ("x",), {"x": categories} if categories else {})


def test_of_a_number_it_is_the_middle_ninety_percent_of_what_was_measured() -> None:
    assert reference_ranges(matrix_of(*range(101), NAN, NAN)) == {"x": [5.0, 95.0]}


def test_of_a_category_it_is_the_share_of_the_rows_that_the_most_common_have() -> None:
    found = reference_ranges(matrix_of(2, 2, 0, NAN, categories=("a", "b", "ü")))
    assert found == {"x": {"ü": 0.5, "a": 0.25}}
    assert list(found["x"]) == ["ü", "a"]
    many = reference_ranges(matrix_of(*range(9), 8, categories=tuple("abcdefghi")))
    assert list(many["x"]) == ["i", "a", "b", "c", "d"]


def test_a_column_that_was_never_measured_has_no_usual_values() -> None:
    assert reference_ranges(matrix_of(NAN, NAN)) == {}
    assert reference_ranges(matrix_of(NAN, categories=("a",))) == {}


@settings(max_examples=50)
@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_json_keeps_it_and_it_reads_back_as_it_was(values: np.ndarray) -> None:
    found = reference_ranges(matrix_of(*values))
    assert from_dict(json.loads(json.dumps(found, allow_nan=False))) == found
    low, high = found["x"]
    slack = 1e-5 * np.abs(values).max()
    assert values.min() - slack <= low <= high <= values.max() + slack


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        None,
        {"x": None},
        {"x": []},
        {"x": [1.0]},
        {"x": [1.0, 2.0, 3.0]},
        {"x": [2.0, 1.0]},
        {"x": [0.0, NAN]},
        {"x": [0.0, float("inf")]},
        {"x": ["0", "1"]},
        {"x": [False, True]},
        {"x": "1 to 2"},
        {"x": {"a": -0.1}},
        {"x": {"a": 0.7, "b": 0.7}},
        {"x": {"a": "0.5"}},
        {"x": {"a": NAN}},
        {"x": [0.0, 1.0], "y": {"a": [0.5]}},
    ],
)
def test_what_is_not_sound_is_refused(wrong: Any) -> None:
    with pytest.raises(ModelError, match="usual values"):
        from_dict(wrong)


def test_people_read_it_in_plain_figures() -> None:
    assert format_range([0.0022, 145_145.0]) == "0.0022 to 145,145"
    assert format_range({"ETCH-01": 0.336495, "B": 0.05}) == "ETCH-01 34 %, B 5.0 %"
    assert format_range(None) == "-"


def test_a_category_without_a_letter_is_seen() -> None:
    assert format_range({"N/A": 0.25, "": 0.25, " ": 0.5}) == "N/A 25 %, '' 25 %, ' ' 50 %"
