"""python -m benchmarks.pages [--rows 5000000] [--sensors 590]: how long the dashboard's pages take on PostgreSQL.

A job of two years that has run each day, and 100 tools. The model and the first run are rowcast's own work; the later
days are copied from it by SQL. The sensors' values are drawn for 20,000 rows and come again after those.

Each page is asked for as the first after a start, once more at once, and until nothing on it is being read any more.
Chromium says when it has painted something of it, where Playwright is installed (`make test-browser`); else it is the
time until the whole page has arrived.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message as HTTPMessage
from http.client import HTTPConnection
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import sqlalchemy as sa
from postgres import Server

from benchmarks.serve import free_port
from rowcast.config import load
from rowcast.database import connect
from rowcast.job.opening import Job, open_job
from rowcast.report import table

DAYS, TOOLS = 730, 100
DRAWN = 20_000  # rows
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(each => each.startTime / 1000)"
FLAGGED = 0.95  # from this score on
TRAINED, SCORED = 90, 91  # days after the first on which the model is trained, and the first run scores
CONFIG = """
[source]
url = "{url}"
table = "wafers"
key = ["wafer"]
time = "measured_at"
label = "failed"
label_delay = "10m"
[model]
max_train_rows = 5000
budget = "0s"
[infer]
batch_rows = 1000000
[monitor]
group_by = "tool"
"""
JOB = "/dashboard/jobs/wafers"
PAGES = ("/dashboard", JOB, f"{JOB}/charts", f"{JOB}/drift", f"{JOB}/column?name=s1")
ROW = f"{JOB}/row?key="
COLUMNS = ["page", "first s", "again s", "whole after s", "kB", "kB of pictures"]
Visit = Callable[[HTTPConnection, str, str], float]
COMMANDS = ("status", "quality", "audit")


def main() -> None:
    """Build the store, and ask for each page and command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--sensors", type=int, default=590)
    asked = parser.parse_args()
    server = Server(in_memory=False)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "rowcast.toml").write_text(CONFIG.format(url=server.url("postgres")))
            began = time.perf_counter()
            _build(folder, asked.rows, asked.sensors)
            took = time.perf_counter() - began
            print(f"{asked.rows:,} rows of {asked.sensors} sensors and {TOOLS} tools, {DAYS} daily runs, "
                  f"made in {took:.0f} s")  # fmt: skip
            with _visiting() as (visit, measured):
                print(f"seconds until {measured}", flush=True)
                paths = (*PAGES, f"{ROW}{asked.rows}")
                print(table([_time_page(folder, path, visit) for path in paths], COLUMNS), flush=True)
            print(table([_time(folder, command) for command in COMMANDS], ["command", "seconds"]))
    finally:
        server.stop()


