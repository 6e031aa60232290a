"""What the dashboard's pages ask the databases for before they are shown, and by which indexes it is found.

What is read beside a page is left out: see `docs/dashboard.md`, which has the list that is made here.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import adbc_driver_manager.dbapi as dbapi
import pytest
from asked import Asked
from conftest import literal
from enlarged import enlarge
from jobs import Job

from rowcast.dashboard.dashboard import COOKIE, Dashboard
from rowcast.dashboard.sessions import Sessions
from rowcast.database.driver import DriverConnection
from rowcast.serve.application import Application
from rowcast.serve.request import Person
from rowcast.store.api_keys import KeyScope

pytest_plugins = ("job_fixtures",)

DOCS = Path(__file__).parents[2] / "docs" / "dashboard.md"
DAYS, ROWS = 300, 70  # of them each day, in the source and in each table of rows
PAGES = {
    "Overview": "/dashboard",
    "A job": "/dashboard/jobs/wafers",
    "A row": "/dashboard/jobs/wafers/row?key=1500",
    "A column": "/dashboard/jobs/wafers/column?name=s01",
    "A version": "/dashboard/jobs/wafers/versions/1",
    "A run": "/dashboard/jobs/wafers/runs/2",
    "Control charts": "/dashboard/jobs/wafers/charts",
    "Drift": "/dashboard/jobs/wafers/drift",
    "The proof": "/dashboard/jobs/wafers/audit",
}
OF_ROWS = ("prediction", "quarantine", "history", "shadow", "forgotten", "online")
PLAN_OF = """
CREATE FUNCTION plan_of(query text) RETURNS SETOF json LANGUAGE plpgsql AS
$$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN (FORMAT JSON) ' || query; END $$
"""


def scored_for_long(make: Callable[..., Job], system: str) -> Job:
    job = make(system, "trained")
    job.ok("infer", "--as-of", f"{datetime.now(UTC) - timedelta(days=DAYS):%Y-%m-%d %H:%M:%S}Z")
    enlarge(job, DAYS, ROWS)
    if not job.place.is_sqlite:
        job.sql(PLAN_OF)
    return job


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The statements, with their values, that a page waits for."""
    found: list[str] = []
    execute = dbapi.Cursor.execute

    def record(cursor: dbapi.Cursor, statement: Any, *values: Any, **options: Any) -> None:
        if threading.current_thread().name.startswith("dashboard_") and statement.startswith(("SELECT", "WITH")):
            found.append(statement)
        execute(cursor, statement, *values, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbapi.Cursor, "execute", record)
        patch.setattr(DriverConnection, "compile", lambda self, statement: (self.compile_literal(statement), []))
        yield found


@pytest.fixture
def statements(prepared: Callable[..., Job], system: str) -> tuple[Job, dict[str, list[str]]]:
    """A job that has scored for long, and what each page asks for, as whoever has the dashboard's link opens it."""
    job, sessions = prepared(scored_for_long, system), Sessions()
    asked = Asked(job)
    cookie = {"cookie": f"{COOKIE}={sessions.begin(Person('mia', KeyScope.OPERATE))}"}
    found: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        asked.application.close()
        asked.application = Application(asked.jobs, pages=Dashboard(asked.jobs, is_alone=True, sessions=sessions))
        with recorded() as found[name]:
            assert asked.ask("GET", path, headers=cookie).status == 200
    asked.close()
    return job, found


def read_whole_by_sqlite(job: Job, statement: str) -> set[str]:
    """The tables that SQLite reads from end to end."""
    aliases = dict(re.findall(r'"?(\w+)"? AS "?(\w+)"?', statement))
    names = {alias: table for table, alias in aliases.items()}
    steps = [step["detail"] for step in job.sql(f"EXPLAIN QUERY PLAN {statement}")]
    scanned = [step.split()[1] for step in steps if step.startswith("SCAN ")]
    return {names.get(name, name).removeprefix("rowcast_") for name in scanned}


def steps_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from steps_of(inner)


def plan(job: Job, statement: str) -> list[dict[str, Any]]:
    """The steps of PostgreSQL's plan."""
    [found] = job.sql(f"SELECT plan_of({literal(statement)}) AS plan")
    return list(steps_of(json.loads(found["plan"])[0]["Plan"]))


def read_whole(job: Job, statement: str) -> set[str]:
    if job.place.is_sqlite:
        return read_whole_by_sqlite(job, statement)
    steps = plan(job, statement)
    return {step["Relation Name"] for step in steps if "Relation Name" in step and is_whole(step)}


def is_whole(step: dict[str, Any]) -> bool:
    by_index = step["Node Type"] in ("Index Scan", "Index Only Scan") and "Index Cond" in step
    return not by_index and step["Node Type"] != "Bitmap Heap Scan"


@pytest.mark.everywhere
@pytest.mark.parametrize("system", ["sqlite", "postgresql"])
def test_no_page_waits_until_the_source_or_a_table_of_rows_is_read_from_end_to_end(
    statements: tuple[Job, dict[str, list[str]]],
) -> None:
    job, asked = statements
    large = {"wafers", *(f"wafers_{name}" for name in OF_ROWS)}
    found = {(page, table) for page, each in asked.items() for one in each for table in read_whole(job, one) & large}
    assert found == set()
    assert read_whole(job, f"SELECT COUNT(score) FROM {job.table('wafers_prediction')}") == {"wafers_prediction"}


@pytest.mark.everywhere
@pytest.mark.parametrize("system", ["postgresql"])
def test_the_docs_list_by_which_index_each_page_finds_what_it_shows(
    statements: tuple[Job, dict[str, list[str]]],
) -> None:
    job, asked = statements
    lines = ["| Page | From the source and from tables of rows | From tables of runs and versions |", "|---|---|---|"]
    lines += [f"| {page} | {' | '.join(describe(job, each))} |" for page, each in asked.items()]
    assert "\n".join(lines) in DOCS.read_text(), "\n".join(lines)


def describe(job: Job, statements: Iterable[str]) -> tuple[str, str]:
    """What is read of tables of rows, by which index, and which other tables are read."""
    by_index: dict[str, set[str]] = {}
    others: set[str] = set()
    for step in (step for statement in statements for step in plan(job, statement)):
        table = step.get("Relation Name", "").removeprefix("wafers_")
        if table == "wafers" or table in OF_ROWS:
            name = "the source" if table == "wafers" else f"`{table}`"
            indexes = [inner["Index Name"] for inner in steps_of(step) if "Index Name" in inner]
            by_index.setdefault(name, set()).update(columns_of(job, index) for index in indexes)
        elif table and not table.startswith("pg_"):
            others.add(f"`{table}`")
    rows = [f"{table} by {' and '.join(sorted(of))}" for table, of in sorted(by_index.items())]
    return ", ".join(rows) or "nothing", ", ".join(sorted(others)) or "nothing"


def columns_of(job: Job, index: str) -> str:
    of = "a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
    found = job.sql(
        f"SELECT i.indisprimary, string_agg(a.attname, ', ' ORDER BY array_position(i.indkey, a.attnum)) AS columns "
        f"FROM pg_index i JOIN pg_attribute a ON {of} JOIN pg_class c ON c.oid = i.indexrelid "
        f"WHERE c.relname = {literal(index)} GROUP BY i.indexrelid, i.indisprimary"
    )
    [columns] = {("the key" if row["indisprimary"] else f"`{row['columns']}`") for row in found}
    return columns
