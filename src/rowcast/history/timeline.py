"""What became known, ordered by group and by when, and the stretch of it that a row may see."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Moments (n,) in microseconds since 1970, and in which group each was; -1 is none."""

    group: Places
    time: Places

    def __len__(self) -> int:
        return len(self.time)

    def take(self, places: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Moments":
        """Return just these, by index or mask."""
        return Moments(self.group[places], self.time[places])


def number_groups(one: Sequence[pa.Array], other: Sequence[pa.Array]) -> tuple[Places, Places]:
    """Return the groups (n,) and (m,) of two sets of rows, alike where all texts are; -1 where one of them is NULL.

    Each set is given column by column, one at least.
    """
    numbers: Places | None = None
    split = len(one[0])
    for left, right in zip(one, other, strict=True):
        texts = pa.concat_arrays([left.cast(pa.string()), right.cast(pa.string())])
        codes = pc.dictionary_encode(texts).indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        if numbers is None:
            numbers = codes
            continue
        missing = (numbers < 0) | (codes < 0)
        _, joint = np.unique(numbers * (codes.max(initial=0) + 1) + codes, return_inverse=True)
        numbers = np.where(missing, -1, joint)
    assert numbers is not None
    return numbers[:split], numbers[split:]


class Timeline:
    """Moments at which something became known, in order; rows see a stretch of them."""

    def __init__(self, known: Moments) -> None:
        """Take moments that are ordered by group, then time, each in a group."""
        self._times = np.unique(known.time)
        self._order = self._place(known.group, np.searchsorted(self._times, known.time))

    def _place(self, group: Places, rank: Places) -> Places:
        return group * (len(self._times) + 1) + rank

    def before(self, rows: Moments, earlier: int = 0) -> Places:
        """Return of each row how many moments lie in groups before its own, or in its own before its time.

        A moment at that very time is not before it. `earlier` asks for a time so many microseconds before the row's.
        """
        rank = np.searchsorted(self._times, rows.time - earlier, side="left")
        return np.searchsorted(self._order, self._place(rows.group, rank), side="left")
