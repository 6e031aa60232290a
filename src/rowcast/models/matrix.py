"""The feature matrix: all that a model ever sees of a row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Matrix:
    """Features of n rows in a fixed column order. Missing is NaN; a category is its code in `categories`."""

    values: npt.NDArray[np.float32]  # shape (n, f), C order
    names: tuple[str, ...]  # f column names
    categories: dict[str, tuple[str, ...]]  # for each categorical column its known categories, by code

    def __len__(self) -> int:
        return len(self.values)

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical columns."""
        return [place for place, name in enumerate(self.names) if name in self.categories]

    def select(self, names: tuple[str, ...]) -> "Matrix":
        """Return just these columns, in this order. Raise KeyError for an unknown name."""
        if names == self.names:
            return self
        place = {name: index for index, name in enumerate(self.names)}
        values = np.ascontiguousarray(self.values[:, [place[name] for name in names]])
        return Matrix(values, names, {name: self.categories[name] for name in names if name in self.categories})

    def take(self, rows: npt.NDArray[Any] | slice) -> "Matrix":
        """Return just these rows, by index, mask or slice."""
        return Matrix(np.ascontiguousarray(self.values[rows]), self.names, self.categories)

    def to_pandas(self) -> Any:
        """Return a DataFrame with column names: float64 numbers, categories as strings (None where missing or unknown).

        Not float32: sums in it would differ between batch sizes by more than a score may.
        """
        import pandas as pd

        def column(place: int, name: str) -> Any:
            if name not in self.categories:
                return self.values[:, place].astype(np.float64)
            labels = np.array([*self.categories[name], None], dtype=object)
            codes = np.nan_to_num(self.values[:, place], nan=-1).astype(np.int64)
            return labels[np.where(codes >= 0, codes, len(labels) - 1)]

        return pd.DataFrame({name: column(place, name) for place, name in enumerate(self.names)})
