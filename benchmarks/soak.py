"""python -m benchmarks.soak [--seconds 1200]: the HTTP service at full load while champions change, and under abuse.

Prints how many answers were wrong or failed, and the memory of the service before and after each part.
"""

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import rowcast
from benchmarks.serve import find_plain, free_port, prepare, running
from rowcast.scoring.served_model import load_served
from rowcast.serve.columns import list_columns
from rowcast.serve.request import Options, SentRows
from rowcast.serve.scoring import Serving, score

Rows = list[dict[str, Any]]

CLIENTS = 8
BODIES, BODY_MB = 200, 50
SILENT = 500


def memory_mb(process: "subprocess.Popen[bytes]") -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def expect(folder: Path, rows: Rows) -> dict[int, list[float]]:
    """What each version makes of the rows, one request each."""
    found = {}
    with rowcast.open(folder / "rowcast.toml").connection() as job:
        for version in job.registry.versions():
            served = load_served(job, version.version)
            serving = Serving.of("wafers", served, list_columns(job, served))
            sent = [SentRows(1, {name: [value] for name, value in row.items()}) for row in rows]
            found[version.version] = [score(serving, one, Options(partial=True)).score[0] for one in sent]
    return found


def load(
    port: int, key: str, rows: list[dict[str, Any]], expected: dict[int, list[float]], seconds: int
) -> Counter[str]:
    """Ask from several clients at once; whatever is not the score that the answer's version gives is wrong."""
    counted: Counter[str] = Counter()
    lock, until = threading.Lock(), time.monotonic() + seconds

    def ask(first: int) -> None:
        own: Counter[str] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"content-type": "application/json", "x-api-key": key}
        place = first
        while time.monotonic() < until:
            place = (place + 1) % len(rows)
            try:
                connection.request("POST", "/invocations", json.dumps({"instances": [rows[place]]}), headers)
                reply = connection.getresponse()
                said = json.loads(reply.read())
            except OSError:
                own["failed"] += 1
                connection.close()
                continue
            if reply.status != 200:
                own[f"status {reply.status}"] += 1
                continue
            version = said["model_version"]
            own[f"v{version}"] += 1
            own["wrong"] += abs(said["predictions"][0]["score"] - expected[version][place]) > 1e-9
        with lock:
            counted.update(own)

    threads = [threading.Thread(target=ask, args=[place]) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted


def swap(folder: Path, over: threading.Event, versions: list[int]) -> int:
    """Put another version in service every three seconds; return how often."""
    job, swaps = rowcast.open(folder / "rowcast.toml"), 0
    while not over.wait(3):
        served = job.status().champion
        assert served is not None
        job.promote(next(version for version in versions if version != served.version))
        swaps += 1
    return swaps


def send_large(port: int, key: str, *, with_length: bool) -> Counter[str]:
    """Bodies far over the limit; each may be answered or cut off, and none is taken."""
    counted: Counter[str] = Counter()
    part = b" " * 1_000_000
    length = f"content-length: {BODY_MB * len(part)}" if with_length else "transfer-encoding: chunked"
    head = f"POST /invocations HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n{length}\r\n"
    head += "content-type: application/json"
    for _ in range(BODIES):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as made:
            try:
                made.sendall(f"{head}\r\n\r\n".encode())
                for _ in range(BODY_MB):
                    made.sendall(part if with_length else b"f4240\r\n" + part + b"\r\n")
                said = made.recv(64)
            except OSError:
                said = b""
            counted[said[9:12].decode() or "cut off"] += 1
    return counted


def main() -> None:
    """Print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1200)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        job, rows = prepare(folder)
        good = find_plain(job, rows)[:200]
        job.stop()
        expected = expect(folder, good)
        key, port = rowcast.open(folder / "rowcast.toml").create_key("soak"), free_port()
        with running([sys.executable, "-m", "rowcast", "serve", "--port", str(port)], port, folder) as service:
            time.sleep(3)
            load(port, key, good, expected, 3)
            print(f"memory at the beginning: {memory_mb(service.process):.0f} MB")
            over, swapped = threading.Event(), []
            swapping = threading.Thread(target=lambda: swapped.append(swap(folder, over, sorted(expected))))
            swapping.start()
            counted = load(port, key, good, expected, seconds)
            over.set()
            swapping.join()
            print(f"{seconds} s, {CLIENTS} clients, {swapped[0]} changes of champion: {dict(sorted(counted.items()))}")
            print(f"memory then: {memory_mb(service.process):.0f} MB")
            for with_length in (True, False):
                told = dict(send_large(port, key, with_length=with_length))
                how = "with a length" if with_length else "in chunks"
                print(f"{BODIES} bodies of {BODY_MB} MB {how}: {told}; memory {memory_mb(service.process):.0f} MB")
            silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(SILENT)]
            for each in silent[::2]:
                each.sendall(b"POST /invocations HTTP/1.1\r\nhost: lo")
            beside = load(port, key, good, expected, 5)
            print(f"beside {SILENT} silent connections, 5 s: {dict(sorted(beside.items()))}")
            for each in silent:
                each.close()
            print(f"memory at the end: {memory_mb(service.process):.0f} MB")


if __name__ == "__main__":
    main()
