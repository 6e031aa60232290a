"""python -m benchmarks.past [--groups 1000] [--rows 200000]: milliseconds of one row in the HTTP service.

With and without columns of the past, over one connection.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from postgres import Server

from benchmarks.serve import free_port, running
from rowcast.database import connect
from rowcast.report import table

ASKED = 500  # requests that are timed
START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """
[source]
url = "{url}"
table = "wafers"
key = ["wafer"]
time = "measured_at"
label = "failed"
label_delay = "24h"
[model]
max_train_rows = 5000
"""
PAST = """
[[features.history]]
of = "failed"
by = ["tool"]
last = [1, 5]
statistics = ["mean", "age"]
"""


def main() -> None:
    """Measure on SQLite and PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=200_000)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        server = Server()
        server.start()
        try:
            for system in ("sqlite", "postgresql"):
                for past in (False, True):
                    place = Path(folder) / f"{system}_{int(past)}"
                    place.mkdir()
                    url = (
                        f"sqlite:///{place / 'fab.db'}" if system == "sqlite" else _create_database(server, place.name)
                    )
                    _fill(url, asked.rows, asked.groups)
                    (place / "rowcast.toml").write_text(CONFIG.format(url=url) + (PAST if past else ""))
                    found.append({"database": system, "past": "yes" if past else "no", **_measure(place, asked.groups)})
        finally:
            server.stop()
    print(f"one row, {asked.rows:,} rows of {asked.groups:,} groups in the table, {ASKED} requests one after another")
    print(table(found, ["database", "past", "median ms", "p99 ms"]))


def _create_database(server: Server, name: str) -> str:
    db = connect(server.url("postgres"))
    db.execute(sa.text(f"CREATE DATABASE {name}"))
    db.close()
    return server.url(name)


def _fill(url: str, rows: int, groups: int) -> None:
    """A row a minute; a tool that failed fails again more often."""
    random, db = np.random.default_rng(7), connect(url, create=True)
    tool = random.integers(0, groups, rows)
    bad = random.random(groups) < 0.2
    failed = random.random(rows) < np.where(bad[tool], 0.4, 0.05)
    moments = [START + timedelta(minutes=int(minute)) for minute in range(rows)]
    made = sa.Table(
        "wafers",
        sa.MetaData(),
        sa.Column("wafer", sa.Integer, primary_key=True),
        sa.Column("measured_at", sa.Text if db.dialect.name == "sqlite" else sa.DateTime),
        sa.Column("tool", sa.Text),
        sa.Column("s1", sa.Float),
        sa.Column("failed", sa.Integer),
    )
    db.execute(sa.schema.CreateTable(made))
    is_text = db.dialect.name == "sqlite"
    db.ingest(
        made,
        pa.table(
            {
                "wafer": np.arange(rows),
                "measured_at": [f"{each:%Y-%m-%d %H:%M:%S}" for each in moments]
                if is_text
                else pa.array([each.replace(tzinfo=None) for each in moments], pa.timestamp("us")),
                "tool": [f"T{each}" for each in tool],
                "s1": random.normal(0.0, 1.0, rows) + failed,
                "failed": failed.astype(np.int64),
            }
        ),
    )
    db.execute(sa.text("CREATE INDEX wafers_tool ON wafers (tool, measured_at)"))
    db.close()


def _measure(folder: Path, groups: int) -> dict[str, str]:
    command = [sys.executable, "-m", "rowcast"]
    subprocess.run([*command, "retrain"], cwd=folder, check=True, capture_output=True)
    port = free_port()
    with running([*command, "serve", "--port", str(port)], port, folder):
        connection, taken = http.client.HTTPConnection("127.0.0.1", port), []
        moment = (START + timedelta(days=100)).isoformat()
        for number in range(ASKED + 20):
            row = {"s1": 0.1, "tool": f"T{number % groups}", "measured_at": moment}
            began = time.perf_counter()
            connection.request(
                "POST", "/invocations", json.dumps({"instances": [row]}), {"content-type": "application/json"}
            )
            answer = connection.getresponse()
            body = answer.read()
            taken.append((time.perf_counter() - began) * 1000)
            assert answer.status == 200, body
    usual = np.sort(taken[20:])  # without those that opened the connections
    return {"median ms": f"{np.median(usual):.2f}", "p99 ms": f"{usual[int(len(usual) * 0.99)]:.2f}"}


if __name__ == "__main__":
    main()
