"""What the service refuses: with which status, and in which words; values are never repeated."""

from collections.abc import Iterator
from typing import Any

import pytest
from asked import Asked, Reply, small
from jobs import LABELLED, PENDING, SENSORS, Job, wafers

pytest_plugins = ("job_fixtures",)

FEATURES = [*SENSORS, "tool"]
GOOD = [{name: row[name] for name in FEATURES} for row in wafers(LABELLED + 1, PENDING, False)]


@pytest.fixture
def asked(lite: Job) -> Iterator[Asked]:
    found = Asked(lite)
    yield found
    found.close()


def refused(reply: Reply, status: int) -> dict[str, Any]:
    assert reply.status == status, reply.body
    found: dict[str, Any] = reply.json
    assert found["error"]
    return found


def bad(**changes: Any) -> dict[str, Any]:
    return {"instances": [GOOD[0], {**GOOD[1], **changes}]}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"s01": 1e30}, "max"),
        ({"s01": -1e30}, "min"),
        ({"s01": 1e39}, "finite"),
        ({"s01": 10**400}, "finite"),
        ({"s01": "hot"}, "type"),
        ({"s01": True}, "type"),
        ({"s01": [1.0]}, "type"),
        ({"s01": {"value": 1.0}}, "type"),
        ({"tool": ["A"]}, "type"),
    ],
    ids=str,
)
def test_a_row_that_breaks_the_contract_is_named_with_column_and_rule(
    asked: Asked, changes: dict[str, Any], rule: str
) -> None:
    found = refused(asked.score(bad(**changes)), 422)
    [column] = changes
    assert found["refused"] == [{"row": 1, "column": column, "rule": rule}]
    assert found["error"] == "1 of 2 rows breaks the contract"
    assert "hot" not in str(found)


def test_good_rows_are_answered_where_a_part_will_do(asked: Asked) -> None:
    whole = asked.score({"instances": [GOOD[0]]}).json["predictions"]
    reply = asked.score(bad(s02=1e30, s01="hot"), "?partial=true")
    assert reply.status == 200
    first, second = reply.json["predictions"]
    assert [first] == whole
    reasons = [{"column": "s01", "rule": "type"}, {"column": "s02", "rule": "max"}]
    assert second == {"score": None, "model_version": 1, "refused": reasons}
    assert (reply.json["refused_rows"], reply.json["refused"][0]) == (1, {"row": 1, **reasons[0]})


def test_rows_that_all_break_the_contract_leave_nothing_to_answer(asked: Asked) -> None:
    reply = asked.score({"instances": [{**GOOD[0], "s01": 1e30}]}, "?partial=true")
    assert (reply.status, reply.json["refused_rows"]) == (200, 1)


def test_a_missing_value_is_one_that_was_not_measured(asked: Asked) -> None:
    assert asked.score(bad(s01=None)).status == 200


def test_an_unknown_column_is_named_with_the_nearest_one(asked: Asked) -> None:
    found = refused(asked.score({"instances": [{**GOOD[0], "s13": 1.0, "xyzzy": 2.0}]}), 422)
    assert found["error"] == "unknown columns 's13' (did you mean 's12'?), 'xyzzy'"
    assert found["refused"] == [{"column": "s13", "rule": "unknown"}, {"column": "xyzzy", "rule": "unknown"}]


def test_columns_that_the_table_has_may_be_there(asked: Asked) -> None:
    [row] = wafers(LABELLED + 1, 1, False)
    assert asked.score({"instances": [row]}).json == asked.score({"instances": [GOOD[0]]}).json


