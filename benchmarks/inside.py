"""python -m benchmarks.inside [--rows 200000] [--sqlite]: scoring in the database beside scoring in this process.

A PostgreSQL table of 40 columns of numbers with 4.5 % NULL, and models of several sizes. Each run is a whole
`rowcast infer` with one worker, so that one process of the server computes at a time; the cheapest counts. Processor
seconds do not depend on what else the machine is doing, seconds do.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from postgres import Server

from rowcast import config, logs, pipeline
from rowcast.database import connect
from rowcast.fit.candidates import Candidate
from rowcast.fit.candidates.boosted_trees import train_booster
from rowcast.fit.candidates.candidate import FittedCandidate
from rowcast.fit.candidates.linear import fit_linear
from rowcast.job.opening import open_job
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target
from rowcast.report import table
from rowcast.scoring.as_sql import write_sql

LABELLED = 5_000
COLUMNS = [f"c{place}" for place in range(40)]
CONFIG = """
[source]
url = "{url}"
table = "wafers"
key = ["wafer_id"]
time = "measured_at"
label = "failed"
[model]
max_train_rows = 5000
budget = "0s"
[gate]
rule = "proven"
[infer]
since = "2026-01-04 11:20:30"
workers = 1
"""


def _trees(trees: int, leaves: int, matrix: Matrix, target: Target) -> FittedCandidate:
    parameters = {"num_leaves": leaves, "learning_rate": 0.1, "min_data_in_leaf": 20, "seed": 0}
    return FittedCandidate("lightgbm", train_booster(matrix, target, parameters, trees), target)


MODELS = {
    "linear": partial(fit_linear, penalty=10.0),
    "30 trees of 15 leaves": partial(_trees, 30, 15),
    "100 trees of 15 leaves": partial(_trees, 100, 15),
    "100 trees of 31 leaves": partial(_trees, 100, 31),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inside")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--sqlite", action="store_true", help="the SELECT alone, in SQLite, beside a whole local run")
    given = parser.parse_args()
    logs.configure("error")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    if given.sqlite:
        with tempfile.TemporaryDirectory() as folder:
            beside = [_in_sqlite(Path(folder) / f"model{n}", name, given.rows) for n, name in enumerate(MODELS)]
        print(f"{given.rows:,} rows of {len(COLUMNS)} columns in SQLite, processor seconds")
        print(table(beside, list(beside[0])))
        return
    server = Server()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = []
            for number, name in enumerate(MODELS):
                path = _prepare(server, Path(folder) / f"model{number}", name, given.rows)
                found += _measure(server, path, name, given.rows, given.repeat)
            print(f"{given.rows:,} rows of {len(COLUMNS)} columns on PostgreSQL, one worker, start-up included")
            print(table(found, list(found[0])))
    finally:
        server.stop()


def _prepare(server: Server, folder: Path, name: str, rows: int) -> Path:
    """A table whose first rows are labelled, and a champion of this kind, which uses every column."""
    folder.mkdir()
    admin = connect(server.url("postgres"))
    admin.query(f"CREATE DATABASE {folder.name}")
    admin.close()
    url = server.url(folder.name)
    db = connect(url)
    values = ", ".join(f"CASE WHEN random() >= 0.045 THEN random() * 10 END AS {column}" for column in COLUMNS)
    made = f"SELECT i AS wafer_id, timestamptz '2026-01-01' + i * interval '1 minute' AS measured_at, {values}"
    db.execute(sa.text("SELECT setseed(0.5)"))
    db.execute(
        sa.text(
            f"CREATE TABLE wafers AS SELECT r.*, CASE WHEN wafer_id <= {LABELLED} THEN"
            r" (coalesce(c0, 5) + coalesce(c1, 5) + 3 * random() > 13)\:\:int END AS failed"
            f" FROM ({made} FROM generate_series(1, {LABELLED + rows}) i) r"
        )
    )
    db.execute(sa.text("ALTER TABLE wafers ADD PRIMARY KEY (wafer_id)"))
    db.execute(sa.text("ANALYZE wafers"))
    db.close()
    return _train(folder, url, name)


def _train(folder: Path, url: str, name: str) -> Path:
    path = folder / "rowcast.toml"
    path.write_text(CONFIG.format(url=url))
    candidates = [Candidate(name, MODELS[name])]
    with patch("rowcast.fit.default_candidates", lambda *_: candidates):
        pipeline.run(config.load(path), "retrain")
    return path


def _in_sqlite(folder: Path, name: str, rows: int) -> dict[str, object]:
    """The champion as SQL, which scores and does nothing else, beside `rowcast infer`, which does everything."""
    folder.mkdir()
    url, random, count = f"sqlite:///{folder / 'fab.db'}", np.random.default_rng(0), LABELLED + rows
    values = {column: random.random(count) * 10 for column in COLUMNS}
    failed = values["c0"] + values["c1"] + 3 * random.random(count) > 13
    at = pa.array(np.datetime64("2026-01-01T00:01", "s") + 60 * np.arange(count)).cast(pa.string())
    columns = {name: pa.array(each, mask=random.random(count) < 0.045) for name, each in values.items()}
    label = pa.array(failed.astype(int), mask=np.arange(count) >= LABELLED)
    db = connect(url, create=True)
    real = ", ".join(f"{column} REAL" for column in COLUMNS)
    db.query(f"CREATE TABLE wafers (wafer_id INTEGER PRIMARY KEY, measured_at TEXT, {real}, failed INTEGER)")
    kinds = {"wafer_id": sa.Integer, "measured_at": sa.Text, **dict.fromkeys(COLUMNS, sa.Double), "failed": sa.Integer}
    wafers = sa.Table("wafers", sa.MetaData(), *[sa.Column(each, kind) for each, kind in kinds.items()])
    db.load(wafers, pa.table({"wafer_id": np.arange(1, count + 1), "measured_at": at, **columns, "failed": label}))
    db.close()
    path = _train(folder, url, name)
    command = [sys.executable, "-m", "rowcast", "infer", "--config", str(path), "--log-level", "error"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    with open_job(config.load(path)) as job:
        statement = write_sql(job, 1)
        begun = time.process_time()
        [found] = job.store.query(f"SELECT count(score) AS n, total(score) AS s FROM ({statement})").to_pylist()
        alone = time.process_time() - begun
    assert found["n"] == count
    return {"model": name, "rowcast infer": round(used.ru_utime + used.ru_stime, 2), "the SELECT": round(alone, 2)}


@dataclass(frozen=True)
class Measured:
    """One run, from outside."""

    seconds: float
    server_s: float  # processor seconds of the database server
    own_s: float  # of rowcast's process


def _measure(server: Server, path: Path, name: str, rows: int, repeat: int) -> list[dict[str, object]]:
    best: dict[str, Measured] = {}
    for _ in range(repeat):
        for engine in ("local", "database"):
            _forget(path)
            found = _run(server, path, engine)
            best[engine] = min(best.get(engine, found), found, key=lambda m: m.server_s + m.own_s)
            with open_job(config.load(path)) as job:
                assert job.store.scalar(sa.select(sa.func.count()).select_from(job.own.prediction)) == rows
                how = job.store.scalar(sa.select(sa.func.min(job.tables.batch.c.hashed_by)))
                assert how == ("sha256" if engine == "database" else "splitmix64")
    return [
        {
            "model": name,
            "engine": engine,
            "seconds": round(run.seconds, 2),
            "rows/s": f"{rows / run.seconds:,.0f}",
            "server, processor s": round(run.server_s, 2),
            "rows/s of a core of it": f"{rows / run.server_s:,.0f}",
            "rowcast, processor s": round(run.own_s, 2),
        }
        for engine, run in best.items()
    ]


def _run(server: Server, path: Path, engine: str) -> Measured:
    """A whole `rowcast infer`; its server processes have ended with it."""
    command = [sys.executable, "-m", "rowcast", "infer", "--config", str(path), "--log-level", "error"]
    environment = {**os.environ, "ROWCAST_INFER__ENGINE": engine}
    begun, before = time.perf_counter(), _server_seconds(server)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    assert status == 0
    time.sleep(0.5)  # until the server has heard of the end of its processes
    return Measured(seconds, _server_seconds(server) - before, used.ru_utime + used.ru_stime)


def _server_seconds(server: Server) -> float:
    """Processor seconds of what the server's main process has waited for."""
    main = (server.data / "postmaster.pid").read_text().split()[0]
    fields = Path(f"/proc/{main}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _forget(path: Path) -> None:
    """Let every row be pending again."""
    with open_job(config.load(path)) as job:
        for own in (job.own.prediction, job.own.quarantine):
            job.store.execute(sa.delete(own))
        for shared in (job.tables.batch, job.tables.profile):
            job.store.execute(sa.delete(shared))
        job.store.execute(job.tables.job.update().values(complete_to=None))


if __name__ == "__main__":
    main()
