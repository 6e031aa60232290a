"""python -m benchmarks.soak [--seconds 1200]: the HTTP service at full load, and under abuse.

Champions change every three seconds, the database is killed and started every minute, a quarter of the clients have
their answers recorded. Prints how many answers were wrong or failed, and the memory of the service.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from postgres import Server

import rowcast
from benchmarks.serve import find_plain, free_port, prepare, running
from rowcast.database import connect
from rowcast.errors import DatabaseError, RowcastError
from rowcast.scoring.served_model import load_served
from rowcast.serve.columns import list_columns
from rowcast.serve.request import Options, SentRows
from rowcast.serve.scoring import Serving, score

Rows = list[dict[str, Any]]

CLIENTS, RECORDING = 8, 2  # of which the last have their answers recorded
SWAP, RESTART = 3, 60  # seconds between two champions, and between two deaths of the database
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


@dataclass
class Load:
    """Clients of one service, and what they were answered."""

    port: int
    key: str
    rows: Rows  # with their keys
    expected: dict[int, list[float]]
    counted: Counter[str] = field(default_factory=Counter)
    recorded: set[str] = field(default_factory=set)  # ids of the requests whose answers are recorded
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, seconds: float, recording: int = 0) -> Counter[str]:
        """Ask from several clients at once; whatever is not the score that the answer's version gives is wrong."""
        self.counted, until = Counter(), time.monotonic() + seconds
        works = [self._ask] * (CLIENTS - recording) + [self._record] * recording
        threads = [threading.Thread(target=work, args=[place, until]) for place, work in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.counted

    def _ask(self, place: int, until: float) -> None:
        own, connection = Counter[str](), self._connect()
        while time.monotonic() < until:
            place = (place + 1) % len(self.rows)
            status, said = self._send(connection, "/invocations", place)
            own[self._judge(place, status, said)] += 1
        self._add(own)

    def _record(self, place: int, until: float) -> None:
        """Send each request until it is answered, and then once more, which must give the same answer."""
        own, ids, connection = Counter[str](), set[str](), self._connect()
        while time.monotonic() < until:
            place, request_id = (place + 1) % len(self.rows), uuid.uuid4().hex
            status, said = 503, None
            while status == 503 and time.monotonic() < until + RESTART:  # the store is away
                status, said = self._send(connection, "/invocations?record=true", place, request_id)
                own["recorded later"] += status == 503
                time.sleep(0.2 * (status == 503))
            own[f"recorded, {self._judge(place, status, said)}"] += 1
            if status == 200:
                ids.add(request_id)
                again, repeated = self._send(connection, "/invocations?record=true", place, request_id)
                own["repeated otherwise"] += again == 200 and repeated != said
        self._add(own)
        with self.lock:
            self.recorded |= ids

    def _add(self, own: Counter[str]) -> None:
        with self.lock:
            self.counted.update({what: count for what, count in own.items() if count})

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _send(
        self, connection: http.client.HTTPConnection, path: str, place: int, request_id: str | None = None
    ) -> tuple[int, Any]:
        headers = {"content-type": "application/json", "x-api-key": self.key}
        headers |= {} if request_id is None else {"idempotency-key": request_id}
        try:
            connection.request("POST", path, json.dumps({"instances": [self.rows[place]]}), headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        except OSError:
            connection.close()
            return 0, None

    def _judge(self, place: int, status: int, said: Any) -> str:
        if status != 200:
            return f"status {status}" if status else "failed"
        version = said["model_version"]
        is_right = abs(said["predictions"][0]["score"] - self.expected[version][place]) <= 1e-9
        return f"v{version}" if is_right else "wrong"


@contextmanager
def repeatedly(work: Callable[[], object], seconds: float) -> Iterator[Counter[str]]:
    """Do something again and again beside what is in it; count how often, and how often the database was away."""
    over, counted = threading.Event(), Counter[str]()

    def go_on() -> None:
        while not over.wait(seconds):
            try:
                work()
                counted["done"] += 1
            except RowcastError:
                counted["away"] += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield counted
    finally:
        over.set()
        thread.join()


def swap(folder: Path, versions: list[int]) -> None:
    """Put another version in service."""
    job = rowcast.open(folder / "rowcast.toml")
    served = job.status().champion
    assert served is not None
    job.promote(next(version for version in versions if version != served.version))


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


def soak(folder: Path, load: Load, server: Server, process: "subprocess.Popen[bytes]", seconds: int) -> None:
    """Ask while champions change and the database dies, and print what came of it."""
    memory: list[float] = []
    deaths, loading = 0, threading.Thread(target=load.run, args=[seconds, RECORDING])
    swaps = repeatedly(lambda: swap(folder, sorted(load.expected)), SWAP)
    with swaps as swapped, repeatedly(lambda: memory.append(memory_mb(process)), seconds / 20):
        loading.start()
        loading.join(RESTART)
        while loading.is_alive():
            server.restart()  # by this thread: the server ends with the one that started it
            deaths += 1
            loading.join(RESTART)
    print(f"{seconds} s, {CLIENTS} clients, {swapped['done']} changes of champion, {deaths} deaths of the database")
    print(f"answers: {dict(sorted(load.counted.items()))}")
    print(f"memory in twentieths of that time, MB: {', '.join(f'{each:.0f}' for each in memory)}")


def count_recorded(folder: Path) -> tuple[int, int]:
    """Rows that are recorded, and their requests."""
    for _ in range(100):
        try:
            with rowcast.open(folder / "rowcast.toml").connection() as job:
                table = job.own.online
                counts: list[sa.ColumnElement[Any]] = [sa.func.count().label("rows")]
                counts.append(sa.func.count(sa.distinct(table.c.online_request)).label("requests"))
                [found] = job.store.rows(sa.select(*counts).select_from(table))
                return found["rows"], found["requests"]
        except DatabaseError:  # it may just have been started
            time.sleep(0.2)
    raise RuntimeError("the database did not come back")


def abuse(load: Load, process: "subprocess.Popen[bytes]") -> None:
    """Send bodies that are far too large, and open connections that say nothing."""
    for with_length in (True, False):
        told = dict(send_large(load.port, load.key, with_length=with_length))
        how = "with a length" if with_length else "in chunks"
        print(f"{BODIES} bodies of {BODY_MB} MB {how}: {told}; memory {memory_mb(process):.0f} MB")
    silent = [socket.create_connection(("127.0.0.1", load.port)) for _ in range(SILENT)]
    for each in silent[::2]:
        each.sendall(b"POST /invocations HTTP/1.1\r\nhost: lo")
    print(f"beside {SILENT} silent connections, 5 s: {dict(sorted(load.run(5).items()))}")
    for each in silent:
        each.close()
    print(f"memory at the end: {memory_mb(process):.0f} MB")


def create_database(server: Server) -> str:
    """A database that keeps what it has committed when it is killed."""
    db = connect(server.url("postgres"))
    db.execute(sa.text("CREATE DATABASE soak"))
    db.execute(sa.text("ALTER DATABASE soak SET synchronous_commit = on"))
    db.close()
    return server.url("soak")


def measure(folder: Path, server: Server, seconds: int) -> None:
    """Print what was counted."""
    url = create_database(server)
    os.environ["ROWCAST_SOURCE_URL"] = url  # as the demo's config names it
    job, all_rows = prepare(folder, url)
    good = find_plain(job, all_rows)[:200]
    job.stop()
    expected = expect(folder, good)
    keyed = [{"wafer_id": f"W{place}", **row} for place, row in enumerate(good)]
    key, port = rowcast.open(folder / "rowcast.toml").create_key("soak"), free_port()
    load = Load(port, key, keyed, expected)
    with running([sys.executable, "-m", "rowcast", "serve", "--port", str(port)], port, folder) as service:
        time.sleep(3)
        load.run(3)
        print(f"memory at the beginning: {memory_mb(service.process):.0f} MB")
        soak(folder, load, server, service.process, seconds)
        rows_there, requests = count_recorded(folder)
        answered = f"{len(load.recorded):,} requests were answered"
        print(f"recorded: {answered}, the store has {rows_there:,} rows of {requests:,} requests")
        abuse(load, service.process)


def main() -> None:
    """Measure on a PostgreSQL server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1200)
    seconds = parser.parse_args().seconds
    server = Server()
    try:
        with tempfile.TemporaryDirectory() as made:
            measure(Path(made), server, seconds)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
