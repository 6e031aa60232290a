"""The data sets that the studies are about, as matrices in time order, or in row order where no time is known.

Read from ../shared/data beside the project; origin and licence of each stand in the README there.
"""

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast import config
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target
from rowcast.simulate import Fab, Simulation, Truth, simulate

DATA = Path(__file__).parents[2] / "shared" / "data"
AI4I_CAUSES = ("TWF", "HDF", "PWF", "OSF", "RNF")  # they are told with the failure: each is a part of the label


@dataclass(frozen=True)
class Dataset:
    """Rows as a table would give them to a build."""

    matrix: Matrix
    target: Target
    time: npt.NDArray[np.int64]  # (n,), ascending: seconds, or the row's place
    task: config.Task = field(default_factory=config.Task)

    def take(self, rows: npt.NDArray[Any] | slice) -> "Dataset":
        """Just these rows."""
        rows = np.arange(len(self.time))[rows]
        return Dataset(self.matrix.take(rows), self.target.take(rows), self.time[rows], self.task)


def secom() -> Dataset:
    """Wafers: 590 sensors; 78 of the 1,096 failed."""
    table = _read("secom/secom.csv.gz", order="timestamp")
    values = _matrix({name: column for name, column in table.items() if name not in ("timestamp", "label")})
    return Dataset(values, _binary(table["label"], "1"), _seconds(table["timestamp"]))


def ai4i() -> Dataset:
    """Machine cycles of a simulation, without a time; 339 of the 10,000 failed."""
    table = _read("ai4i2020/ai4i2020.csv.gz")
    outcome = _binary(table.pop("Machine failure"), "1")
    unwanted = ("UDI", "Product ID", *AI4I_CAUSES)
    values = _matrix({name: column for name, column in table.items() if name not in unwanted})
    return Dataset(values, outcome, np.arange(len(outcome)))


def ai4i_causes() -> Dataset:
    """The same cycles with the cause of the failure; the few with several count as the first, RNF as none."""
    table = _read("ai4i2020/ai4i2020.csv.gz")
    cause = np.zeros(len(table["UDI"]), dtype=np.int64)
    for place in range(4, 0, -1):
        cause[table[AI4I_CAUSES[place - 1]] == "1"] = place
    unwanted = ("UDI", "Product ID", "Machine failure", *AI4I_CAUSES)
    values = _matrix({name: column for name, column in table.items() if name not in unwanted})
    return Dataset(values, Target("multiclass", cause, ("none", *AI4I_CAUSES[:4])), np.arange(len(cause)))


def aps() -> Dataset:
    """Trucks: 170 counters, many missing, no time; 173 of the 9,000 failed. The costs are those of its makers."""
    table = _read("aps/aps.csv.gz")
    outcome = _binary(table.pop("class"), "pos")
    return Dataset(_matrix(table), outcome, np.arange(len(outcome)), config.Task(cost_missed=500, cost_false_alarm=10))


def elec2() -> Dataset:
    """Half hours of an electricity market: does the price go up? The market changes."""
    table = _read("elec2/elec2.csv.gz", order="timestamp")
    time, outcome = _seconds(table.pop("timestamp")), _binary(table.pop("class"), "1")
    return Dataset(_matrix(table), outcome, time, config.Task(cost_missed=1, cost_false_alarm=1))


def flights() -> Dataset:
    """Arrivals at New York: is it more than half an hour late? The seasons change."""
    return _by_time("flights/flights.csv.gz", positive="1")


def housing() -> Dataset:
    """Californian districts, one an hour, in an order that drifts."""
    return _by_time("housing/housing.csv.gz", positive="0")


def _by_time(path: str, positive: str) -> Dataset:
    table = _read(path, order="ts")
    time, outcome = _seconds(table.pop("ts")), _binary(table.pop("label"), positive)
    del table["row_id"]
    return Dataset(_matrix(table), outcome, time, config.Task(cost_missed=5, cost_false_alarm=1))


def car_loans() -> Dataset:
    """Loans that were not repaid: 50,000 of reference, then 50,000 whose car values shift on the way."""
    tables = [_read(f"car_loan/synthetic_car_loan_{part}.csv.gz") for part in ("reference", "analysis")]
    tables[1] |= _read("car_loan/synthetic_car_loan_analysis_target.csv.gz")
    tables[0]["repaid"] = np.char.replace(tables[0]["repaid"], ".0", "")
    table = {name: np.concatenate([part[name] for part in tables]) for name in tables[0]}
    unwanted = ("id", "timestamp", "repaid", "y_pred_proba", "y_pred")
    values = _matrix({name: column for name, column in table.items() if name not in unwanted})
    return Dataset(values, _binary(table["repaid"], "0"), _seconds(table["timestamp"]))


