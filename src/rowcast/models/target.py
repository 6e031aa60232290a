"""What is to be predicted, in the form that models are fitted to."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["binary", "multiclass", "regression"]


def canonical_label(value: object) -> str:
    """Return one spelling for 1, 1.0, true and '1'."""
    if isinstance(value, bool | int | float) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


@dataclass(frozen=True)
class Target:
    """The known outcome of n rows."""

    kind: Kind
    values: npt.NDArray[Any]  # (n,): bool, True the positive class; int64, the place in `classes`; or float64
    classes: tuple[Any, ...] = ()  # as the source spells them, the one that needs no action first; () for a regression

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: npt.NDArray[Any] | slice) -> "Target":
        """Return just these rows, by index, mask or slice."""
        return Target(self.kind, self.values[rows], self.classes)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each class, shape (k,); empty for a regression."""
        return (
            np.bincount(self.values.astype(np.int64), minlength=len(self.classes))
            if self.classes
            else np.empty(0, np.int64)
        )
