"""A fingerprint of a row's values."""

import hashlib
from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast.contract import Misfit

_NULL = np.uint64(0xFFF8DEADBEEF0001)
NOTHING = 0x7FF8000000000000  # what stands for NULL and NaN in a SHA-256: the bits of a NaN


class RowHash(StrEnum):
    """How a row's fingerprint is made."""

    MIXED = "splitmix64"  # fast where the rows are in this process
    SHA256 = "sha256"  # which a database computes too


def hash_rows(
    rows: pa.RecordBatch, misfits: Sequence[Misfit], columns: Sequence[str], how: RowHash = RowHash.MIXED
) -> npt.NDArray[np.int64]:
    """Return a 64-bit fingerprint of each row's values in these columns, to tell whether the source changed one later.

    Mixing as in SplitMix64 (Steele, Lea, Flood 2014), which is not a cryptographic hash; or the first 8 bytes of a
    SHA-256 over the columns in their order: numbers and truth values as big-endian 64-bit floats, of a text the first
    8 bytes of its own SHA-256 in UTF-8.
    """
    if how is RowHash.SHA256:
        return _digest_rows(rows, misfits, columns)
    found = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in columns:
        found = _mix(found ^ _bits(rows.column(name), _text_bits, _NULL))
    for misfit in misfits:
        if misfit.column in columns:
            found[misfit.row : misfit.row + 1] = _mix(found[misfit.row : misfit.row + 1] ^ _text_bits(misfit.value))
    return found.view(np.int64)


def _digest_rows(rows: pa.RecordBatch, misfits: Sequence[Misfit], columns: Sequence[str]) -> npt.NDArray[np.int64]:
    values = np.empty((rows.num_rows, len(columns)), dtype=">u8")
    for place, name in enumerate(columns):
        values[:, place] = _bits(rows.column(name), _text_digest, np.uint64(NOTHING))
    places = {name: place for place, name in enumerate(columns)}
    for misfit in misfits:
        if misfit.column in places:
            values[misfit.row, places[misfit.column]] = _text_digest(misfit.value)[0]
    sha256 = hashlib.sha256
    digests = b"".join([sha256(row).digest()[:8] for row in values])
    return np.frombuffer(digests, dtype=">i8").astype(np.int64)


def _bits(
    column: pa.Array,
    text_bits: Callable[[str], npt.NDArray[np.uint64]],
    nothing: np.uint64,
) -> npt.NDArray[np.uint64]:
    """Return the values as 64 bits each; NULL, NaN and -0.0 in one way only."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.dictionary_encode()
        known = np.concatenate(
            [text_bits(value) for value in encoded.dictionary.to_pylist()] or [np.zeros(0, np.uint64)]
        )
        codes = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        found: npt.NDArray[np.uint64] = np.append(known, nothing)[codes]
        return found
    numbers = column.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False) + 0.0
    return np.where(np.isnan(numbers), nothing, numbers.view(np.uint64))


def _text_bits(text: str) -> npt.NDArray[np.uint64]:
    digest = hashlib.blake2b(_encode(text), digest_size=8).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def _text_digest(text: str) -> npt.NDArray[np.uint64]:
    return np.frombuffer(hashlib.sha256(_encode(text)).digest()[:8], dtype=">u8").astype(np.uint64)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