def kamyr() -> Dataset:
    """Hours of a pulp digester: what is the kappa number? 301 of them."""
    table = _read("openmv/kamyr-digester.csv")
    del table["Observation"]
    kappa = table.pop("Y-Kappa").astype(np.float64)
    return Dataset(_matrix(table), Target("regression", kappa), np.arange(len(kappa)))


def flotation() -> Dataset:
    """A flotation cell, every half minute: how high is the pulp, from feed, pH, copper sulphate and air?"""
    table = _read("openmv/flotation-cell.csv")
    del table["Date and time"]
    level = table.pop("Pulp level").astype(np.float64)
    return Dataset(_matrix(table), Target("regression", level), np.arange(len(level)))


def truth(rows: int, sensors: int, seed: int) -> Truth:
    """What nobody sees of `fab`: which columns matter, and which repeat another."""
    return simulate(Fab(rows=rows, sensors=sensors, seed=seed, drift=False, bad_kinds=())).truth


def fab(rows: int, sensors: int, seed: int = 7, drift: bool = False) -> Dataset:
    """The fab simulator's wafers with their true outcomes; tool, chamber and recipe are categories."""
    return read_fab(simulate(Fab(rows=rows, sensors=sensors, seed=seed, drift=drift, bad_kinds=())))


def read_fab(simulation: Simulation) -> Dataset:
    """All rows of a simulation."""
    rows, sensors = simulation.fab.rows, simulation.fab.sensors
    values = np.empty((rows, sensors + 3), np.float32)
    names = ("tool", "chamber", "recipe", *simulation.schema.names[6 : 6 + sensors])
    texts: dict[str, list[Any]] = {name: [] for name in names[:3]}
    done = 0
    for batch in simulation.batches():
        for place, name in enumerate(names[3:]):
            values[done : done + len(batch), 3 + place] = batch.column(name).to_numpy(zero_copy_only=False)
        for name in texts:
            texts[name] += batch.column(name).to_pylist()
        done += len(batch)
    categories = {}
    for place, (name, found) in enumerate(texts.items()):
        values[:, place], categories[name] = _codes(np.array([text or "" for text in found]))
    truth = simulation.truth
    outcome = Target("binary", truth.outcome.astype(bool), (0, 1))
    return Dataset(
        Matrix(values, names, categories), outcome, truth.measured_at.astype("datetime64[s]").astype(np.int64)
    )


BINARY: dict[str, Callable[[], Dataset]] = {
    "SECOM": secom,
    "AI4I": ai4i,
    "APS": aps,
    "elec2": elec2,
    "car loans": car_loans,
}


def _read(path: str, order: str | None = None) -> dict[str, npt.NDArray[Any]]:
    """A CSV file as columns of text, its rows in the order of the text in column `order`."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(DATA / path, "rt", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    columns = dict(zip([name.strip() for name in head], np.array(rows).T, strict=True))
    if order is None:
        return columns
    place = np.argsort(columns[order], kind="stable")
    return {name: column[place] for name, column in columns.items()}


def _matrix(columns: dict[str, npt.NDArray[Any]]) -> Matrix:
    """Numbers as they are, other texts as categories; empty and "na" are missing."""
    values, categories = np.empty((len(next(iter(columns.values()))), len(columns)), np.float32), {}
    for place, (name, column) in enumerate(columns.items()):
        known = np.where((column == "") | (column == "na"), "nan", column)
        try:
            values[:, place] = known.astype(np.float64)
        except ValueError:
            values[:, place], categories[name] = _codes(column)
    return Matrix(values, tuple(columns), categories)


def _codes(column: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    labels = tuple(str(label) for label in np.unique(column) if label not in ("", "na"))
    code = {label: float(place) for place, label in enumerate(labels)}
    return np.array([code.get(label, np.nan) for label in column.tolist()]), labels


def _binary(column: npt.NDArray[Any], positive: str) -> Target:
    other = next(str(label) for label in np.unique(column) if label != positive)
    return Target("binary", column == positive, (other, positive))


def _seconds(column: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return column.astype("datetime64[s]").astype(np.int64)
