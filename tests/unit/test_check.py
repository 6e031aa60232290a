"""What a contract learns, what it lets pass, and what it sets aside."""

import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.check import FLOAT32_MAX, MOST_FAILURES, CheckResult, check, format_reasons, learn
from rowcast.config import ColumnCheck, Reading
from rowcast.contract import ColumnRule, Contract, Failure, Misfit
from rowcast.errors import ConfigError, SourceError

SECOM = Path(__file__).parents[3] / "shared/data/secom/secom.csv.gz"
NAN, INF = math.nan, math.inf


def batch(**columns: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(dict(columns))


def learned(rows: pa.RecordBatch, missing: tuple[float, ...] = (), **overrides: ColumnCheck) -> Contract:
    return learn(rows, rows.schema.names, overrides, Reading(missing)).contract


def rule(column: object, missing: tuple[float, ...] = (), /, **override: object) -> ColumnRule:
    """The rule learned for one column `x`."""
    return learned(batch(x=column), missing, x=ColumnCheck(**override)).rules[0]


def broken(checked: CheckResult) -> list[tuple[int, str, str]]:
    return [(each.row, each.column, each.rule) for found in checked.failures.values() for each in found]


def number(name: str = "x", **limits: object) -> Contract:
    return Contract((ColumnRule(name, "number", **limits),))


# ---- what is learned


def test_bounds_lie_ten_observed_ranges_out():
    assert rule([1.0, 2.0, 3.0]) == ColumnRule("x", "number", min=-19.0, max=23.0)


def test_rules_come_in_the_order_asked_for_and_only_for_the_candidates():
    contract = learn(batch(key=[1, 2], b=[1.0, 2.0], a=["u", "v"]), ["a", "b"], {}).contract
    assert contract.names == ("a", "b")


@pytest.mark.parametrize("absurd", [[1e30], [9e9, -9e9, 9e9], [1e30, 1e30, 2e30], [-1e30, 1e12, 1e30]])
def test_a_few_absurd_training_values_do_not_widen_the_bounds(absurd):
    sane = np.random.default_rng(1).normal(50, 3, 2_000 - len(absurd))
    alone, spoilt = rule(sane), rule(np.concatenate([sane, absurd]))
    assert (spoilt.min, spoilt.max) == (alone.min, alone.max)


@pytest.mark.parametrize(("count", "rows", "value"), [(3, 200, 1e6), (5, 500, 1e12), (20, 2_000, 9e9)])
def test_the_more_absurd_values_there_are_the_further_out_they_have_to_lie(count, rows, value):
    sane = np.random.default_rng(1).normal(50, 3, rows - count)
    alone, spoilt = rule(sane), rule(np.append(sane, np.full(count, value)))
    assert (spoilt.min, spoilt.max) == (alone.min, alone.max)


@pytest.mark.parametrize(
    "readings",
    [np.full(10, 1e5), [40.0, 50.0, 60.0], [500.0, 2e5, 5e7]],
    ids=["one in a hundred, far out", "rare, not far out", "each in reach of the one before"],
)
def test_rare_readings_are_taken_for_real(readings):
    values = np.append(np.random.default_rng(1).random(1_000), readings)
    assert rule(values).max > 10 * max(readings)


def test_a_column_that_hardly_moves_may_move_once():
    values = np.append(np.random.default_rng(1).normal(100, 1e-3, 1_000), 140.0)
    assert rule(values).max > 140


def test_values_that_are_not_finite_as_float32_are_not_learned_from():
    assert rule([1.0, 2.0, INF, -INF, 1e39, NAN]) == rule([1.0, 2.0])


def test_a_second_mode_of_two_percent_of_the_rows_is_not_absurd():
    values = np.concatenate([np.random.default_rng(2).normal(0, 1, 980), np.full(20, 1e5)])
    assert rule(values).max > 1e6


@pytest.mark.parametrize("draw", ["standard_cauchy", "lognormal", "rare events"])
def test_heavy_tails_are_unusual_not_impossible(draw):
    rng = np.random.default_rng(3)
    values = {
        "standard_cauchy": lambda: rng.standard_cauchy(20_000),
        "lognormal": lambda: rng.lognormal(0, 3, 20_000),
        "rare events": lambda: np.where(rng.random(20_000) < 0.02, rng.lognormal(5, 2, 20_000), 0.0),
    }[draw]()
    contract = learned(batch(x=values[:10_000]))
    assert len(check(batch(x=values), contract).quarantined) <= 1


@pytest.mark.parametrize(
    "values",
    [[5.0] * 9, [1e6, 1e6 + 1e-7], [0.0] * 997 + [1.0, 2.0, 1e9], [None, None], [NAN, INF], []],
    ids=["constant", "equal as float32", "constant but for a handful", "NULL", "nothing finite", "no rows"],
)
def test_what_does_not_vary_gets_no_bounds(values):
    assert rule(pa.array(values, pa.float64())) == ColumnRule("x", "number")


def test_sentinels_are_not_learned_from():
    values = [10.0, 11.0, 12.0, -9999.0]
    assert rule(values, (-9999,)) == rule(values[:3])


def test_booleans_and_texts_are_learned_by_their_type():
    assert rule([True, None]) == ColumnRule("x", "boolean")
    assert rule(["b", None, "a", "b"]) == ColumnRule("x", "category", categories=("a", "b"))
    assert rule(pa.array(["ü"], pa.large_string())) == ColumnRule("x", "category", categories=("ü",))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(pa.null(), "number"), (pa.int8(), "number"), (pa.float32(), "number"), (pa.bool_(), "boolean"),
     (pa.string(), "category"), (pa.large_string(), "category")],
)  # fmt: skip
def test_an_all_null_column_is_what_its_type_says(kind, expected):
    assert rule(pa.nulls(3, kind)) == ColumnRule("x", expected)


