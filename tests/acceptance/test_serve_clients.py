"""Clients that others wrote, against the service: `make test-clients` installs them."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from asked import Asked, listening
from jobs import LABELLED, PENDING, SENSORS, Job, wafers

pytest_plugins = ("job_fixtures",)

NAMES = [*SENSORS, "tool"]
ROWS = [{name: row[name] for name in NAMES} for row in wafers(LABELLED + 1, PENDING, False)]
LISTS = [list(row.values()) for row in ROWS]


@pytest.fixture
def service(prepared: Callable[..., Job]) -> Iterator[tuple[int, Any]]:
    """A port, and the scores of the batch."""

    def prepare(make: Callable[..., Job]) -> Job:
        job = make("sqlite", "trained")
        job.ok("infer")
        return job

    job = prepared(prepare)
    asked, scores = Asked(job), job.scores()
    expected = pytest.approx([scores[LABELLED + 1 + place] for place in range(PENDING)], abs=1e-9, rel=0)
    with listening(asked) as port:
        yield port, expected
    asked.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_tritons_client_gets_the_scores_of_the_batch(service: tuple[int, Any], binary: bool) -> None:
    triton = pytest.importorskip("tritonclient.http")
    port, expected = service
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("wafers")
    assert client.get_server_metadata()["name"] == "rowcast"
    metadata = client.get_model_metadata("wafers")
    assert [each["name"] for each in metadata["inputs"]] == NAMES
    inputs = []
    for each in metadata["inputs"]:
        values = [row[each["name"]] for row in ROWS]
        array = np.array(values, np.object_ if each["datatype"] == "BYTES" else np.float64)
        tensor = triton.InferInput(each["name"], [PENDING], each["datatype"])
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("score", "possible")]
    found = client.infer("wafers", inputs, outputs=outputs, request_id="7")
    assert found.get_response()["id"] == "7"
    assert found.as_numpy("score").tolist() == expected
    assert json.loads(found.as_numpy("possible")[0]) in ([0], [1], [0, 1], [])
    with pytest.raises(triton.InferenceServerException if hasattr(triton, "InferenceServerException") else Exception):
        client.infer("wafers", inputs[:1])
    client.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_protocols_own_client_gets_the_scores_of_the_batch(service: tuple[int, Any]) -> None:
    openapi = pytest.importorskip("open_inference.openapi")
    client_of = pytest.importorskip("open_inference.openapi.client")
    port, expected = service
    client = client_of.OpenInferenceClient(base_url=f"http://127.0.0.1:{port}")
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness("wafers")
    client.check_model_version_readiness("wafers", "1")
    assert client.read_server_metadata().name == "rowcast"
    metadata = client.read_model_metadata("wafers")
    inputs = [
        openapi.RequestInput(
            name=each.name, shape=[PENDING], datatype=each.datatype, data=[row[each.name] for row in ROWS]
        )
        for each in metadata.inputs
    ]
    found = client.model_infer("wafers", request=openapi.InferenceRequest(id="7", inputs=inputs))
    assert (found.id, found.model_version) == ("7", "1")
    score = next(output for output in found.outputs if output.name == "score")
    assert list(score.data.__root__) == expected


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        (
            "/invocations",
            "application/json",
            {"dataframe_split": {"columns": NAMES, "data": [list(r.values()) for r in ROWS]}},
        ),
        ("/invocations", "application/json", {"dataframe_records": ROWS}),
        ("/invocations", "application/json; charset=utf-8", {"inputs": {n: [r[n] for r in ROWS] for n in NAMES}}),
        ("/jobs/wafers/score", "application/json", {"instances": ROWS, "parameters": {"explain": False}}),
    ],
    ids=["MLflow split", "MLflow records", "MLflow inputs", "Vertex AI"],
)
def test_plain_requests_get_the_scores_of_the_batch(
    service: tuple[int, Any], path: str, kind: str, body: dict[str, Any]
) -> None:
    port, expected = service
    sent = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": kind})
    with urllib.request.urlopen(sent, timeout=30) as reply:
        assert [row["score"] for row in json.load(reply)["predictions"]] == expected


@pytest.mark.filterwarnings("ignore")
def test_what_the_openapi_document_says_holds(service: tuple[int, Any]) -> None:
    """Schemathesis sends what the document allows and what it forbids, and holds each answer against it."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    port, _ = service
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    cases = [found.ok().as_strategy() for found in schema.get_all_operations()]
    assert len(cases) > 12
    checks = schemathesis.checks
    wanted = [
        checks.not_a_server_error,
        *checks.CHECKS.get_by_names(
            ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
        ),
    ]

    @settings(
        max_examples=150,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=st.one_of(cases))
    def ask(case: Any) -> None:
        response = case.call(base_url=f"http://127.0.0.1:{port}", headers={"host": f"127.0.0.1:{port}"})
        if response.status_code == 503 and "ready" in case.path:
            return
        case.validate_response(response, checks=wanted)

    ask()