def test_a_missing_column_is_named(asked: Asked) -> None:
    lacking = {name: value for name, value in GOOD[0].items() if name not in ("s01", "s02")}
    found = refused(asked.score({"instances": [lacking]}), 422)
    assert found["error"] == "column 's01' and 1 more is missing"
    found = refused(asked.score({"instances": [GOOD[1], lacking]}), 422)
    assert found["refused"] == [{"row": 1, "column": name, "rule": "missing"} for name in ("s01", "s02")]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"instances": [{"s01": NaN}]}', "broken JSON at byte 23"),
        (b'{"instances": [{"s01": 1e400}]}', "the body does not fit"),
        (b'{"instances": [', "the JSON ends too early, at byte 15"),
        (b'{"instances": [1.0 2.0]}', "broken JSON at byte 19"),
        (b"\xff\xfe", "broken JSON at byte 0"),
        (b"", "the JSON ends too early, at byte 0"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"instances": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"instances": [{"s01": 1, "s01": 2}]}', "has a key twice"),
        (b'{"instances": [{"a": 1}], "instances": [{"a": 1}]}', "has a key twice"),
        (b'{"instances": []}', "has no rows"),
        (b'{"instances": [[1.0]], "inputs": [[1.0]]}', "needs one of"),
        (b'{"rows": [[1.0]]}', "unknown field `rows`"),
        (b'{"instances": [[1.0], {"s01": 1.0}]}', "all objects or all lists"),
        (b'{"instances": [[1.0]]}', "row 0 has 1 values, where 13 columns are named"),
        (b'{"inputs": {"s01": [1.0], "s02": [1.0, 2.0]}}', "different numbers of values"),
        (b'{"dataframe_split": {"columns": ["s01", "s01"], "data": [[1, 2]]}}', "names a column twice"),
        (b"[1.0]", "Expected `object`, got `array`"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_a_body_that_cannot_be_read_is_refused_with_the_place(asked: Asked, body: bytes, says: str) -> None:
    assert says in refused(asked.score(body, content_type="application/json"), 400)["error"]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_another_content_type_is_refused(asked: Asked, kind: str) -> None:
    found = refused(asked.score(b"{}", content_type=kind), 415)
    assert "application/json" in found["hint"]


def test_a_hundred_thousand_columns_are_refused_in_a_line(asked: Asked) -> None:
    found = refused(asked.score({"instances": [dict.fromkeys(map(str, range(100_000)), 1)]}), 422)
    assert len(str(found)) < 20_000
    assert found["error"].endswith("and 99995 more")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no rows"),
        (b"1.5,2.5\n3.5,4.5\n", "names no column"),
        (b"s01,s01\n1,2\n", "names a column twice"),
        (b"s01,s02\n1\n", "each line needs 2 values"),
        (b"s01,s02\n", "no rows"),
        (b"s01\n\xff\xfe\n", "each line needs 1 values"),
    ],
    ids=str,
)
def test_a_csv_that_cannot_be_read_is_refused_without_its_values(asked: Asked, body: bytes, says: str) -> None:
    found = refused(asked.score(body, content_type="text/csv"), 400)
    assert says in found["error"]
    assert "1.5" not in str(found)


def test_values_of_a_csv_are_held_against_the_contract(asked: Asked) -> None:
    row = ["hot", "inf", "1e39", *["0.5"] * 9, "A"]
    found = refused(asked.score(",".join(row).encode(), content_type="text/csv; header=absent"), 422)
    rules = [(fault["column"], fault["rule"]) for fault in found["refused"]]
    assert rules == [("s01", "type"), ("s02", "finite"), ("s03", "finite")]
    measured = ",".join(["nan", "", "0.5", *row[3:]]).encode()
    assert asked.score(measured, content_type="text/csv; header=absent").status == 200


