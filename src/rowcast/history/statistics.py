"""Statistics of stretches of values in time order. Each depends on the values of its stretch alone, to the last bit."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.history.exact_sums import ExactSums, Floats, Places, add_exactly, multiply_exactly

_FRAME = 32  # half-lives; the weights of one frame lie between 1 and 2^32
_FAINT = 20  # half-lives after which a value no longer counts: it weighs a millionth
_DIGITS = 2.0**36  # to which weights are rounded: not every processor computes 2^x to the same last bit


class Stretches:
    """n values (n,) in time order, of which stretches from one place up to another are summed up."""

    def __init__(self, values: Floats) -> None:
        self.values = values

    @cached_property
    def _sums(self) -> ExactSums:
        return ExactSums(self.values)

    @cached_property
    def _squares(self) -> ExactSums:
        return ExactSums(*multiply_exactly(self.values, self.values))

    def mean(self, first: Places, end: Places) -> Floats:
        """Return the means (m,); NaN of an empty stretch."""
        return _divide(self._sums.between(first, end), end - first)

    def std(self, first: Places, end: Places) -> Floats:
        """Return the standard deviations (m,) of samples; NaN of fewer than two values."""
        n = (end - first).astype(np.float64)
        total, total_low = self._sums.between_twofold(first, end)
        squares, squares_low = self._squares.between_twofold(first, end)
        # n * sum(v^2) - sum(v)^2 to twice the digits: what is left of a large offset is still right.
        (a, b), (c, d) = multiply_exactly(n, squares), multiply_exactly(total, total)
        high, low = add_exactly(a, -c)
        spread = np.maximum(high + (low + (b - d) + n * squares_low - 2 * total * total_low), 0.0)
        return np.where(n > 1, np.sqrt(_divide(spread, n * (n - 1))), np.nan)

    def trend(self, first: Places, end: Places) -> Floats:
        """Return the mean of the newer half less that of the older (m,); NaN of fewer than two values."""
        half = (end - first) // 2
        return self.mean(end - half, end) - self.mean(first, first + half)

    def min(self, first: Places, end: Places) -> Floats:
        """Return the least values (m,); NaN of an empty stretch."""
        return -_find_largest(-self.values, first, end)

    def max(self, first: Places, end: Places) -> Floats:
        """Return the largest values (m,); NaN of an empty stretch."""
        return _find_largest(self.values, first, end)


def _divide(total: Floats, count: npt.NDArray[Any]) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def _find_largest(values: Floats, first: Places, end: Places) -> Floats:
    """Return the largest value of each stretch by two spans that cover it, whose lengths are powers of two."""
    found, length, span = np.full(len(first), np.nan), end - first, 1
    spans = values
    while len(spans):
        fits = (length >= span) & (length < 2 * span)
        found[fits] = np.maximum(spans[first[fits]], spans[end[fits] - span])
        if span > length.max(initial=0):
            break
        spans, span = np.maximum(spans[:-span], spans[span:]), 2 * span
    return found


class Fading:
    """n values (n,) that count half as much after each half-life, in microseconds."""

    def __init__(self, values: Floats, time: Places, half_life: int) -> None:
        self._half_life = half_life
        self.reach = _FAINT * half_life  # microseconds after which a value no longer counts
        weights = _round(np.exp2((time % self._frame) / half_life))
        self._weights, self._weighted = ExactSums(weights), ExactSums(*multiply_exactly(weights, values))

    @property
    def _frame(self) -> int:
        return _FRAME * self._half_life

    def begin_frame(self, time: Places) -> Places:
        """Return when the frame of each row began, before which values are of the one before."""
        return time // self._frame * self._frame

    def sums(self, first: Places, border: Places, end: Places, time: Places) -> tuple[Floats, Floats]:
        """Return mean and weight (m,) at rows' times; of each stretch, values before `border` are of the frame before.

        The weight is that of as many values of just now.
        """
        scale, first = 2.0**-_FRAME, np.minimum(first, border)
        weight = self._weights.between(border, end) + self._weights.between(first, border) * scale
        weighted = self._weighted.between(border, end) + self._weighted.between(first, border) * scale
        now = np.exp2(-((time % self._frame) / self._half_life))
        return _divide(weighted, weight), weight * _round(now)


def _round(weights: Floats) -> Floats:
    digits, exponent = np.frexp(weights)
    return np.asarray(np.ldexp(np.round(digits * _DIGITS) / _DIGITS, exponent), np.float64)