def test_free_text_is_dropped_with_a_reason_and_a_hundred_categories_are_not():
    texts = [f"note {n}" for n in range(1_234)]
    found = learn(batch(few=(texts[:100] * 13)[:1_234], many=texts), ["few", "many"], {})
    assert found.contract.names == ("few",)
    assert found.dropped == {"many": "free text: 1,234 distinct values"}


def test_many_categories_are_kept_where_the_config_calls_them_a_category():
    assert len(rule([f"tool {n}" for n in range(150)], type="category").categories) == 150


def test_a_type_without_meaning_for_a_model_is_dropped_with_a_reason():
    found = learn(batch(x=pa.array([0], pa.timestamp("us"))), ["x"], {})
    assert found.contract.names == ()
    assert found.dropped == {"x": "type timestamp[us] is neither number, text nor boolean"}


# ---- what the config says


def test_min_max_and_nullable_replace_what_was_learned():
    assert rule([1.0, 2.0], min=0) == ColumnRule("x", "number", min=0.0, max=12.0)
    assert rule([1.0, 2.0], max=3, nullable=False) == ColumnRule("x", "number", nullable=False, min=-9.0, max=3.0)


def test_an_infinite_bound_switches_the_learned_one_off():
    assert rule([1.0, 2.0], max=INF) == ColumnRule("x", "number", min=-9.0)
    assert rule([1.0, 2.0], min=-INF) == ColumnRule("x", "number", max=12.0)


def test_texts_are_numbers_where_the_config_says_so():
    assert rule([" 1", "2.0 ", "3e0", "", "abc"], type="number") == rule([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.234,56", 1234.56),
        (" -12.345.678,9 ", -12345678.9),
        ("1.234.567", 1234567.0),
        ("1234,56", 1234.56),
        ("999", 999.0),
        ("1.234", None),  # the point may be a decimal one
        ("1.23,4", None),
        ("0.123,4", None),
        ("1.234,", None),
        ("1.2345,6", None),
        ("12345.678,9", None),
        ("1,234.56", None),
    ],
)
def test_points_between_thousands_are_skipped_where_the_decimal_comma_leaves_no_doubt(
    text: str, number: float | None
) -> None:
    rows = batch(x=[text, "2,5"] * 30)
    contract = Contract((ColumnRule("x", "number"),))
    checked = check(rows, contract, (), Reading((), ","))
    if number is None:
        assert {each[2] for each in broken(checked)} == {"type"}
    else:
        assert (broken(checked), checked.good.column("x")[0].as_py()) == ([], number)


def test_numbers_are_categories_without_a_decimal_point_where_the_config_says_so():
    assert rule([3.0, 10.0, None, -0.0, 2.5], type="category").categories == ("0", "10", "2.5", "3")
    assert rule(pa.array([0.1, 7], pa.float32()), type="category").categories == ("0.1", "7")
    assert rule([2**60, 1], type="category").categories == ("1", str(2**60))
    assert rule([True, False], type="category").categories == ("false", "true")


