"""Rows to feature matrix: the same code for training and for scoring. Nothing is fitted here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rowcast.contract import ColumnRule, Contract
from rowcast.errors import SourceError, TrainingError
from rowcast.models.matrix import Matrix

# Columns written side by side: one value at a time would touch a new cache line of the matrix for each.
BLOCK = 32


def process(rows: pa.RecordBatch, contract: Contract, names: Sequence[str]) -> Matrix:
    """The features `names`, in that order, of rows that keep the contract: float32, shape (rows, names), C order.

    NULL is NaN; a boolean 0 or 1; a category its position in the rule's `categories`, NaN where unknown. Raises
    SourceError for a column that `rows` lack or that data-check has not brought to its kind; KeyError for a name
    without a rule.
    """
    rules = contract.select(names).rules
    values = np.empty((rows.num_rows, len(rules)), np.float32)
    for start in range(0, len(rules), BLOCK):
        block = rules[start : start + BLOCK]
        columns = np.empty((len(block), rows.num_rows), np.float32)
        for place, rule in enumerate(block):
            with np.errstate(over="ignore"):  # beyond float32 is inf, and check's to refuse
                columns[place] = _numbers(rows, rule)
        values[:, start : start + len(block)] = columns.T
    return Matrix(values, tuple(names), {rule.name: rule.categories for rule in rules if rule.kind == "category"})


def _numbers(rows: pa.RecordBatch, rule: ColumnRule) -> npt.NDArray[Any]:
    """One column as numbers, NULL as NaN; a view of the rows where they hold just that."""
    place = rows.schema.get_field_index(rule.name)
    if place < 0:
        raise SourceError(
            f"column '{rule.name}' is missing from the source",
            hint="give it back; or run 'rowcast init' to look at the table again, then 'rowcast retrain'",
        )
    column = rows.column(place)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, np.float32)
    if (rule.kind == "category") != is_text:
        raise SourceError(
            f"column '{rule.name}' is {column.type}, where the contract wants a {rule.kind}",
            hint="data-check brings columns to their kind: process the rows that it returned",
        )
    if is_text:
        column = pc.index_in(column, value_set=pa.array(rule.categories, column.type))
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.float32())
    numbers: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return numbers


def outcome(labels: pa.Array, positive: bool | int | float | str) -> tuple[npt.NDArray[np.bool_], tuple[Any, Any]]:
    """Which of n labels are the positive class, shape (n,), and (negative, positive) as the source spells them.

    Raises TrainingError unless the labels have just two values, one of them `positive`.
    """
    found = {_plain(value): value for value in labels.unique().to_pylist()}
    wanted = _plain(positive)
    shown = ", ".join(repr(value) for value in list(found.values())[:6]) + (" …" if len(found) > 6 else "")
    if not found:
        raise TrainingError("no row has a known label yet", hint="a model needs labelled rows; check [source] label")
    if wanted not in found:
        raise TrainingError(
            f"no label is {positive!r}: the labels are {shown}",
            hint="set [task] positive to the one that means a failure",
        )
    if len(found) != 2:
        hint = (
            "wait until both outcomes have been seen" if len(found) == 1 else "only two label values can be told apart"
        )
        raise TrainingError(f"the label has {len(found)} value{'s' * (len(found) > 1)}: {shown}", hint=hint)
    negative = next(value for plain, value in found.items() if plain != wanted)
    return is_positive(labels, positive), (negative, found[wanted])


def is_positive(labels: pa.Array, positive: bool | int | float | str) -> npt.NDArray[np.bool_]:
    """Which of n labels are the positive class, shape (n,)."""
    same = [value for value in labels.unique().to_pylist() if _plain(value) == _plain(positive)]
    found: npt.NDArray[np.bool_] = pc.is_in(labels, pa.array(same, labels.type)).to_numpy(zero_copy_only=False)
    return found.astype(np.bool_)


def _plain(value: object) -> str:
    """One spelling for 1, 1.0, true and '1'."""
    if isinstance(value, bool | int | float) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()
