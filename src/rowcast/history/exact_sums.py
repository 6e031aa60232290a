"""Sums of stretches of values, equal to the last bit wherever the values begin: training and scoring must agree.

A running total of floats depends on where it began. Here each value is parted into whole numbers of fixed units, whose
totals are exact (Kulisch accumulation on a grid).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_BITS = 24  # of each unit: a stretch of 2^29 values is summed without rounding in a float64, 2^39 in an int64
_HIGHEST, _LOWEST = 288, -312  # exponents of the units: squares of float32 numbers, and their remainders
_SPLIT = 134_217_729.0  # 2^27 + 1 (Dekker 1971): parts a float64 into halves whose products are exact


class ExactSums:
    """Sums over any stretch of n finite values."""

    def __init__(self, *parts: Floats) -> None:
        """Take n values, or several parts (n,) each whose sums are added."""
        self._units: list[tuple[float, Places]] = []
        left = [np.asarray(part, np.float64) for part in parts]
        for exponent in range(_HIGHEST, _LOWEST, -_BITS):
            if not any(values.any() for values in left):
                break
            unit = 2.0**exponent
            whole = np.zeros(len(left[0]), np.int64)
            for place, values in enumerate(left):
                if not len(values) or np.abs(values).max() < unit:
                    continue
                units = np.trunc(values / unit)
                left[place] = values - units * unit
                whole += units.astype(np.int64)
            if whole.any():
                self._units.append((unit, np.concatenate([[0], np.cumsum(whole)])))

    def between(self, first: Places, end: Places) -> Floats:
        """Return the sums (m,) of the values from `first` up to, not including, `end` (m,)."""
        return self.between_twofold(first, end)[0]

    def between_twofold(self, first: Places, end: Places) -> tuple[Floats, Floats]:
        """Return the same, and what rounding to a float64 leaves out."""
        high, low = np.zeros(len(first)), np.zeros(len(first))
        for unit, totals in self._units:
            high, lost = add_exactly(high, (totals[end] - totals[first]).astype(np.float64) * unit)
            low = low + lost
        return add_exactly(high, low)


def add_exactly(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return sums and what rounding leaves out of them (Knuth)."""
    total = one + other
    back = total - one
    return total, (one - (total - back)) + (other - back)


def multiply_exactly(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return products and what rounding leaves out of them (Dekker)."""
    product = one * other
    (a, b), (c, d) = _split(one), _split(other)
    return product, ((a * c - product) + a * d + b * c) + b * d


def _split(values: Floats) -> tuple[Floats, Floats]:
    scaled = values * _SPLIT
    high = scaled - (scaled - values)
    return high, values - high
