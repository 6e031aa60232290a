"""How a contract is learned from training rows, and what the config says over it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast.check.rules import by_column, examine
from rowcast.check.values import (
    FLOAT32_MAX,
    Column,
    Mask,
    convert,
    has_meaning,
    is_readable,
    is_text,
    to_floats,
    to_mask,
    to_text,
)
from rowcast.config import ColumnCheck, Reading
from rowcast.contract import ColumnRule, Contract, Kind, Misfit
from rowcast.errors import ConfigError, SourceError
from rowcast.nearest import find_nearest

RANGES_OUT = 10
MOST_CATEGORIES = 100
# A training value is absurd, not unusual, if at most this share of the rows lies this many times further out than
# all the rest: the rarer, the nearer. SECOM's four wafers of 1,096 at 10,000 times the rest stay real readings.
_AS_IS = Reading()
MOST_UNREADABLE = 0.1  # of the rows that are learned from
ABSURD = ((0.01, 1e6), (0.0025, 1e3))


@dataclass(frozen=True)
class LearnedContract:
    """A contract, and the candidate columns that got no rule."""

    contract: Contract
    dropped: dict[str, str]  # column to the reason, one line that quotes no value
    unreadable: tuple[str, ...] = ()  # those of them that hold too many values which have no meaning in their kind


def learn(
    rows: pa.RecordBatch,
    columns: Sequence[str],
    overrides: Mapping[str, ColumnCheck],
    reading: Reading = _AS_IS,
    misfits: Iterable[Misfit] = (),
) -> LearnedContract:
    """Return one rule for each candidate of `columns`, from training rows; `overrides` replaces what is learned.

    Texts in a column of numbers make it a boolean where all of its values are words or digits of one. Raise SourceError
    for a column that `rows` lack, ConfigError for an override that contradicts itself or its column.
    """
    for name in (*overrides, *columns):
        if name not in rows.schema.names:
            near = find_nearest(name, rows.schema.names, cutoff=0.0)
            raise SourceError(f"the source has no column '{name}'", hint=f"the nearest is '{near}'" if near else "")
    misplaced = by_column(misfits)
    rules, dropped = [], {}
    for name in columns:
        override = overrides.get(name, ColumnCheck())
        column, texts = rows.column(rows.schema.get_field_index(name)), misplaced.get(name, {})
        if not is_readable(column.type):
            dropped[name] = f"type {column.type} is neither number, text nor boolean"
            continue
        kind = _kind(name, column, override)
        values = convert(column, kind, reading, texts)[0]
        if kind == "number" and override == ColumnCheck() and texts and _are_booleans(column, texts, reading):
            kind, values = "boolean", convert(column, "boolean", reading, texts)[0]
        distinct = tuple(sorted(map(str, values.unique().drop_null().to_pylist()))) if kind == "category" else ()
        if len(distinct) > MOST_CATEGORIES and override.type is None and override.values is None:
            numbers = ": [check.columns] can make them numbers, by type" if _are_numbers(distinct, reading) else ""
            dropped[name] = f"free text: {len(distinct):,} distinct values{numbers}"
            continue
        rules.append(_rule(name, kind, values, distinct, override))
    return LearnedContract(Contract(tuple(rules)), dropped)


def leave_out_unreadable(
    learned: LearnedContract, rows: pa.RecordBatch, misfits: Iterable[Misfit], reading: Reading
) -> LearnedContract:
    """Return the contract without columns whose values cannot be read in too many of these rows.

    Together, those that stay cost at most a share `MOST_UNREADABLE` of the rows: those with few such values first.
    """
    misplaced = by_column(misfits)
    unreadable: dict[str, Mask] = {}
    dropped: dict[str, str] = {}
    for rule in learned.contract.rules:
        original, texts = rows.column(rows.schema.get_field_index(rule.name)), misplaced.get(rule.name, {})
        column, broken = examine(original, ColumnRule(rule.name, rule.kind), reading, texts)
        bad = [mask for name, mask, _ in broken if name in ("type", "finite")]
        if bad and (mask := np.logical_or.reduce(bad)).any():
            unreadable[rule.name] = mask
            known = len(column) - column.null_count + int((mask & to_mask(column.is_null())).sum())
            dropped[rule.name] = _why_unreadable(rule.kind, int(mask.sum()) / known, texts.values(), original, reading)
    lost = np.zeros(rows.num_rows, np.bool_)
    for name in sorted(unreadable, key=lambda name: int(unreadable[name].sum())):
        if (lost | unreadable[name]).sum() > MOST_UNREADABLE * rows.num_rows:
            continue
        lost |= unreadable.pop(name)
        del dropped[name]
    stay = [name for name in learned.contract.names if name not in dropped]
    return LearnedContract(
        learned.contract.select(stay), {**learned.dropped, **dropped}, (*learned.unreadable, *dropped)
    )


def _why_unreadable(kind: Kind, share: float, texts: Iterable[str], original: Column, reading: Reading) -> str:
    """Return a sentence that quotes no value."""
    what = "numbers that can be read" if kind == "number" else "booleans" if kind == "boolean" else "texts"
    spelled = [*texts, *(original.drop_null().unique().to_pylist() if is_text(original.type) else ())]
    other = "," if reading.decimal == "." else "."
    if kind == "number" and spelled and _are_numbers(spelled, Reading(reading.missing, other)):
        return f"{share:.1%} of its values are no {what}; with [source] decimal = '{other}' they are"
    return f"{share:.1%} of its values are no {what}"


def _are_numbers(texts: Iterable[str], reading: Reading) -> bool:
    return all(has_meaning(text, "number", reading) for text in texts)


def _are_booleans(column: Column, texts: Mapping[int, str], reading: Reading) -> bool:
    """Return whether some text is a word of a boolean and no number, and everything else means a boolean too."""
    if _are_numbers(texts.values(), reading):
        return False
    failed = convert(column, "boolean", reading, texts)[1]
    return failed is not None and not failed.any()


def _kind(name: str, column: Column, override: ColumnCheck) -> Kind:
    """What the config says the column is, else what its type says."""
    where = f"[check.columns] '{name}'"
    if override.values is not None:
        if override.type not in (None, "category"):
            raise ConfigError(f"{where}: 'values' makes it a category, 'type' says {override.type}", hint="drop one")
        if not override.values:
            raise ConfigError(f"{where}: 'values' is empty, so no row could pass", hint="list the allowed values")
    is_boolean = pa.types.is_boolean(column.type)
    learned: Kind = "boolean" if is_boolean else "category" if is_text(column.type) else "number"
    kind: Kind = "category" if override.values is not None else override.type or learned
    if kind != "number" and (override.min is not None or override.max is not None):
        if override.type is None and override.values is None and column.null_count == len(column):
            return "number"  # no value contradicts it
        raise ConfigError(f"{where}: 'min' and 'max' need a number, it is a {kind}", hint='set type = "number"')
    return kind


def _rule(name: str, kind: Kind, values: Column, distinct: tuple[str, ...], override: ColumnCheck) -> ColumnRule:
    nullable = override.nullable is not False
    if override.values is not None:
        return ColumnRule(
            name, kind, nullable, categories=tuple(sorted(set(map(to_text, override.values)))), closed=True
        )
    if kind != "number":
        return ColumnRule(name, kind, nullable, categories=distinct)
    low = -math.inf if override.min is None else override.min
    high = math.inf if override.max is None else override.max
    if not low <= high or low == math.inf or high == -math.inf:
        raise ConfigError(
            f"[check.columns] '{name}': min = {low} and max = {high} leave no number", hint="swap or drop one"
        )
    lowest, highest = _bounds(to_floats(values))
    lowest = lowest if override.min is None else override.min
    highest = highest if override.max is None else override.max
    # An infinite bound is how the config switches a learned one off; JSON has no infinity.
    return ColumnRule(
        name,
        kind,
        nullable,
        min=None if lowest == -math.inf else lowest,
        max=None if highest == math.inf else highest,
    )


def _bounds(values: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Ten observed ranges below and above; none where nothing, or nothing that varies as float32, was observed."""
    values = values[np.abs(values) <= FLOAT32_MAX]
    if not len(values):
        return None, None
    low, high = _find_range(values)
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return None, None
    return low - RANGES_OUT * (high - low), high + RANGES_OUT * (high - low)


def _find_range(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The range of `values` without the absurd ones: it grows from a trimmed core until nothing is in reach of it."""
    for share, reach in ABSURD:
        trim = min(max(3, math.ceil(share * len(values))), len(values) // 20)
        ends = np.partition(values, (trim, len(values) - 1 - trim))
        span, core = None, (float(ends[trim]), float(ends[-1 - trim]))
        while span != core:
            low, high = span = core
            far = reach * max(abs(low), abs(high))
            near = values[(values >= low - far) & (values <= high + far)]
            core = float(near.min()), float(near.max())
        values = near
    return core
