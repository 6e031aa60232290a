"""What a run asks each time costs no more on a large table: an index on the time column serves it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from conftest import Place, literal

from rowcast import config, fetch, history
from rowcast.database import Database
from rowcast.past import HistoryColumn, LabelMeaning
from rowcast.source import GROUPED, TIME, Fetched, Scope, Source, open_source

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROWS = 20_000

# How a column tells the minute `n` before NOW.
COLUMNS = {
    "timestamp with time zone": "NOW - n * interval '1 minute'",
    "timestamp": "timezone('Europe/Berlin', NOW - n * interval '1 minute')",
    "date": "CAST(NOW - n * interval '1 minute' AS date)",
    "bigint": "CAST(extract(epoch from NOW) AS bigint) - 60 * n",
    "double precision": "1000.0 * (extract(epoch from NOW) - 60 * n)",
}


class Explained:
    """Keeps the plans of what is asked of a database."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.plans: list[str] = []
        self._scalar = db.scalar

    def scalar(self, statement: sa.Select[Any]) -> Any:
        self.explain(statement)
        return self._scalar(statement)

    def explain(self, statement: sa.Select[Any]) -> None:
        text = self.db.compile_literal(statement)  # type: ignore[attr-defined]
        found = self.db.query(f"SELECT plan_of({literal(text)}) AS line").column(0).to_pylist()
        self.plans.append("\n".join(found))


PLAN_OF = """
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || query; END $$
"""