def test_listed_values_close_a_category_and_turn_numbers_into_one():
    closed = ColumnRule("x", "category", categories=("1", "2", "true", "ü"), closed=True)
    assert rule(["a", "b"], values=("ü", 2, 1.0, True, 2)) == closed
    assert rule([1.0, 5.0], values=(2, 1)) == ColumnRule("x", "category", categories=("1", "2"), closed=True)


def test_an_override_of_an_unknown_column_names_the_nearest():
    with pytest.raises(SourceError, match="'presure'") as raised:
        learn(batch(key=[1], pressure=[1.0]), ["pressure"], {"presure": ColumnCheck(max=1)})
    assert "'pressure'" in raised.value.hint


@pytest.mark.parametrize(
    ("values", "override"),
    [
        ([1.0], {"min": 2, "max": 1}),
        ([1.0], {"min": NAN}),
        ([1.0], {"min": INF}),
        ([1.0], {"values": ()}),
        ([1.0], {"type": "number", "values": (1,)}),
        (["a"], {"min": 1}),
        ([1.0], {"type": "category", "max": 1}),
        ([1.0], {"values": (1,), "max": 1}),
    ],
)
def test_an_override_that_contradicts_itself_or_its_column_is_refused(values, override):
    with pytest.raises(ConfigError, match="'x'"):
        rule(values, **override)


def test_bounds_make_a_number_of_a_column_that_holds_nothing_yet():
    assert rule(pa.nulls(2, pa.string()), min=0) == ColumnRule("x", "number", min=0.0)


# ---- what is set aside


def test_a_clean_batch_comes_back_as_it_is():
    rows = batch(key=[b"\x00", b"\x01"], x=[1.0, None], n=[2**62, 1], c=["a", "new"], b=[True, None])
    contract = learn(rows, ["x", "n", "c", "b"], {}).contract
    checked = check(rows, contract)
    assert checked.good is rows
    assert checked.passed.tolist() == [0, 1]
    assert checked.quarantined.tolist() == []
    assert checked.failures == {}


def test_each_numeric_rule_names_itself_its_value_and_its_limit():
    rows = batch(x=[0.0, INF, -INF, 1e39, -3.0, 7.0, None])
    checked = check(rows, number(min=-2.0, max=6.0))
    assert checked.passed.tolist() == [0, 6]
    assert checked.failures == {
        1: [Failure(1, "x", "finite", INF, FLOAT32_MAX)],
        2: [Failure(2, "x", "finite", -INF, FLOAT32_MAX)],
        3: [Failure(3, "x", "finite", 1e39, FLOAT32_MAX)],
        4: [Failure(4, "x", "min", -3.0, -2.0)],
        5: [Failure(5, "x", "max", 7.0, 6.0)],
    }


def test_a_bound_itself_is_allowed():
    assert broken(check(batch(x=[-2.0, 6.0, 9.0]), number(min=-2.0, max=6.0))) == [(2, "x", "max")]


def test_a_column_without_bounds_still_has_to_be_finite():
    assert broken(check(batch(x=[1.0, INF]), number())) == [(1, "x", "finite")]


def test_huge_integers_are_numbers():
    rows = batch(x=[2**53 + 1, 2**63 - 1, -(2**63)])
    assert check(rows, number()).good is rows
    assert broken(check(rows, number(max=2.0**62))) == [(1, "x", "max")]


def test_nan_and_sentinels_become_null():
    rows = batch(x=[1.0, NAN, -9999.0, None], n=[1, 2, -9999, None], c=["-9999", "a", "b", "c"])
    contract = learned(rows, missing=(-9999,))
    good = check(rows, contract, reading=Reading((-9999,))).good
    assert good.to_pydict() == {"x": [1.0, None, None, None], "n": [1, 2, None, None], "c": ["-9999", "a", "b", "c"]}
    assert good.schema == rows.schema


@pytest.mark.parametrize("sentinel", [-999.9, -0.3, 0.7, 1e-3, 99.99])
def test_a_sentinel_is_found_in_single_precision_too(sentinel):
    rows = batch(x=pa.array([sentinel, None], pa.float32()))
    assert check(rows, number(), reading=Reading((1e300, sentinel))).good["x"].to_pylist() == [None, None]


