"""The labels: how many are known, and of which classes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast import features, fetch
from rowcast.config import Settings
from rowcast.doctor.finding import Finding, guard
from rowcast.formatting import count
from rowcast.source import LABEL, Source

_FEW = 20  # rows of the positive class below which nothing can be learned well
_VALUES = 20  # label values that are counted
_SAMPLE = 1_000  # rows, the newest, whose labels are looked at
_CHANCE = 1e-3  # below which it is none that no failure is among so many rows


def check_labels(source: Source, settings: Settings, n: dict[str, int]) -> Iterator[Finding]:
    """Yield how many labels are known, and whether they fit the task."""
    label, known = source.label.name, source.has_known_label(source.db.now())
    yield from _check_known(settings, label, n)
    if settings.task.kind == "regression":
        if source.label.kind != "number":
            hint = 'cast it in a query, or set [task] kind = "multiclass"'
            yield Finding("problem", f"{label} is {source.label.type}: a regression needs numbers", hint)
        return
    column = source.db.sql.feature(source.label).label("label")
    counted = source.select(column, sa.func.count().label("n")).where(known).group_by(column).limit(_VALUES + 1)
    found = sorted(source.db.rows(counted), key=lambda row: -int(row["n"]))
    classes = {row["label"]: int(row["n"]) for row in found}
    if settings.task.kind == "binary":
        odd = features.find_odd_labels(_repeat(classes), settings.task.positive)
        if odd:
            shown = ", ".join(f"{value!r} in {count(classes[value], 'row')}" for value in odd)
            hint = "list in [source] label_missing what means 'not known', or let a query spell outcomes alike"
            yield Finding("warning", f"{label} also holds odd values, which are not learned from: {shown}", hint)
        classes = {value: n for value, n in classes.items() if value not in odd}
    yield from guard(_check_classes(pa.array(list(classes)), classes, settings, label))
    yield from guard(_check_early_labels(source, settings, n))


def _repeat(classes: dict[Any, int]) -> pa.Array:
    """Return each label about as often as it was counted, in a sample of thousands."""
    scale = min(1.0, 10_000 / max(1, sum(classes.values())))
    return pa.array([value for value, n in classes.items() for _ in range(max(1, round(n * scale)))])


def _check_early_labels(source: Source, settings: Settings, n: dict[str, int]) -> Iterator[Finding]:
    """Yield whether labels seem to be there before the outcome is: all known, and no failure among the newest."""
    named = settings.source
    is_dated = source.time is not None and named.label_time is None and not named.label_delay
    if settings.task.kind != "binary" or not is_dated or n["known"] < n["rows"]:
        return
    labels = fetch.fetch_training_rows(source, source.db.now(), _SAMPLE, None).rows.column(LABEL)
    positive = np.flatnonzero(features.match_positive(labels, settings.task.positive))
    if not len(positive):
        return
    since = len(labels) - 1 - int(positive[-1])
    if (1 - len(positive) / (len(labels) - since)) ** since < _CHANCE:
        yield Finding(
            "warning",
            f"every row has a known {source.label.name}, and none of the newest {since:,} is"
            f" {settings.task.positive!r}: it may hold another value until the outcome is known",
            "set [source] label_time or label_delay, or let a query give NULL until then",
        )


def _check_known(settings: Settings, label: str, n: dict[str, int]) -> Iterator[Finding]:
    share = f"{n['known']:,} of {n['rows']:,} rows ({n['known'] / n['rows']:.1%}) have a known {label}"
    if n["known"] < settings.model.min_train_rows:
        yield Finding(
            "problem",
            f"{share}: a model needs {settings.model.min_train_rows:,}",
            "wait for more labels, or lower [model] min_train_rows",
        )
    else:
        yield Finding("ok", share)
    if n["labelled"] > n["known"] and settings.source.label_time:
        yield Finding(
            "warning",
            f"{count(n['labelled'] - n['known'], 'row')} with a {label} that does not count yet: "
            f"{settings.source.label_time} is NULL, no time, or later than now",
            "fill it at the source, or drop [source] label_time",
        )


def _check_classes(values: pa.Array, classes: dict[Any, int], settings: Settings, label: str) -> Iterator[Finding]:
    if len(classes) > _VALUES:
        some = ", ".join(repr(value) for value in list(classes)[:5])
        yield Finding("problem", f"{label} has more than {_VALUES} values: {some} …", "a query can make two of them")
        return
    target = features.make_target(values, settings.task)
    shown = ", ".join(f"{value!r} in {count(n, 'row')}" for value, n in classes.items())
    if target.kind == "multiclass":
        few = [f"{value!r}" for value, n in classes.items() if n < _FEW]
        if few:
            hint = f"below {_FEW} of a class, what a model learns of it is mostly chance: wait for more"
            yield Finding("warning", f"{label} is {shown}: few are {', '.join(few)}", hint)
        else:
            yield Finding("ok", f"{label} is {shown}")
        return
    rare = sum(n for n, is_positive in zip(classes.values(), target.values, strict=True) if is_positive)
    if rare < _FEW:
        hint = f"below {_FEW} of them, what a model learns is mostly chance: wait for more"
        yield Finding("warning", f"{label} is {shown}: few are {settings.task.positive!r}", hint)
    else:
        yield Finding("ok", f"{label} is {shown}; {settings.task.positive!r} is the one to find")