def tensor(name: str = "s01", **changes: Any) -> dict[str, Any]:
    return {"name": name, "shape": [1], "datatype": "FP64", "data": [0.5], **changes}


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([], "no inputs"),
        ([tensor(shape=[2])], "has 1 elements, where its shape says 2"),
        ([tensor(shape=[-1])], "negative"),
        ([tensor(shape=[1, 3], data=[1, 2, 3])], "is not of shape [rows] or [rows, 1]"),
        ([tensor("all", shape=[1, 3], data=[1, 2, 3])], "has 3 columns, where the model needs 13"),
        ([tensor(), tensor("s02", shape=[2], data=[1, 2])], "different numbers of rows"),
        ([tensor(), tensor()], "two tensors have the same name"),
        ([tensor(datatype="FP8")], "unknown datatype"),
        ([tensor(data=[[1], 2], shape=[2])], "nested unevenly"),
        ([{"name": "s01", "shape": [1], "datatype": "FP64"}], "has no data"),
        ([tensor(shape=[0], data=[])], "no rows"),
        ([tensor(parameters={"binary_data_size": 8})], "they are not there"),
    ],
    ids=str,
)
def test_tensors_that_do_not_fit_are_refused(asked: Asked, inputs: list[dict[str, Any]], says: str) -> None:
    assert says in refused(asked.post("/v2/models/wafers/infer", {"inputs": inputs}), 400)["error"]


def test_a_shape_that_stands_for_more_than_memory_is_refused(asked: Asked) -> None:
    found = asked.post("/v2/models/wafers/infer", {"inputs": [tensor(shape=[2**60, 2**60])]})
    refused(found, 413)


@pytest.mark.parametrize("length", ["99999", "-1", "x", "0"])
def test_a_length_of_json_that_the_body_has_not_is_refused(asked: Asked, length: str) -> None:
    headers = {"content_type": "application/octet-stream", "inference_header_content_length": length}
    refused(asked.post("/v2/models/wafers/infer", b"{}", **headers), 400)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/fans/infer", 404),
        ("/v2/models/wafers/versions/7/infer", 404),
        ("/v2/models/wafers/else", 404),
        ("/jobs/fans/score", 404),
        ("/else", 404),
        ("/invocations?explain=maybe", 400),
        ("/invocations?explian=true", 400),
        ("/invocations?explain=true&explain=true", 400),
    ],
)
def test_what_is_not_there_is_said_to_be_so(asked: Asked, path: str, status: int) -> None:
    refused(asked.post(path, {"instances": [GOOD[0]]}), status)


def test_another_method_is_refused_with_those_that_are_allowed(asked: Asked) -> None:
    reply = asked.ask("GET", "/invocations")
    refused(reply, 405)
    assert reply.headers["allow"] == "POST"


def test_a_header_that_comes_twice_is_refused(asked: Asked) -> None:
    headers = [("content-type", "application/json"), ("content-type", "text/csv")]
    refused(asked.ask("POST", "/invocations", b"{}", headers), 400)


def test_a_body_and_a_number_of_rows_that_are_too_large_are_refused(lite: Job) -> None:
    asked = Asked(lite, limits=small(body=1000, rows=2))
    try:
        reply = asked.score({"instances": GOOD})
        refused(reply, 413)
        assert reply.headers["connection"] == "close"
        asked.application.gate.limits = small(rows=2)
        refused(asked.score({"instances": GOOD[:3]}), 413)
    finally:
        asked.close()


def test_a_page_of_another_site_does_not_reach_a_service_without_keys(asked: Asked) -> None:
    refused(asked.score({"instances": [GOOD[0]]}, host="evil.example:8080"), 403)
    assert asked.score({"instances": [GOOD[0]]}, host="localhost:8080").status == 200
    assert asked.ask("GET", "/ping", headers={"host": "evil.example"}).status == 200


def test_a_job_without_a_champion_says_what_to_do(plain: Job) -> None:
    asked = Asked(plain)
    try:
        reply = asked.score({"instances": [GOOD[0]]})
        assert "rowcast run" in refused(reply, 503)["hint"]
        assert asked.ask("GET", "/v2/health/ready").json == {"ready": False, "live": False}
        assert asked.ask("GET", "/v2/health/live").status == 200
        assert asked.ask("GET", "/ping").status == 503
    finally:
        asked.close()