def test_a_sentinel_within_the_bounds_is_null_and_breaks_only_not_null():
    rows = batch(x=[1.0, 0.0, NAN, None])
    good = check(rows, number(min=-1.0, max=2.0), reading=Reading((0,))).good
    assert good["x"].to_pylist() == [1.0, None, None, None]
    checked = check(rows, number(nullable=False), reading=Reading((0,)))
    assert broken(checked) == [(1, "x", "null"), (2, "x", "null"), (3, "x", "null")]


def test_null_is_fine_unless_the_config_says_otherwise():
    rows = batch(x=[None, 1.0], c=["a", None], b=[True, None])
    assert check(rows, learned(rows)).good is rows
    strict = ColumnCheck(nullable=False)
    checked = check(rows, learned(rows, x=strict, c=strict, b=strict))
    assert broken(checked) == [(0, "x", "null"), (1, "c", "null"), (1, "b", "null")]


def test_numbers_as_text_are_read_and_other_text_breaks_the_type():
    rows = batch(x=["1", " 2.5 ", "", None, "abc", "1_000", "1e400", "nan", "-7", "-9999"])
    checked = check(rows, number(min=0.0), reading=Reading((-9999,)))
    assert broken(checked) == [(4, "x", "type"), (5, "x", "type"), (6, "x", "finite"), (8, "x", "min")]
    assert [checked.failures[row][0].value for row in (4, 6, 8)] == ["abc", "1e400", "-7"]
    assert checked.good["x"].type == pa.float64()
    assert checked.good["x"].to_pylist() == [1.0, 2.5, None, None, None, None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["TRUE", "f", " Yes", "no", "0", "1", "", None], [True, False, True, False, False, True, None, None]),
        ([1, 0, None], [True, False, None]),
        ([1.0, -0.0, NAN], [True, False, None]),
        ([True, False, None], [True, False, None]),
        ([None, None], [None, None]),
    ],
)
def test_booleans_are_read_from_numbers_and_words(values, expected):
    good = check(batch(x=values), Contract((ColumnRule("x", "boolean"),))).good
    assert good["x"].type == pa.bool_()
    assert good["x"].to_pylist() == expected


@pytest.mark.parametrize("values", [[0, 2], [1.0, 0.5], ["yes", "maybe"]])
def test_what_is_neither_true_nor_false_breaks_the_type(values):
    checked = check(batch(x=values), Contract((ColumnRule("x", "boolean"),)))
    assert checked.failures == {1: [Failure(1, "x", "type", values[1], "boolean")]}


def test_numbers_become_the_text_of_their_category():
    rows = batch(x=[1.0, None, 2.5, -9999.0])
    contract = Contract((ColumnRule("x", "category", categories=("1",)),))
    assert check(rows, contract, reading=Reading((-9999,))).good["x"].to_pylist() == ["1", None, "2.5", None]


def test_an_unknown_category_breaks_only_a_closed_list():
    rows = batch(c=["a", "z", None, "b"])
    known = ColumnRule("c", "category", categories=("a", "b"))
    assert check(rows, Contract((known,))).good is rows
    checked = check(rows, Contract((ColumnRule("c", "category", categories=("a", "b"), closed=True),)))
    assert checked.failures == {1: [Failure(1, "c", "category", "z", "a, b")]}


def test_a_column_of_null_type_gets_the_type_of_its_kind():
    rows = batch(n=pa.nulls(2), c=pa.nulls(2), b=pa.nulls(2))
    contract = Contract((ColumnRule("n", "number"), ColumnRule("c", "category"), ColumnRule("b", "boolean")))
    good = check(rows, contract).good
    assert good.schema.types == [pa.float64(), pa.string(), pa.bool_()]
    assert good.num_rows == 2


@pytest.mark.parametrize("values", [pa.array([True, None]), pa.array([Decimal("1.0"), None])])
def test_booleans_and_decimals_pass_for_numbers(values):
    good = check(batch(x=values), number()).good
    assert good["x"].type == pa.float64()
    assert good["x"].to_pylist() == [1.0, None]


def test_a_misfit_breaks_the_type_with_its_original_and_is_not_called_null():
    rows = batch(x=[1.0, None, 2.0, None], other=[1, 2, 3, 4])
    misfits = [Misfit(1, "x", "abc"), Misfit(2, "other", "pass"), Misfit(3, "x", "  ")]
    assert check(rows, number(), misfits).failures == {1: [Failure(1, "x", "type", "abc", "number")]}
    strict = check(rows, number(nullable=False), misfits)
    assert broken(strict) == [(1, "x", "type"), (3, "x", "null")]


