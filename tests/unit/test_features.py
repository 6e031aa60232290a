"""Rows become the matrix that the model sees, the same whichever way they arrive."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.config import Task
from rowcast.contract import ColumnRule, Contract
from rowcast.errors import SourceError, TrainingError, describe
from rowcast.features import encode_labels, find_learnable, find_odd_labels, make_target, process

CONTRACT = Contract(
    (
        ColumnRule("x", "number"),
        ColumnRule("n", "number"),
        ColumnRule("c", "category", categories=("a", "b", "ü")),
        ColumnRule("b", "boolean"),
    )
)
NAN = np.float32("nan")


def batch(**columns: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(dict(columns))


def only(kind: str, column: pa.Array, categories: tuple[str, ...] = ()) -> list[float]:
    """The matrix of one column `x`."""
    contract = Contract((ColumnRule("x", kind, categories=categories),))
    return process(batch(x=column), contract, ["x"]).values[:, 0].tolist()


def test_columns_come_in_the_order_of_the_names_whatever_order_the_rows_have():
    matrix = process(batch(b=[True], n=[7], x=[1.5], key=["k"], c=["ü"]), CONTRACT, ["c", "x", "b", "n"])
    assert matrix.names == ("c", "x", "b", "n")
    assert matrix.values.tolist() == [[2.0, 1.5, 1.0, 7.0]]
    assert matrix.categories == {"c": ("a", "b", "ü")}


def test_only_the_names_asked_for_are_needed():
    matrix = process(batch(n=[7, 8]), CONTRACT, ["n"])
    assert matrix.values.tolist() == [[7.0], [8.0]]
    assert matrix.categories == {}


def test_the_matrix_is_float32_in_c_order():
    values = process(batch(x=[1.0, 2.0], n=[1, 2]), CONTRACT, ["x", "n"]).values
    assert values.dtype == np.float32
    assert values.flags.c_contiguous


@pytest.mark.parametrize(
    ("kind", "column", "expected"),
    [
        ("number", pa.array([1.5, None]), [1.5, NAN]),
        ("number", pa.array([1.5, None], pa.float32()), [1.5, NAN]),
        ("number", pa.array([-3, None], pa.int8()), [-3, NAN]),
        ("number", pa.array([2**63 - 1, None], pa.int64()), [2.0**63, NAN]),
        ("number", pa.array([True, None]), [1, NAN]),
        ("boolean", pa.array([True, False, None]), [1, 0, NAN]),
        ("category", pa.array(["b", "unknown", "", None, "a"]), [1, NAN, NAN, NAN, 0]),
        ("category", pa.array(["a", None], pa.large_string()), [0, NAN]),
        ("number", pa.nulls(2), [NAN, NAN]),
        ("category", pa.nulls(2), [NAN, NAN]),
        ("boolean", pa.nulls(1, pa.bool_()), [NAN]),
        ("number", pa.nulls(1, pa.int64()), [NAN]),
    ],
)
def test_each_kind_has_its_number_and_null_is_nan(kind, column, expected):
    np.testing.assert_array_equal(only(kind, column, ("a", "b")), expected)


def test_a_category_that_had_no_value_in_training_is_always_nan():
    np.testing.assert_array_equal(only("category", pa.array(["a"])), [NAN])


def test_a_value_beyond_float32_is_infinite_not_a_crash():
    assert only("number", pa.array([1e39, -1e39])) == [np.inf, -np.inf]


def test_no_rows_make_a_matrix_of_no_rows():
    rows = batch(x=[1.0], n=[1], c=["a"], b=[True]).slice(0, 0)
    assert process(rows, CONTRACT, CONTRACT.names).values.shape == (0, 4)


def test_no_names_make_a_matrix_of_no_columns():
    assert process(batch(x=[1.0, 2.0]), CONTRACT, []).values.shape == (2, 0)


def test_a_sliced_batch_starts_at_its_own_first_row():
    rows = batch(x=[1.0, None, 3.0], n=[1, 2, 3], c=["a", "b", None], b=[None, True, False]).slice(1)
    expected = [[NAN, 2, 1, 1], [3, 3, NAN, 0]]
    np.testing.assert_array_equal(process(rows, CONTRACT, CONTRACT.names).values, expected)


def test_a_missing_column_is_named():
    with pytest.raises(SourceError, match="'x'"):
        process(batch(n=[1]), CONTRACT, ["n", "x"])


def test_a_name_without_a_rule_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError, match="y"):
        process(batch(y=[1]), CONTRACT, ["y"])


@pytest.mark.parametrize(("kind", "column"), [("number", pa.array(["1"])), ("category", pa.array([1]))])
def test_a_column_that_was_not_checked_is_refused(kind, column):
    with pytest.raises(SourceError, match=f"'x' is {column.type}"):
        only(kind, column)


@pytest.mark.parametrize("name", ['say "x"', "it's", "two words", "größe µm", "[a].[b]"])
def test_any_column_name_will_do(name):
    rows = pa.RecordBatch.from_pydict({name: [1.5]})
    assert process(rows, Contract((ColumnRule(name, "number"),)), [name]).values.tolist() == [[1.5]]


def test_fifteen_hundred_columns_keep_their_places():
    expected = np.random.default_rng(1).normal(size=(7, 1_500)).astype(np.float32)
    names = [f"s{n:04}" for n in range(1_500)]
    rows = pa.RecordBatch.from_arrays([pa.array(column) for column in expected.T], names=names)
    contract = Contract(tuple(ColumnRule(name, "number") for name in names))
    np.testing.assert_array_equal(process(rows, contract, names[::-1]).values, expected[:, ::-1])


rows_of_all_kinds = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(width=32)),
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        st.sampled_from([None, "a", "b", "ü", "new"]),
        st.sampled_from([None, True, False]),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(rows_of_all_kinds, st.integers(0, 20), st.permutations(CONTRACT.names), st.permutations(CONTRACT.names))
def test_values_do_not_depend_on_the_split_of_rows_or_the_order_of_columns(values, cut, stored, asked):
    types = dict(zip(CONTRACT.names, [pa.float64(), pa.int64(), pa.string(), pa.bool_()], strict=True))
    columns = {name: pa.array([row[place] for row in values], types[name]) for place, name in enumerate(CONTRACT.names)}
    rows = pa.RecordBatch.from_pydict(columns)
    whole = process(rows, CONTRACT, CONTRACT.names)
    shuffled = rows.select(stored)
    cut = min(cut, len(values))
    parts = [process(part, CONTRACT, asked) for part in (shuffled.slice(0, cut), shuffled.slice(cut))]
    joined = np.concatenate([part.values for part in parts])
    np.testing.assert_array_equal(joined, whole.select(tuple(asked)).values)


@pytest.mark.parametrize(
    ("labels", "positive", "outcome", "classes"),
    [
        ([-1, 1, -1], 1, [False, True, False], (-1, 1)),
        ([0.0, 1.0], True, [False, True], (0.0, 1.0)),
        ([True, False], 1, [True, False], (False, True)),
        (["pass", "fail"], "fail", [False, True], ("pass", "fail")),
        (["0", "1"], 1, [False, True], ("0", "1")),
    ],
)
def test_the_positive_label_is_found_however_the_source_spells_it(
    labels: list[object], positive: object, outcome: list[bool], classes: tuple[object, object]
) -> None:
    found = make_target(pa.array(labels), Task(positive=positive))
    assert found.values.tolist() == outcome
    assert found.classes == classes


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([], "no row has a known label"),
        ([0, 0], r"no label is the one that \[task\] positive names"),
        ([1, 1], "has 1 value: 1 in 2 rows"),
        ([0, 1, 2], "has 3 values"),
    ],
)
def test_labels_that_are_not_two_classes_are_refused_by_what_they_are(labels: list[int], said: str) -> None:
    with pytest.raises(TrainingError) as raised:
        make_target(pa.array(labels, pa.int64()), Task())
    assert re.search(said, describe(raised.value, details=True))


def test_several_classes_begin_with_the_one_that_needs_no_action() -> None:
    labels = pa.array(["scratch", "ok", "void", "ok", "ok"])
    found = make_target(labels, Task(kind="multiclass"))
    assert found.classes == ("ok", "scratch", "void")
    assert found.values.tolist() == [1, 0, 2, 0, 0]
    assert make_target(labels, Task(kind="multiclass", normal="void")).classes == ("void", "ok", "scratch")
    assert make_target(pa.array([3, 1, 1, 2]), Task(kind="multiclass", normal=2)).classes == (2, 1, 3)


@pytest.mark.parametrize(
    ("labels", "normal", "said"),
    [
        (["ok", "ok"], None, "has one value: 'ok'"),
        (["ok", "void"], "good", r"no label is the one that \[task\] normal names"),
        ([f"{place / 7}" for place in range(51)], None, "has 51 values"),
    ],
)
def test_labels_that_are_no_classes_are_refused_by_what_they_are(labels: list[str], normal: Any, said: str) -> None:
    with pytest.raises(TrainingError) as raised:
        make_target(pa.array(labels), Task(kind="multiclass", normal=normal))
    assert re.search(said, describe(raised.value, details=True))


def test_a_label_that_is_not_among_a_models_classes_has_a_place_of_its_own() -> None:
    assert encode_labels(pa.array(["void", "ok", "new"]), ("ok", "void")).tolist() == [1, 0, 2]
    assert encode_labels(pa.array([1.0, 0.0]), (0, 1)).tolist() == [1, 0]


def test_values_are_numbers_or_refused() -> None:
    found = make_target(pa.array([1, 2]), Task(kind="regression"))
    assert (found.values.dtype, found.classes) == (np.float64, ())
    with pytest.raises(TrainingError, match="a regression needs numbers"):
        make_target(pa.array(["high"]), Task(kind="regression"))


def test_rare_classes_and_values_that_are_no_numbers_are_not_learned_from() -> None:
    assert find_learnable(pa.array(["a", "a", "b"]), Task(kind="multiclass"), 2).tolist() == [True, True, False]
    assert find_learnable(pa.array([1.0, float("inf"), float("nan")]), Task(kind="regression"), 2).tolist() == [
        True,
        False,
        False,
    ]
    assert find_learnable(pa.array([0, 1]), Task(), 2).all()
    with pytest.raises(TrainingError, match="no label was seen in 3 rows"):
        find_learnable(pa.array(["a", "a", "b"]), Task(kind="multiclass"), 3)


@pytest.mark.parametrize(
    ("labels", "odd"),
    [
        (["OK"] * 200 + ["NOK"] * 50 + ["nok"] * 2, ["nok"]),
        (["OK"] * 200 + ["NOK"] * 50 + ["N/A"] + ["?"], ["N/A", "?"]),
        (["OK"] * 2000 + ["NOK"] * 50 + ["N/A"] * 20, ["N/A"]),
        (["OK"] * 200 + ["NOK"] * 50 + ["maybe"] * 3, []),  # an outcome of its own
        (["OK"] * 200 + ["nok"] * 2, []),  # the positive one is not there
        (["OK"] * 200 + ["NOK"] * 1 + ["nok"] * 2, []),  # which of them is odd?
        (["OK"] * 200 + ["NOK"] * 50, []),
        ([], []),
    ],
)
def test_a_few_labels_that_are_neither_of_two_outcomes_are_odd(labels: list[str], odd: list[str]) -> None:
    array = pa.array(labels, pa.string())
    assert find_odd_labels(array, "NOK") == odd
    if labels:
        left = find_learnable(array, Task(positive="NOK"), 2)
        assert [label for label, stays in zip(labels, left, strict=True) if not stays] == [
            x for x in labels if x in odd
        ]


def test_waiting_is_an_answer_where_no_failure_has_been_seen_yet() -> None:
    with pytest.raises(TrainingError, match=r"\[task\] positive names") as raised:
        make_target(pa.array([0] * 300), Task())
    assert raised.value.hint.startswith("wait until the first failure has been seen")
    assert "the labels are 0 in 300 rows" in raised.value.detail
    with pytest.raises(TrainingError) as raised:
        make_target(pa.array(["a", "b"] * 9), Task())
    assert raised.value.hint == "set [task] positive to the one that means a failure"


def test_odd_labels_are_named_with_their_counts_and_the_setting() -> None:
    with pytest.raises(TrainingError, match="the label has 3 values") as raised:
        make_target(pa.array(["OK"] * 90 + ["NOK"] * 20 + ["later"] * 10), Task(positive="NOK"))
    assert raised.value.detail == "'OK' in 90 rows, 'NOK' in 20 rows, 'later' in 10 rows"
    assert "label_missing" in raised.value.hint
    assert "later" not in str(raised.value)
