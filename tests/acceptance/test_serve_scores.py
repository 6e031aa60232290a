"""The service gives the batch's scores, in whatever form rows are sent."""

import io
import json
from collections.abc import Callable, Iterator
from csv import DictReader
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from asked import Asked
from jobs import LABELLED, PENDING, SENSORS, Job, train, wafers

from rowcast.serve.protocols.tensors import pack

pytest_plugins = ("job_fixtures",)

ROWS = wafers(LABELLED + 1, PENDING, False)
FEATURES = [*SENSORS, "tool"]
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def scored(prepared: Callable[..., Job]) -> Job:
    """A job whose batch has scored its pending wafers."""

    def prepare(make: Callable[..., Job]) -> Job:
        job = make("sqlite", "trained")
        job.ok("infer")
        return job

    return prepared(prepare)


@pytest.fixture
def asked(scored: Job) -> Iterator[Asked]:
    found = Asked(scored)
    yield found
    found.close()


def sent(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in FEATURES} for row in rows]


def test_records_get_the_scores_of_the_batch(scored: Job, asked: Asked) -> None:
    batch = scored.scores()
    reply = asked.score({"dataframe_records": sent(ROWS)})
    assert reply.status == 200
    assert reply.json["model_version"] == 1
    found = [row["score"] for row in reply.json["predictions"]]
    assert found == pytest.approx([batch[row["wafer"]] for row in ROWS], abs=1e-9, rel=0)


def expected(job: Job) -> Any:
    batch = job.scores()
    return pytest.approx([batch[row["wafer"]] for row in ROWS], abs=1e-9, rel=0)


def as_csv(rows: list[dict[str, Any]], header: bool = True) -> bytes:
    lines = [",".join(FEATURES)] if header else []
    return "\n".join([*lines, *(",".join(str(row[name]) for name in FEATURES) for row in rows)]).encode()


def as_arrow(rows: list[dict[str, Any]]) -> bytes:
    table, sink = pa.Table.from_pylist(rows), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


FORMS: dict[str, Any] = {
    "dataframe_records": {"dataframe_records": sent(ROWS)},
    "dataframe_split": {
        "dataframe_split": {"columns": FEATURES, "data": [[row[name] for name in FEATURES] for row in ROWS]}
    },
    "instances that are objects": {"instances": sent(ROWS)},
    "instances that are lists": {"instances": [[row[name] for name in FEATURES] for row in ROWS]},
    "inputs by column": {"inputs": {name: [row[name] for row in ROWS] for name in FEATURES}},
    "CSV": as_csv(ROWS),
    "CSV without a header": as_csv(ROWS, header=False),
    "Arrow": as_arrow(ROWS),
}
TYPES = {"CSV": "text/csv", "CSV without a header": "text/csv; header=absent", "Arrow": ARROW}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rows_gets_the_scores_of_the_batch(scored: Job, asked: Asked, form: str) -> None:
    reply = asked.score(FORMS[form], content_type=TYPES.get(form, "application/json"))
    assert reply.status == 200, reply.body
    assert [row["score"] for row in reply.json["predictions"]] == expected(scored)


def test_answers_come_as_csv_and_arrow_too(scored: Job, asked: Asked) -> None:
    csv = asked.score({"instances": sent(ROWS)}, accept="text/csv")
    read = list(DictReader(io.StringIO(csv.body.decode())))
    assert [float(row["score"]) for row in read] == expected(scored)
    arrow = asked.score({"instances": sent(ROWS)}, accept=ARROW)
    with pa.ipc.open_stream(arrow.body) as stream:
        table = stream.read_all()
    assert table.column("score").to_pylist() == expected(scored)
    assert set(table.column("model_version").to_pylist()) == {1}


def tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES" if name == "tool" else "FP64",
            "data": [row[name] for row in rows],
        }
        for name in FEATURES
    ]


def test_tensors_get_the_scores_of_the_batch(scored: Job, asked: Asked) -> None:
    reply = asked.post("/v2/models/wafers/infer", {"id": "7", "inputs": tensors(ROWS)})
    assert reply.status == 200, reply.body
    assert (reply.json["model_name"], reply.json["model_version"], reply.json["id"]) == ("wafers", "1", "7")
    outputs = {output["name"]: output for output in reply.json["outputs"]}
    assert outputs["score"]["data"] == expected(scored)
    assert outputs["score"] | {"data": None} == {
        **{"name": "score", "datatype": "FP64", "shape": [PENDING], "data": None},
    }


