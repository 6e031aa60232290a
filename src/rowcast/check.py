"""Contract to Checked(good, quarantined, failures); and how a contract is learned from training rows."""

import difflib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rowcast.config import ColumnCheck
from rowcast.contract import ColumnRule, Contract, Failure, Kind, Misfit
from rowcast.errors import ConfigError, SourceError

Mask = npt.NDArray[np.bool_]
Broken = tuple[str, Mask, object]  # a rule's name, the rows that break it, what it allows
Column: TypeAlias = pa.Array

FLOAT32_MAX = float(np.finfo(np.float32).max)
RANGES_OUT = 10
MOST_CATEGORIES = 100
MOST_FAILURES = 20  # kept for one row
LONGEST_TEXT = 200  # characters of a value in the quarantine table
# A training value is absurd, not unusual, if at most this share of the rows lies this many times further out than
# all the rest: the rarer, the nearer. SECOM's four wafers of 1,096 at 10,000 times the rest stay real readings.
ABSURD = ((0.01, 1e6), (0.0025, 1e3))
_ARROW: dict[Kind, Any] = {"number": pa.float64(), "category": pa.string(), "boolean": pa.bool_()}
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
    "": None,
}


@dataclass(frozen=True)
class LearnedContract:
    """A contract, and the candidate columns that got no rule."""

    contract: Contract
    dropped: dict[str, str]  # column to the reason, one line


@dataclass(frozen=True)
class CheckResult:
    """The rows of one batch, parted: each is in `passed` or in `quarantined`, none in both."""

    good: pa.RecordBatch  # the rows that pass; NaN and sentinels are NULL, parsed columns have their kind's type
    passed: npt.NDArray[np.int64]  # indices of the good rows in the batch, ascending
    quarantined: npt.NDArray[np.int64]  # indices of the others, ascending
    failures: dict[int, list[Failure]]  # for each quarantined row its reasons: at least 1, at most MOST_FAILURES


def learn(
    rows: pa.RecordBatch,
    columns: Sequence[str],
    overrides: Mapping[str, ColumnCheck],
    missing: Sequence[float] = (),
) -> LearnedContract:
    """One rule for each candidate of `columns`, from training rows; what `overrides` says replaces what was learned.

    `missing` are numbers that mean "not measured". Raises SourceError for a column that `rows` lack, ConfigError for
    an override that contradicts itself or its column.
    """
    for name in (*overrides, *columns):
        if name not in rows.schema.names:
            near = difflib.get_close_matches(name, rows.schema.names, n=1, cutoff=0.0)
            raise SourceError(f"the source has no column '{name}'", hint=f"the nearest is '{near[0]}'" if near else "")
    rules, dropped = [], {}
    for name in columns:
        override = overrides.get(name, ColumnCheck())
        column = rows.column(_place(rows, name))
        if not _readable(column.type):
            dropped[name] = f"type {column.type} is neither number, text nor boolean"
            continue
        kind = _kind(name, column, override)
        values, _ = _converted(column, kind, missing)
        distinct = tuple(sorted(map(str, values.unique().drop_null().to_pylist()))) if kind == "category" else ()
        if len(distinct) > MOST_CATEGORIES and override.type is None and override.values is None:
            dropped[name] = f"free text: {len(distinct):,} distinct values"
            continue
        rules.append(_rule(name, kind, values, distinct, override))
    return LearnedContract(Contract(tuple(rules)), dropped)


def apply_overrides(contract: Contract, overrides: Mapping[str, ColumnCheck]) -> Contract:
    """A model's contract with what the config says today: bounds and nullability hold at once, without a retrain."""

    def rule(known: ColumnRule) -> ColumnRule:
        override = overrides.get(known.name, ColumnCheck())
        if override.nullable is not None:
            known = replace(known, nullable=override.nullable)
        if known.kind == "number" and override.min is not None:
            known = replace(known, min=None if override.min == -math.inf else override.min)
        if known.kind == "number" and override.max is not None:
            known = replace(known, max=None if override.max == math.inf else override.max)
        return known

    return Contract(tuple(map(rule, contract.rules)))


