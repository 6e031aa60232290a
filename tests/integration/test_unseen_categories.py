"""A category that training had not seen is named by what the source holds."""

from datetime import UTC, datetime

import pytest
from conftest import Place

from rowcast.config.sections import Source as SourceSettings
from rowcast.messages.drift import describe_finding
from rowcast.monitor import Finding, Series
from rowcast.source import open_source
from rowcast.watch.drift import find_unseen

SINCE = datetime(2026, 5, 2, tzinfo=UTC)
FINDING = Finding(Series("unseen", "recipe"), "7", SINCE, 0.0, 0.33, 0.33, 3.0, 1.0)


@pytest.fixture
def source(database: Place):
    time = "TEXT" if database.is_sqlite else "DATETIME2" if database.is_mssql else "TIMESTAMP"
    database.run(f"CREATE TABLE wafers (id INTEGER NOT NULL PRIMARY KEY, t {time}, recipe VARCHAR(20), y INTEGER)")
    recipes = ["OLD"] * 4 + ["R9", "R9", "R9", "R10", "R11", "R11", "R12", None, "OLD", "KNOWN"]
    days = ["2026-05-01 00:00:00"] * 4 + ["2026-05-02 06:00:00"] * 10
    database.fill("wafers", id=list(range(14)), t=days, recipe=recipes, y=[0] * 14)
    return open_source(
        database.connect(), SourceSettings(url=database.url, table="wafers", key=["id"], time="t", label="y")
    )


def test_the_most_frequent_ones_since_the_shift_are_named(source) -> None:
    assert find_unseen(source, FINDING, ["KNOWN"])[:2] == ("R9", "R11")
    assert len(find_unseen(source, FINDING, ["KNOWN"])) == 3
    assert "OLD" not in find_unseen(source, FINDING, ["KNOWN", "OLD", "R12"])


def test_they_are_said_only_where_values_are_allowed() -> None:
    named = Finding(Series("unseen", "recipe"), "7", SINCE, 0.0, 0.33, 0.33, 3.0, 1.0, ("R9",))
    rows = "in 33.0% of the rows (was 0.0%)"
    assert describe_finding(named, values=True) == f"recipe has a category that training had not seen (R9) {rows}"
    assert describe_finding(named, values=False) == f"recipe has a category that training had not seen {rows}"
