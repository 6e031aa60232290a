"""Rows and answers in Arrow's streaming format, `application/vnd.apache.arrow.stream`."""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from rowcast.serve.columns import shorten
from rowcast.serve.refusal import Refusal, bad_request
from rowcast.serve.request import SentRows
from rowcast.serve.scoring import Answer

_COMPRESSION = 3  # the place of `compression` among the fields of a RecordBatch: arrow.apache.org, Message.fbs


def read_arrow(body: bytes, most_rows: int) -> SentRows:
    """Return the rows of a stream. Raise Refusal for what is none, for compressed buffers, and for too many rows."""
    try:
        _refuse_compressed(body)
        with pa.ipc.open_stream(pa.BufferReader(body)) as reader:
            batches, rows = [], 0
            for batch in reader:
                rows += batch.num_rows
                if rows > most_rows:
                    raise Refusal(413, f"more than {most_rows:,} rows in a request", hint="send them in parts")
                batch.validate(full=True)
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
            names = table.schema.names  # which need not be UTF-8
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError):
        raise bad_request("the body is no Arrow stream", "write it by pyarrow.ipc.new_stream, uncompressed") from None
    if not rows:
        raise bad_request("there are no rows", "send at least one")
    if len(set(names)) != table.num_columns:
        raise bad_request("the stream has two columns of one name", "which of their values is meant?")
    return SentRows(rows, {name: _read_column(name, table.column(name)) for name in names})


def _refuse_compressed(body: bytes) -> None:
    """A few bytes of a compressed buffer can stand for gigabytes."""
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(body)):
        if message.type == "record batch" and _is_compressed(bytes(message.metadata)):
            raise bad_request("the Arrow stream is compressed", "write it without compression")
        if message.type == "dictionary":
            raise bad_request("the Arrow stream has dictionaries", "cast them to strings")


def _is_compressed(metadata: bytes) -> bool:
    """Whether the flatbuffer of a message has a RecordBatch with compressed buffers."""
    message = struct.unpack_from("<I", metadata, 0)[0]
    header = _field(metadata, message, 2)  # version, header's type, header
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    return _field(metadata, batch, _COMPRESSION) != 0


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 where it is not there."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    at = 4 + 2 * number
    offset = struct.unpack_from("<H", data, vtable + at)[0] if at < size else 0
    return table + offset if offset else 0


def _read_column(name: str, column: pa.ChunkedArray) -> pa.Array:
    try:
        return _plain(column)
    except (pa.ArrowException, ValueError, OverflowError, KeyError):  # days before the year 1, zones that nobody knows
        raise bad_request(
            f"column '{shorten(name)}' holds values that cannot be read", "send times as ISO 8601 texts"
        ) from None


def _plain(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_string_view(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    if pa.types.is_float16(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return pa.array([None if each is None else each.isoformat() for each in column.to_pylist()], pa.string())
    found: Any = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def to_table(answer: Answer) -> pa.Table:
    """Return an answer as a table: a row for each row of the request, `reasons` where it was refused."""
    reasons: dict[int, list[dict[str, str]]] = {}
    for fault in answer.faults:
        reasons.setdefault(fault.row, []).append({"column": fault.column, "rule": fault.rule})

    def column(values: Sequence[Any], kind: Any = None) -> pa.Array:
        every: list[Any] = [None] * answer.rows
        for place, value in zip(answer.places, values, strict=True):
            every[place] = value
        return pa.array(every, kind)

    columns = {
        "row": pa.array(range(answer.rows), pa.int64()),
        "score": column(answer.score, pa.float64()),
        "predicted": column(answer.predicted),
        "flagged": column(answer.flagged, pa.bool_()),
        "uncertain": column(answer.uncertain, pa.bool_()),
        "possible": column(answer.possible, pa.string()),
        "low": column(answer.low, pa.float64()),
        "high": column(answer.high, pa.float64()),
        "model_version": pa.array([answer.version] * answer.rows, pa.int32()),
        "reasons": pa.array(
            [msgspec.json.encode(reasons[row]).decode() if row in reasons else None for row in range(answer.rows)],
            pa.string(),
        ),
    }
    if answer.contributions is not None:
        texts = [None if one is None else msgspec.json.encode(one).decode() for one in answer.contributions]
        columns["contributions"] = column(texts, pa.string())
    return pa.table(columns)


def write_arrow(answer: Answer) -> bytes:
    """Return an answer as a stream."""
    table, sink = to_table(answer), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
