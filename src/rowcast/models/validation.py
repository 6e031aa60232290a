"""Whether what was read of a model's file has the kind, the shape and the range that it must have."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

RETRAIN = "go back to an intact version with 'rowcast promote V', or build a new one with 'rowcast retrain'"
MOST_COLUMNS = 100_000


def is_whole(value: Any, least: int, most: int) -> bool:
    """Whether a value is a whole number within bounds."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(least <= value <= most)


def is_finite(value: Any) -> bool:
    """Whether a value is one finite number."""
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def is_array(value: Any, *shape: int, kinds: str = "f", low: float | None = None, high: float | None = None) -> bool:
    """Whether a value is an array of that shape with finite numbers of these kinds, as numpy names them, in a range."""
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind not in kinds:
        return False
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        return False
    return bool((low is None or (value >= low).all()) and (high is None or (value <= high).all()))


def is_any_array(value: Any, *shapes: tuple[int, ...]) -> bool:
    """Whether a value is an array of finite numbers of one of these shapes, or one number where () is among them."""
    return any(is_array(value, *shape) if shape else is_finite(value) for shape in shapes)


def are_labels(value: Any) -> bool:
    """Whether a value is a row of two or more labels, each once and none missing."""
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "biufUO":
        return False
    listed = value.tolist()
    if not all(isinstance(label, bool | int | float | str) and label == label for label in listed):  # NaN is not itself
        return False
    return len(listed) > 1 and len(set(listed)) == len(listed)


def are_texts(value: Any, count: int) -> bool:
    """Whether a value is a row of that many texts."""
    found = isinstance(value, np.ndarray) and value.shape == (count,) and value.dtype.kind in "UO"
    return found and all(isinstance(each, str) for each in value.tolist())


def stay_inside(left: npt.NDArray[Any], right: npt.NDArray[Any], leaf: npt.NDArray[np.bool_]) -> bool:
    """Whether the children of each node come after it and exist: then every walk ends, at a leaf."""
    here = np.arange(len(leaf))
    return bool((((left > here) & (left < len(leaf)) & (right > here) & (right < len(leaf))) | leaf).all())
