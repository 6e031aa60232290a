"""Whatever bytes come, a decoder returns rows or refuses them, and repeats no value."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odd_bodies import SECRET, VALUES, cut

from rowcast.serve.columns import KnownColumns
from rowcast.serve.http import Request, read_options
from rowcast.serve.protocols.arrow_stream import read_arrow
from rowcast.serve.protocols.delimited import read_csv
from rowcast.serve.protocols.instances import read_instances
from rowcast.serve.protocols.json_text import require_unique_keys
from rowcast.serve.protocols.open_inference import read_tensors
from rowcast.serve.refusal import Refusal
from rowcast.serve.request import Options, SentRows
from rowcast.serve.rows import read_rows

KNOWN = KnownColumns(
    features=("s1", "tool", "on"),
    kinds={"s1": "number", "tool": "category", "on": "boolean"},
    key={"wafer": "integer"},
    times=frozenset(),
    event_time=None,
    timezone="UTC",
    hashed=("s1", "tool", "on"),
    others=frozenset({"wafer"}),
)
NAMES = st.sampled_from(["s1", "tool", "on", "wafer", "s2"]) | st.text(max_size=4)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4) | st.lists(VALUES, max_size=4), max_size=4)
SIZES = st.dictionaries(st.just("binary_data_size"), st.integers(-2, 20), max_size=1)
TENSORS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "shape": st.lists(st.integers(-2, 5), max_size=3),
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "BYTES", "BOOL", "FP16", "X"]),
    },
    optional={"data": VALUES, "parameters": SIZES},
)
SPLITS = st.fixed_dictionaries({"columns": st.lists(NAMES, max_size=4), "data": ROWS})
MORE = {"id": st.text(max_size=4), "outputs": VALUES}
BODIES = st.one_of(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("instances", "inputs", "dataframe_records"), ROWS | VALUES)),
    st.fixed_dictionaries({"dataframe_split": SPLITS}),
    st.fixed_dictionaries({"inputs": st.lists(TENSORS, max_size=4)}, optional=MORE),
    VALUES,
)
HEADS = st.lists(st.sampled_from(["s1", "tool", "on", "1.5", "", "é"]), max_size=4)
LINES = st.lists(st.lists(st.sampled_from(["1.5", SECRET, '"', "", "é", "true"]), max_size=4), max_size=4)


@st.composite
def json_bodies(draw: Any) -> bytes:
    return cut(draw, json.dumps(draw(BODIES), allow_nan=True).encode())


def arrow_body() -> bytes:
    table, sink = pa.table({"s1": [1.0, None], "tool": ["A", SECRET]}), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@st.composite
def arrow_bodies(draw: Any) -> bytes:
    return cut(draw, arrow_body())


def refusal_of(work: Callable[[], Any]) -> Refusal | None:
    try:
        work()
    except Refusal as refusal:
        return refusal
    return None


def decide(decode: Callable[[], SentRows]) -> None:
    """Decode, and bring to a batch: nothing but a refusal may stop that, and it says nothing of values."""

    def work() -> None:
        sent = decode()
        rows = read_rows(sent, KNOWN)
        assert rows.batch.num_rows == sent.count
        assert all(0 <= misfit.row < sent.count for misfit in rows.misfits)

    refusal = refusal_of(work)
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert SECRET not in json.dumps(refusal.to_dict())


@settings(max_examples=300, deadline=None)
@given(json_bodies() | st.binary(max_size=40))
@example(b'{"instances":[{"s1":"\\ud800","tool":"\\ud800","on":true}]}')
@example(b'{"instances":[{"s1":1,"tool":"\\u0000","on":true}]}')
@example(b'{"\x80id":1,"more":{"a":1},"instances":[]}')
@example(b'{"more":%s,"also":{"a":1},"instances":[]}' % (b"1" * 5000))
def test_rows_as_json(body: bytes) -> None:
    decide(lambda: read_instances(body, Options(), KNOWN)[0])


@settings(max_examples=300, deadline=None)
@given(json_bodies(), st.none() | st.integers(0, 300), st.binary(max_size=20))
@example(b'{"\x80id": "", "inputs": []}', None, b"")
@example(b'{"more": %s, "inputs": []}' % (b"1" * 5000), None, b"")
@example(b'{"more": {"\x01": 1}, "inputs": []}', None, b"")
def test_tensors(body: bytes, length: int | None, more: bytes) -> None:
    decide(lambda: read_tensors(body + (more if length is not None else b""), length, Options(), KNOWN)[0])


@settings(max_examples=200, deadline=None)
@given(HEADS, LINES, st.booleans(), st.binary(max_size=10))
def test_lines_of_csv(head: list[str], lines: list[list[str]], has_header: bool, more: bytes) -> None:
    body = "\n".join(",".join(line) for line in [head, *lines]).encode() + more
    decide(lambda: read_csv(body, KNOWN, has_header=has_header))


@settings(max_examples=200, deadline=None)
@given(arrow_bodies() | st.binary(max_size=40))
@example(arrow_body().replace(b"tool", b"\x80ool"))
def test_streams_of_arrow(body: bytes) -> None:
    decide(lambda: read_arrow(body, 100))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_queries(query: bytes) -> None:
    async def receive() -> Any:
        raise AssertionError

    refusal = refusal_of(lambda: read_options(Request("POST", "/", query, {}, receive, 0.0)))
    assert refusal is None or refusal.status == 400


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        (b'{"a": 1, "b": {"c": 2}}', False),
        (b'{"a": ":", "b": "\\":"}', False),
        (b'{"a": 1, "a": 2}', True),
        (b'{"b": {"a": 1, "a" : 2}}', True),
        (b'{"a": 1, "\\u0061": 2}', True),
    ],
)
def test_a_key_may_stand_once_in_an_object(body: bytes, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(Refusal, match="twice"):
            require_unique_keys(body, 1)
    else:
        require_unique_keys(body, 1)
