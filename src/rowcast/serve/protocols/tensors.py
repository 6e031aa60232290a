"""Tensors of the Open Inference Protocol: their data as JSON, or as bytes after it."""

import math
import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rowcast.serve.refusal import Refusal, bad_request

TYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": None,
}

Flat: TypeAlias = list[Any]


def flatten(data: Sequence[Any], name: str, count: int) -> Flat:
    """Return the elements of a tensor's JSON data, which may be nested as its shape says, in row-major order."""
    for _ in range(2):
        if data and isinstance(data[0], list):
            if not all(isinstance(part, list) for part in data):
                raise bad_request(f"tensor '{name}' is nested unevenly", "nest every row alike, or none")
            data = [value for part in data for value in part]
    return require_count(list(data), name, count)


def require_count(values: Flat, name: str, count: int) -> Flat:
    """Return the values. Raise Refusal where they are not as many as the shape says."""
    if len(values) != count:
        raise bad_request(f"tensor '{name}' has {len(values)} elements, where its shape says {count}")
    return values


def unpack(raw: memoryview, datatype: str, name: str, count: int) -> Flat:
    """Return the elements of a tensor that came as bytes; NaN is a value that was not measured."""
    if datatype == "BYTES":
        return require_count(_unpack_texts(raw, name), name, count)
    wanted = count * np.dtype(TYPES[datatype]).itemsize
    if len(raw) != wanted:
        raise bad_request(f"tensor '{name}' has {len(raw)} bytes, where its shape says {wanted}")
    found: Flat = np.frombuffer(raw, np.dtype(TYPES[datatype]).newbyteorder("<")).tolist()
    return found


def pack(values: Sequence[Any], datatype: str) -> bytes:
    """Return a tensor's elements as bytes."""
    if datatype == "BYTES":
        encoded = [value if isinstance(value, bytes) else str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    if datatype.startswith("FP"):
        values = [math.nan if value is None else value for value in values]
    array: npt.NDArray[Any] = np.array(values, np.dtype(TYPES[datatype]).newbyteorder("<"))
    return array.tobytes()


def count_elements(shape: Sequence[int], name: str, most: int) -> int:
    """Return how many elements a shape stands for. Raise Refusal where it is none, or stands for too many."""
    count = 1
    for size in shape:
        if size < 0:
            raise bad_request(f"tensor '{name}' has a negative number in its shape")
        count *= size
        if count > most:
            raise Refusal(413, f"tensor '{name}' has too many elements", hint="send the rows in parts")
    return count


def _unpack_texts(raw: memoryview, name: str) -> Flat:
    found: Flat = []
    place = 0
    try:
        while place < len(raw):
            (length,) = struct.unpack_from("<I", raw, place)
            place += 4 + length
            if place > len(raw):
                raise ValueError
            found.append(bytes(raw[place - length : place]).decode())
    except (struct.error, ValueError):
        raise bad_request(f"tensor '{name}' holds texts that end too early or are not UTF-8") from None
    return found
