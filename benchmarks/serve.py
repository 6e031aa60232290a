"""python -m benchmarks.serve [--seconds 10]: requests a second of the HTTP service, beside what its server can do.

Each service runs on one core and wrk on another, 8 connections, one row of 40 features. The floor is the same server
that decodes the same body and answers a constant.
"""

import argparse
import http.client
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

import rowcast
from rowcast import logs
from rowcast.database import connect
from rowcast.report import table
from rowcast.serve.refusal import Refusal
from rowcast.serve.request import Options, SentRows
from rowcast.serve.scoring import score
from rowcast.serve.served_job import ServedJob

SENSORS = 37  # and three columns of texts
WAFERS = 6_000
CONNECTIONS = 8
MANY = 10_000  # rows of one request

FLOOR = """
import msgspec
decoder = msgspec.json.Decoder()
body = b'{"predictions":[{"score":0.5,"predicted":0,"flagged":false,"model_version":1}]}'
headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]


async def app(scope, receive, send):
    decoder.decode((await receive())["body"])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

FASTAPI = """
import json
import os
import lightgbm
import numpy as np
from fastapi import FastAPI
from pydantic import create_model

about = json.load(open("about.json"))
booster = lightgbm.Booster(model_file="model.txt")
kinds = {"number": float | None, "category": str | None}
Row = create_model("Row", **{name: (kinds[kind], ...) for name, kind in about["kinds"].items()})
Body = create_model("Body", instances=(list[Row], ...))
codes = {name: {text: code for code, text in enumerate(known)} for name, known in about["categories"].items()}
app = FastAPI()


@app.post("/invocations")
def invocations(body: Body):
    rows = [[codes[n].get(getattr(r, n), np.nan) if n in codes else getattr(r, n) for n in about["kinds"]]
            for r in body.instances]
    found = booster.predict(np.array(rows, np.float32), raw_score=True, num_threads=1)
    score = 1 / (1 + np.exp(-(about["slope"] * found + about["intercept"])))
    return {"predictions": [{"score": float(s), "flagged": bool(s >= about["threshold"])} for s in score]}
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw of one service."""

    per_second: float
    p50: float  # milliseconds
    p99: float
    failed: int
    processor: float  # microseconds of the service's processor time a request: other load of the machine counts little


@dataclass(frozen=True)
class Service:
    """A running one."""

    process: "subprocess.Popen[bytes]"
    port: int


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[Service]:
    """A service on the first core, until it is no longer needed."""
    process = subprocess.Popen(
        [*_on_core(0), *command], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Service(process, port)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _on_core(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def _processor_seconds(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(service: Service, body: bytes, headers: Mapping[str, str], seconds: int, folder: Path) -> Load:
    """Ask the same for some seconds."""
    named = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
    (folder / "body.json").write_bytes(body)
    script = f'wrk.method = "POST"\n{named}local f = io.open("body.json", "rb")\nwrk.body = f:read("*all")\nf:close()\n'
    (folder / "ask.lua").write_text(script)
    url = f"http://127.0.0.1:{service.port}/invocations"
    ask = [*_on_core(1), "wrk", "-t1", f"-c{CONNECTIONS}", "--latency", "-s", "ask.lua"]
    subprocess.run([*ask, "-d2s", url], cwd=folder, check=True, capture_output=True)  # to warm up
    before = _processor_seconds(service.process)
    said = subprocess.run([*ask, f"-d{seconds}s", url], cwd=folder, check=True, capture_output=True, text=True).stdout
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Load(
        per_second=float(_find(r"Requests/sec:\s+([\d.]+)", said)),
        p50=_milliseconds(_find(r"\n\s+50%\s+(\S+)", said)),
        p99=_milliseconds(_find(r"\n\s+99%\s+(\S+)", said)),
        failed=int(failed[1]) if failed else 0,
        processor=(_processor_seconds(service.process) - before) * 1e6 / int(_find(r"(\d+) requests in", said)),
    )


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def prepare(folder: Path, url: str | None = None) -> tuple[ServedJob, list[dict[str, Any]]]:
    """Build a fab with a champion, and return its job and rows to ask about."""
    logs.configure("warning")
    command = [sys.executable, "-m", "rowcast", "demo", "--rows", str(WAFERS), "--sensors", str(SENSORS)]
    command += ["--dir", str(folder), *([] if url is None else ["--url", url])]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    job = ServedJob(rowcast.open(folder / "rowcast.toml").settings)
    job.refresh()
    assert job.current is not None
    names = job.current.columns.features
    with_rows = connect(job.settings.source_url)
    rows = with_rows.query("SELECT * FROM wafers").to_pylist()
    with_rows.close()
    return job, [{name: row[name] for name in names} for row in rows]


def find_plain(job: ServedJob, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that keep the contract."""
    assert job.current is not None
    good = []
    for row in rows:
        try:
            score(job.current, SentRows(1, {name: [value] for name, value in row.items()}), Options())
        except Refusal:
            continue
        good.append(row)
    return good


