"""What columns of the past bring: rowcast with and without them, beside who repeats the last outcome.

The protocol is that of `quality`: five later periods, each predicted by what was trained on all rows before it. An
outcome counts for every later row, as it does for the naive baselines: these tables do not say how late it was known.
"""

import warnings
from collections.abc import Callable

import numpy as np

from rowcast.history.columns import KnownValues, compute_history
from rowcast.history.timeline import Moments
from rowcast.models.matrix import Matrix
from rowcast.past import HistoryColumn
from rowcast.report import table
from studies import quality, sets
from studies.quality import Said, Task
from studies.sets import Dataset

_HOUR = 3_600_000_000  # microseconds
_EVER = 1 << 60
COLUMNS = (
    *(HistoryColumn("label", (), "last", rows, "mean", _EVER) for rows in (1, 5, 50)),
    HistoryColumn("label", (), "last", 5, "trend", _EVER),
)

TASKS = (
    Task("elec2", sets.elec2, "accuracy"),
    Task("kamyr, mean absolute error", sets.kamyr, "mae"),
    Task("flotation cell, mean absolute error", sets.flotation, "mae"),
)


def study() -> None:
    """Print a table for each data set."""
    warnings.simplefilter("ignore")
    for task in TASKS:
        print(f"\n{task.name}: {task.figure}, mean of {quality.PERIODS} later periods with its 95 % interval\n")
        rows = quality.compare(task, add_history(task.load()), _models(task), "with history")
        print(table(rows, list(rows[1])))


def add_history(data: Dataset) -> Dataset:
    """The rows with the last outcomes of all: COLUMNS come last in the matrix."""
    values = np.asarray(data.target.values, np.float64)
    together = np.zeros(len(values), np.int64)
    time = np.arange(len(values), dtype=np.int64) * _HOUR  # in their order: none is known at once with another
    moments = Moments(together, time)
    found = compute_history(COLUMNS, KnownValues(moments, time, values), moments)
    added = np.column_stack([found[column.name] for column in COLUMNS]).astype(np.float32)
    names = (*data.matrix.names, *(column.name for column in COLUMNS))
    matrix = Matrix(np.ascontiguousarray(np.hstack([data.matrix.values, added])), names, data.matrix.categories)
    return Dataset(matrix, data.target, data.time, data.task)


def _models(task: Task) -> dict[str, Callable[[Dataset, Dataset], Said]]:
    every = quality.models(task)
    naive = next(name for name in ("the label before", "the last value") if name in every)
    found: dict[str, Callable[[Dataset, Dataset], Said]] = {"with history": every["rowcast"]}
    found |= {name: _without(model) for name, model in every.items() if name != naive}
    best = "HistGradientBoosting"
    return found | {naive: every[naive], f"{best}, with history": every[best]}


def _without(model: Callable[[Dataset, Dataset], Said]) -> Callable[[Dataset, Dataset], Said]:
    def plain(before: Dataset, after: Dataset) -> Said:
        return model(_cut(before), _cut(after))

    return plain


def _cut(data: Dataset) -> Dataset:
    kept = data.matrix.names[: -len(COLUMNS)]
    return Dataset(data.matrix.select(kept), data.target, data.time, data.task)
