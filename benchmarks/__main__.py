"""python -m benchmarks [--quick]: prints the tables that the README and docs/ quote. But for drift's, every figure is a
whole process.

Each way runs `--repeat` times in turn with the others and the fastest run counts: the machine's noise only adds.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from postgres import Server

from rowcast import config, demo, logs, monitor, pipeline
from rowcast.database import connect
from rowcast.job.opening import open_job
from rowcast.models.matrix import Matrix
from rowcast.report import table
from rowcast.simulate import Fab, simulate
from rowcast.store.registry import Registry

LABELLED = 5_000  # rows that the model is trained on
SIZES = ((100_000, 590), (1_000_000, 50))
QUICK = ((20_000, 590), (100_000, 50))
PROTECTED = 200_000  # rows of 50 sensors, scored with and without the ledger
QUICK_PROTECTED = 50_000
BATCHES = (1_000, 10_000, 50_000)
SHADOWED = ((200_000, 50), (100_000, 590))
QUICK_SHADOWED = ((50_000, 50),)
MONITORED = (100_000, 590)
QUICK_MONITORED = (20_000, 590)
MOST = 60  # columns that a model may use, by default
DRIFT = ((1_000_000, 590), (1_000_000, 60))  # rows and columns that are counted and looked at
QUICK_DRIFT = ((100_000, 590),)
BATCH = 50_000  # rows
GROWTH = (200_000, 2_000_000)  # rows of 50 sensors, for peak memory
CONFIG = """
[source]
url = "{url}"
table = "wafers"
key = ["wafer_id"]
time = "measured_at"
label = "failed"
group = "lot_id"
exclude = ["labelled_at"]
[model]
max_features = {most}
max_train_rows = {labelled}
[infer]
since = "2000-01-01"
workers = 2
"""


@dataclass(frozen=True)
class Measured:
    """One process, from outside."""

    seconds: float
    cpu_s: float  # of all its processes
    peak_mb: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="smaller tables")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--no-growth", action="store_true", help="leave out the memory of 2,000,000 rows")
    parser.add_argument("--ledger", action="store_true", help="only the cost of the ledger")
    parser.add_argument("--shadow", action="store_true", help="only the cost of a version that scores in the shadow")
    parser.add_argument("--monitoring", action="store_true", help="only the cost of monitoring")
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    server = Server()
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = []
            if given.shadow:
                for system in ("sqlite", "postgresql"):
                    for size in QUICK_SHADOWED if given.quick else SHADOWED:
                        rows.append(_shadowed(server, system, Path(folder), *size, repeat=given.repeat))
                print("processor seconds with a version that scores in the shadow, batches of 50,000, one process")
                print(table(rows, list(rows[0])), flush=True)
                return
            if given.monitoring:
                _monitoring(server, Path(folder), quick=given.quick, repeat=given.repeat)
                return
            for system in () if given.ledger else ("sqlite", "postgresql"):
                for size in QUICK if given.quick else SIZES:
                    rows += _compared(server, system, Path(folder), *size, repeat=given.repeat)
            if rows:
                columns = ["database", "table", "way", "seconds", "rows/s", "of the limit", "peak MB"]
                print(table(rows, columns), flush=True)
            print("\nthe cost of the ledger, 50 sensors, one process")
            rows = []
            for system in ("sqlite", "postgresql"):
                count = QUICK_PROTECTED if given.quick else PROTECTED
                rows += _protected(server, system, Path(folder), count, repeat=given.repeat)
            print(table(rows, ["database", "batches of", "with, rows/s", "without, rows/s", "cost"]), flush=True)
            if not given.ledger:
                print()
                _monitoring(server, Path(folder), quick=given.quick, repeat=given.repeat)
            if not given.no_growth and not given.ledger:
                print("\npeak memory of one scoring process, 50 sensors")
                print(table(_growth(server, Path(folder)), ["database", "rows", "seconds", "peak MB"]))
    finally:
        server.stop()


Row = dict[str, object]


def _compared(server: Server, system: str, folder: Path, rows: int, sensors: int, repeat: int) -> list[Row]:
    name = f"bench_{rows}_{sensors}"
    path, columns = _prepared(server, system, folder / f"{system}_{name}", rows, sensors)
    url = config.load(path).source_url
    ways = {
        "limit": [sys.executable, "-m", "benchmarks.ways", "limit", system, url, ",".join(columns), str(LABELLED)],
        "rowcast infer": [sys.executable, "-m", "rowcast", "infer", "--config", str(path), "--log-level", "error"],
        "plain": [sys.executable, "-m", "benchmarks.ways", "plain", system, url, ",".join(columns), str(LABELLED)],
    }
    best: dict[str, Measured] = {}
    for number in range(repeat):
        for way, command in ways.items():
            if way == "plain" and number:
                continue  # it takes minutes, and is not close
            if way == "rowcast infer":
                _forget(path)
            found = _measured(command)
            best[way] = min(best.get(way, found), found, key=lambda m: m.seconds)
    empty = [_measured(ways["rowcast infer"]) for _ in range(2)]
    best["rowcast infer, nothing new"] = min(empty, key=lambda m: m.seconds)
    _check(path, rows)
    print(f"  measured {system} {rows:,} x {sensors}", file=sys.stderr, flush=True)
    return [
        {
            "database": system,
            "table": f"{rows:,} x {sensors}",
            "way": way,
            "seconds": round(measured.seconds, 2),
            "rows/s": "-" if "nothing" in way else f"{rows / measured.seconds:,.0f}",
            "of the limit": f"{measured.seconds / best['limit'].seconds:.1f}",
            "peak MB": round(measured.peak_mb),
        }
        for way, measured in best.items()
    ]


def _protected(server: Server, system: str, folder: Path, rows: int, repeat: int) -> list[Row]:
    """`rowcast infer` beside the same work without ledger, plan and claims, in turn; the fastest of each counts."""
    path, _ = _prepared(server, system, folder / f"{system}_protected", rows, 50)
    common = ["--config", str(path), "--workers", "1", "--log-level", "error"]
    ways = {
        "with": [sys.executable, "-m", "rowcast", "infer", *common],
        "without": [sys.executable, "-m", "benchmarks.bare", str(path)],
    }
    found = []
    for size in BATCHES:
        os.environ["ROWCAST_INFER__BATCH_ROWS"] = str(size)
        best: dict[str, float] = {}
        for _ in range(repeat):
            _forget(path)
            for way, command in ways.items():
                seconds = _measured(command).seconds
                best[way] = min(best.get(way, seconds), seconds)
        _check(path, rows)
        found.append(
            {
                "database": system,
                "batches of": size,
                "with, rows/s": f"{rows / best['with']:,.0f}",
                "without, rows/s": f"{rows / best['without']:,.0f}",
                "cost": f"{best['with'] / best['without'] - 1:.0%}",
            }
        )
    del os.environ["ROWCAST_INFER__BATCH_ROWS"]
    print(f"  measured the ledger on {system}", file=sys.stderr, flush=True)
    return found


def _shadowed(server: Server, system: str, folder: Path, rows: int, sensors: int, repeat: int) -> Row:
    """`rowcast infer` with a challenger that waits, trained on half of the rows, and without it, in turn."""
    path, features = _prepared(server, system, folder / f"{system}_shadowed_{rows}_{sensors}", rows, sensors)
    os.environ["ROWCAST_MODEL__MAX_TRAIN_ROWS"] = str(LABELLED // 2)
    pipeline.run(config.load(path), "retrain")
    del os.environ["ROWCAST_MODEL__MAX_TRAIN_ROWS"]
    command = [sys.executable, "-m", "rowcast", "infer", "--config", str(path), "--workers", "1"]
    best: dict[str, Measured] = {}
    with open_job(config.load(path)) as job:
        more = len(set(job.registry.version(2).features) - set(features))
    for _ in range(repeat):
        for status in ("retired", "challenger"):
            _forget(path)
            with open_job(config.load(path)) as job:
                model = job.tables.model
                job.store.execute(model.update().where(model.c.version == 2).values(status=status))
            found = _measured([*command, "--log-level", "error"])
            best[status] = min(best.get(status, found), found, key=lambda m: m.cpu_s)
    _check(path, rows)
    with open_job(config.load(path)) as job:
        assert job.store.scalar(sa.select(sa.func.count()).select_from(job.own.shadow)) == rows
    print(f"  measured the shadow on {system} {rows:,} x {sensors}", file=sys.stderr, flush=True)
    alone, beside = best["retired"], best["challenger"]
    return {
        "database": system,
        "table": f"{rows:,} x {sensors}",
        "columns": len(features),
        "more": more,
        "without, s": round(alone.cpu_s, 2),
        "with, s": round(beside.cpu_s, 2),
        "cost": f"{beside.cpu_s / alone.cpu_s - 1:.0%}",
        "peak MB": f"{alone.peak_mb:.0f}, {beside.peak_mb:.0f}",
    }


def _monitoring(server: Server, folder: Path, *, quick: bool, repeat: int) -> None:
    print("processor seconds with monitoring, batches of 50,000, one process; without: of a version without edges")
    size = QUICK_MONITORED if quick else MONITORED
    rows = [_monitored(server, system, folder, *size, repeat=repeat) for system in ("sqlite", "postgresql")]
    print(table(rows, list(rows[0])), flush=True)
    print("\nprocessor seconds of drift: counting rows in batches of 50,000, a run each, and looking at these runs")
    rows = [_drift(*size, repeat=repeat) for size in (QUICK_DRIFT if quick else DRIFT)]
    print(table(rows, list(rows[0])), flush=True)


def _monitored(server: Server, system: str, folder: Path, rows: int, sensors: int, repeat: int) -> Row:
    """`rowcast infer` that counts its rows and looks at the counts, that is the day's first, and without, in turn."""
    path, features = _prepared(server, system, folder / f"{system}_monitored", rows, sensors, MOST)
    command = [sys.executable, "-m", "rowcast", "infer", "--config", str(path), "--workers", "1"]
    with open_job(config.load(path)) as job:
        kept = job.store.scalar(sa.select(job.tables.model.c.edges))
    best: dict[str, Measured] = {}
    for _ in range(repeat):
        # It looks at labels once a day, and at counts once an hour.
        for way, edges in (("first", kept), ("with", kept), ("without", None)):
            _forget(path)
            with open_job(config.load(path)) as job:
                job.store.execute(sa.delete(job.tables.profile))
                forgotten = {"first": ("runs", "watched"), "with": ("runs",), "without": ()}[way]
                job.store.execute(sa.delete(job.tables.metric).where(job.tables.metric.c.name.in_(forgotten)))
                job.store.execute(job.tables.model.update().values(edges=edges))
            found = _measured([*command, "--log-level", "error"])
            best[way] = min(best.get(way, found), found, key=lambda m: m.cpu_s)
    _check(path, rows)
    with open_job(config.load(path)) as job:
        names = sa.select(job.tables.metric.c.name).where(job.tables.metric.c.step == "monitor")
        assert {"runs", "watched"} <= {row["name"] for row in job.store.rows(names)}
    print(f"  measured monitoring on {system} {rows:,} x {sensors}", file=sys.stderr, flush=True)
    alone, watched = best["without"], best["with"]
    return {
        "database": system,
        "table": f"{rows:,} x {sensors}",
        "columns": len(features),
        "without, s": round(alone.cpu_s, 2),
        "with, s": round(watched.cpu_s, 2),
        "share": f"{1 - alone.cpu_s / watched.cpu_s:.1%}",
        "the day's first, s": round(best["first"].cpu_s, 2),
        "peak MB": f"{alone.peak_mb:.0f}, {watched.peak_mb:.0f}",
    }


