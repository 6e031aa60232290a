"""Plain rows go a short way, and get what they get on the batch's."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from asked import Asked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobs import LABELLED, PENDING, SENSORS, Job, wafers

from rowcast.serve.refusal import Refusal
from rowcast.serve.request import Options, SentRows
from rowcast.serve.scoring import Answer, Serving, score

pytest_plugins = ("job_fixtures",)

NAMES = [*SENSORS, "tool"]
PLAIN = st.one_of(st.floats(-10, 10), st.integers(-3, 3), st.none())
ODD = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans(), st.text(max_size=3), st.just([1.0])
)
TOOLS = st.sampled_from(["A", "B", "C", "D", "", " A", None, 1, True])


def rows(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries({**dict.fromkeys(SENSORS, values), "tool": TOOLS}), min_size=1, max_size=4)


@pytest.fixture
def serving(lite: Job) -> Iterator[Serving]:
    asked = Asked(lite)
    assert asked.jobs[0].current is not None
    assert asked.jobs[0].current.plain is not None
    yield asked.jobs[0].current
    asked.close()


def outcome(serving: Serving, sent: SentRows) -> Any:
    try:
        return score(serving, sent, Options())
    except Refusal as refusal:
        return refusal.to_dict()


def agree(serving: Serving, given_rows: list[dict[str, Any]]) -> None:
    sent = SentRows(len(given_rows), {name: [row[name] for row in given_rows] for name in NAMES})
    short, long = outcome(serving, sent), outcome(replace(serving, plain=None, sets=None), sent)
    if not isinstance(long, Answer):
        assert short == long
        return
    assert list(short.score) == pytest.approx(list(long.score), abs=1e-9, rel=0)
    assert replace(short, score=(), places=(), faults=()) == replace(long, score=(), places=(), faults=())
    assert (list(short.places), list(short.faults)) == (list(long.places), list(long.faults))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_rows=rows(PLAIN))
def test_plain_values_get_the_same_on_both_ways(serving: Serving, given_rows: list[dict[str, Any]]) -> None:
    agree(serving, given_rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_rows=rows(st.one_of(PLAIN, ODD)))
def test_odd_values_get_the_same_on_both_ways(serving: Serving, given_rows: list[dict[str, Any]]) -> None:
    agree(serving, given_rows)


def test_the_short_way_is_taken(serving: Serving) -> None:
    assert serving.plain is not None
    for row in wafers(LABELLED + 1, PENDING, False):
        assert serving.plain.score(SentRows(1, {name: [row[name]] for name in NAMES})) is not None