def write_fastapi(job: ServedJob, folder: Path) -> None:
    """The same model by FastAPI, as one would write it."""
    assert job.current is not None
    model, columns = job.current.served.model, job.current.columns
    (folder / "model.txt").write_text(model.members[0].estimator.model_to_string())
    rules = {rule.name: rule for rule in model.contract.rules}
    calibration: Any = model.calibration
    about = {
        "kinds": {name: columns.kinds[name] for name in columns.features},
        "categories": {n: rules[n].categories for n in columns.features if rules[n].kind == "category"},
        "slope": calibration.slope,
        "intercept": calibration.intercept,
        "threshold": model.threshold,
    }
    (folder / "about.json").write_text(json.dumps(about))
    (folder / "by_fastapi.py").write_text(FASTAPI)


def measure(job: ServedJob, rows: list[dict[str, Any]], folder: Path, seconds: int) -> Iterator[tuple[str, Load]]:
    """One row a request."""
    body = json.dumps({"instances": rows[:1]}).encode()
    plain = {"content-type": "application/json"}
    uvicorn = [sys.executable, "-m", "uvicorn", "--http", "httptools", "--loop", "asyncio", "--no-access-log"]
    (folder / "floor.py").write_text(FLOOR)
    port = free_port()
    with running([*uvicorn, "--port", str(port), "floor:app"], port, folder) as service:
        yield "floor: decodes, answers a constant", load(service, body, plain, seconds, folder)
    key = rowcast.open(folder / "rowcast.toml").create_key("bench")
    port = free_port()
    with running([sys.executable, "-m", "rowcast", "serve", "--port", str(port)], port, folder) as service:
        time.sleep(3)
        keyed = {**plain, "authorization": f"Bearer {key}"}
        yield "rowcast, with contract, key, access log", load(service, body, keyed, seconds, folder)
    if find_spec("fastapi") is None:
        return
    write_fastapi(job, folder)
    port = free_port()
    with running([*uvicorn, "--port", str(port), "by_fastapi:app"], port, folder) as service:
        time.sleep(3)
        yield "FastAPI, the same model, no contract", load(service, body, plain, seconds, folder)


def measure_many(rows: list[dict[str, Any]], folder: Path) -> Iterator[dict[str, str]]:
    """Many rows a request, in each form; the fastest of three."""
    many = (rows * (MANY // len(rows) + 1))[:MANY]
    data = pa.Table.from_pylist(many)
    csv, stream = io.BytesIO(), io.BytesIO()
    pa_csv.write_csv(data, csv)
    with pa.ipc.new_stream(stream, data.schema) as writer:
        writer.write_table(data)
    arrow = "application/vnd.apache.arrow.stream"
    forms = {
        "JSON": ("application/json", json.dumps({"instances": many}).encode()),
        "CSV": ("text/csv", csv.getvalue()),
        "Arrow": (arrow, stream.getvalue()),
    }
    key, port = rowcast.open(folder / "rowcast.toml").create_key("many"), free_port()
    config = folder / "rowcast.toml"
    config.write_text(config.read_text() + "\n[serve]\nmax_body_mb = 100\n")
    with running([sys.executable, "-m", "rowcast", "serve", "--port", str(port)], port, folder):
        for name, (kind, body) in forms.items():
            taken = min(_ask(port, key, kind, body) for _ in range(3))
            yield {
                "form": name,
                "MB": f"{len(body) / 1e6:.1f}",
                "seconds": f"{taken:.2f}",
                "rows/s": f"{MANY / taken:,.0f}",
            }


def _ask(port: int, key: str, kind: str, body: bytes) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    accept = kind if kind != "application/json" else "*/*"
    begun = time.perf_counter()
    headers = {"content-type": kind, "x-api-key": key, "accept": accept}
    connection.request("POST", "/invocations", body, headers)
    reply = connection.getresponse()
    said = reply.read()
    assert reply.status == 200, said[:300]
    connection.close()
    return time.perf_counter() - begun


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    seconds = parser.parse_args().seconds
    if shutil.which("wrk") is None:
        sys.exit("needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        job, rows = prepare(folder)
        good = find_plain(job, rows)
        found = list(measure(job, good, folder, seconds))
        floor = found[0][1]
        shown = [
            {
                "service": name,
                "requests/s": f"{each.per_second:,.0f}",
                "of the floor": f"{each.per_second / floor.per_second:.2f}",
                "p50 ms": f"{each.p50:.2f}",
                "p99 ms": f"{each.p99:.2f}",
                "processor us": f"{each.processor:.0f}",
                "failed": each.failed,
            }
            for name, each in found
        ]
        print(f"one row of {len(good[0])} features, {CONNECTIONS} connections")
        print(table(shown, list(shown[0])))
        print(f"\n{MANY:,} rows a request")
        many = list(measure_many(good, folder))
        print(table(many, list(many[0])))
        job.stop()


if __name__ == "__main__":
    main()
