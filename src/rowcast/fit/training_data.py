"""What a model is trained on."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rowcast.models.matrix import Matrix
from rowcast.models.target import Target


@dataclass(frozen=True)
class TrainingData:
    """Labelled rows in time order."""

    matrix: Matrix  # n rows, all candidate columns
    target: Target
    time: npt.NDArray[np.int64]  # (n,), ascending; equal where no order is known
    known: npt.NDArray[np.int64]  # (n,), when each label arrived, in the unit of `time`
    group: npt.NDArray[np.int64] | None = None  # (n,), rows that belong together
    block: npt.NDArray[np.int64] | None = None  # (n,), rows that share luck: of a group, else of a day; None: none do
    is_dated: bool = False  # whether `time` is microseconds since 1970, and not the row's place
    judged_from: int | None = None  # the first row that the gate judges the recipe by; None: it judges by other rows
    newest: Matrix | None = None  # of the same columns: the newest rows without a label

    def take(self, rows: npt.NDArray[np.int64]) -> "TrainingData":
        """Return just these rows, which ascend; the gate's begin with the first of them that did."""
        border = self.judged_from
        return replace(
            self,
            matrix=self.matrix.take(rows),
            target=self.target.take(rows),
            time=self.time[rows],
            known=self.known[rows],
            group=None if self.group is None else self.group[rows],
            block=None if self.block is None else self.block[rows],
            judged_from=None if border is None or rows[-1] < border else int(np.searchsorted(rows, border)),
        )
