"""What columns of the past bring: rowcast with and without them, beside who repeats the last outcome.

The protocol is that of `quality`: five later periods, each predicted by what was trained on all rows before it. An
outcome counts for every later row, as it does for the naive baselines: these tables do not say how late it was known.
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from rowcast.gate import auc
from rowcast.history.columns import KnownValues, compute_history, compute_since
from rowcast.history.timeline import Moments
from rowcast.models.matrix import Matrix
from rowcast.past import HistoryColumn, SinceColumn
from rowcast.report import table
from rowcast.simulate import Fab, Truth, simulate
from studies import quality, sets
from studies.quality import Floats, Said, Task
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
    return _beside(data, found)


def _beside(data: Dataset, found: Mapping[str, Floats]) -> Dataset:
    added = np.column_stack(list(found.values())).astype(np.float32)
    values = np.ascontiguousarray(np.hstack([data.matrix.values, added]))
    matrix = Matrix(values, (*data.matrix.names, *found), data.matrix.categories)
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


# The simulated fab whose tools remember


def memory(fabs: int = 5) -> None:
    """Print how far columns of the past bring a model to the truth, where labels come two to nine days late."""
    warnings.simplefilter("ignore")
    rows = []
    for strength in (1.0, 2.0, 3.0):
        found = np.array([_measure(strength, seed) for seed in range(1, fabs + 1)])
        without, with_past, truth = found.mean(axis=0)
        share = (found[:, 1] - found[:, 0]).sum() / (found[:, 2] - found[:, 0]).sum()
        rows.append(
            {
                "memory, log-odds": strength,
                "AUC without": f"{without:.3f}",
                "with the past": f"{with_past:.3f}",
                "the truth": f"{truth:.3f}",
                "share of the way": f"{share:.0%}",
            }
        )
    print(f"\nThe simulated fab, 10,000 wafers x 30 sensors, trained on 60 %, mean of {fabs} fabs\n")
    print(table(rows, list(rows[0])))


def _measure(strength: float, seed: int) -> tuple[float, float, float]:
    """Return the AUC on later wafers without the past, with it, and of the true probability."""
    simulation = simulate(Fab(rows=10_000, sensors=30, seed=seed, drift=False, bad_rows=0.0, memory=strength))
    truth, data = simulation.truth, sets.read_fab(simulation)
    when, known = (each.astype("datetime64[us]").astype(np.int64) for each in (truth.measured_at, truth.labelled_at))
    past = _add_past(data, truth, when, known)
    border = int(0.6 * len(when))
    learned, later = np.flatnonzero(known[:border] <= when[border]), np.arange(border, len(when))
    said = [quality.rowcast(each.take(learned), each.take(later))[0] for each in (data, past)]
    found = [auc(data.target.values[later], each) for each in (*said, truth.probability[later])]
    assert None not in found
    without, with_past, best = (float(each) for each in found if each is not None)
    return without, with_past, best


def _add_past(data: Dataset, truth: Truth, when: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> Dataset:
    """The wafers with what `rowcast demo --memory` declares: their tool's last outcomes, and its maintenance."""
    names = data.matrix.categories["tool"]
    tool = data.matrix.values[:, data.matrix.names.index("tool")].astype(np.int64)
    rows, ninety = Moments(tool, when), 90 * 24 * _HOUR
    last = [HistoryColumn("failed", ("tool",), "last", size, "mean", ninety) for size in (25, 100)]
    values = KnownValues(Moments(tool, known), when, truth.outcome.astype(np.float64))
    since = [
        SinceColumn("maintenance", "done_at", ("tool",), ("tool",), counts, ninety) for counts in ("hours", "rows")
    ]
    done = [np.datetime64(each.done_at.replace(tzinfo=None), "us").astype(np.int64) for each in truth.maintenance]
    events = Moments(np.array([names.index(each.tool) for each in truth.maintenance]), np.array(done))
    found = compute_history(last, values, rows) | compute_since(since, events, np.empty(0, np.int64), rows, rows)
    return _beside(data, found)
