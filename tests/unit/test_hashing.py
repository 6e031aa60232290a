"""A row's fingerprint tells values apart, and can be made by whoever knows the values."""

import hashlib
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rowcast.contract import Misfit
from rowcast.source import RowHash, hash_rows

NAMES = ("flow", "steps", "hot", "tool")
WAYS = pytest.mark.parametrize("how", list(RowHash))


def batch(**columns: Any) -> pa.RecordBatch:
    given = {"flow": [1.5, None], "steps": [3, 2**53 + 1], "hot": [True, None], "tool": ["a", "ä"], **columns}
    types = {"flow": pa.float64(), "steps": pa.int64(), "hot": pa.bool_(), "tool": pa.string()}
    return pa.RecordBatch.from_pydict({name: pa.array(given[name], types[name]) for name in NAMES})


def by_hand(*values: float | str | None) -> int:
    """The same by what is written about it."""

    def part(value: float | str | None) -> bytes:
        if value is None:
            return bytes.fromhex("7ff8000000000000")
        return hashlib.sha256(value.encode()).digest()[:8] if isinstance(value, str) else struct.pack(">d", value)

    found: int = struct.unpack(">q", hashlib.sha256(b"".join(map(part, values))).digest()[:8])[0]
    return found


def test_a_sha256_is_of_big_endian_floats_and_of_texts_in_utf8() -> None:
    assert hash_rows(batch(), [], NAMES, RowHash.SHA256).tolist() == [
        by_hand(1.5, 3.0, 1.0, "a"),
        by_hand(None, 2.0**53, None, "ä"),
    ]


def test_a_text_where_none_fits_counts_in_place_of_the_value() -> None:
    found = hash_rows(batch(), [Misfit(1, "flow", "broken"), Misfit(0, "other", "x")], NAMES, RowHash.SHA256)
    assert found.tolist() == [by_hand(1.5, 3.0, 1.0, "a"), by_hand("broken", 2.0**53, None, "ä")]


@WAYS
def test_missing_values_and_zeros_have_one_form(how: RowHash) -> None:
    same = [hash_rows(batch(flow=[flow, 0.0]), [], NAMES, how)[0] for flow in (None, np.nan, -np.nan)]
    assert len(set(same)) == 1
    zeros = [hash_rows(batch(flow=[flow, 1.0]), [], NAMES, how)[0] for flow in (0.0, -0.0)]
    assert len(set(zeros)) == 1
    assert zeros[0] != same[0]


@WAYS
def test_every_value_counts_and_so_does_its_column(how: RowHash) -> None:
    [first, _] = hash_rows(batch(), [], NAMES, how)
    changes: list[dict[str, Any]] = [
        {"flow": [np.nextafter(1.5, 2), 0.0]},
        {"steps": [4, 0]},
        {"hot": [False, None]},
        {"tool": ["b", ""]},
        {"tool": [None, ""]},
        {"flow": [3.0, 0.0], "steps": [1, 0]},
    ]
    found = [hash_rows(batch(**change), [], NAMES, how)[0] for change in changes]
    assert len({first, *found}) == len(changes) + 1
    assert hash_rows(batch(flow=[3.0, 1.0], steps=[1, 1]), [], ("steps", "flow"), how)[0] != found[-1]


@WAYS
def test_no_rows_have_no_hashes(how: RowHash) -> None:
    assert hash_rows(batch().slice(0, 0), [], NAMES, how).tolist() == []
