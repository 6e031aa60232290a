"""Answers that are recorded: once for each request, by key, whatever is repeated, killed or away."""

import contextlib
import http.client
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asked import Asked
from conftest import Place
from jobs import LABELLED, PENDING, SENSORS, Job, wafers
from test_serve_command import Service

from rowcast.monitor.skew import UNIT

pytest_plugins = ("job_fixtures",)

REPEATED, REPLAYS = 30, 1_000  # requests over a service that is killed half way; the latter with --long
NAMES = ["wafer", *SENSORS, "tool"]
ROWS = [{name: row[name] for name in NAMES} for row in wafers(LABELLED + 1, PENDING, False)]


@pytest.fixture
def asked(trained: Job) -> Iterator[Asked]:
    found = Asked(trained)
    yield found
    found.close()


def recorded(job: Job) -> list[dict[str, Any]]:
    return job.stored(f"SELECT * FROM {job.table('wafers_online')} ORDER BY online_request, place")


def record(asked: Asked, rows: Any, request_id: str | None = None, query: str = "?record=true") -> Any:
    headers = {} if request_id is None else {"idempotency_key": request_id}
    return asked.score({"instances": rows}, query, **headers)


def test_an_answer_is_recorded_by_key_with_version_and_hash(trained: Job, asked: Asked) -> None:
    reply = record(asked, ROWS[:3], "a")
    assert reply.status == 200
    stored = recorded(trained)
    assert [row["wafer"] for row in stored] == [row["wafer"] for row in ROWS[:3]]
    assert [row["score"] for row in stored] == [row["score"] for row in reply.json["predictions"]]
    assert {(row["online_request"], row["online_client"], row["model_version"]) for row in stored} == {("a", "", 1)}
    trained.ok("infer")
    batch = trained.stored(f"SELECT wafer, row_hash, score FROM {trained.table('wafers_prediction')}")
    by_wafer = {row["wafer"]: row for row in batch}
    for row in stored:
        assert row["row_hash"] == by_wafer[row["wafer"]]["row_hash"]
        assert row["score"] == pytest.approx(by_wafer[row["wafer"]]["score"], abs=1e-9, rel=0)
    trained.audit()


def test_quality_tells_where_the_batch_read_other_values_than_were_sent(trained: Job, asked: Asked) -> None:
    assert "online" not in trained.call("quality").out
    sent = [{**row, "s01": 0.5} if place < 10 else row for place, row in enumerate(ROWS[:40])]
    assert record(asked, sent, "a").status == 200
    assert trained.ok("quality", "--json").get("online") is None  # the batch is yet to come
    trained.ok("infer")
    found = trained.ok("quality", "--json")["online"]
    assert (found["rows"], found["values_differ"], found["same_version"], found["share"]) == (40, 10, 40, 0.25)
    assert 0 < found["scores_differ"] <= 10
    assert "it read other values in 25 %" in trained.call("quality").out


def record_before(job: Job, asked: Asked, rows: list[dict[str, Any]], units: int) -> None:
    """Record rows as if that had been so many units of time ago."""
    request = uuid.uuid4().hex
    assert record(asked, rows, request).status == 200
    moment = (datetime.now(UTC) - units * UNIT).isoformat(" ", "microseconds").replace("+00:00", "Z")
    job.stored(f"UPDATE {job.table('wafers_online')} SET online_at = '{moment}' WHERE online_request = '{request}'")


def list_skew_alerts(job: Job) -> list[str]:
    rows = job.stored(f"SELECT state, dedup_key FROM {job.table('alert')} WHERE topic = 'skew' ORDER BY alert_id")
    assert {row["dedup_key"] for row in rows} <= {"skew"}
    return [row["state"] for row in rows]


