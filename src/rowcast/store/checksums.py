"""The checksum of a batch: a digest of its published rows that comes out equal whatever database they are read from.

Each row has a digest of its own, and a batch the SHA-256 of its rows' sorted digests. So rows can be read back in any
order, and a row that moves to the history stays what it was.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.database import RawType
from rowcast.database.mixed_keys import MixedType, split_mixed
from rowcast.store.tables import Choice, Instant

_DIGEST = 16  # bytes of a row
_MICROSECONDS = pa.timestamp("us", "UTC")
_AS_KEYS = (RawType, sa.LargeBinary)  # columns that count by type and value, as keys do


def digest_rows(own: sa.Table, rows: pa.RecordBatch | pa.Table) -> list[bytes]:
    """Return a digest of each row, which has columns of `own`: of batches the prediction or the quarantine table.

    Floats count by their bits, but for the sign of zero, which SQLite drops; times as microseconds in UTC; keys by
    type and value; NULL not at all, so that a column that is added to the table changes no digest.
    """
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    if not table.num_rows:
        return []
    there = {name: _whole(table.column(name)) for name in table.schema.names}
    fixed: list[npt.NDArray[np.int64]] = []
    texts: list[Any] = []
    for name in sorted(column.name for column in own.c):
        column = own.c[name]
        if name not in there or there[name].null_count == table.num_rows:
            continue
        if column.primary_key or isinstance(column.type, _AS_KEYS):
            texts.append(_name(name, _key_texts(there[name], is_decimal=_is_decimal(column))))
        elif isinstance(column.type, sa.Text | Choice):
            texts.append(_name(name, there[name].cast(pa.large_string())))
        else:
            numbers = _numbers(column, there[name])
            if column.nullable:
                texts.append(_name(name, numbers.cast(pa.large_string())))
            else:
                fixed.append(numbers.to_numpy(zero_copy_only=False))
    return _digest(was(own), fixed, texts, table.num_rows)


def seal(digests: Iterable[bytes]) -> str:
    """Return the checksum of a batch whose rows have these digests."""
    each = np.frombuffer(b"".join(digests), dtype=f"S{_DIGEST}")
    return hashlib.sha256(np.sort(each).tobytes()).hexdigest()


def split_digests(text: str | None) -> list[bytes]:
    """Return the digests that stand one after the other in a text of hexadecimal digits."""
    data = bytes.fromhex(text or "")
    return [data[place : place + _DIGEST] for place in range(0, len(data), _DIGEST)]


def from_history(own: sa.Table, history: sa.Table) -> Mapping[str, sa.ColumnElement[Any]]:
    """Return where the history keeps each column of `own`, the prediction or the quarantine table."""
    at = {"scored_at": history.c.since, "quarantined_at": history.c.since}
    return {column.name: at[column.name] if column.name in at else history.c[column.name] for column in own.c}


def was(own: sa.Table) -> str:
    """Return what the history calls a row of `own`, the prediction or the quarantine table."""
    return "scored" if "score" in own.c else "quarantined"


def _digest(place: str, fixed: list[npt.NDArray[np.int64]], texts: list[Any], count: int) -> list[bytes]:
    large = pa.large_binary()
    parts = [text.cast(large) for text in texts]
    if fixed:
        numbers = np.column_stack(fixed).astype("<i8")
        width = pa.binary(8 * len(fixed))
        parts.insert(0, pa.Array.from_buffers(width, count, [None, pa.py_buffer(numbers)]).cast(large))
    joined = pc.binary_join_element_wise(*parts, pa.scalar(place.encode(), large), pa.scalar(b"", large))
    hash_of = hashlib.blake2b
    return [hash_of(row, digest_size=_DIGEST).digest() for row in joined.to_pylist()]


def _name(name: str, values: Any) -> Any:
    """Return each value behind its column's name and its length; nothing for NULL."""
    large = pa.large_string()
    length = pc.binary_length(values).cast(large)
    told = pc.binary_join_element_wise(
        pa.scalar(f"{name}=", large), length, pa.scalar(":", large), values, pa.scalar("", large)
    )
    return told.fill_null("")


def _numbers(column: sa.Column[Any], values: Any) -> Any:
    """Return values of a column that is neither key nor text as int64."""
    if isinstance(column.type, Instant):
        return values.cast(_MICROSECONDS).cast(pa.int64())
    if isinstance(column.type, sa.Double):
        return _bits(values)
    return values.cast(pa.int64())


def _bits(values: Any) -> Any:
    floats = values.cast(pa.float64())
    plain = floats.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
    return pa.array(plain.view(np.int64), mask=floats.is_null().to_numpy(zero_copy_only=False))


def _is_decimal(column: sa.Column[Any]) -> bool:
    spelled = column.type.spelled if isinstance(column.type, RawType) else ""
    return spelled.lower().startswith(("numeric", "decimal"))


def _key_texts(values: Any, *, is_decimal: bool = False) -> Any:
    """Return a key column as texts that tell type and value: 1, 1.0 and '1' are three keys.

    Zeros at the end of a decimal's fraction are none of its value: a column without a scale keeps or loses them.
    """
    kind = values.type
    if isinstance(kind, MixedType):
        parts = [_key_texts(part, is_decimal=is_decimal) for part in split_mixed(values).values()]
        return pc.coalesce(*parts)
    if isinstance(kind, pa.BaseExtensionType):
        return _key_texts(values.storage, is_decimal=is_decimal)
    if is_decimal and (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_decimal(kind)):
        plain = pc.replace_substring_regex(values.cast(pa.string()), r"(\.\d*?)0+$", r"\1")
        return _tag("n", pc.replace_substring_regex(plain, r"\.$", "").cast(pa.large_string()))
    large = pa.large_string()
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return _tag("i", values.cast(pa.int64()).cast(large))
    if pa.types.is_floating(kind):
        return _tag("f", _bits(values).cast(large))
    if pa.types.is_timestamp(kind):
        return _tag("m", values.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()).cast(large))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _tag("t", values.cast(large))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        texts = [None if value is None else value.hex() for value in values.to_pylist()]
        return _tag("b", pa.array(texts, large))
    return _tag("x", pa.array([None if value is None else str(value) for value in values.to_pylist()], large))


def _tag(kind: str, texts: Any) -> Any:
    return pc.binary_join_element_wise(pa.scalar(kind, pa.large_string()), texts, pa.scalar("", pa.large_string()))


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