def opened(place: Place, kind: str) -> Source:
    value = COLUMNS[kind].replace("NOW", f"timestamptz '{NOW.isoformat()}'")
    place.run(
        PLAN_OF,
        f"CREATE TABLE wafers (wafer integer PRIMARY KEY, measured_at {kind}, failed integer)",
        f"INSERT INTO wafers SELECT n, {value}, NULL FROM generate_series(-100, {ROWS}) AS n",
        "INSERT INTO wafers VALUES (-1000, NULL, NULL)",
        "CREATE INDEX ON wafers (measured_at)",
        "ANALYZE wafers",
    )
    named = {"table": "wafers", "key": ["wafer"], "time": "measured_at", "label": "failed", "timezone": "Europe/Berlin"}
    return open_source(place.connect(), config.Source(url="sqlite:///unused.db", **named))


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_newest_event_is_found_by_the_index(postgresql: Place, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(postgresql, kind)
    every = source.select(sa.func.max(source.event_time())).where(source.visible(NOW))
    newest = source.db.scalar(every)
    explained = Explained(source.db)
    monkeypatch.setattr(source.db, "scalar", explained.scalar)
    assert fetch.find_newest_event(source, NOW) == newest
    assert explained.plans
    assert [plan for plan in explained.plans if "Seq Scan on wafers" in plan] == []


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_look_back_reads_the_late_rows_alone(postgresql: Place, kind: str) -> None:
    source = opened(postgresql, kind)
    explained, since = Explained(source.db), NOW - timedelta(hours=6)
    explained.explain(source.select(sa.column("wafer")).where(source.is_due(Scope(since=since), NOW, since)))
    assert "Seq Scan on wafers" not in explained.plans[0]


@pytest.mark.parametrize("unit", [1, 1000])
def test_the_newest_of_numbers_is_found_by_sqlites_index(
    sqlite: Place, unit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = int(NOW.timestamp())
    sqlite.run("CREATE TABLE wafers (wafer INTEGER PRIMARY KEY, measured_at INTEGER, failed INTEGER)")
    sqlite.fill("wafers", wafer=[*range(900)], measured_at=[unit * (first + 600 - 60 * n) for n in range(900)])
    sqlite.run("CREATE INDEX of_time ON wafers (measured_at)")
    named = {"table": "wafers", "key": ["wafer"], "time": "measured_at", "label": "failed"}
    source = open_source(sqlite.connect(), config.Source(url="sqlite:///unused.db", **named))
    asked: list[str] = []
    scalar = source.db.scalar

    def recorded(statement: sa.Select[Any]) -> Any:
        asked.append(source.db.compile_literal(statement))  # type: ignore[attr-defined]
        return scalar(statement)

    monkeypatch.setattr(source.db, "scalar", recorded)
    assert fetch.find_newest_event(source, NOW) == NOW
    steps = [step for each in asked for step in source.db.query(f"EXPLAIN QUERY PLAN {each}")["detail"].to_pylist()]
    assert steps
    assert [step for step in steps if step.startswith("SCAN")] == []
    sqlite.run(
        f"INSERT INTO wafers VALUES (5000, '{NOW:%Y-%m-%d} 11:59:30', NULL)", "DELETE FROM wafers WHERE wafer < 30"
    )
    assert fetch.find_newest_event(source, NOW) == NOW - timedelta(seconds=30)


@pytest.mark.parametrize("moment", ["2025-10-26T00:30", "2025-10-26T01:30", "2026-03-29T01:30"])
def test_the_newest_event_is_exact_where_a_wall_clock_goes_back(postgresql: Place, moment: str) -> None:
    local = "timezone('Europe/Berlin', timestamptz '2025-10-20 00:00Z' + n * interval '7 minutes')"
    postgresql.run(
        "CREATE TABLE wafers (wafer integer PRIMARY KEY, measured_at timestamp, failed integer)",
        f"INSERT INTO wafers SELECT n, {local}, NULL FROM generate_series(1, 40000) AS n",
        "CREATE INDEX ON wafers (measured_at)",
    )
    now = datetime.fromisoformat(f"{moment}+00:00")
    named = {"table": "wafers", "key": ["wafer"], "time": "measured_at", "label": "failed", "timezone": "Europe/Berlin"}
    source = open_source(postgresql.connect(), config.Source(url="sqlite:///unused.db", **named))
    newest = source.db.scalar(source.select(sa.func.max(source.event_time())).where(source.visible(now)))
    assert fetch.find_newest_event(source, now) == newest


def test_the_past_of_a_few_groups_is_read_by_sqlites_index(sqlite: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.run("CREATE TABLE wafers (wafer INTEGER PRIMARY KEY, measured_at TEXT, tool TEXT, failed INTEGER)")
    moments = [f"{NOW - timedelta(hours=1 + n):%Y-%m-%d %H:%M:%S}" for n in range(900)]
    sqlite.fill("wafers", wafer=[*range(900)], measured_at=moments, tool=[f"T{n % 300}" for n in range(900)])
    sqlite.run(
        "UPDATE wafers SET failed = 1",
        "UPDATE wafers SET tool = CAST(tool AS BLOB) WHERE wafer = 301",
        "CREATE INDEX of_tool ON wafers (tool, measured_at)",
    )
    named = {"table": "wafers", "key": ["wafer"], "time": "measured_at", "label": "failed"}
    source = open_source(sqlite.connect(), config.Source(url="sqlite:///unused.db", **named))
    asked: list[str] = []
    read = source.db.read

    def recorded(statement: sa.Select[Any], *more: Any) -> Any:
        asked.append(source.db.compile_literal(statement))  # type: ignore[attr-defined]
        return read(statement, *more)

    monkeypatch.setattr(source.db, "read", recorded)
    year = 365 * 86_400_000_000
    column = HistoryColumn("failed", ("tool",), "last", 5, "count", year, LabelMeaning())
    rows = pa.RecordBatch.from_pydict({TIME: pa.array([NOW], pa.timestamp("us", "UTC")), GROUPED + "tool": ["T1"]})
    found = history.complete_rows(source, [column], Fetched(rows, []))
    assert found.rows.column(column.name).to_pylist() == [3.0]
    [statement] = asked
    [step] = source.db.query(f"EXPLAIN QUERY PLAN {statement}")["detail"].to_pylist()
    assert step.startswith("SEARCH s USING INDEX of_tool (tool=?")
