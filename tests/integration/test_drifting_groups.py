"""A drift that is confined to few groups of rows, one tool for example, says which."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conftest import Place

from rowcast.config.sections import Source as SourceSettings
from rowcast.messages.drift import describe_finding
from rowcast.monitor import Concentration, Finding, Series
from rowcast.source import Source, open_source
from rowcast.watch.drifting_groups import GroupChange, choose, find_groups

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
SHIFT, UNTIL = BEGIN + timedelta(days=20), BEGIN + timedelta(days=30)
TOOLS = ("A", "B", "C", None)


def finding(column: str, kind: str = "location", *, rises: bool = True, category: str | None = None) -> Finding:
    was, now = (5.0, 5.75) if rises else (6.0, 5.0)
    if kind in ("missing", "category"):
        was, now = 0.0, 0.25
    return Finding(Series(kind, column, category), "7", SHIFT, was, now, 1.0, 3.0, 1.0)  # type: ignore[arg-type]


@pytest.fixture
def source(database: Place) -> Source:
    """Six rows a day; from the twentieth day on `one` is higher in tool B, `all` everywhere; `gone` is missing in A."""
    time = "TEXT" if database.is_sqlite else "DATETIME2" if database.is_mssql else "TIMESTAMP"
    database.run(
        f"CREATE TABLE wafers (id INTEGER NOT NULL PRIMARY KEY, t {time}, tool VARCHAR(9), one FLOAT, every_one FLOAT,"
        " gone FLOAT, recipe VARCHAR(9), y INTEGER)"
    )
    ids = list(range(240))
    tools = [TOOLS[i % 4] for i in ids]
    new = [i >= 160 for i in ids]
    database.fill(
        "wafers",
        id=ids,
        t=[f"{BEGIN + timedelta(hours=3 * i, minutes=1):%Y-%m-%d %H:%M:%S}" for i in ids],
        tool=tools,
        one=[5 + i % 7 / 7 + 3 * (n and tool == "B") for i, tool, n in zip(ids, tools, new, strict=True)],
        every_one=[5 + i % 7 / 7 + n for i, n in zip(ids, new, strict=True)],
        gone=[None if n and tool == "A" else 1.0 for tool, n in zip(tools, new, strict=True)],
        recipe=[
            "R2" if n and tool in ("A", "C") and i % 8 < 4 else "R1" for i, tool, n in zip(ids, tools, new, strict=True)
        ],
        y=[0] * len(ids),
    )
    return open_source(
        database.connect(), SourceSettings(url=database.url, table="wafers", key=["id"], time="t", label="y")
    )


@pytest.mark.parametrize(
    ("one", "groups"),
    [
        (finding("one"), ("B",)),
        (finding("gone", "missing"), ("A",)),
        (finding("recipe", "category", category="R2"), ("A", "C")),
    ],
)
def test_the_group_that_moved_is_named(source: Source, one: Finding, groups: tuple[str, ...]) -> None:
    within = find_groups(source, source.relation["tool"], one, UNTIL)
    assert within == Concentration("tool", groups, 4)


@pytest.mark.parametrize(
    "one", [finding("every_one"), finding("one", rises=False), finding("one", "scale"), finding("not there")]
)
def test_none_is_where_all_moved_or_nothing_can_be_compared(source: Source, one: Finding) -> None:
    assert find_groups(source, source.relation["tool"], one, UNTIL) is None


@pytest.mark.parametrize(("column", "value", "missing"), [("gone", "-9999", -9999.0), ("recipe", "'N/A '", "N/A")])
def test_what_the_config_says_is_not_measured_counts_as_missing(
    database: Place, source: Source, column: str, value: str, missing: float | str
) -> None:
    database.run(f"UPDATE wafers SET {column} = {value} WHERE tool = 'A' AND id >= 160")
    reading = source.settings.model_copy(update={"missing": [missing]})
    within = find_groups(replace(source, settings=reading), source.relation["tool"], finding(column, "missing"), UNTIL)
    assert within == Concentration("tool", ("A",), 4)


def test_where_nearly_every_row_has_a_group_of_its_own_none_is_named(source: Source) -> None:
    assert find_groups(source, source.relation["id"], finding("one"), UNTIL) is None


def changes(*moved: float, rows: int = 10) -> list[GroupChange]:
    return [GroupChange(f"g{place}", rows, 5.0, 5.0 + each) for place, each in enumerate(moved)]


@pytest.mark.parametrize(
    ("moved", "named"),
    [
        ((0, 3, 0, 0.1), ("g1",)),
        ((2, 3, 0, 0, 0), ("g1", "g0")),
        ((1, 1, 1, 1), ()),  # all
        ((2, 3, 2, 0, 0), ()),  # more than half
        ((1, 1.2, 0.9, 3, 1), ()),  # one more than the others, which moved as well
        ((3,), ()),  # there is just one
        ((), ()),
    ],
)
def test_groups_are_named_where_the_others_hardly_moved(moved: tuple[float, ...], named: tuple[str, ...]) -> None:
    assert choose(changes(*moved), sum(moved) / max(1, len(moved))) == named


def test_a_large_group_is_not_named_for_its_size() -> None:
    assert choose([GroupChange("large", 900, 5, 6), *changes(1, 1, 1)], 1.0) == ()


def test_the_other_way_none_is_named() -> None:
    assert choose(changes(-3, 0, 0, 0), 0.75) == ()


def test_none_is_named_where_the_shift_is_older_than_the_rows_before() -> None:
    """All had moved by then: what is left of a difference is chance."""
    assert choose(changes(0.4, 0, 0, 0), 1.0) == ()


def test_groups_are_named_only_where_values_are_allowed() -> None:
    one = Finding(
        Series("location", "s3"), "7", SHIFT, 5.0, 6.0, 1.0, 3.0, 1.0, within=Concentration("tool", ("B",), 8)
    )
    assert describe_finding(one, values=True) == "s3 is 1 SD higher (5, now 6), only in tool B"
    assert describe_finding(one, values=False) == "s3 is 1 SD higher (5, now 6), only in 1 of the 8 groups by tool"
