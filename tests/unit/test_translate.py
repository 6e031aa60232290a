"""A model as text for each system: it parses, keeps within what the system takes, or is refused with the reason."""

import re
from dataclasses import replace

import numpy as np
import pytest
import sqlglot
from sklearn.linear_model import LogisticRegression
from sqlglot import exp
from told_models import CONTRACT, make_model

from rowcast.config import Reading
from rowcast.database import Column
from rowcast.errors import ModelError
from rowcast.models.artifact import Member, Model
from rowcast.translate import DIALECTS, DialectName, SourceColumns, translate_model
from rowcast.translate.dialects import Dialect
from rowcast.translate.rounding import FACTOR, find_least, find_reach

PARSERS: dict[DialectName, str] = {
    name: name.replace("mssql", "tsql").replace("postgresql", "postgres") for name in DIALECTS
}
COLUMNS = {
    "flow": Column("flow", "number", "double precision"),
    "gauge": Column("gauge", "number", "numeric(9,3)"),
    "steps": Column("steps", "number", "bigint", integer=True),
    "single": Column("single", "number", "real"),
    "is_hot": Column("is_hot", "boolean", "boolean"),
    "tool": Column("tool", "category", "text"),
}


def told(model: Model, dialect: Dialect, columns: dict[str, Column] = COLUMNS, reading: Reading | None = None) -> str:
    about = SourceColumns(("wafer",), columns, f"FROM {dialect.quote('wafers')} AS s", False, {})
    return translate_model(model, CONTRACT, about, reading or Reading((-999.0, "n/a")), dialect)


def depth(sql: str) -> int:
    """How deep CASE nests."""
    now, most = 0, 0
    for word in re.findall(r"\b(?:CASE|END)\b", sql):
        now += 1 if word == "CASE" else -1
        most = max(most, now)
    return most


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_statement_parses(dialect: DialectName) -> None:
    task = "multiclass" if dialect == "mssql" else "binary"
    model = make_model("linear", task, 60)
    trees = make_model("boosted trees", "binary", 60).members if task == "binary" else ()
    sql = told(replace(model, members=(*model.members, *trees)), DIALECTS[dialect])
    [parsed] = sqlglot.parse(sql, read=PARSERS[dialect])
    assert isinstance(parsed, exp.Select)
    assert [column.alias_or_name for column in parsed.selects] == ["wafer", "score", "decision", "flagged"]


@pytest.mark.parametrize(
    ("kind", "task"), [("deep trees", "binary"), ("average", "multiclass"), ("extra trees", "regression")]
)
def test_case_nests_at_most_ten_deep_in_tsql(kind: str, task: str) -> None:
    model = make_model(kind, task)
    assert depth(told(model, DIALECTS["sqlite"])) > 10
    assert 2 <= depth(told(model, DIALECTS["mssql"])) <= 10


def test_an_estimator_of_the_users_own_is_refused() -> None:
    random = np.random.default_rng(0)
    own = LogisticRegression().fit(random.normal(size=(20, 6)), np.arange(20) % 2)
    model = replace(make_model("boosted trees", "binary", 60), members=(Member("sklearn", own),))
    with pytest.raises(ModelError, match=r"an estimator of your own \(LogisticRegression\)"):
        told(model, DIALECTS["sqlite"])


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("flow", Column("flow", "category", "text")),
        ("tool", Column("tool", "number", "double precision")),
        ("is_hot", Column("is_hot", "time", "timestamp")),
    ],
)
def test_a_column_that_is_read_in_a_way_sql_has_not_is_named(name: str, column: Column) -> None:
    with pytest.raises(ModelError, match=f"column '{name}' is {column.type}"):
        told(make_model("boosted trees", "binary", 60), DIALECTS["postgresql"], COLUMNS | {name: column})


def test_numbers_in_texts_with_a_decimal_comma_are_refused_where_columns_may_hold_texts() -> None:
    model, comma = make_model("boosted trees", "binary", 60), Reading(decimal=",")
    assert told(model, DIALECTS["postgresql"], reading=comma)
    with pytest.raises(ModelError, match="decimal ','"):
        told(model, DIALECTS["sqlite"], reading=comma)


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        ({"longest": 9_000}, "characters, and mssql takes 9,000"),
        ({"most_columns": 9}, "columns, and mssql takes 9"),
        ({"most_terms": 5}, "names and numbers, and mssql takes 5 in"),
    ],
)
def test_what_the_server_does_not_take_is_refused(limits: dict[str, int], what: str) -> None:
    with pytest.raises(ModelError, match=what):
        told(make_model("boosted trees", "binary", 60), replace(DIALECTS["mssql"], **limits))  # type: ignore[arg-type]


def test_a_bound_divides_64_bit_floats_as_it_divides_float32() -> None:
    random = np.random.default_rng(1)
    bounds = [0.0, 0.1, -0.1, 16777217.0, 1e-40, 3e38, -3e38, *random.normal(size=200).tolist()]
    for bound in bounds:
        single = np.float32(bound)
        reach, least = find_reach(bound), find_least(bound)
        assert not isinstance(reach, bool)
        operator, border = reach
        near = [
            bound,
            border,
            float(single),
            np.nextafter(single, np.float32(np.inf)),
            np.nextafter(single, np.float32(-np.inf)),
        ]
        near += [np.nextafter(value, side) for value in near for side in (-np.inf, np.inf)]
        for value in map(float, near):
            found = value <= border if operator == "<=" else value < border
            assert found == (float(np.float32(value)) <= bound)
            assert (float(np.float32(value)) <= least) == (float(np.float32(value)) < bound)


def test_bounds_beyond_float32_hold_for_all_numbers_or_none() -> None:
    assert [find_reach(bound) for bound in (float("inf"), 1e39, -1e39, float("-inf"))] == [True, True, False, False]


def test_sums_round_to_float32_with_ties_to_even() -> None:
    random = np.random.default_rng(2)
    ties = random.integers(2**23, 2**24, 10_000) + 0.5
    values = np.concatenate([ties, random.normal(size=10_000), random.normal(size=1_000) * 1e30, [0.0, -1.5]])
    rounded = values * FACTOR - (values * FACTOR - values)
    assert (rounded == values.astype(np.float32)).all()
