"""Rows to feature matrix: the same code for training and for scoring. Nothing is fitted here."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rowcast.config import Scalar, Task
from rowcast.contract import ColumnRule, Contract
from rowcast.errors import SourceError, TrainingError
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target, canonical_label

# Columns written side by side: one value at a time would touch a new cache line of the matrix for each.
BLOCK = 32
MOST_CLASSES = 50
ODD_SHARE, _FEW_ODD = 0.01, 2  # of the labels, or labels: up to so many may be neither of two outcomes


def process(rows: pa.RecordBatch, contract: Contract, names: Sequence[str]) -> Matrix:
    """Return the features `names`, in that order, of rows that keep the contract: float32, shape (rows, names).

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


def find_learnable(labels: pa.Array, task: Task, least: int) -> npt.NDArray[np.bool_]:
    """Return which of n known labels a model can learn from, shape (n,).

    Of several classes those of `least` rows and more, of values the finite numbers, of two outcomes all but a few odd
    ones. Raises TrainingError where there are labels, and none of them will do.
    """
    kind = task.kind
    found: npt.NDArray[np.bool_] = np.ones(len(labels), dtype=bool)
    if kind == "binary":
        odd = find_odd_labels(labels, task.positive)
        if odd:
            found = ~pc.is_in(labels, pa.array(odd, labels.type)).to_numpy(zero_copy_only=False).astype(np.bool_)
    elif kind == "regression":
        found = np.isfinite(_values(labels))
    elif kind == "multiclass":
        counts = labels.value_counts()
        if len(counts) <= MOST_CLASSES:  # more are no classes
            enough = counts.field("values").filter(pc.greater_equal(counts.field("counts"), least))
            found = pc.is_in(labels, enough).to_numpy(zero_copy_only=False).astype(np.bool_)
    if len(found) and not found.any():
        what = "is a finite number" if kind == "regression" else f"was seen in {least} rows"
        raise TrainingError(f"no label {what}", hint="wait for more labels, or check [task] kind")
    return found


def find_odd_labels(labels: pa.Array, positive: Scalar) -> list[Any]:
    """Return values of a label of two outcomes that are neither: so rare that they are slips, not outcomes.

    Without the positive value among them, or where the others are not rare, there are none.
    """
    pairs = labels.drop_null().value_counts().to_pylist()
    counts: dict[str, int] = {}
    for pair in pairs:
        label = canonical_label(pair["values"])
        counts[label] = counts.get(label, 0) + pair["counts"]
    wanted = canonical_label(positive)
    others = sorted((label for label in counts if label != wanted), key=lambda label: -counts[label])
    rare = sum(counts[label] for label in others[1:])
    if wanted not in counts or not 0 < rare <= max(_FEW_ODD, ODD_SHARE * len(labels)) or counts[wanted] <= rare:
        return []
    return [pair["values"] for pair in pairs if canonical_label(pair["values"]) in others[1:]]


def make_target(labels: pa.Array, task: Task) -> Target:
    """Return the target of n known labels. Raise TrainingError where they are not of the task's kind."""
    if not len(labels):
        raise TrainingError("no row has a known label yet", hint="a model needs labelled rows; check [source] label")
    if task.kind == "regression":
        return Target("regression", _values(labels))
    if task.kind == "multiclass":
        classes = _classes(labels, task.normal)
        return Target("multiclass", encode_labels(labels, classes), classes)
    classes = _two_classes(labels, task.positive)
    return Target("binary", match_positive(labels, task.positive), classes)


def _values(labels: pa.Array) -> npt.NDArray[np.float64]:
    try:
        numbers: npt.NDArray[Any] = labels.cast(pa.float64(), safe=not pa.types.is_integer(labels.type)).to_numpy(
            zero_copy_only=False
        )
    except pa.ArrowInvalid:
        raise TrainingError(
            f"the label is {labels.type}: a regression needs numbers",
            hint='cast it in a query, or set [task] kind = "multiclass"',
        ) from None
    return numbers.astype(np.float64)


def _classes(labels: pa.Array, normal: Scalar | None) -> tuple[Any, ...]:
    """The one that needs no action first, the others in order."""
    counts = {pair["values"]: pair["counts"] for pair in labels.value_counts().to_pylist()}
    if len(counts) < 2:
        raise TrainingError(
            "the label has one value",
            hint="wait until several outcomes have been seen often enough",
            detail=_list_some(counts),
            about="classes",
        )
    if len(counts) > MOST_CLASSES:
        raise TrainingError(
            f"the label has {len(counts)} values",
            hint='set [task] kind = "regression" where they are amounts; a query can put classes together',
            detail=_list_some(counts),
            about="amounts",
        )
    first = max(counts, key=lambda label: (counts[label], str(label)))
    if normal is not None:
        same = [label for label in counts if canonical_label(label) == canonical_label(normal)]
        if not same:
            raise TrainingError(
                "no label is the one that [task] normal names",
                hint="set [task] normal to the one that needs no action",
                detail=f"it names {normal!r}, and the labels are {_list_some(counts)}",
                about="normal",
            )
        first = same[0]
    return (first, *sorted((label for label in counts if label != first), key=lambda label: (str(type(label)), label)))


def _two_classes(labels: pa.Array, positive: Scalar) -> tuple[Any, Any]:
    found = {canonical_label(value): value for value in labels.unique().to_pylist()}
    wanted, shown = canonical_label(positive), _list_counts(labels)
    if wanted not in found:
        hint = "set [task] positive to the one that means a failure"
        if len(found) == 1:
            hint = f"wait until the first failure has been seen, which is an answer; or {hint}"
        raise TrainingError(
            "no label is the one that [task] positive names",
            hint=hint,
            detail=f"it names {positive!r}, and the labels are {shown}",
            about="positive",
        )
    if len(found) != 2:
        hint = (
            "wait until both outcomes have been seen"
            if len(found) == 1
            else "[source] label_missing lists values that mean 'not known', a query spells outcomes alike;"
            ' [task] kind = "multiclass" tells several apart, "regression" learns amounts'
        )
        what = f"the label has {len(found)} value{'s' * (len(found) > 1)}"
        raise TrainingError(what, hint=hint, detail=shown, about="classes")
    return next(value for label, value in found.items() if label != wanted), found[wanted]


def _list_counts(labels: pa.Array) -> str:
    counts = sorted(labels.value_counts().to_pylist(), key=lambda pair: -pair["counts"])
    more = f" and {len(counts) - 6} more values" if len(counts) > 6 else ""
    known = [f"{pair['values']!r} in {pair['counts']:,} rows" for pair in counts]
    if len(counts) == len(labels):  # they were counted elsewhere
        known = [repr(value) for value in labels.to_pylist()]
    return ", ".join(known[:6]) + more


def _list_some(labels: Iterable[Any]) -> str:
    known = list(labels)
    return ", ".join(repr(value) for value in known[:6]) + (" …" if len(known) > 6 else "")


def encode_labels(labels: pa.Array, classes: tuple[Any, ...]) -> npt.NDArray[np.int64]:
    """Return the place of each label in `classes`, shape (n,); of one that is not among them, the number of classes."""
    known = {canonical_label(value): place for place, value in enumerate(classes)}
    coded = labels.dictionary_encode()
    of = [known.get(canonical_label(value), len(classes)) for value in coded.dictionary.to_pylist()]
    return np.array(of, dtype=np.int64)[np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)]


def match_positive(labels: pa.Array, positive: Scalar) -> npt.NDArray[np.bool_]:
    """Return which of n labels are the positive class, shape (n,)."""
    return np.equal(encode_labels(labels, (positive,)), 0)
