"""What candidates said of rows that came after all that they were fitted on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.models.calibration import Floats
from rowcast.models.target import Target


@dataclass(frozen=True)
class OutOfFold:
    """m rows in time order, and each candidate's raw scores of them."""

    target: Target
    fold: npt.NDArray[np.int64]  # (m,), ascending: which fold's models scored the row
    block: npt.NDArray[np.int64]  # (m,), rows that share luck: those of a group, else of a day
    raw: dict[str, Floats]  # candidate -> (m,) log-odds or value, or (m, k) log-probabilities up to a constant

    def take(self, rows: npt.NDArray[Any]) -> "OutOfFold":
        """Return just these rows, by index or mask."""
        raw = {name: values[rows] for name, values in self.raw.items()}
        return OutOfFold(self.target.take(rows), self.fold[rows], self.block[rows], raw)