def require_applicable(contract: Contract, overrides: Mapping[str, ColumnCheck]) -> None:
    """Raise ConfigError where `in_force` would leave out what the config says, since a model learned otherwise."""
    known, in_force_now = {rule.name: rule for rule in contract.rules}, apply_overrides(contract, overrides)
    for name, override in overrides.items():
        if name not in known:
            raise _not_learned(name, "the model has no rule for this column")
        kind = known[name].kind
        if override.type not in (None, kind):
            raise _not_learned(name, f"type = {override.type!r}, and the model learned a {kind}")
        if override.values is not None and not _is_closed_to(known[name], override.values):
            raise _not_learned(name, "the model learned other 'values'")
        if kind != "number" and (override.min is not None or override.max is not None):
            raise _not_learned(name, f"'min' and 'max' need a number, and the model learned a {kind}")
    for rule in in_force_now.rules:
        if rule.min is not None and rule.max is not None and rule.min > rule.max:
            raise ConfigError(
                f"[check.columns] '{rule.name}': with what was learned, 'min' and 'max' leave no number",
                hint="give both 'min' and 'max'",
                detail=f"they are {rule.min:g} and {rule.max:g}",
                about=rule.name,
            )


def _not_learned(name: str, what: str) -> ConfigError:
    return ConfigError(
        f"[check.columns] '{name}' cannot be applied when scoring: {what}",
        hint="'rowcast retrain' learns it, for the model that is promoted then; or take it out of rowcast.toml",
    )


def _is_closed_to(rule: ColumnRule, values: Iterable[object]) -> bool:
    return rule.closed and rule.categories == tuple(sorted(set(map(_text, values))))


def check(
    rows: pa.RecordBatch,
    contract: Contract,
    misfits: Iterable[Misfit] = (),
    missing: Sequence[float] = (),
) -> CheckResult:
    """Part the rows that keep the contract from those that break it. Copies nothing where nothing is wrong.

    Columns that the contract does not name pass untouched, and misfits in them do not count. Raises SourceError for
    a column of the contract that `rows` lack or whose type has no meaning for a model.
    """
    misplaced: dict[str, dict[int, str]] = {}
    for misfit in misfits:
        if misfit.value.strip():  # blank text is how many a CSV import writes NULL
            misplaced.setdefault(misfit.column, {})[misfit.row] = misfit.value
    count = np.zeros(rows.num_rows, np.int64)
    failures: dict[int, list[Failure]] = {}
    changed: dict[int, Column] = {}
    for rule in contract.rules:
        place = _place(rows, rule.name)
        original, texts = rows.column(place), misplaced.get(rule.name, {})
        if not _readable(original.type):
            raise SourceError(
                f"column '{rule.name}' is {original.type} now, where the contract wants a {rule.kind}",
                hint="list it under 'exclude' and run 'rowcast retrain', or give it back its type",
            )
        column, broken = _examined(original, rule, missing, texts)
        if column is not original:
            changed[place] = column
        for name, mask, limit in broken:
            found = np.flatnonzero(mask)
            count[found] += 1
            found = found[count[found] <= MOST_FAILURES]
            for row, value in zip(found.tolist(), original.take(found).to_pylist(), strict=True):
                failure = Failure(row, rule.name, name, texts.get(row, value), limit)
                failures.setdefault(row, []).append(failure)
    passed, quarantined = np.flatnonzero(count == 0), np.flatnonzero(count)
    good = _replaced(rows, changed)
    if len(quarantined):
        good = good.take(passed)
    return CheckResult(good, passed, quarantined, {row: failures[row] for row in quarantined.tolist()})


def format_reasons(failures: list[Failure]) -> str:
    """The failures of one row as JSON: a list of {"column", "rule", "value", "limit"}, long text cut."""
    return json.dumps(
        [
            {"column": each.column, "rule": each.rule, "value": _plain(each.value), "limit": _plain(each.limit)}
            for each in failures
        ],
        ensure_ascii=False,
        allow_nan=False,
    )


