"""Contract to Checked(good, quarantined, failures); and how a contract is learned from training rows.

values.py      values brought to the type of their column's kind
learning.py    a contract from training rows, and the columns that cannot be read
overrides.py   what the config says of columns today, over a model's contract
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast.check.learning import LearnedContract, learn, leave_out_unreadable
from rowcast.check.overrides import apply_overrides, require_applicable
from rowcast.check.rules import by_column, examine
from rowcast.check.values import FLOAT32_MAX, Column, has_meaning, is_readable
from rowcast.config import Reading
from rowcast.contract import Contract, Failure, Misfit
from rowcast.errors import SourceError

__all__ = [
    "FLOAT32_MAX",
    "CheckResult",
    "LearnedContract",
    "apply_overrides",
    "check",
    "format_reasons",
    "has_meaning",
    "learn",
    "leave_out_unreadable",
    "require_applicable",
]

_AS_IS = Reading()
MOST_FAILURES = 20  # kept for one row
LONGEST_TEXT = 200  # characters of a value in the quarantine table


@dataclass(frozen=True)
class CheckResult:
    """The rows of one batch, parted: each is in `passed` or in `quarantined`, none in both."""

    good: pa.RecordBatch  # the rows that pass; NaN and sentinels are NULL, parsed columns have their kind's type
    passed: npt.NDArray[np.int64]  # indices of the good rows in the batch, ascending
    quarantined: npt.NDArray[np.int64]  # indices of the others, ascending
    failures: dict[int, list[Failure]]  # for each quarantined row its reasons: at least 1, at most MOST_FAILURES


def check(
    rows: pa.RecordBatch,
    contract: Contract,
    misfits: Iterable[Misfit] = (),
    reading: Reading = _AS_IS,
) -> CheckResult:
    """Part the rows that keep the contract from those that break it. Copies nothing where nothing is wrong.

    Columns that the contract does not name pass untouched, and misfits in them do not count. Raises SourceError for
    a column of the contract that `rows` lack or whose type has no meaning for a model.
    """
    misplaced = by_column(misfits)
    count = np.zeros(rows.num_rows, np.int64)
    failures: dict[int, list[Failure]] = {}
    changed: dict[int, Column] = {}
    for rule in contract.rules:
        place = _find_column(rows, rule.name)
        original, texts = rows.column(place), misplaced.get(rule.name, {})
        if not is_readable(original.type):
            raise SourceError(
                f"column '{rule.name}' is {original.type} now, where the contract wants a {rule.kind}",
                hint="list it under 'exclude' and run 'rowcast retrain', or give it back its type",
            )
        column, broken = examine(original, rule, reading, texts)
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
    good = _replace(rows, changed)
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


def _find_column(rows: pa.RecordBatch, name: str) -> int:
    place: int = rows.schema.get_field_index(name)
    if place < 0:
        raise SourceError(
            f"column '{name}' of the contract is missing from the source",
            hint="give it back; or run 'rowcast init' to look at the table again, then 'rowcast retrain'",
        )
    return place


def _replace(rows: pa.RecordBatch, changed: Mapping[int, Column]) -> pa.RecordBatch:
    if not changed:
        return rows
    columns, fields = list(rows.columns), list(rows.schema)
    for place, column in changed.items():
        columns[place] = column
        fields[place] = fields[place].with_type(column.type).with_nullable(True)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)).replace_schema_metadata(rows.schema.metadata)
