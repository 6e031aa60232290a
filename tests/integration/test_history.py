"""Columns computed from the past: what was known strictly before a row's event, held against a search row by row."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import Place
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from rowcast import config
from rowcast.errors import ConfigError, SourceError
from rowcast.history import complete_rows, declare_columns, list_needed, trace
from rowcast.past import HistoryColumn, JoinedColumn, PastColumn, SinceColumn
from rowcast.source import Fetched, Source, open_source

START = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATISTICS = ["mean", "count", "std", "min", "max", "trend", "age"]
WINDOWS: dict[str, Any] = {"last": [1, 3], "within": ["5h"], "decay": ["2h"], "statistics": STATISTICS}


@dataclass(frozen=True)
class Wafer:
    """A row of the source; times are hours after the start."""

    at: int
    tool: str | None
    chamber: int | None
    failed: int | None
    known: int | None  # when its label came
    width: float | None


Recipe = tuple[int, str | None, float | None, str | None]  # since when, machine, pressure, gas


def spell(hours: float | None) -> str | None:
    return None if hours is None else (START + hours * HOUR).strftime("%Y-%m-%d %H:%M:%S")


class Fab:
    """A source of wafers, and a table of what was done to the tools."""

    def __init__(self, place: Place) -> None:
        self.place = place
        place.run(
            "CREATE TABLE wafers (id integer PRIMARY KEY, at timestamp, tool varchar(9), chamber integer,"
            " failed integer, known timestamp, width double precision)",
            "CREATE TABLE cleaned (at timestamp, tool varchar(9))",
            "CREATE TABLE recipes (since timestamp, machine varchar(9), pressure double precision, gas varchar(9))",
        )
        self.db = place.connect()

    def fill(
        self,
        wafers: Sequence[Wafer],
        cleaned: Sequence[tuple[int, str | None]] = (),
        recipes: Sequence[Recipe] = (),
    ) -> None:
        self.place.run("DELETE FROM wafers", "DELETE FROM cleaned", "DELETE FROM recipes")
        rows = {"id": list(range(len(wafers))), "at": [spell(w.at) for w in wafers], "tool": [w.tool for w in wafers]}
        rows |= {"chamber": [w.chamber for w in wafers], "failed": [w.failed for w in wafers]}
        rows |= {"known": [spell(w.known) for w in wafers], "width": [w.width for w in wafers]}
        if wafers:
            self.place.fill("wafers", **rows)
        if cleaned:
            self.place.fill("cleaned", at=[spell(hour) for hour, _ in cleaned], tool=[tool for _, tool in cleaned])

        if recipes:
            names = ("since", "machine", "pressure", "gas")
            rows = dict(zip(names, map(list, zip(*recipes, strict=True)), strict=True))
            self.place.fill("recipes", **{**rows, "since": [spell(hour) for hour in rows["since"]]})

    def open(self, features: dict[str, Any], **source: Any) -> tuple[Source, tuple[PastColumn, ...]]:
        given = {"url": self.place.url, "table": "wafers", "key": ["id"], "time": "at", "label": "failed", **source}
        settings = config.Settings(source=given, features=features)
        opened = open_source(self.db, settings.source)
        return opened, declare_columns(settings, opened)

    def read(self, source: Source, columns: Sequence[PastColumn], ids: Sequence[int]) -> Fetched:
        """What is read of rows, in the order of these ids."""
        needed = list_needed(columns)
        statement = source.select(*source.values(needed)).order_by(source.keys()[0])
        return Fetched(source.db.read(statement, source.kinds(needed), 1000)[0].take(pa.array(ids)), [])

    def compute(self, features: dict[str, Any], ids: Sequence[int], **source: Any) -> dict[str, list[Any]]:
        """The columns of wafers; NaN is missing, of texts None."""
        opened, columns = self.open(features, **source)
        rows = complete_rows(opened, columns, self.read(opened, columns, ids)).rows
        return {name: rows.column(name).to_numpy(zero_copy_only=False).tolist() for name in rows.schema.names}


@pytest.fixture(params=["sqlite", "postgresql"])
def fab(request: pytest.FixtureRequest, make_place: Any) -> Fab:
    return Fab(make_place(request.param))


def search(wafers: Sequence[Wafer], row: Wafer, column: HistoryColumn) -> float:
    """One value, by a search through all wafers."""
    look_back = column.look_back / 3.6e9
    mine = [getattr(row, name) for name in column.by]
    if None in mine:
        return math.nan
    found = []
    for w in wafers:
        value = w.failed if column.of == "failed" else w.width
        known = max(w.known, w.at) if column.of == "failed" and w.known is not None else w.at
        if value is None or (column.of == "failed" and w.known is None) or known - w.at > look_back:
            continue
        if [getattr(w, name) for name in column.by] == mine and row.at - look_back <= known < row.at:
            found.append((known, w.at, float(value)))
    found.sort()
    if column.window == "last":
        found = found[-column.size :]
    if column.window == "within":
        found = [each for each in found if each[0] >= row.at - column.size / 3.6e9]
    values = [value for _, _, value in found]
    if column.window == "decay":
        half = column.size / 3.6e9
        weights = [2 ** ((known - row.at) / half) if known >= row.at - 20 * half else 0.0 for known, _, _ in found]
        if column.statistic == "count":
            return sum(weights)
        total = sum(weights)
        return sum(w * v for w, v in zip(weights, values, strict=True)) / total if total else math.nan
    half_of = len(values) // 2
    match column.statistic:
        case "count":
            return len(values)
        case "age":
            return row.at - found[-1][0] if found else math.nan
        case "mean":
            return math.fsum(values) / len(values) if values else math.nan
        case "std":
            return statistics.stdev(values) if len(values) > 1 else math.nan
        case "min":
            return min(values, default=math.nan)
        case "max":
            return max(values, default=math.nan)
        case "trend":
            if not half_of:
                return math.nan
            return math.fsum(values[-half_of:]) / half_of - math.fsum(values[:half_of]) / half_of


def search_since(
    wafers: Sequence[Wafer], cleaned: Sequence[tuple[int, str | None]], row: Wafer, column: SinceColumn
) -> float:
    look_back = column.look_back / 3.6e9
    last = [at for at, tool in cleaned if tool in (row.tool, None) and row.at - look_back <= at < row.at]
    if row.tool is None or not last:
        return math.nan
    if column.counts == "hours":
        return row.at - max(last)
    return sum(w.tool == row.tool and max(last) <= w.at < row.at for w in wafers)


def search_joined(recipes: Sequence[Recipe], row: Wafer, column: JoinedColumn) -> Any:
    place = 2 if column.column == "pressure" else 3
    found = [r for r in recipes if r[1] == row.tool and row.at - column.tolerance / 3.6e9 <= r[0] <= row.at]
    values = [r[place] for r in found if r[0] == max(each[0] for each in found)]
    if row.tool is None or not [value for value in values if value is not None]:
        return math.nan if place == 2 else None
    return max(value for value in values if value is not None)


tools = st.sampled_from(["A", "B", "a", None])
wafers = st.builds(
    Wafer,
    at=st.integers(0, 30),
    tool=tools,
    chamber=st.sampled_from([1, 2, None]),
    failed=st.sampled_from([0, 1, None]),
    known=st.one_of(st.none(), st.integers(0, 60)),
    width=st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([300.0 + 1e-7, 300.0, 1e20, -1e-20])),
)
FEATURES = {
    "look_back": "20h",
    "history": [
        {"of": "failed", "by": ["tool", "chamber"], **WINDOWS},
        {"of": "width", "by": ["tool"], **WINDOWS},
        {"of": "failed", **WINDOWS},
    ],
    "since": [{"events": "cleaned", "event_time": "at", "by": ["tool"]}],
    "join": [
        {
            "table": "recipes",
            "time": "since",
            "keys": ["machine"],
            "by": ["tool"],
            "columns": ["pressure", "gas"],
            "tolerance": "10h",
        }
    ],
}
recipes = st.tuples(
    st.integers(0, 30), tools, st.one_of(st.none(), st.floats(-9, 9)), st.sampled_from(["N2", "Ar", None])
)


@given(
    wafers=st.lists(wafers, min_size=1, max_size=12),
    cleaned=st.lists(st.tuples(st.integers(0, 30), tools), max_size=4),
    recipes=st.lists(recipes, max_size=5),
    order=st.randoms(use_true_random=False),
)
@effort(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_value_is_what_a_search_through_all_rows_finds(fab, wafers, cleaned, recipes, order):
    fab.fill(wafers, cleaned, recipes)
    ids = list(range(len(wafers)))
    found = fab.compute(FEATURES, ids, label_time="known")
    _, columns = fab.open(FEATURES, label_time="known")
    for column in columns:
        for place, wafer in enumerate(wafers):
            if isinstance(column, SinceColumn):
                wanted = search_since(wafers, cleaned, wafer, column)
            elif isinstance(column, JoinedColumn):
                wanted = search_joined(recipes, wafer, column)
            else:
                wanted = search(wafers, wafer, column)
            if isinstance(wanted, float):
                wanted = pytest.approx(wanted, rel=1e-9, abs=1e-9, nan_ok=True)
            assert found[column.name][place] == wanted, column.name
    # And to the last bit the same, with whichever other rows it is asked for.
    order.shuffle(ids)
    cut = order.randint(0, len(ids))
    for part in filter(None, (ids[:cut], ids[cut:])):
        for name, values in fab.compute(FEATURES, part, label_time="known").items():
            if name == "gas of recipes by tool":
                assert values == [found[name][place] for place in part]
            else:
                assert np.array_equal(values, np.array(found[name])[part], equal_nan=True), name


def test_what_is_planted_in_the_future_moves_nothing(fab):
    past = [Wafer(hour, "AB"[hour % 2], 1, int(hour % 3 == 0), hour + 2, hour * 1.5) for hour in range(14)]
    past += [Wafer(10, "A", 1, None, None, None)] * 2
    row = Wafer(14, "A", 1, None, None, 1.0)
    cleaned = [(3, "A"), (4, None)]
    recipes = [(12, "A", 3.0, "Ar")]
    fab.fill([*past, row], cleaned, recipes)
    before = fab.compute(FEATURES, [16], label_time="known")
    assert [name for name, [value] in before.items() if value != value or value is None] == []
    past[-2:] = [
        Wafer(10, "A", 1, 1, 14, None),  # an earlier row, whose label comes at that moment …
        Wafer(10, "A", 1, 1, 25, None),  # … and later
    ]
    planted = [
        Wafer(14, "A", 1, 1, 14, 1e9),  # of the very same moment
        Wafer(21, "A", 1, 1, 1, 1e9),  # a later row, whose label says that it was known before
    ]
    fab.fill([*past, row, *planted], [*cleaned, (14, "A"), (14, None), (24, "A")], [*recipes, (15, "A", 9.0, "N2")])
    assert fab.compute(FEATURES, [16], label_time="known") == before


def test_a_joined_row_of_the_very_moment_counts(fab):
    fab.fill(
        [Wafer(5, "A", 1, None, None, None)], recipes=[(4, "A", 1.0, "N2"), (5, "A", 2.0, None), (5, "B", 3.0, "Ar")]
    )
    found = fab.compute({"join": FEATURES["join"]}, [0])
    assert found == {"pressure of recipes by tool": [2.0], "gas of recipes by tool": [None]}


def test_a_label_without_a_time_of_its_own_counts_once_its_delay_is_over(fab):
    fab.fill([Wafer(0, "A", 1, 1, None, None), Wafer(5, "A", 1, None, None, None), Wafer(6, "A", 1, None, None, None)])
    features = {"history": [{"of": "failed", "by": ["tool"], "last": [1], "statistics": ["mean", "age"]}]}
    found = fab.compute(features, [1, 2], label_delay="5h")
    assert np.array_equal(found["last failed by tool"], [math.nan, 1.0], equal_nan=True)
    assert np.array_equal(found["hours since last failed by tool"], [math.nan, 1.0], equal_nan=True)


def test_what_means_not_measured_is_no_value_and_texts_among_numbers_are_none(fab):
    fab.fill([Wafer(0, "A", 1, 1, 0, -999.0), Wafer(1, "A", 1, 1, 1, 3.0), Wafer(2, "A", 1, 1, 2, None)])
    features = {"history": [{"of": "width", "last": [5], "statistics": ["mean", "count"]}]}
    found = fab.compute(features, [2], missing=[-999.0])
    assert (found["mean of last 5 width"], found["count of last 5 width"]) == ([3.0], [1.0])


def test_a_value_is_traced_to_the_rows_that_it_came_from(fab):
    fab.fill([Wafer(hour, "A", 1, hour % 2, hour + 1, None) for hour in range(6)])
    features = {"history": [{"of": "failed", "by": ["tool"], "last": [3], "statistics": ["mean", "age"]}]}
    source, columns = fab.open(features, label_time="known")
    found = trace(source, columns, fab.read(source, columns, [5]))
    came = [(one.key, one.value, one.known) for one in found["mean of last 3 failed by tool"]]
    assert came == [(("3",), 1.0, START + 4 * HOUR), (("2",), 0.0, START + 3 * HOUR), (("1",), 1.0, START + 2 * HOUR)]
    assert [one.key for one in found["hours since last failed by tool"]] == [("3",)]


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"history": [{"of": "fialed", "last": [5]}]}, "has no column 'fialed' (features.history.of)"),
        ({"history": [{"of": "failed", "by": ["tol"], "last": [5]}]}, "has no column 'tol' (features.history.by)"),
        ({"history": [{"of": "tool", "last": [5]}]}, "statistics need numbers"),
        ({"since": [{"events": "cleaned", "by": ["tool"]}]}, "needs 'event_time'"),
        ({"since": [{"events": "swept", "event_time": "at"}]}, "there is no table swept"),
        ({"since": [{"events": "cleaned", "event_time": "on"}]}, "has no column 'on'"),
        ({"join": [{"table": "recipes", "time": "since", "columns": ["gass"]}]}, "has no column 'gass'"),
        ({"join": [{"table": "recipes", "time": "since", "columns": ["since"]}]}, "no model can use"),
    ],
)
def test_what_cannot_be_computed_is_said_before_anything_runs(fab, features, said):
    with pytest.raises((ConfigError, SourceError)) as raised:
        fab.open(features)
    assert said in f"{raised.value.what}"
