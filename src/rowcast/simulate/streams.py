"""Rows are drawn block by block, each from random streams of its own, so that none depends on what else was drawn."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

DAY = 86_400  # seconds
LOT = 25  # wafers
BLOCK = 1000  # rows drawn from streams of their own: whole lots; even, so that no pair of repeated rows spans two


def list_blocks(rows: int) -> Iterator[Integers]:
    """Return the places of the rows of each block."""
    return (np.arange(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK))


def open_stream(seed: int, purpose: str, rows: Integers | None = None) -> np.random.Generator:
    """Return a stream of its own for each purpose and block, so that none depends on how much another was read."""
    block = 0 if rows is None else int(rows[0]) // BLOCK
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*purpose.encode(), block)))


def to_microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