def _build(folder: Path, rows: int, sensors: int) -> None:
    """Fill the source, train, score the first day, and copy it to the others."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=DAYS)
    settings = load(folder / "rowcast.toml")
    db = connect(settings.source_url)
    names = [f"s{number}" for number in range(1, sensors + 1)]
    values = ", ".join(f"(random() + {number} * 0.01)::real AS {name}" for number, name in enumerate(names))
    moment = f"timestamptz '{start.isoformat()}' + i * interval '{DAYS * 86_400 / rows} seconds'"
    label = f"CASE WHEN i < {rows * (1 - 7 / DAYS)} THEN (s1 + 0.2 * random() > 1.0)::int END"
    made = (
        f"CREATE UNLOGGED TABLE wafers AS SELECT i::int AS wafer, {moment} AS measured_at, 'T' || i % {TOOLS} AS tool, "
        f"{', '.join(names)}, {label} AS failed FROM generate_series(1, {rows}) i JOIN drawn ON n = i % {DRAWN}"
    )
    drawn = f"CREATE TABLE drawn AS SELECT n, {values} FROM generate_series(0, {DRAWN - 1}) n"
    keyed = "ALTER TABLE wafers ADD PRIMARY KEY (wafer)"
    for statement in (drawn, made, keyed, "DROP TABLE drawn", "VACUUM ANALYZE wafers"):
        db.execute(sa.text(statement))
    db.close()
    for command, day in (("retrain", TRAINED), ("infer", SCORED)):
        as_of = (start + timedelta(days=day)).isoformat()
        subprocess.run(
            [sys.executable, "-m", "rowcast", command, "--as-of", as_of],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    with open_job(settings) as job:
        [first] = job.runs.newest(1)
        _copy_runs(job, first.run_id, start)


def _copy_runs(job: Job, first: int, start: datetime) -> None:
    """A run each day after the first: rows with scores of chance; steps, figures and profiles as they were."""
    tables, own, days = job.tables, job.own, DAYS - SCORED
    day = sa.select(sa.func.generate_series(1, days).label("number")).subquery("day")
    later = day.c.number
    moved = {"run_id": lambda column: column + later, "batch_id": lambda column: column + later}
    as_of = sa.literal(start + timedelta(days=SCORED)) + later * sa.text("interval '1 day'")
    moved |= dict.fromkeys(("started_at", "finished_at", "as_of", "recorded_at"), lambda _: as_of)
    moved["lease_until"] = lambda _: sa.null()
    for each in (tables.run, tables.step, tables.metric, tables.profile, tables.batch):
        values = [moved.get(column.name, lambda same: same)(column).label(column.name) for column in each.c]
        chosen = sa.select(*values).select_from(each.join(day, sa.true())).where(each.c.run_id == first)
        _insert(job, each, chosen)
    table, source = own.prediction, sa.table("wafers", sa.column("wafer"), sa.column("measured_at"))
    passed = sa.extract("epoch", source.c.measured_at - sa.literal(start)) / 86_400
    number = sa.cast(sa.func.ceil(passed), sa.BigInteger) - SCORED
    like = sa.select(table).order_by(table.c.contributions.is_(None)).limit(1).subquery("like")
    score = (sa.cast(source.c.wafer, sa.BigInteger) * 7_919 % 100_003) / sa.literal_column("100003.0")
    own_values: dict[str, Any] = {column.name: like.c[column.name] for column in table.c}
    batch = sa.select(sa.func.min(tables.batch.c.batch_id)).where(tables.batch.c.run_id == first).scalar_subquery()
    own_values |= {"wafer": source.c.wafer, "run_id": first + number, "batch_id": batch + number, "score": score}
    own_values |= {"predicted": sa.cast(score > FLAGGED, sa.Integer), "scored_at": source.c.measured_at}
    own_values["contributions"] = sa.case((score > FLAGGED, like.c.contributions))
    chosen = sa.select(*[value.label(name) for name, value in own_values.items()]).select_from(
        source.join(like, sa.true())
    )
    _insert(job, table, chosen.where(number > 0).order_by(source.c.wafer))
    counted = sa.select(table.c.batch_id, sa.func.count().label("n")).group_by(table.c.batch_id).subquery("counted")
    same = sa.and_(tables.batch.c.batch_id == counted.c.batch_id, tables.batch.c.run_id > first)
    job.store.execute(tables.batch.update().values(scored=counted.c.n, row_count=counted.c.n).where(same))
    job.store.execute(sa.text("VACUUM ANALYZE"))


def _insert(job: Job, into: sa.Table, chosen: sa.Select[Any]) -> None:
    job.store.execute(into.insert().from_select([column.name for column in into.c], chosen))


def _time_page(folder: Path, path: str, visit: Visit) -> dict[str, str]:
    """A page as the first after a start, once more, and until all that it shows is there."""
    with _dashboard(folder) as (connection, cookie):
        began = time.perf_counter()
        first, again = (visit(connection, path, cookie) for _ in range(2))
        headers, body = _get(connection, path, cookie)
        while "refresh" in headers:
            time.sleep(0.5)
            headers, body = _get(connection, path, cookie)
        whole = time.perf_counter() - began
    pictures = sum(len(each) for each in re.findall(rb"<svg.*?</svg>", body, re.DOTALL))
    sizes = [f"{size / 1000:.0f}" for size in (len(body) - pictures, pictures)]
    return dict(zip(COLUMNS, [path, f"{first:.2f}", f"{again:.2f}", f"{whole:.1f}", *sizes],
                    strict=True))  # fmt: skip


def _get(connection: HTTPConnection, path: str, cookie: str) -> tuple[HTTPMessage, bytes]:
    connection.request("GET", path, headers={"cookie": cookie})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return answer.headers, body


@contextmanager
def _visiting() -> Iterator[tuple[Visit, str]]:
    """How a page is visited, which returns seconds, and until what they are."""
    chromium = which("chromium") or which("chromium-browser")
    if find_spec("playwright") is None or chromium is None:
        yield _arrive, "the whole page has arrived"
        return
    playwright = import_module("playwright.sync_api")

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        warm = browser.new_page()
        warm.goto("data:text/html,<p>begun</p>")

        def paint(connection: HTTPConnection, path: str, cookie: str) -> float:
            """When Chromium had painted something, by its own account, with nothing of the page in its cache."""
            url, (name, _, value) = f"http://127.0.0.1:{connection.port}", cookie.partition("=")
            context = browser.new_context()
            context.add_cookies([{"name": name, "value": value, "url": url}])
            page = context.new_page()
            page.goto(f"{url}{path}")
            while not (found := page.evaluate(PAINTED)):  # the pages' policy lets Chromium wait for no function
                page.wait_for_timeout(20)
            context.close()
            return float(found[0])

        yield paint, "Chromium has painted something"
        browser.close()


def _arrive(connection: HTTPConnection, path: str, cookie: str) -> float:
    began = time.perf_counter()
    _get(connection, path, cookie)
    return time.perf_counter() - began


@contextmanager
def _dashboard(folder: Path) -> Iterator[tuple[HTTPConnection, str]]:
    """A dashboard that has just started, and a session of it."""
    port = free_port()
    command = [sys.executable, "-m", "rowcast", "dashboard", "--no-open", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        said = re.search(r"(/dashboard/login/\S+)", process.stdout.readline())
        assert said is not None
        connection = HTTPConnection("127.0.0.1", port, timeout=600)
        connection.request("GET", said.group(1))
        answer = connection.getresponse()
        answer.read()
        yield connection, answer.headers["set-cookie"].split(";")[0]
    finally:
        process.terminate()
        process.wait()


def _time(folder: Path, command: str) -> dict[str, str]:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "rowcast", command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return {"command": f"rowcast {command}", "seconds": f"{time.perf_counter() - began:.1f}"}


if __name__ == "__main__":
    main()
