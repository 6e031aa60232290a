"""A version with columns of the past is served: they are computed from the source for each row, as for a batch."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asked import Asked
from jobs import LABELLED, PENDING, SENSORS, Job, wafers
from test_history_features import LAST, make_with_memory

pytest_plugins = ("job_fixtures",)

NAMES = ["wafer", *SENSORS, "tool", "measured_at"]
ROWS = [
    {name: str(row[name]) if name == "measured_at" else row[name] for name in NAMES}
    for row in wafers(LABELLED + 1, PENDING, False)
]


@pytest.fixture
def remembering(system: str, prepared: Callable[..., Job]) -> Job:
    """A job with a champion that uses what its tools did before, and 100 pending wafers."""
    return prepared(make_with_memory, system)


@pytest.fixture
def asked(remembering: Job) -> Iterator[Asked]:
    found = Asked(remembering)
    yield found
    found.close()


def send(asked: Asked, rows: Any, query: str = "", **headers: str) -> Any:
    reply = asked.score({"instances": rows}, query, **headers)
    assert reply.status == 200, reply.body
    return reply.json["predictions"]


def test_rows_that_are_sent_get_the_scores_and_hashes_of_the_batch(remembering: Job, asked: Asked) -> None:
    sent = send(asked, ROWS, "?record=true")
    remembering.ok("infer")
    batch = remembering.scores()
    assert [row["score"] for row in sent] == pytest.approx([batch[row["wafer"]] for row in ROWS], abs=1e-9)
    found = remembering.ok("quality", "--json")["online"]
    assert (found["rows"], found["values_differ"], found["scores_differ"]) == (PENDING, 0, 0)


def test_one_row_alone_gets_the_score_that_it_gets_among_others(asked: Asked) -> None:
    together = send(asked, ROWS[:20])
    for row, found in zip(ROWS[:20], together, strict=True):
        assert send(asked, [row]) == [found]


def test_what_becomes_known_moves_the_next_answer(remembering: Job, asked: Asked) -> None:
    [before] = send(asked, ROWS[:1])
    fails = before["score"] < 0.5
    remembering.sql(f"UPDATE wafers SET failed = {int(fails)} WHERE wafer > {LABELLED - 200} AND wafer <= {LABELLED}")
    [after] = send(asked, ROWS[:1])
    assert (after["score"] > before["score"]) == fails


def test_a_repeat_returns_the_first_answer_though_more_is_known(remembering: Job, asked: Asked) -> None:
    first = send(asked, ROWS[:2], "?record=true", idempotency_key="a")
    remembering.sql(f"UPDATE wafers SET failed = 1 - failed WHERE wafer > {LABELLED - 200} AND wafer <= {LABELLED}")
    assert send(asked, ROWS[:2], "?record=true", idempotency_key="a") == first
    assert send(asked, ROWS[:2]) != first
    assert asked.score({"instances": ROWS[2:4]}, "?record=true", idempotency_key="a").status == 422


def test_what_moved_a_score_is_named(asked: Asked) -> None:
    [found] = send(asked, ROWS[:1], "?explain=true")
    assert LAST in found["contributions"]


def test_the_description_and_the_example_name_what_the_past_needs(asked: Asked) -> None:
    described = asked.ask("GET", "/v2/models/wafers").json
    inputs = {each["name"]: each["datatype"] for each in described["inputs"]}
    assert LAST not in inputs
    assert (inputs["tool"], inputs["measured_at"]) == ("BYTES", "BYTES")
    example = asked.ask("GET", "/jobs/wafers/example").json["instances"]
    assert send(asked, example)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"measured_at": ...}, "column 'measured_at' is missing"),
        ({"tool": ...}, "column 'tool' is missing"),
        ({LAST: 1.0}, f"unknown column '{LAST}'"),
    ],
)
def test_columns_that_are_missing_or_computed_here_are_refused(
    asked: Asked, change: dict[str, Any], error: str
) -> None:
    row = {name: value for name, value in {**ROWS[0], **change}.items() if value is not ...}
    reply = asked.score({"instances": [row]})
    assert (reply.status, reply.json["error"].startswith(error)) == (422, True), reply.body


@pytest.mark.parametrize(("time", "rule"), [(None, "null"), ("yesterday", "type"), (7, "type"), ([], "type")])
def test_a_row_without_a_time_is_refused_and_the_others_are_scored(asked: Asked, time: Any, rule: str) -> None:
    rows = [{**ROWS[0], "measured_at": time}, ROWS[1]]
    reply = asked.score({"instances": rows})
    assert reply.status == 422
    assert reply.json["refused"] == [{"row": 0, "column": "measured_at", "rule": rule}]
    alone = send(asked, [ROWS[1]])
    assert send(asked, rows, "?partial=true")[1]["score"] == alone[0]["score"]


def test_a_tool_that_nobody_knows_has_no_past(asked: Asked) -> None:
    for tool in (None, "Z", 7, 10**400, 0.5, True, ["A"]):
        reply = asked.score({"instances": [{**ROWS[0], "tool": tool}]})
        assert reply.status in (200, 422), reply.body


def test_without_the_source_a_request_is_refused_and_the_next_one_is_answered(remembering: Job, asked: Asked) -> None:
    remembering.sql("ALTER TABLE recipes RENAME TO away")
    reply = asked.score({"instances": ROWS[:1]})
    assert (reply.status, "earlier rows" in reply.json["error"]) == (503, True)
    assert "recipes" not in reply.body.decode()
    remembering.sql("ALTER TABLE away RENAME TO recipes")
    assert send(asked, ROWS[:1])
