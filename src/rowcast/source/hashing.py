"""A fingerprint of a row's values."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast.contract import Misfit

_NULL = np.uint64(0xFFF8DEADBEEF0001)


def hash_rows(rows: pa.RecordBatch, misfits: Sequence[Misfit], columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return a 64-bit fingerprint of each row's values in these columns, to tell whether the source changed one later.

    Mixing as in SplitMix64 (Steele, Lea, Flood 2014); not a cryptographic hash.
    """
    found = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in columns:
        found = _mix(found ^ _bits(rows.column(name)))
    for misfit in misfits:
        if misfit.column in columns:
            found[misfit.row : misfit.row + 1] = _mix(found[misfit.row : misfit.row + 1] ^ _text_bits(misfit.value))
    return found.view(np.int64)


def _bits(column: pa.Array) -> npt.NDArray[np.uint64]:
    """Return the values as 64 bits each; NULL, NaN and -0.0 in one way only."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.dictionary_encode()
        known = np.concatenate(
            [_text_bits(value) for value in encoded.dictionary.to_pylist()] or [np.zeros(0, np.uint64)]
        )
        codes = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        found: npt.NDArray[np.uint64] = np.append(known, _NULL)[codes]
        return found
    numbers = column.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False) + 0.0
    return np.where(np.isnan(numbers), _NULL, numbers.view(np.uint64))


def _text_bits(text: str) -> npt.NDArray[np.uint64]:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
