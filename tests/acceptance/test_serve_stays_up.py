"""The service stays up: another champion, a store that is away, slow and endless clients, a signal to end."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asked import Asked, listening, small
from conftest import Place
from jobs import LABELLED, PENDING, SENSORS, Job, train, wafers

from rowcast.errors import DatabaseError

pytest_plugins = ("job_fixtures",)

FEATURES = [*SENSORS, "tool"]
ROWS = [{name: row[name] for name in FEATURES} for row in wafers(LABELLED + 1, PENDING, False)]
BODY = {"instances": ROWS[:2]}
KEYED = {"instances": [{"wafer": place, **row} for place, row in enumerate(ROWS[:2])]}


@pytest.fixture
def two_versions(prepared: Callable[..., Job]) -> Job:
    """A job whose first version serves, with a second one that was refused."""

    def prepare(make: Callable[..., Job]) -> Job:
        job = make("sqlite", "trained")
        train(job, seed=1)
        assert len(job.ok("models", "--json")["models"]) == 2
        return job

    return prepared(prepare)


@pytest.fixture
def asked(two_versions: Job) -> Iterator[Asked]:
    found = Asked(two_versions)
    yield found
    found.close()


def promote(job: Job, version: str) -> None:
    assert job.call("promote", version).code == 0


def test_another_champion_is_taken_up_at_the_next_look(two_versions: Job, asked: Asked) -> None:
    first = asked.score(BODY).json
    promote(two_versions, "2")
    assert asked.score(BODY).json == first
    asked.jobs[0].refresh()
    second = asked.score(BODY).json
    assert (first["model_version"], second["model_version"]) == (1, 2)
    assert first["predictions"][0]["score"] != second["predictions"][0]["score"]
    assert asked.post("/v2/models/wafers/versions/1/infer", {"inputs": []}).status == 404


def test_under_load_no_request_fails_and_none_is_answered_by_two_versions(two_versions: Job, asked: Asked) -> None:
    expected = {1: asked.score({"instances": ROWS}).json}
    promote(two_versions, "2")
    asked.jobs[0].refresh()
    expected[2] = asked.score({"instances": ROWS}).json
    served, failed, over = set(), [], threading.Event()

    def load() -> None:
        while not over.is_set():
            reply = asked.score({"instances": ROWS})
            if reply.status != 200 or reply.json != expected[reply.json["model_version"]]:
                failed.append(reply)
            served.add(reply.json["model_version"])

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in ("1", "2", "1"):
        promote(two_versions, version)
        asked.jobs[0].refresh()
    over.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert served == {1, 2}


def test_bytes_that_were_changed_in_the_store_are_not_taken_up(two_versions: Job, asked: Asked) -> None:
    two_versions.stored(f"UPDATE {two_versions.table('model')} SET artifact = x'00' WHERE version = 2")
    two_versions.stored(f"UPDATE {two_versions.table('job')} SET champion = 2")
    asked.jobs[0].refresh()
    reply = asked.score(BODY)
    assert (reply.status, reply.json["model_version"]) == (200, 1)
    [job] = asked.ask("GET", "/jobs").json["jobs"]
    assert "SHA-256" in job["problem"]
    assert job["ready"]


def test_a_service_that_never_had_a_sound_model_is_not_ready(two_versions: Job) -> None:
    two_versions.stored(f"UPDATE {two_versions.table('model')} SET artifact = x'00'")
    asked = Asked(two_versions)
    try:
        reply = asked.score(BODY)
        assert (reply.status, "SHA-256" in reply.json["error"]) == (503, True)
        assert asked.ask("GET", "/v2/health/ready").status == 503
    finally:
        asked.close()


@contextmanager
def away(job: Job) -> Iterator[None]:
    """Its database takes no connections, and has ended those that there were."""
    assert job.place.server is not None
    admin, name = Place("postgresql", job.place.server.url("postgres")), job.place.url.rpartition("/")[2]
    job.place.close()
    admin.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    admin.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        admin.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        admin.close()


def test_without_its_database_the_service_scores_on_and_says_so(make_job: Callable[..., Job]) -> None:
    job = make_job("postgresql", "trained")
    asked = Asked(job)
    try:
        before = asked.score(BODY).json
        with away(job):
            asked.jobs[0].refresh()
            assert asked.score(BODY).json == before
            [shown] = asked.ask("GET", "/jobs").json["jobs"]
            assert (shown["store"], shown["ready"]) == ("away", True)
            assert shown["problem"] == "its store does not answer"
            assert 'rowcast_serve_store_up{job="wafers"} 0' in asked.ask("GET", "/metrics").body.decode()
        asked.jobs[0].refresh()
        [shown] = asked.ask("GET", "/jobs").json["jobs"]
        assert (shown["store"], shown["problem"]) == ("there", None)
    finally:
        asked.close()


def test_more_than_the_queue_holds_is_told_to_come_back(two_versions: Job) -> None:
    asked = Asked(two_versions, limits=small(queue=0, inline=10))
    try:
        reply = asked.score(BODY)
        assert (reply.status, reply.headers["retry-after"]) == (429, "1")
        asked.application.gate.limits = small(bodies=10)
        assert asked.score(BODY).status == 429
        assert asked.application.gate.bytes == 0
    finally:
        asked.close()


def test_a_job_whose_store_keeps_it_waiting_keeps_no_other(
    two_versions: Job, make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_job("sqlite", "trained")
    other.configure(name="fans")
    train(other)
    asked = Asked(two_versions, other, limits=small(inline=10, answer_seconds=10))
    over, has_begun, replies = threading.Event(), threading.Event(), []

    def wait(*_: Any) -> None:
        has_begun.set()
        assert over.wait(60)
        raise DatabaseError("the server is away", reason="unreachable")

    monkeypatch.setattr(asked.jobs[0].recorder, "_read", wait)
    waiting = threading.Thread(target=lambda: replies.append(asked.post("/jobs/wafers/score?record=true", KEYED)))
    waiting.start()
    try:
        assert has_begun.wait(60)
        assert asked.post("/jobs/fans/score", BODY).status == 200
        assert asked.application.gate.waiting == 1
    finally:
        over.set()
        waiting.join()
        asked.close()
    assert replies[0].status == 503


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    made.settimeout(30)
    return made


def answer(made: socket.socket) -> bytes:
    found = b""
    try:
        while part := made.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def request(body: bytes, *more: str, close: bool = True) -> bytes:
    lines = ["POST /invocations HTTP/1.1", "host: localhost", "content-type: application/json"]
    lines += [f"content-length: {len(body)}", *more, *(["connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_half_open_connections_end_and_cost_others_nothing(asked: Asked) -> None:
    with listening(asked, headers=0.5) as port:
        silent = [connect(port) for _ in range(50)]
        for made in silent[:25]:
            made.sendall(b"POST /invocations HTTP/1.1\r\nhost: loc")
        with connect(port) as other:
            other.sendall(request(json.dumps(BODY).encode()))
            assert answer(other).startswith(b"HTTP/1.1 200")
        for made in silent:
            assert answer(made) == b""
            made.close()


def test_where_there_are_too_many_connections_the_one_ends_that_waited_longest(asked: Asked) -> None:
    with listening(asked, connections=5) as port:
        silent = [connect(port) for _ in range(5)]
        time.sleep(0.2)
        with connect(port) as other:
            other.sendall(request(json.dumps(BODY).encode()))
            assert answer(other).startswith(b"HTTP/1.1 200")
        assert answer(silent[0]) == b""
        for made in silent:
            made.close()


def test_headers_without_an_end_are_refused(asked: Asked) -> None:
    with listening(asked, header_bytes=10_000) as port, connect(port) as made:
        made.sendall(b"POST /invocations HTTP/1.1\r\n" + b"x: y\r\n" * 2_000)
        assert answer(made).startswith(b"HTTP/1.1 400")


def test_a_body_that_says_it_is_too_large_is_not_read(asked: Asked) -> None:
    with listening(asked) as port, connect(port) as made:
        made.sendall(request(b"", "x: y").replace(b"content-length: 0", b"content-length: 50000000"))
        found = answer(made)
        assert found.startswith(b"HTTP/1.1 413")
        assert b"6,000,000 bytes" in found


def test_a_body_without_a_length_is_cut_off(asked: Asked) -> None:
    asked.application.gate.limits = small(body=100_000)
    head = request(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    with listening(asked) as port, connect(port) as made:
        made.sendall(head)
        try:
            for _ in range(100):
                made.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        except OSError:
            pass
        assert answer(made)[:12] in (b"HTTP/1.1 413", b"")
    assert asked.application.gate.bytes == 0


def test_a_body_that_comes_too_slowly_is_given_up(asked: Asked) -> None:
    asked.application.gate.limits = small(body_seconds=0.3)  # type: ignore[arg-type]
    with listening(asked) as port, connect(port) as made:
        made.sendall(request(b"x" * 100)[:-50])
        assert answer(made).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\nx y: z\r\n\r\n",
        b"GET http://else.example/metrics HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=lambda head: repr(head[27:90]),
)
def test_tricks_with_headers_get_no_answer_of_worth(asked: Asked, head: bytes) -> None:
    with listening(asked, headers=0.5) as port, connect(port) as made:
        made.sendall(head)
        made.shutdown(socket.SHUT_WR)
        found = answer(made)
        assert found[9:12] in (b"400", b""), found


def test_figures_tell_what_was_asked_and_refused(asked: Asked) -> None:
    asked.score(BODY)
    asked.score({"instances": [ROWS[0], {**ROWS[1], "s01": 1e30}]}, "?partial=true")
    asked.score({"instances": [{**ROWS[1], "s01": "hot"}]})
    asked.ask("GET", "/else")
    reply = asked.ask("GET", "/metrics")
    text = reply.body.decode()
    for line in (
        'rowcast_serve_requests_total{job="wafers",route="/invocations",status="200"} 2',
        'rowcast_serve_requests_total{job="wafers",route="/invocations",status="422"} 1',
        'rowcast_serve_requests_total{job="",route="unknown",status="404"} 1',
        'rowcast_serve_request_seconds_count{route="/invocations"} 3',
        'rowcast_serve_rows_total{job="wafers",outcome="scored"} 3',
        'rowcast_serve_rows_total{job="wafers",outcome="refused"} 2',
        'rowcast_serve_refusals_total{job="wafers",rule="max"} 1',
        'rowcast_serve_refusals_total{job="wafers",rule="type"} 1',
        'rowcast_serve_champion_version{job="wafers"} 1',
        'rowcast_champion_version{job="wafers"} 1',
    ):
        assert line in text.splitlines()