def test_every_reason_of_a_row_is_given_in_the_order_of_the_contract():
    rows = batch(a=[9.0, 1.0], b=[INF, 1.0], c=["z", "a"])
    contract = Contract(
        (
            ColumnRule("c", "category", categories=("a",), closed=True),
            ColumnRule("a", "number", max=2.0),
            ColumnRule("b", "number"),
        )
    )
    assert broken(check(rows, contract)) == [(0, "c", "category"), (0, "a", "max"), (0, "b", "finite")]


def test_a_row_keeps_a_bounded_number_of_reasons():
    rows = batch(**{f"s{n}": [1.0, INF] for n in range(50)})
    checked = check(rows, learned(rows))
    assert checked.quarantined.tolist() == [1]
    assert len(checked.failures[1]) == MOST_FAILURES


def test_a_column_that_is_gone_stops_everything_and_is_named():
    with pytest.raises(SourceError, match="'x y'") as raised:
        check(batch(a=[1.0]), number("x y"))
    assert "retrain" in raised.value.hint


def test_a_column_that_has_become_a_date_stops_everything_and_is_named():
    with pytest.raises(SourceError, match="'x' is date32"):
        check(batch(x=pa.array([1], pa.date32())), number())


@pytest.mark.parametrize("name", ['say "x"', "it's", "two words", "größe µm", "[a].[b]", "a;--", "%s {0}"])
def test_any_column_name_will_do(name):
    rows = pa.RecordBatch.from_pydict({name: ["1", "x"], "y": [1, 2]})
    contract = learn(rows, [name, "y"], {name: ColumnCheck(type="number")}).contract
    assert broken(check(rows, contract)) == [(1, name, "type")]


def test_fifteen_hundred_columns():
    names = [f"s{n:04}" for n in range(1_500)]
    rows = pa.RecordBatch.from_pydict({name: [1.0, 2.0, 3.0] for name in names})
    checked = check(rows, learned(rows.slice(0, 2), s0700=ColumnCheck(max=2)))
    assert broken(checked) == [(2, "s0700", "max")]
    assert checked.good.schema == rows.schema


def test_an_empty_batch_is_good():
    rows = batch(x=[1.0], n=["1"], c=["a"], b=[True]).slice(0, 0)
    contract = learned(rows, n=ColumnCheck(type="number", nullable=False), c=ColumnCheck(values=("a",)))
    checked = check(rows, contract, reading=Reading((-1,)))
    assert (checked.good.num_rows, checked.good.schema.names) == (0, ["x", "n", "c", "b"])
    assert (len(checked.passed), len(checked.quarantined), checked.failures) == (0, 0, {})


def test_other_columns_and_metadata_pass_untouched():
    schema = pa.schema([pa.field("key", pa.binary(), nullable=False), pa.field("x", pa.float64(), nullable=False)])
    rows = pa.RecordBatch.from_arrays(
        [pa.array([b"a", b"b", b"c"]), pa.array([1.0, INF, NAN])], schema=schema.with_metadata({"source": "fab"})
    )
    good = check(rows, number()).good
    assert good.to_pydict() == {"key": [b"a", b"c"], "x": [1.0, None]}
    assert good.schema.field("key") == schema.field("key")
    assert good.schema.field("x").nullable
    assert good.schema.metadata == {b"source": b"fab"}
    good.validate(full=True)


def test_a_sliced_batch_is_checked_from_its_own_first_row():
    rows = batch(x=[INF, 1.0, NAN, INF]).slice(1)
    checked = check(rows, number())
    assert broken(checked) == [(2, "x", "finite")]
    assert checked.good["x"].to_pylist() == [1.0, None]


# ---- reasons


def test_reasons_are_json_that_any_database_can_read():
    found = [
        Failure(0, "größe", "finite", -INF, FLOAT32_MAX),
        Failure(0, "x", "null", NAN),
        Failure(0, "n", "max", 2**63, 1.5),
        Failure(0, "c", "category", "ü" * 500, "a, b"),
        Failure(0, "d", "type", Decimal("1.50"), "number"),
    ]
    text = format_reasons(found)
    parsed = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert "größe" in text
    assert parsed[0] == {"column": "größe", "rule": "finite", "value": "-inf", "limit": FLOAT32_MAX}
    assert [each["value"] for each in parsed[1:3]] == ["nan", 2**63]
    assert len(parsed[3]["value"]) == 200
    assert parsed[4] == {"column": "d", "rule": "type", "value": "1.50", "limit": "number"}