def _plain(value: object) -> object:
    """The value as JSON can hold it."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _place(rows: pa.RecordBatch, name: str) -> int:
    place: int = rows.schema.get_field_index(name)
    if place < 0:
        raise SourceError(
            f"column '{name}' of the contract is missing from the source",
            hint="give it back; or run 'rowcast init' to look at the table again, then 'rowcast retrain'",
        )
    return place


def _replaced(rows: pa.RecordBatch, changed: Mapping[int, Column]) -> pa.RecordBatch:
    if not changed:
        return rows
    columns, fields = list(rows.columns), list(rows.schema)
    for place, column in changed.items():
        columns[place] = column
        fields[place] = fields[place].with_type(column.type).with_nullable(True)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)).replace_schema_metadata(rows.schema.metadata)


# ---- learning


def _kind(name: str, column: Column, override: ColumnCheck) -> Kind:
    """What the config says the column is, else what its type says."""
    where = f"[check.columns] '{name}'"
    if override.values is not None:
        if override.type not in (None, "category"):
            raise ConfigError(f"{where}: 'values' makes it a category, 'type' says {override.type}", hint="drop one")
        if not override.values:
            raise ConfigError(f"{where}: 'values' is empty, so no row could pass", hint="list the allowed values")
    is_text, is_boolean = _is_text(column.type), pa.types.is_boolean(column.type)
    learned: Kind = "boolean" if is_boolean else "category" if is_text else "number"
    kind: Kind = "category" if override.values is not None else override.type or learned
    if kind != "number" and (override.min is not None or override.max is not None):
        if override.type is None and override.values is None and column.null_count == len(column):
            return "number"  # no value contradicts it
        raise ConfigError(f"{where}: 'min' and 'max' need a number, it is a {kind}", hint='set type = "number"')
    return kind


def _rule(name: str, kind: Kind, values: Column, distinct: tuple[str, ...], override: ColumnCheck) -> ColumnRule:
    nullable = override.nullable is not False
    if override.values is not None:
        return ColumnRule(name, kind, nullable, categories=tuple(sorted(set(map(_text, override.values)))), closed=True)
    if kind != "number":
        return ColumnRule(name, kind, nullable, categories=distinct)
    low = -math.inf if override.min is None else override.min
    high = math.inf if override.max is None else override.max
    if not low <= high or low == math.inf or high == -math.inf:
        raise ConfigError(
            f"[check.columns] '{name}': min = {low} and max = {high} leave no number", hint="swap or drop one"
        )
    lowest, highest = _bounds(_floats(values))
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
    low, high = _observed(values)
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return None, None
    return low - RANGES_OUT * (high - low), high + RANGES_OUT * (high - low)


def _observed(values: npt.NDArray[np.float64]) -> tuple[float, float]:
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


# ---- checking


def _examined(
    original: Column, rule: ColumnRule, missing: Sequence[float], texts: Mapping[int, str]
) -> tuple[Column, list[Broken]]:
    """The column in its kind's type, and the rules that rows of it break."""
    column, failed = _converted(original, rule.kind, missing)
    mistyped = np.zeros(len(column), np.bool_) if failed is None else failed
    mistyped[list(texts)] = True
    broken: list[Broken] = []
    if failed is not None or texts:
        broken.append(("type", mistyped, rule.kind))
    if rule.kind == "number":
        broken.extend(_out_of_bounds(column, rule))
    if not rule.nullable and column.null_count:
        broken.append(("null", _mask(column.is_null()) & ~mistyped, None))
    if rule.closed:
        known = pc.is_in(column, value_set=pa.array(rule.categories, column.type))
        broken.append(("category", ~_mask(known) & _mask(column.is_valid()), ", ".join(rule.categories)))
    return column, broken


