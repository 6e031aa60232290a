"""The fixed edges of a model version: where each column's values are counted."""

import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.errors import ModelError
from rowcast.models.matrix import Matrix

BINS = 32  # of about equally many training rows
Floats = npt.NDArray[np.float64]

_FORMAT = 1
_MOST_BYTES = 1 << 30  # unpacked: 590 columns take half a megabyte
_UNREADABLE = ("the edges of the model's profiles cannot be read", "they were changed or written by a newer rowcast")


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, or the score. A value is counted in the slot of the number of bounds at or below it.

    The first bound is the smallest training value, the last the next float after the largest. Each of the others lies
    between two training values, so that a score whose last bits depend on the batch falls into the same slot.
    """

    name: str
    bounds: Floats  # (b,) ascending; float32 values, but for a score; none where no training row has a value
    means: Floats  # (b + 1,) of the training values of each slot; of the two outer ones the range's ends

    @property
    def slots(self) -> int:
        """Missing, below the range, the bins in it, above it."""
        return len(self.bounds) + 2


@dataclass(frozen=True)
class Categories:
    """A column of categories."""

    name: str
    known: tuple[str, ...]

    @property
    def slots(self) -> int:
        """Missing, unseen in training, the known ones."""
        return len(self.known) + 2


Column = Numbers | Categories


@dataclass(frozen=True)
class Edges:
    """Of every column of a feature matrix, in its order, and of the score where there is one."""

    columns: tuple[Column, ...]
    score: Numbers | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first slot of each column and of the score, and how many slots there are in all: shape (c + 1,)."""
        slots = [column.slots for column in (*self.columns, *filter(None, [self.score]))]
        return np.concatenate([[0], np.cumsum(slots)]).astype(np.int64)

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that tell edges apart."""
        return hashlib.sha256(self._text() + self._numbers().tobytes()).digest()[:8]

    def to_bytes(self) -> bytes:
        """Return the edges as bytes; equal edges give equal bytes."""
        text = self._text()
        return zlib.compress(len(text).to_bytes(4, "little") + text + self._numbers().tobytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Edges":
        """Return what `to_bytes` wrote. Raise ModelError where it is anything else."""
        try:
            return cls._read(decompress(data, _MOST_BYTES))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, zlib.error):
            raise ModelError(_UNREADABLE[0], hint=_UNREADABLE[1]) from None

    def _all(self) -> tuple[Column, ...]:
        return self.columns if self.score is None else (*self.columns, self.score)

    def _text(self) -> bytes:
        described = [
            [column.name, len(column.bounds) if isinstance(column, Numbers) else list(column.known)]
            for column in self._all()
        ]
        return json.dumps([_FORMAT, self.score is not None, described], ensure_ascii=False).encode()

    def _numbers(self) -> npt.NDArray[Any]:
        parts = [part for c in self._all() if isinstance(c, Numbers) for part in (c.bounds, c.means)]
        return np.concatenate(parts or [np.empty(0)]).astype("<f8")

    @classmethod
    def _read(cls, data: bytes) -> "Edges":
        length = int.from_bytes(data[:4], "little")
        version, scored, described = json.loads(data[4 : 4 + length])
        numbers = np.frombuffer(data[4 + length :], "<f8").astype(np.float64)
        if version != _FORMAT or not isinstance(scored, bool):
            raise ValueError
        columns, place = list[Column](), 0
        for name, of in described:
            if not isinstance(name, str):
                raise ValueError
            if isinstance(of, list):
                columns.append(Categories(name, _labels(of)))
                continue
            bounds, means = numbers[place : place + of], numbers[place + of : place + 2 * of + 1]
            if of < 0 or len(means) != of + 1 or np.isnan(bounds).any() or (np.diff(bounds) <= 0).any():
                raise ValueError
            columns.append(Numbers(name, bounds, means))
            place += 2 * of + 1
        score = columns.pop() if scored else None
        if place != len(numbers) or isinstance(score, Categories):
            raise ValueError
        return cls(tuple(columns), score)


def compute_edges(matrix: Matrix, score: Floats | None = None) -> Edges:
    """Return the edges that n training rows give, and their scores (n,) where given.

    Numbers have up to 32 bins of about equally many rows; a value that many rows share has a bin of its own.
    """
    columns: list[Column] = []
    for place, name in enumerate(matrix.names):
        if name in matrix.categories:
            columns.append(Categories(name, matrix.categories[name]))
        else:
            columns.append(_numbers(name, matrix.values[:, place]))
    return Edges(tuple(columns), None if score is None else _numbers("score", score.astype(np.float64)))


def decompress(data: bytes, most: int) -> bytes:
    """Return the bytes decompressed, at most so many. Raise ValueError for more, or where bytes are left over."""
    reader = zlib.decompressobj()
    text = reader.decompress(data, most)
    if not reader.eof or reader.unused_data:
        raise ValueError
    return text


def _numbers(name: str, values: npt.NDArray[Any]) -> Numbers:
    """In the values' own precision."""
    known = np.sort(values[~np.isnan(values)])
    if not len(known):
        return Numbers(name, np.empty(0), np.zeros(1))
    distinct, first = np.unique(known, return_index=True)
    inner = [_between(distinct[place], distinct[place + 1]) for place in _cuts(first[1:] / len(known))]
    bounds = np.array([known[0], *inner, np.nextafter(known[-1], np.inf, dtype=known.dtype)], dtype=known.dtype)
    starts = np.searchsorted(known, bounds[:-1])
    means = np.add.reduceat(known.astype(np.float64), starts) / np.diff(starts, append=len(known))
    ends = float(known[0]), float(known[-1])
    return Numbers(name, bounds.astype(np.float64), np.array([ends[0], *means, ends[1]]))


def _cuts(share: Floats) -> list[int]:
    """Of the places where the value changes, with the share of rows below each: those next to equal shares."""
    if not len(share):
        return []
    wanted, most = np.arange(1, BINS) / BINS, len(share) - 1
    right = np.minimum(np.searchsorted(share, wanted), most)
    left = np.maximum(right - 1, 0)
    found: list[int] = np.unique(np.where(wanted - share[left] <= share[right] - wanted, left, right)).tolist()
    return found


def _between(low: Any, high: Any) -> Any:
    """Above `low` and at most `high`: their middle, where their precision has one."""
    middle = type(low)(low / 2 + high / 2)
    return middle if low < middle <= high else high


def _labels(of: Iterable[Any]) -> tuple[str, ...]:
    labels = tuple(of)
    if not all(isinstance(label, str) for label in labels):
        raise ValueError
    return labels
