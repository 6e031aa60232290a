"""Rows as they were sent, brought to the types in which a source's rows come to data-check."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from rowcast.check.values import is_number, is_readable, is_text, to_text
from rowcast.contract import Kind, Misfit
from rowcast.errors import ConfigError
from rowcast.serve.columns import KnownColumns
from rowcast.serve.refusal import RowFault, refuse_columns
from rowcast.serve.request import SentRows, Values
from rowcast.source import parse_instant

_NONE = type(None)
_NESTED = "[…]"  # stands for a list or an object where one value is wanted
_Built = tuple[pa.Array, dict[int, str]]  # values, and by row the texts of those that do not fit


@dataclass(frozen=True)
class ReadRows:
    """Rows of a request as data-check takes them."""

    batch: pa.RecordBatch  # of the columns that the contract checks
    misfits: Sequence[Misfit]  # what in them does not fit its column's kind
    faults: Sequence[RowFault]  # rows that lack a column, or the time that they need


def read_rows(sent: SentRows, known: KnownColumns) -> ReadRows:
    """Return the columns of a request that the contract checks.

    Raise Refusal for an unknown column, and for one that is missing.
    """
    known.require_known(sent.columns)
    known.require_complete(sent.columns)
    names, arrays, misfits = [], [], []
    for name, kind in known.kinds.items():
        if name not in sent.columns:
            continue
        values = _to_hours(name, sent, known) if name in known.times else sent.columns[name]
        array, texts = _build_arrow(name, values, kind) if isinstance(values, pa.Array) else build(values, kind)
        names.append(name)
        arrays.append(array)
        misfits += [Misfit(row, name, text) for row, text in texts.items()]
    return ReadRows(pa.RecordBatch.from_arrays(arrays, names=names), misfits, sent.faults)


def build(values: Sequence[Any], kind: Kind) -> _Built:
    """Return values of JSON as an array of their column's kind, NULL where one does not fit it."""
    types = set(map(type, values))
    if kind == "number":
        return _numbers(values, types)
    if kind == "category":
        return _texts(values, types)
    if types <= {bool, _NONE}:
        return pa.array(values, pa.bool_()), {}
    texts = {row: _spell(value) for row, value in enumerate(values) if type(value) not in (bool, _NONE)}
    return pa.array([value if type(value) is bool else None for value in values], pa.bool_()), texts


def _numbers(values: Sequence[Any], types: set[type]) -> _Built:
    texts: dict[int, str] = {}
    if not types <= {float, int, _NONE}:
        texts = {row: _spell(value) for row, value in enumerate(values) if type(value) not in (float, int, _NONE)}
        values = [None if row in texts else value for row, value in enumerate(values)]
    if int in types:
        values = [_to_float(value) if type(value) is int else value for value in values]
    return pa.array(values, pa.float64()), texts


def _texts(values: Sequence[Any], types: set[type]) -> _Built:
    texts: dict[int, str] = {}
    if not types <= {str, _NONE}:
        texts = {row: _NESTED for row, value in enumerate(values) if isinstance(value, list | dict)}
        values = [None if value is None or row in texts else to_text(value) for row, value in enumerate(values)]
    return pa.array(values, pa.string()), texts


def _spell(value: Any) -> str:
    return _NESTED if isinstance(value, list | dict) else to_text(value)


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _build_arrow(name: str, values: pa.Array, kind: Kind) -> _Built:
    """Return an array that came as Arrow or as text, in a type that data-check reads."""
    if not is_readable(values.type):
        raise refuse_columns(f"column '{name}' is {values.type}, where a {kind} is wanted", "type", [name])
    if kind == "number" and is_text(values.type):
        try:  # nothing but plain numbers is a hundred times faster; the rest is read value by value
            return values.cast(pa.float64()), {}
        except pa.ArrowInvalid:
            return values, {}
    if kind == "number" and is_number(values.type) and not pa.types.is_float64(values.type):
        return values.cast(pa.float64(), safe=False), {}
    return values, {}


def _to_hours(name: str, sent: SentRows, known: KnownColumns) -> list[Any]:
    """Return moments as the hours that they lie before the event, as a source's rows are read."""
    event_time = known.event_time or ""
    if event_time not in sent.columns:
        what = f"column '{event_time}' is missing: '{name}' is read as the hours before it"
        raise refuse_columns(what, "missing", [event_time])
    events = to_list(sent.columns[event_time])
    found: list[Any] = []
    for value, event in zip(to_list(sent.columns[name]), events, strict=True):
        moment, at = parse_moment(value, known.timezone), parse_moment(event, known.timezone)
        if value is not None and moment is None:
            found.append(_NESTED)  # no number either: the rule `type` is broken
        else:
            known_then = moment is not None and at is not None and moment <= at
            found.append((at - moment).total_seconds() / 3600 if known_then and at and moment else None)
    return found


def to_list(values: Values) -> list[Any]:
    """Return the values of a column as Python has them."""
    return values.to_pylist() if isinstance(values, pa.Array) else list(values)


def parse_moment(value: Any, timezone: str) -> datetime | None:
    """Return a moment as it was sent; None where it is none."""
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str):
        return None
    try:
        return parse_instant(value, timezone)
    except ConfigError:
        return None