def _out_of_bounds(column: Column, rule: ColumnRule) -> Iterator[Broken]:
    low, high = _extremes(column)
    lowest = -math.inf if rule.min is None else rule.min
    highest = math.inf if rule.max is None else rule.max
    if low >= max(lowest, -FLOAT32_MAX) and high <= min(highest, FLOAT32_MAX):
        return
    values = _floats(column)
    infinite = np.abs(values) > FLOAT32_MAX
    yield "finite", infinite, FLOAT32_MAX
    yield "min", (values < lowest) & ~infinite, rule.min
    yield "max", (values > highest) & ~infinite, rule.max


def _extremes(column: Column) -> tuple[float, float]:
    """Least and greatest value, NaN aside; of nothing: inf and -inf, which break no bound."""
    found = pc.min_max(column)
    low, high = found["min"].as_py(), found["max"].as_py()
    return (math.inf, -math.inf) if low is None or low != low else (low, high)


def _converted(column: Column, kind: Kind, missing: Sequence[float]) -> tuple[Column, Mask | None]:
    """The column in its kind's type, sentinels and NaN as NULL; and a mask of values without meaning in that type.

    The very same column where there is nothing to change; no mask where no value can fail.
    """
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), _ARROW[kind]), None
    if _is_number(column.type):
        column = _without_missing(column, missing)
    if kind == "number":
        if _is_number(column.type):
            return column, None
        if pa.types.is_boolean(column.type):
            return column.cast(pa.float64()), None
        column, failed = _parsed(column, _number, kind)
        return _without_missing(column, missing), failed
    if kind == "boolean":
        return (column, None) if pa.types.is_boolean(column.type) else _parsed(column, _boolean, kind)
    return (column, None) if _is_text(column.type) else (_parsed(column, _text, kind)[0], None)


def _without_missing(column: Column, missing: Sequence[float]) -> Column:
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        column = column.cast(pa.float64())
    absent: Mask | None = None
    # One NaN makes the sum NaN: a pass over the column that allocates nothing.
    if pa.types.is_floating(column.type) and not math.isfinite(pc.sum(column).as_py() or 0.0):
        absent = _mask(pc.is_nan(column))
    low, high = _extremes(column) if missing else (math.inf, -math.inf)
    for sentinel in missing:
        with np.errstate(over="ignore"):  # the config's -999.9 is another number in a float32 column
            mark = float(np.float32(sentinel)) if pa.types.is_float32(column.type) else sentinel
        if low <= mark <= high:
            same = (column.fill_null(0).to_numpy() == mark) & _mask(column.is_valid())
            absent = same if absent is None else absent | same
    if absent is None or not absent.any():
        return column
    return pc.if_else(pa.array(absent), pa.scalar(None, column.type), column)


def _parsed(column: Column, parse: Callable[[Any], object], kind: Kind) -> tuple[Column, Mask]:
    """Each distinct value through `parse`, which returns None for NULL and raises ValueError for no meaning."""
    encoded = column.dictionary_encode()
    values: list[object] = []
    failed: list[bool] = []
    for value in encoded.dictionary.to_numpy(zero_copy_only=False):
        try:
            parsed, wrong = parse(value), False
        except ValueError:
            parsed, wrong = None, True
        values.append(parsed)
        failed.append(wrong)
    wrong_rows = pa.array(failed, pa.bool_()).take(encoded.indices)
    return pa.array(values, _ARROW[kind]).take(encoded.indices), _mask(wrong_rows)


def _number(text: str) -> float | None:
    if "_" in text:  # Python reads 1_000; nobody else does
        raise ValueError(text)
    return float(text) if text.strip() else None


def _boolean(value: object) -> bool | None:
    word = _text(value).strip().lower()
    if word not in _WORDS:
        raise ValueError(word)
    return _WORDS[word]


def _text(value: object) -> str:
    """A value as a category: whole numbers without '.0', booleans as true and false, text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    text = str(value).removesuffix(".0")
    return "0" if text == "-0" else text


def _floats(column: Column) -> npt.NDArray[np.float64]:
    """The column as float64, NULL as NaN; integers beyond 2**53 are rounded."""
    values: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _mask(column: Column) -> Mask:
    """NULL is False. The result may be written to."""
    return np.array(column.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _readable(kind: pa.DataType) -> bool:
    return _is_number(kind) or _is_text(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
