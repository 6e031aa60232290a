"""Bodies for the HTTP service as hypothesis makes them: rows in each form, from sound to broken."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

SECRET = "s3cretvalue"

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(SECRET), st.just(10**400)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
SIZES = {"FP64": "<d", "FP32": "<f", "FP16": "<e", "INT64": "<q", "INT32": "<i", "UINT8": "<B", "BOOL": "<?"}
ARROW_TYPES = [
    *(pa.null(), pa.bool_(), pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.binary(3), pa.binary_view()),
    *(pa.decimal128(38, 10), pa.decimal256(76, 20), pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns")),
    *(pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "Europe/Berlin"), pa.timestamp("s", "no/zone")),
    *(pa.duration("s"), pa.month_day_nano_interval(), pa.list_(pa.float64()), pa.struct([("a", pa.int64())])),
    *(pa.map_(pa.string(), pa.int64()), pa.list_(pa.int8(), 2), pa.dictionary(pa.int8(), pa.string())),
    pa.run_end_encoded(pa.int32(), pa.float64()),
]


def cut(draw: Any, body: bytes) -> bytes:
    """The body as it is, or with some bytes changed."""
    if draw(st.integers(0, 4)) or not body:
        return body
    place = draw(st.integers(0, len(body) - 1))
    return body[:place] + draw(st.binary(max_size=3)) + body[place + draw(st.integers(0, 3)) :]


def odd_rows(sound: Sequence[Mapping[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Sound rows, of which some have another value, or a column more or less."""
    names = st.sampled_from(list(sound[0])) | st.text(max_size=4)
    changes = st.dictionaries(names, VALUES, max_size=2)
    row = st.tuples(st.sampled_from(sound), changes, st.lists(names, max_size=1))
    odd = row.map(lambda made: {n: v for n, v in {**made[0], **made[1]}.items() if n not in made[2]})
    sound_rows = st.lists(st.sampled_from(sound), min_size=1, max_size=4).map(lambda rows: [dict(row) for row in rows])
    return sound_rows | st.lists(odd | st.sampled_from(sound).map(dict), max_size=4)


@st.composite
def json_bodies(draw: Any, form: str, sound: Sequence[Mapping[str, Any]]) -> bytes:
    """A body in one of MLflow's or Vertex AI's forms."""
    rows = draw(odd_rows(sound))
    names = list(rows[0]) if rows else ["s1"]
    lists = [list(row.values()) for row in rows]
    made: Any = {
        "dataframe_split": {"columns": names, "data": lists},
        "dataframe_records": rows,
        "instances": draw(st.sampled_from([rows, lists])),
        "inputs": {name: [row.get(name) for row in rows] for name in names},
    }[form]
    body = {form: draw(st.sampled_from([made, made, made, draw(VALUES)]))}
    body |= draw(st.sampled_from([{}, {}, {"parameters": {"explain": True}}, {"parameters": draw(VALUES)}]))
    return cut(draw, json.dumps(body).encode())


@st.composite
def csv_bodies(draw: Any, sound: Sequence[Mapping[str, Any]]) -> bytes:
    """Lines of CSV, with odd quotes and ends of lines."""
    rows = draw(odd_rows(sound))
    fields = st.sampled_from(["{}", "{}", "{}", '"{}"', '"{}', "{}\n", '{}"', " {} ", "\x00{}"])
    lines = [list(rows[0]) if rows else ["s1"], *([*row.values()] for row in rows)]
    spelled = [
        [draw(fields).format("" if value is None else value) if draw(st.integers(0, 9)) == 0 else str(value or "")
         for value in line]
        for line in lines
    ]  # fmt: skip
    start = draw(st.sampled_from(["", "", "\ufeff", "\n"]))
    text = start + draw(st.sampled_from(["\n", "\r\n", "\r"])).join(",".join(line) for line in spelled)
    return cut(draw, text.encode("utf-8", "surrogatepass"))


def _array(draw: Any, values: Sequence[Any], is_odd: bool) -> pa.Array:
    """An array of these values, or of another type in whatever bits."""
    if not is_odd:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            pass
    kind = draw(st.sampled_from(ARROW_TYPES))
    if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind):
        size = kind.bit_width // 8 * len(values)
        return pa.Array.from_buffers(
            kind, len(values), [None, pa.py_buffer(draw(st.binary(min_size=size, max_size=size)))]
        )
    return pa.nulls(len(values), kind)


@st.composite
def arrow_bodies(draw: Any, sound: Sequence[Mapping[str, Any]]) -> bytes:
    """A stream of columns of all types."""
    rows = draw(odd_rows(sound))
    names = list(rows[0]) if rows else ["s1"]
    odd = draw(st.sets(st.sampled_from(names), max_size=1))
    arrays = [_array(draw, [row.get(name) for row in rows], name in odd) for name in names]
    if draw(st.integers(0, 9)) == 0:
        names = [names[0]] * len(names)
    sink, metadata = (
        pa.BufferOutputStream(),
        draw(st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3))),
    )
    schema = pa.schema(zip(names, [array.type for array in arrays], strict=True), metadata=metadata)
    options = pa.ipc.IpcWriteOptions(compression=draw(st.sampled_from([None, None, None, "lz4", "zstd"])))
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for _ in range(draw(st.sampled_from([1, 1, 0, 2]))):
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return cut(draw, bytes(sink.getvalue()))


def _pack(draw: Any, datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [str(value).encode("utf-8", "replace") for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    size = struct.calcsize(SIZES[datatype])
    packed = b""
    for value in values:
        try:
            packed += struct.pack(SIZES[datatype], value)
        except (struct.error, OverflowError, TypeError):
            packed += draw(st.binary(min_size=size, max_size=size))
    return packed


@st.composite
def tensor_bodies(draw: Any, sound: Sequence[Mapping[str, Any]]) -> tuple[bytes, int | None]:
    """An inference request, and how long its JSON is where tensors follow as bytes."""
    rows = draw(odd_rows(sound))
    names = list(rows[0]) if rows else ["s1"]
    inputs, binary, is_binary = [], b"", draw(st.booleans())
    odd = draw(st.sets(st.sampled_from(names), max_size=1))
    for name in names:
        values = [row.get(name) for row in rows]
        datatype = "BYTES" if any(isinstance(value, str) for value in values) else "FP64"
        shape: list[int] = [len(values)]
        if name in odd:
            datatype = draw(st.sampled_from([datatype, *SIZES, "BYTES", "X"]))
            shape = draw(st.sampled_from([shape, [len(values), 1], [0], [-1], [2**40], [1, 1, 1]]))
        tensor: dict[str, Any] = {"name": name, "shape": shape, "datatype": datatype}
        if is_binary and datatype != "X":
            packed = _pack(draw, datatype, values)
            binary += packed
            sizes = [len(packed), 0, -1, 10**9, "x"] if name in odd else [len(packed)]
            tensor["parameters"] = {"binary_data_size": draw(st.sampled_from(sizes))}
        else:
            tensor["data"] = values
        inputs.append(tensor)
    more = {"id": draw(st.text(max_size=4)), "outputs": draw(VALUES), "parameters": draw(VALUES)}
    body = {"inputs": inputs} | {name: value for name, value in more.items() if draw(st.integers(0, 5)) == 0}
    text = json.dumps(body).encode()
    length = draw(st.sampled_from([len(text)] * 8 + [0, 1, len(text) + 1])) if is_binary else None
    return cut(draw, text + binary), length