def test_a_person_is_told_where_the_batch_reads_other_values_until_it_no_longer_does(
    trained: Job, asked: Asked
) -> None:
    for units in (12, 11, 10):
        record_before(trained, asked, [{**row, "s01": 0.5} for row in ROWS[:20]], units)
    trained.ok("infer")
    assert list_skew_alerts(trained) == ["begins"]
    status = trained.call("status").out
    assert "the HTTP service is sent other values than the batch reads" in status
    trained.ok("infer")
    assert list_skew_alerts(trained) == ["begins"]
    for units in (9, 8, 7, 6):
        record_before(trained, asked, ROWS[:20], units)
    long_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat(" ", "microseconds").replace("+00:00", "Z")
    trained.stored(f"UPDATE {trained.table('run')} SET as_of = '{long_ago}'")  # the last look is a day old
    trained.ok("infer")
    assert list_skew_alerts(trained) == ["begins", "ended"]
    trained.audit()


def test_few_rows_that_were_corrected_later_are_not_told(trained: Job, asked: Asked) -> None:
    for units in range(12, 6, -1):
        record_before(trained, asked, ROWS[:30], units)
    record_before(trained, asked, [{**row, "s01": 0.5} for row in ROWS[30:40]], 5)
    trained.ok("infer")
    assert trained.ok("quality", "--json")["online"]["values_differ"] == 10
    assert list_skew_alerts(trained) == []


def test_hashes_are_made_as_the_engine_of_the_batch_makes_them(make_job: Callable[..., Job]) -> None:
    job = make_job("postgresql", "trained")
    for engine, request in (("database", "a"), ("local", "b")):
        job.configure({"infer": {"engine": engine}})
        with contextlib.closing(Asked(job)) as asked:
            assert record(asked, [{**ROWS[0], "s01": 0.5}, *ROWS[1:4]], request).status == 200
            assert record(asked, [{**ROWS[0], "s01": 0.5}, *ROWS[1:4]], "a").status == 200  # the first answer
    assert {row["hashed_by"] for row in recorded(job)} == {"sha256", "splitmix64"}
    job.configure({"infer": {"engine": "database"}})
    job.ok("infer")
    found = job.ok("quality", "--json")["online"]  # the others cannot be compared
    assert (found["rows"], found["values_differ"], found["same_version"]) == (4, 1, 4)


def test_a_repeat_returns_the_first_answer(trained: Job, asked: Asked) -> None:
    rows = [ROWS[0], {**ROWS[1], "s01": "hot"}, ROWS[2]]
    query = "?record=true&partial=true&explain=true"
    first = record(asked, rows, "a", query)
    assert first.status == 200
    for _ in range(3):
        assert record(asked, rows, "a", query).json == first.json
    assert len(recorded(trained)) == 3
    without = record(asked, rows, "a", "?record=true&partial=true").json
    assert "contributions" not in without["predictions"][0]


def test_a_request_without_an_id_is_recorded_each_time(trained: Job, asked: Asked) -> None:
    for _ in range(2):
        assert record(asked, ROWS[:1]).status == 200
    assert len(recorded(trained)) == 2


def test_an_id_stands_for_one_request(trained: Job, asked: Asked) -> None:
    assert record(asked, ROWS[:1], "a").status == 200
    for other in (ROWS[:2], [{**ROWS[0], "s01": 0.25}]):
        reply = record(asked, other, "a")
        assert (reply.status, "under this id" in reply.json["error"]) == (422, True)
    assert len(recorded(trained)) == 1


def test_the_id_of_the_protocol_does_the_same(trained: Job, asked: Asked) -> None:
    inputs = [
        {
            "name": name,
            "shape": [1],
            "datatype": {"wafer": "INT64", "tool": "BYTES"}.get(name, "FP64"),
            "data": [ROWS[0][name]],
        }
        for name in NAMES
    ]
    body = {"id": "7", "parameters": {"record": True}, "inputs": inputs}
    first = asked.post("/v2/models/wafers/infer", body)
    assert first.status == 200, first.body
    assert asked.post("/v2/models/wafers/infer", body).json == first.json
    assert [row["online_request"] for row in recorded(trained)] == ["7"]


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([{name: value for name, value in ROWS[0].items() if name != "wafer"}], "missing"),
        ([{**ROWS[0], "wafer": None}], "null"),
        ([{**ROWS[0], "wafer": "W7"}], "type"),
        ([{**ROWS[0], "wafer": 1e300}], "type"),
        ([ROWS[0], ROWS[1], ROWS[0]], "repeated"),
    ],
    ids=["missing", "null", "text", "huge", "repeated"],
)
def test_a_row_is_recorded_by_a_key_of_its_own(
    trained: Job, asked: Asked, rows: list[dict[str, Any]], rule: str
) -> None:
    reply = record(asked, rows)
    assert reply.status == 422
    assert {fault["rule"] for fault in reply.json["refused"]} == {rule}
    assert recorded(trained) == []