# ---- properties

numbers = st.one_of(
    st.none(), st.floats(-100, 100), st.floats(), st.sampled_from([NAN, INF, -9999.0, 1e39, FLOAT32_MAX])
)
texts = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["1", " 2 ", "abc", "-9999", "inf", "true"]))
rows_of_all_kinds = st.lists(
    st.tuples(numbers, texts, texts, st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), texts), max_size=30
)
ALL_KINDS = Contract(
    (
        ColumnRule("x", "number", min=-50.0, max=1e38),
        ColumnRule("t", "number", nullable=False, max=2.0**60),
        ColumnRule("c", "category", categories=("", "1", "abc"), closed=True),
        ColumnRule("n", "number", min=-(2.0**62), max=2.0**62),
        ColumnRule("b", "boolean"),
    )
)


def all_kinds(values: list[tuple[object, ...]]) -> pa.RecordBatch:
    types = [pa.float64(), pa.string(), pa.large_string(), pa.int64(), pa.string()]
    columns = [pa.array([row[place] for row in values], kind) for place, kind in enumerate(types)]
    return pa.RecordBatch.from_arrays([*columns, pa.array(range(len(values)))], names=[*ALL_KINDS.names, "key"])


@settings(max_examples=60, deadline=None)
@given(rows_of_all_kinds)
def test_every_row_is_good_or_quarantined_never_both_never_neither(values):
    rows = all_kinds(values)
    checked = check(rows, ALL_KINDS, reading=Reading((-9999,)))
    assert sorted([*checked.passed.tolist(), *checked.quarantined.tolist()]) == list(range(len(values)))
    assert checked.good["key"].to_pylist() == checked.passed.tolist()
    assert list(checked.failures) == checked.quarantined.tolist()
    assert all(checked.failures.values())
    assert check(checked.good, ALL_KINDS, reading=Reading((-9999,))).good is checked.good


@settings(max_examples=60, deadline=None)
@given(rows_of_all_kinds, st.integers(0, 30))
def test_checking_does_not_depend_on_how_rows_are_split_into_batches(values, cut):
    rows = all_kinds(values)
    whole = check(rows, ALL_KINDS, reading=Reading((-9999,)))
    cut = min(cut, rows.num_rows)
    first = check(rows.slice(0, cut), ALL_KINDS, reading=Reading((-9999,)))
    second = check(rows.slice(cut), ALL_KINDS, reading=Reading((-9999,)))
    joined = pa.Table.from_batches([first.good, second.good])
    assert joined.equals(pa.Table.from_batches([whole.good]))
    shifted = [(row + cut, column, name) for row, column, name in broken(second)]
    assert broken(whole) == broken(first) + shifted


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(-100, 100)), texts), min_size=1, max_size=80),
    st.sampled_from([1e-30, 1e-3, 1.0, 7.3, 1e30]),
    st.sampled_from([0.0, 5.0, -250.0]),
)
def test_learned_rules_never_reject_the_sane_rows_they_were_learned_from(values, scale, offset):
    measured = [None if value is None else (value + offset) * scale for value, _ in values]
    rows = batch(x=pa.array(measured, pa.float64()), c=pa.array([text for _, text in values], pa.string()))
    assert check(rows, learned(rows)).failures == {}


# ---- real data


@pytest.fixture(scope="module")
def secom() -> pa.RecordBatch:
    if not SECOM.exists():
        pytest.skip(f"no SECOM data at {SECOM}")
    return pa.RecordBatch.from_pandas(pd.read_csv(SECOM).drop(columns=["timestamp", "label"]), preserve_index=False)


def test_secom_loses_no_row_to_a_contract_learned_from_it(secom):
    contract = learned(secom)
    assert sum(rule.max is not None for rule in contract.rules) > 400
    assert check(secom, contract).quarantined.tolist() == []


def test_secom_loses_hardly_a_row_to_a_contract_learned_from_its_first_half(secom):
    contract = learned(secom.slice(0, 548))
    assert len(check(secom.slice(548), contract).quarantined) <= 2
