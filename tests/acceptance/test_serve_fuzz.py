"""Whatever body comes in whatever form, the service answers with a status that it declares, and repeats no value."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asked import Asked, Reply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobs import LABELLED, PENDING, SENSORS, Job, wafers
from odd_bodies import SECRET, arrow_bodies, csv_bodies, json_bodies, tensor_bodies

pytest_plugins = ("job_fixtures",)

FEATURES = [*SENSORS, "tool"]
SOUND = [{name: row[name] for name in FEATURES} for row in wafers(LABELLED + 1, PENDING, False)][:5]
HANGS = timedelta(seconds=30)  # far more than any of these takes
ARROW = "application/vnd.apache.arrow.stream"
QUERIES = st.sampled_from(["", "?partial=true", "?explain=true", "?partial=true&explain=true"])
ACCEPTED = st.sampled_from(["*/*", "text/csv", ARROW])


@pytest.fixture
def asked(lite: Job) -> Iterator[Asked]:
    found = Asked(lite)
    yield found
    found.close()


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> int:
    return 2000 if request.config.getoption("--long") else 30


def fuzz(asked: Asked, path: str, examples: int, made: st.SearchStrategy[Any], send: Callable[..., Reply]) -> None:
    """Send what is made; each status is one that the document declares, and some bodies are answered."""
    document = asked.ask("GET", "/openapi.json").json
    declared = {int(status) for status in document["paths"][path]["post"]["responses"]} - {500}
    seen: set[int] = set()

    @settings(
        max_examples=examples,
        deadline=HANGS,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=examples < 100,
    )
    @given(made, QUERIES, ACCEPTED)
    def check(body: Any, query: str, accept: str) -> None:
        reply = send(body, query, accept)
        assert reply.status in declared, reply.body
        if reply.status != 200:
            assert json.loads(reply.body)["error"]
        assert SECRET not in reply.body.decode("latin-1")
        seen.add(reply.status)

    check()
    assert 200 in seen
    assert seen & {400, 422}


@pytest.mark.longer
@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs"])
def test_rows_as_json(asked: Asked, examples: int, form: str) -> None:
    def send(body: bytes, query: str, accept: str) -> Reply:
        return asked.score(body, query, content_type="application/json", accept=accept)

    fuzz(asked, "/invocations", examples, json_bodies(form, SOUND), send)


@pytest.mark.longer
@pytest.mark.parametrize("header", ["", "; header=absent"])
def test_lines_of_csv(asked: Asked, examples: int, header: str) -> None:
    def send(body: bytes, query: str, accept: str) -> Reply:
        lines = body if not header else body.partition(b"\n")[2]
        return asked.score(lines, query, content_type=f"text/csv{header}", accept=accept)

    fuzz(asked, "/invocations", examples, csv_bodies(SOUND), send)


@pytest.mark.longer
def test_streams_of_arrow(asked: Asked, examples: int) -> None:
    def send(body: bytes, query: str, accept: str) -> Reply:
        return asked.score(body, query, content_type=ARROW, accept=accept)

    fuzz(asked, "/invocations", examples, arrow_bodies(SOUND), send)


@pytest.mark.longer
def test_tensors_as_json_and_as_bytes(asked: Asked, examples: int) -> None:
    def send(body: tuple[bytes, int | None], query: str, accept: str) -> Reply:
        sent, length = body
        headers = {"content_type": "application/json", "accept": accept}
        if length is not None:
            headers |= {"content_type": "application/octet-stream", "inference_header_content_length": str(length)}
        return asked.post(f"/v2/models/wafers/infer{query}", sent, **headers)

    fuzz(asked, "/v2/models/{job}/infer", examples, tensor_bodies(SOUND), send)