def test_rows_that_are_repeated_are_scored_alike_where_nothing_is_recorded(asked: Asked) -> None:
    first, second = asked.score({"instances": [ROWS[0], ROWS[0]]}).json["predictions"]
    assert first == second


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a\tb"])
def test_an_id_that_is_none_is_refused(asked: Asked, request_id: str) -> None:
    assert record(asked, ROWS[:1], request_id).status == 400


def test_the_config_records_every_answer_unless_one_says_otherwise(lite: Job) -> None:
    lite.configure({"serve": {"record": True}})
    asked = Asked(lite)
    try:
        assert asked.score({"instances": ROWS[:1]}).status == 200
        assert record(asked, ROWS[:1], query="?record=false").status == 200
        assert len(recorded(lite)) == 1
    finally:
        asked.close()


def test_a_store_that_is_read_only_scores_and_does_not_record(make_job: Callable[..., Job]) -> None:
    job = make_job("postgresql", "trained")
    name = job.place.url.rpartition("/")[2]
    job.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    job.place.close()
    asked = Asked(job)
    try:
        reply = record(asked, ROWS[:1], "a")
        assert (reply.status, "could not be recorded" in reply.json["error"]) == (503, True)
        assert asked.score({"instances": ROWS[:1]}).status == 200
    finally:
        asked.close()


def test_without_its_database_nothing_is_recorded_and_the_client_is_told(make_job: Callable[..., Job]) -> None:
    job = make_job("postgresql", "trained")
    asked = Asked(job)
    try:
        assert record(asked, ROWS[:1], "a").status == 200
        assert job.place.server is not None
        admin, name = Place("postgresql", job.place.server.url("postgres")), job.place.url.rpartition("/")[2]
        job.place.close()
        admin.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            reply = record(asked, ROWS[1:2], "b")
            assert (reply.status, reply.headers["retry-after"]) == (503, "5")
            assert asked.score({"instances": ROWS[:1]}).status == 200
        finally:
            admin.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            admin.close()
        assert record(asked, ROWS[1:2], "b").status == 200
        assert len(recorded(job)) == 2
    finally:
        asked.close()


@pytest.mark.longer
def test_requests_that_are_repeated_over_a_killed_service_are_recorded_once(
    lite: Job, start: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    """Each is sent until it is answered, and then again; what was recorded before the kill is answered as it was."""
    count = REPLAYS if request.config.getoption("--long") else REPEATED
    answers: dict[int, Any] = {}
    for round_ in range(2):
        service = Service(start(lite, "serve", "--port", "0"))
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        for place in range(count):
            headers = {"content-type": "application/json", "idempotency-key": str(place)}
            body = json.dumps({"instances": [ROWS[place % PENDING]]})
            connection.request("POST", "/invocations?record=true", body, headers)
            if round_ == 0 and place == count // 2:
                service.process.kill()
                break
            reply = connection.getresponse()
            found = json.loads(reply.read())
            assert reply.status == 200
            assert answers.setdefault(place, found) == found
        connection.close()
        service.process.kill()
        service.process.communicate()
    stored = sorted((int(row["online_request"]), row["wafer"]) for row in recorded(lite))
    assert stored == [(place, ROWS[place % PENDING]["wafer"]) for place in range(count)]
