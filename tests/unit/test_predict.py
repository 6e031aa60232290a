"""Predictions and quarantined rows, as they are handed to the ledger."""

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from rowcast import check, predict
from rowcast.contract import ColumnRule, Contract, Failure
from rowcast.models.artifact import Member, Model
from rowcast.models.calibration import Identity, Sigmoid
from rowcast.models.conformal import Bands, Sets
from rowcast.models.matrix import Matrix


@pytest.fixture(scope="module")
def model() -> Model:
    """A model whose score rises with `a` alone."""
    import lightgbm

    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 2)).astype(np.float32)
    data = lightgbm.Dataset(values, (values[:, 0] > 0).astype(np.float32))
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, num_boost_round=10)
    contract = Contract((ColumnRule("a", "number"), ColumnRule("b", "number")))
    usual = {"a": [-1.6, 1.6], "b": [-1.6, 1.6]}
    return Model(
        "binary",
        ("a", "b"),
        contract,
        (Member("lightgbm", booster),),
        Sigmoid(1.0, 0.0),
        ("pass", "fail"),
        threshold=0.5,
        reference_ranges=usual,
    )


def test_a_row_carries_the_classes_that_cannot_be_ruled_out(model: Model) -> None:
    one = replace(model, conformal=Sets((0.7, 0.2)))
    rows = predicted(one, matrix_of((2, 0), (-2, 0), (0, 0)))
    probability = rows.column("score").to_numpy()
    possible = [json.loads(text) for text in rows.column("possible").to_pylist()]
    assert possible == [["pass"] * int(1 - p >= 0.7) + ["fail"] * int(p >= 0.2) for p in probability]
    assert possible[:2] == [["fail"], ["pass"]]
    assert rows.column("uncertain").to_pylist() == [len(each) != 1 for each in possible]
    assert rows.column("low").null_count == rows.column("high").null_count == 3


def test_of_many_classes_each_row_carries_its_own_set(model: Model) -> None:
    labels = tuple(f"d{place}" for place in range(20))
    sets = np.random.default_rng(0).random((300, 20)) < 0.3
    found = predict._possible(replace(model, classes=labels), sets)
    for text, there in zip(found.to_pylist(), sets, strict=True):
        assert json.loads(text) == [label for label, is_in in zip(labels, there, strict=True) if is_in]


def test_a_value_carries_its_interval_where_it_has_an_end(model: Model) -> None:
    bands = Bands(edges=(0.0,), reach=(0.5, math.inf), blind=2.0)
    rows = predicted(
        replace(model, kind="regression", calibration=Identity(), conformal=bands), matrix_of((2, 0), (-2, 0))
    )
    high, low = rows.column("score").to_pylist()
    assert rows.column("low").to_pylist() == [None, low - 0.5]
    assert rows.column("high").to_pylist() == [None, low + 0.5]
    assert rows.column("uncertain").to_pylist() == [True, False]
    assert (high > 0, rows.column("predicted").to_pylist()) == (True, [high, low])


def matrix_of(*rows: tuple[float, float]) -> Matrix:
    return Matrix(np.array(rows, dtype=np.float32), ("a", "b"), {})


def predicted(model: Model, matrix: Matrix) -> pa.RecordBatch:
    keys = pa.record_batch({"wafer": [f"w{place}" for place in range(len(matrix))]})
    return predict.predict_batch(model, matrix, keys, np.arange(len(matrix), dtype=np.int64)).rows


def test_a_flagged_row_is_predicted_as_the_positive_class_in_the_sources_own_spelling(model: Model) -> None:
    found = predicted(model, matrix_of((2, 0), (-2, 0)))
    assert found.column("predicted").to_pylist() == ["fail", "pass"]
    assert found.column("wafer").to_pylist() == ["w0", "w1"]
    assert found.column("row_hash").to_pylist() == [0, 1]


def test_only_flagged_rows_carry_contributions_and_the_column_that_decides_leads(model: Model) -> None:
    flagged, passed = predicted(model, matrix_of((2, 0), (-2, 0))).column("contributions").to_pylist()
    assert passed is None
    column, leads = next(iter(json.loads(flagged).items()))
    assert (column, leads["value"], leads["reference_range"]) == ("a", 2.0, [-1.6, 1.6])
    assert leads["contribution"] > 0


def test_of_many_flagged_rows_those_with_the_highest_scores_are_explained(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "MOST_EXPLAINED", 1)
    found = predicted(model, matrix_of((0.3, 0), (2, 0), (0.4, 0)))
    explained = [text is not None for text in found.column("contributions").to_pylist()]
    scores = found.column("score").to_numpy()
    assert sum(explained) == 1
    assert explained[int(np.argmax(scores))]


def test_a_batch_without_rows_gives_predictions_without_rows(model: Model) -> None:
    empty = Matrix(np.empty((0, 2), dtype=np.float32), ("a", "b"), {})
    keys = pa.record_batch({"wafer": pa.array([], pa.string())})
    assert predict.predict_batch(model, empty, keys, np.empty(0, dtype=np.int64)).rows.num_rows == 0


def test_a_quarantined_row_shows_its_reasons_and_the_text_that_the_column_could_not_hold() -> None:
    keys = pa.record_batch({"wafer": [1, 2, 3]})
    values = pa.record_batch({"a": [0.5, None, 7.0]})
    failures = {1: [Failure(1, "a", "type", "oops", "number")]}
    found = predict.make_quarantine_rows(
        keys, values, {(1, "a"): "oops"}, failures, np.array([7, 8, 9]), check.format_reasons
    )
    assert found.to_pylist() == [
        {
            "wafer": 2,
            "row_hash": 8,
            "reasons": '[{"column": "a", "rule": "type", "value": "oops", "limit": "number"}]',
            "row_values": '{"a": "oops"}',
        }
    ]