def test_binary_tensors_get_the_scores_of_the_batch(scored: Job, asked: Asked) -> None:
    inputs, raw = tensors(ROWS), b""
    for tensor in inputs:
        part = pack(tensor.pop("data"), tensor["datatype"])
        tensor["parameters"] = {"binary_data_size": len(part)}
        raw += part
    text = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    reply = asked.post(
        "/v2/models/wafers/versions/1/infer",
        text + raw,
        content_type="application/octet-stream",
        inference_header_content_length=str(len(text)),
    )
    assert reply.status == 200, reply.body
    length = int(reply.headers["inference-header-content-length"])
    outputs = json.loads(reply.body[:length])["outputs"]
    assert outputs[0]["name"] == "score"
    score = np.frombuffer(reply.body[length : length + outputs[0]["parameters"]["binary_data_size"]])
    assert score.tolist() == expected(scored)


def test_one_row_gets_the_score_that_it_gets_among_many(scored: Job, asked: Asked) -> None:
    batch = scored.scores()
    for row in ROWS[:20]:
        [found] = asked.score({"instances": sent([row])}).json["predictions"]
        assert found["score"] == pytest.approx(batch[row["wafer"]], abs=1e-9, rel=0)


def test_the_decision_and_how_sure_it_is_are_those_of_the_batch(scored: Job, asked: Asked) -> None:
    stored = scored.stored(f"SELECT * FROM {scored.table('wafers_prediction')} ORDER BY wafer")
    found = asked.score({"instances": sent(ROWS)}).json["predictions"]
    assert [row["predicted"] for row in found] == [row["predicted"] for row in stored]
    assert [row["flagged"] for row in found] == [row["score"] >= row["threshold"] for row in stored]
    assert [row["uncertain"] for row in found] == [bool(row["uncertain"]) for row in stored]
    assert [row["possible"] for row in found] == [json.loads(row["possible"]) for row in stored]


def test_contributions_come_where_they_are_asked_for_without_the_values(scored: Job, asked: Asked) -> None:
    plain = asked.score({"instances": sent(ROWS)}).json["predictions"]
    assert all("contributions" not in row for row in plain)
    found = asked.score({"instances": sent(ROWS)}, "?explain=true").json["predictions"]
    stored = scored.stored(
        f"SELECT wafer, contributions FROM {scored.table('wafers_prediction')} WHERE contributions IS NOT NULL"
    )
    assert stored
    by_wafer = dict(zip([row["wafer"] for row in ROWS], found, strict=True))
    for row in stored:
        wanted = json.loads(row["contributions"])
        for part in wanted.values():
            del part["value"]
        assert by_wafer[row["wafer"]]["contributions"] == wanted


def test_the_example_that_the_service_gives_can_be_sent_to_it(asked: Asked) -> None:
    body = asked.ask("GET", "/jobs/wafers/example").json
    assert set(body["instances"][0]) == set(FEATURES)
    assert body["instances"][0]["tool"] in ("A", "B", "C")
    assert len(asked.score(body).json["predictions"]) == 1


def test_a_moment_is_read_as_the_hours_before_the_event_as_the_batch_reads_it(
    prepared: Callable[..., Job],
) -> None:
    def prepare(make: Callable[..., Job]) -> Job:
        job = make("sqlite", "untrained")
        job.sql("ALTER TABLE wafers ADD COLUMN cleaned_at TIMESTAMP")
        hours = "'-' || (1 + (s01 > 0) * (s02 > 0) * 40 + wafer % 7) || ' hours'"
        job.sql(f"UPDATE wafers SET cleaned_at = datetime(measured_at, {hours}) || 'Z'")
        train(job)
        job.ok("infer")
        return job

    job = prepared(prepare)
    asked = Asked(job)
    try:
        serving = asked.jobs[0].current
        assert serving is not None
        assert serving.columns.times == {"cleaned_at"}
        rows = job.sql(f"SELECT * FROM wafers WHERE wafer > {LABELLED} ORDER BY wafer")
        names = [*FEATURES, "cleaned_at", "measured_at"]
        body = {"instances": [{name: row[name] for name in names} for row in rows]}
        found = asked.score(body)
        assert found.status == 200, found.body
        scores = job.scores()
        assert [row["score"] for row in found.json["predictions"]] == pytest.approx(
            [scores[row["wafer"]] for row in rows], abs=1e-9, rel=0
        )
        assert len({round(row["score"], 6) for row in found.json["predictions"]}) > 5
        del body["instances"][0]["measured_at"]
        assert asked.score({"instances": body["instances"][:1]}).status == 422
        broken = {**body["instances"][1], "cleaned_at": "yesterday"}
        assert asked.score({"instances": [broken]}).json["refused"][0]["rule"] == "type"
    finally:
        asked.close()
