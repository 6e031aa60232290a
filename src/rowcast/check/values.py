"""Values as the source writes them, brought to the type of their column's kind."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rowcast.config import Reading
from rowcast.contract import Kind

Mask = npt.NDArray[np.bool_]
Column: TypeAlias = pa.Array

FLOAT32_MAX = float(np.finfo(np.float32).max)
ARROW: dict[Kind, Any] = {"number": pa.float64(), "category": pa.string(), "boolean": pa.bool_()}
_BLOB = re.compile(r"X'(?:[0-9A-F]{2})*'")  # how a blob comes among texts
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+,[0-9]+|(?:\.[0-9]{3}){2,})")  # 1.234,5 and 1.234.567
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
    "": None,
}


def find_extremes(column: Column) -> tuple[float, float]:
    """Least and greatest value, NaN aside; of nothing: inf and -inf, which break no bound."""
    found = pc.min_max(column)
    low, high = found["min"].as_py(), found["max"].as_py()
    return (math.inf, -math.inf) if low is None or low != low else (low, high)


def convert(
    column: Column, kind: Kind, reading: Reading, texts: Mapping[int, str] | None = None
) -> tuple[Column, Mask | None]:
    """Return the column in its kind's type, sentinels and NaN as NULL; and a mask of values that have no meaning in it.

    `texts` are the originals of values that the column's own type cannot hold, by their row. The very same column
    comes back where there is nothing to change; no mask where no value can fail.
    """
    if pa.types.is_null(column.type):
        converted, failed = pa.nulls(len(column), ARROW[kind]), None
    else:
        converted, failed = _convert_typed(column, kind, reading)
    return _put_back(converted, failed, kind, reading, texts) if texts else (converted, failed)


def _convert_typed(column: Column, kind: Kind, reading: Reading) -> tuple[Column, Mask | None]:
    if is_number(column.type):
        column = _without_missing(column, reading.numbers)
    if kind == "number":
        if is_number(column.type):
            return column, None
        if pa.types.is_boolean(column.type):
            return column.cast(pa.float64()), None
        column, failed = _parse_column(column, kind, reading)
        return _without_missing(column, reading.numbers), failed
    if kind == "boolean":
        return (column, None) if pa.types.is_boolean(column.type) else _parse_column(column, kind, reading)
    if not is_text(column.type):
        return _parse_column(column, kind, reading)[0], None
    return _without_missing_texts(column, reading.texts), None


def _put_back(
    column: Column, failed: Mask | None, kind: Kind, reading: Reading, texts: Mapping[int, str]
) -> tuple[Column, Mask]:
    """Return the column with what the texts mean, and a mask that has those without meaning too."""
    mask = np.zeros(len(column), np.bool_)
    mask[list(texts)] = True
    spelled = pa.array([texts[row] for row in sorted(texts)], pa.string())
    values, wrong = _parse_column(spelled, kind, reading)
    if kind == "category":  # a text that is none in its own column is no category, and a blob never is
        wrong = np.array([is_text(column.type) or bool(_BLOB.fullmatch(text)) for text in spelled.to_pylist()])
    if kind == "number":
        values = _without_missing(values, reading.numbers)
    values = pc.if_else(pa.array(wrong), pa.scalar(None, values.type), values)
    wanted = column if is_number(column.type) and column.type == ARROW[kind] else column.cast(ARROW[kind], safe=False)
    bad = np.zeros(len(column), np.bool_) if failed is None else failed
    bad[mask] = wrong
    return pc.replace_with_mask(wanted, pa.array(mask), values), bad


def _without_missing_texts(column: Column, missing: frozenset[str]) -> Column:
    if not missing:
        return column
    absent = pc.is_in(pc.utf8_trim_whitespace(column), value_set=pa.array(sorted(missing), column.type))
    return pc.if_else(absent, pa.scalar(None, column.type), column) if pc.any(absent).as_py() else column


def _without_missing(column: Column, missing: Sequence[float]) -> Column:
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        column = column.cast(pa.float64())
    absent: Mask | None = None
    # One NaN makes the sum NaN: a pass over the column that allocates nothing.
    if pa.types.is_floating(column.type) and not math.isfinite(pc.sum(column).as_py() or 0.0):
        absent = to_mask(pc.is_nan(column))
    low, high = find_extremes(column) if missing else (math.inf, -math.inf)
    for sentinel in missing:
        with np.errstate(over="ignore"):  # the config's -999.9 is another number in a float32 column
            mark = float(np.float32(sentinel)) if pa.types.is_float32(column.type) else sentinel
        if low <= mark <= high:
            same = (column.fill_null(0).to_numpy() == mark) & to_mask(column.is_valid())
            absent = same if absent is None else absent | same
    if absent is None or not absent.any():
        return column
    return pc.if_else(pa.array(absent), pa.scalar(None, column.type), column)


def _parse_column(column: Column, kind: Kind, reading: Reading) -> tuple[Column, Mask]:
    """Return each distinct value as its kind, and which have no meaning as that."""
    encoded = column.dictionary_encode()
    values: list[object] = []
    failed: list[bool] = []
    for value in encoded.dictionary.to_numpy(zero_copy_only=False):
        try:
            parsed, wrong = _parse(value, kind, reading), False
        except ValueError:
            parsed, wrong = None, True
        values.append(parsed)
        failed.append(wrong)
    wrong_rows = pa.array(failed, pa.bool_()).take(encoded.indices)
    return pa.array(values, ARROW[kind]).take(encoded.indices), to_mask(wrong_rows)


def _parse(value: Any, kind: Kind, reading: Reading) -> object:
    """Return what a value means, None for NULL. Raise ValueError where it has no meaning."""
    if isinstance(value, str) and value.strip() in reading.texts:
        return None
    if kind == "number":
        return parse_number(value, reading.decimal)
    return _parse_boolean(value) if kind == "boolean" else to_text(value)


def has_meaning(text: str, kind: Kind, reading: Reading) -> bool:
    """Return whether a text can be read as a value of this kind."""
    try:
        _parse(text, kind, reading)
    except ValueError:
        return False
    return True


def parse_number(text: str, decimal: str = ".") -> float | None:
    """Return the number that a text spells with this decimal sign, None for blank text. Raise ValueError.

    With a decimal comma, points between groups of three digits are skipped, but in '1.234', where one may be a decimal
    point all the same.
    """
    if decimal == "," and is_grouped(text):
        text = text.replace(".", "")
    if "_" in text or (decimal != "." and "." in text):  # Python reads 1_000; nobody else does
        raise ValueError(text)
    return float(text.replace(decimal, ".")) if text.strip() else None


def is_grouped(text: str) -> bool:
    """Return whether a text spells a number with a decimal comma and points between thousands: 1.234,56."""
    return _GROUPED.fullmatch(text.strip()) is not None


def _parse_boolean(value: object) -> bool | None:
    word = to_text(value).strip().lower()
    if word not in _WORDS:
        raise ValueError(word)
    return _WORDS[word]


def to_text(value: object) -> str:
    """A value as a category: whole numbers without '.0', booleans as true and false, text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    text = str(value).removesuffix(".0")
    return "0" if text == "-0" else text


def to_floats(column: Column) -> npt.NDArray[np.float64]:
    """The column as float64, NULL as NaN; integers beyond 2**53 are rounded."""
    values: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def to_mask(column: Column) -> Mask:
    """NULL is False. The result may be written to."""
    return np.array(column.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def is_readable(kind: pa.DataType) -> bool:
    return is_number(kind) or is_text(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
