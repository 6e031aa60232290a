"""A model sees numbers as float32; a translated one compares and rounds 64-bit floats so that it sees the same."""

from typing import Literal

import numpy as np

FLOAT32_MAX = float(np.finfo(np.float32).max)

Reach = tuple[Literal["<=", "<"], float] | bool


def find_reach(bound: float) -> Reach:
    """Return by which comparison a number x has float32(x) <= bound: an operator and a float; a truth for all x.

    x are finite numbers of float32's range. The border is half way between two float32, and belongs to the even one.
    """
    if bound >= FLOAT32_MAX:
        return True
    with np.errstate(over="ignore"):
        below = np.float32(bound)
    if float(below) > bound:
        below = np.nextafter(below, np.float32(-np.inf))
    if not np.isfinite(below):
        return False
    above = np.nextafter(below, np.float32(np.inf))
    middle = (float(below) + float(above)) / 2
    is_even = int(below.view(np.int32)) % 2 == 0
    return ("<=" if is_even else "<", middle)


def find_least(bound: float) -> float:
    """Return a bound b for which float32(x) >= bound is the same as not float32(x) <= b."""
    least = np.float32(bound)
    if float(least) < bound:
        least = np.nextafter(least, np.float32(np.inf))
    return float(np.nextafter(least, np.float32(-np.inf)))


def round_to_float32(value: str, factor: str) -> str:
    """Return SQL that rounds a 64-bit float to the nearest float32, ties to even; `factor` is 2 ** 29 + 1.

    Veltkamp's way (Dekker 1971, Numerische Mathematik 18), which needs no type of 32 bits and no cast that can fail.
    """
    return f"(({value} * {factor}) - (({value} * {factor}) - {value}))"


FACTOR = float(2**29 + 1)