def _drift(rows: int, columns: int, repeat: int) -> Row:
    """Here, without a database: the batches are drawn anew, and only one is held at a time."""
    best = min((_counted_and_looked(rows, columns) for _ in range(repeat)), key=sum)
    return {
        "rows": f"{rows:,}",
        "columns": columns,
        "counting, s": round(best[0], 2),
        "looking, s": round(best[1], 2),
        "rows/s": f"{rows / sum(best):,.0f}",
    }


def _counted_and_looked(rows: int, columns: int) -> tuple[float, float]:
    random, names = np.random.default_rng(0), tuple(f"s{place}" for place in range(columns))
    at, runs, counting = datetime(2026, 1, 5, tzinfo=UTC), list[monitor.Run](), 0.0
    trained, score = Matrix(random.standard_normal((LABELLED, columns), np.float32), names, {}), random.random(LABELLED)
    edges = monitor.compute_edges(trained, score)
    blocks = [
        monitor.Run("", at, monitor.count_profile(edges, trained.take(part)))
        for part in monitor.split_blocks(LABELLED, None)
    ]
    for place in range(rows // BATCH):
        batch, score = Matrix(random.standard_normal((BATCH, columns), np.float32), names, {}), random.random(BATCH)
        begun = time.process_time()
        counts = monitor.count_profile(edges, batch, score)
        counting += time.process_time() - begun
        runs.append(monitor.Run(str(place), at + (place + 1) * timedelta(hours=6), counts, BATCH, 0, BATCH // 10))
    begun = time.process_time()
    monitor.detect_drift(
        [*blocks, *runs], monitor.Frame(edges, monitor.count_profile(edges, trained)), clean=len(blocks)
    )
    return counting, time.process_time() - begun


def _growth(server: Server, folder: Path) -> list[Row]:
    found: list[Row] = []
    for system in ("sqlite", "postgresql"):
        for rows in GROWTH:
            path, _ = _prepared(server, system, folder / f"{system}_growth_{rows}", rows, 50)
            options = ["--config", str(path), "--workers", "1", "--log-level", "error"]
            measured = _measured([sys.executable, "-m", "rowcast", "infer", *options])
            seconds, peak = round(measured.seconds, 1), round(measured.peak_mb)
            found.append({"database": system, "rows": rows, "seconds": seconds, "peak MB": peak})
    return found


def _prepared(
    server: Server, system: str, folder: Path, rows: int, sensors: int, most: int = 40
) -> tuple[Path, list[str]]:
    """A table whose first rows are labelled, a model trained on them, every row in scope."""
    folder.mkdir(parents=True)
    url = f"sqlite:///{folder / 'fab.db'}" if system == "sqlite" else _database(server, folder.name)
    fab = Fab(rows=rows, sensors=sensors, bad_rows=0, failure_rate=0.066)
    fab_db = connect(url, create=True)
    demo.write_simulation(fab_db, "wafers", simulate(fab))
    statement = "CREATE UNIQUE INDEX wafers_key ON wafers (wafer_id)"
    fab_db.execute(sa.text(statement))
    if system == "postgresql":
        fab_db.execute(sa.text("ANALYZE wafers"))
    fab_db.close()
    path = folder / "rowcast.toml"
    logs.configure("warning")
    path.write_text(CONFIG.format(url=url, labelled=LABELLED, most=most), encoding="utf-8")
    settings = config.load(path)
    pipeline.run(settings, "retrain")
    with open_job(settings) as job:
        registry: Registry = job.registry
        return path, list(registry.load(1).features)


def _database(server: Server, name: str) -> str:
    """A new database on the server; its URL."""
    db = connect(server.url("postgres"))
    db.execute(sa.text(f"CREATE DATABASE {name}"))
    db.close()
    return server.url(name)


def _forget(path: Path) -> None:
    """Make every row pending again."""
    with open_job(config.load(path)) as job:
        for each in (*job.own.all, job.tables.batch):
            job.store.execute(sa.delete(each))
        job.ledger.set_state(complete_to=None)


def _check(path: Path, rows: int) -> None:
    from rowcast.audit import audit

    with open_job(config.load(path)) as job:
        found = audit(job)
    assert found.holds, found
    assert found.scored + found.quarantined == rows, found


def _measured(command: list[str]) -> Measured:
    """Wall-clock and processor seconds, and the most memory of any one process of the command."""
    code = (
        "import resource, subprocess, sys;"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss);"
        "sys.exit(done.returncode)"
    )
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    cpu, peak = done.stdout.split()[-2:]
    return Measured(seconds, float(cpu), int(peak) / 1024)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
