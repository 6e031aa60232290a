"""Rows in time order to build on and to be held against: real ones from ../shared/data, and simulated ones."""

import csv
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.build.folds import folds
from rowcast.build.out_of_fold import OutOfFold
from rowcast.config import Task
from rowcast.models.target import Target

DATA = Path(__file__).parents[1].parent / "shared" / "data"

Floats = npt.NDArray[np.float64]
Fit = Callable[[Floats, Target], Callable[[Floats], Floats]]


@dataclass(frozen=True)
class History:
    """n rows in time order."""

    name: str
    features: Floats  # (n, f)
    target: Target
    task: Task
    block: npt.NDArray[np.int64]  # (n,), the day, else the row
    fit: Fit  # a fast scorer: what is under test is what is said of its scores

    def shuffled(self, seed: int) -> "History":
        """The same rows in an order that knows no time."""
        order = np.random.default_rng(seed).permutation(len(self.block))
        return replace(
            self,
            name=f"{self.name}, shuffled",
            features=self.features[order],
            target=self.target.take(order),
            block=np.arange(len(order)),
        )


@dataclass(frozen=True)
class Build:
    """What a build on the first rows knows, and the rows that came later."""

    name: str
    task: Task
    scores: OutOfFold
    raw: Floats  # of the later rows, by a model trained on all the first
    later: Target


def build(history: History, rows: int) -> Build:
    """Folds of the first `rows` rows, as a build cuts them; then as many rows as they judge, or all that are left."""
    time = np.arange(len(history.block))
    known = history.target.take(time[:rows])
    judged, fold, raw = [], [], []
    for number, each in enumerate(folds(time[:rows], time[:rows], None, known)):
        judged.append(each.test)
        fold.append(np.full(len(each.test), number))
        raw.append(history.fit(history.features[each.train], known.take(each.train))(history.features[each.test]))
    seen = np.concatenate(judged)
    scores = OutOfFold(known.take(seen), np.concatenate(fold), history.block[seen], {"m": np.concatenate(raw)})
    later = slice(rows, rows + len(seen))
    model = history.fit(history.features[:rows], known)
    return Build(history.name, history.task, scores, model(history.features[later]), history.target.take(later))


def trees(features: Floats, target: Target) -> Callable[[Floats], Floats]:
    """A short run of boosted trees."""
    import lightgbm

    objective: dict[str, Any] = {
        "binary": {"objective": "binary"},
        "multiclass": {"objective": "multiclass", "num_class": len(target.classes)},
        "regression": {"objective": "l2"},
    }[target.kind]
    shape = {"num_leaves": 16, "learning_rate": 0.075, "lambda_l2": 5.0, "min_data_in_leaf": 10, "seed": 0}
    sampling = {"feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1}
    quiet = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    parameters = {**objective, **shape, **sampling, **quiet}
    data = lightgbm.Dataset(features, target.values.astype(np.float64), params=parameters)
    booster = lightgbm.train(parameters, data, num_boost_round=60)
    return lambda rows: np.asarray(booster.predict(rows, raw_score=True), dtype=np.float64)


def linear(features: Floats, target: Target) -> Callable[[Floats], Floats]:
    """Ridge or logistic regression on clipped, imputed, scaled numbers."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    low, high = np.nanquantile(np.nan_to_num(features, nan=0.0), (0.005, 0.995), axis=0)
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    if target.kind == "regression":
        model = make_pipeline(impute, StandardScaler(), Ridge(100.0))
        model.fit(np.clip(features, low, high), target.values)
        return lambda rows: np.asarray(model.predict(np.clip(rows, low, high)))
    logistic = LogisticRegression(C=0.001, class_weight="balanced", max_iter=300)
    model = make_pipeline(impute, StandardScaler(), logistic).fit(np.clip(features, low, high), target.values)
    return lambda rows: np.asarray(model.decision_function(np.clip(rows, low, high)))


# Real rows


def secom() -> History:
    names, rows = _read("secom/secom.csv.gz")
    rows.sort(key=lambda row: row[0])
    features = _numbers(rows, range(2, len(names)))
    failed = np.array([row[1] == "1" for row in rows])
    return History("SECOM", features, Target("binary", failed, ("pass", "fail")), Task(), _days(rows, 0), linear)


def elec2() -> History:
    names, rows = _read("elec2/elec2.csv.gz")
    up = Target("binary", np.array([row[-1] == "1" for row in rows]), ("down", "up"))
    features = _numbers(rows, range(1, len(names) - 1))
    return History("elec2", features, up, Task(cost_missed=1, cost_false_alarm=1), _days(rows, 0), trees)


def ai4i() -> History:
    _, rows = _read("ai4i2020/ai4i2020.csv.gz")
    failed = Target("binary", np.array([row[8] == "1" for row in rows]), ("works", "fails"))
    return History("AI4I", _machine(rows), failed, Task(), np.arange(len(rows)), trees)


def ai4i_kinds() -> History:
    """Heat dissipation, power and overstrain failures told apart."""
    _, rows = _read("ai4i2020/ai4i2020.csv.gz")
    kind = np.select([np.array([row[column] == "1" for row in rows]) for column in (10, 11, 12)], [1, 2, 3])
    target = Target("multiclass", kind, ("works", "heat", "power", "strain"))
    return History("AI4I, kinds", _machine(rows), target, Task(), np.arange(len(rows)), trees)


def aps() -> History:
    names, rows = _read("aps/aps.csv.gz")
    failed = Target("binary", np.array([row[0] == "pos" for row in rows]), ("neg", "pos"))
    task = Task(cost_missed=500, cost_false_alarm=10)
    return History("APS", _numbers(rows, range(1, len(names))), failed, task, np.arange(len(rows)), trees)


def car_loans() -> History:
    """Before the shift."""
    history = car_loans_shifting()
    rows = slice(0, 50_000)
    target = history.target.take(rows)
    return replace(history, name="car loans", features=history.features[rows], target=target, block=history.block[rows])


def car_loans_shifting() -> History:
    names, rows = _read("car_loan/synthetic_car_loan_reference.csv.gz")
    columns = ["timestamp", "repaid", *(name for name in names if name in CAR)]
    known = [[row[names.index(column)] for column in columns] for row in rows]
    names, rows = _read("car_loan/synthetic_car_loan_analysis.csv.gz")
    repaid = dict(_read("car_loan/synthetic_car_loan_analysis_target.csv.gz")[1])
    known += [
        [row[names.index("timestamp")], repaid[row[0]], *(row[names.index(column)] for column in columns[2:])]
        for row in rows
    ]
    features = np.stack([_numbers_or_codes([row[place] for row in known]) for place in range(2, len(columns))], axis=1)
    unpaid = Target("binary", np.array([float(row[1]) == 0 for row in known]), ("repaid", "not"))
    return History(
        "car loans, a shift to come", features, unpaid, Task(cost_missed=5, cost_false_alarm=1), _days(known, 0), trees
    )


def kamyr() -> History:
    names, rows = _read("openmv/kamyr-digester.csv")
    label = Target("regression", _numbers(rows, [1])[:, 0])
    return History("kamyr digester", _numbers(rows, range(2, len(names))), label, Task(), np.arange(len(rows)), trees)


def flotation() -> History:
    """The pulp level from feed, pH, copper sulphate and air."""
    _, rows = _read("openmv/flotation-cell.csv")
    label = Target("regression", _numbers(rows, [4])[:, 0])
    return History("flotation cell", _numbers(rows, [1, 2, 3, 5]), label, Task(), np.arange(len(rows)), linear)


CAR = (
    "car_value",
    "salary_range",
    "debt_to_income_ratio",
    "loan_length",
    "repaid_loan_on_prev_car",
    "size_of_downpayment",
    "driver_tenure",
)
_ALL = (secom, elec2, ai4i, ai4i_kinds, aps, car_loans, car_loans_shifting, kamyr, flotation)
REAL = {each.__name__: each for each in _ALL}


@cache
def _read(name: str) -> tuple[list[str], list[list[str]]]:
    path = DATA / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        lines = list(csv.reader(file))
    return lines[0], lines[1:]


def _numbers(rows: list[list[str]], columns: Any) -> Floats:
    return np.array([[_number(row[column]) for column in columns] for row in rows])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _numbers_or_codes(texts: list[str]) -> Floats:
    values = np.array([_number(text) for text in texts])
    return np.unique(texts, return_inverse=True)[1].astype(np.float64) if np.isnan(values).all() else values


def _machine(rows: list[list[str]]) -> Floats:
    return np.column_stack([_numbers_or_codes([row[2] for row in rows]), _numbers(rows, range(3, 8))])


def _days(rows: list[list[str]], column: int) -> npt.NDArray[np.int64]:
    return np.array([row[column][:10] for row in rows], dtype="datetime64[D]").astype(np.int64)


# Simulated scores


@dataclass(frozen=True)
class Simulated:
    """Scores of five folds and of the later rows, without any model."""

    name: str
    positives: int  # out of fold
    share: float = 0.1
    apart: float = 1.5  # between the means of both classes
    drift: float = 0.0  # deviation of `apart` from fold to fold, and twice that of the logarithm of the odds
    kind: str = "binary"

    def builds(self, count: int) -> Iterator[Build]:
        return (self._build(seed) for seed in range(count))

    def _build(self, seed: int) -> Build:
        random = np.random.default_rng(seed)
        rows = round(self.positives / self.share)
        fold = np.arange(rows) * 5 // rows
        moved = self.drift * random.normal(size=(2, 6))
        place = np.concatenate([fold, np.full(rows, 5)])
        if self.kind == "regression":
            label = random.normal(size=2 * rows)
            raw = label + (0.7 + np.abs(moved[0]))[place] * random.normal(size=2 * rows)
            target = Target("regression", label)
        else:
            odds = self.share / (1 - self.share) * np.exp(2 * moved[1])
            outcome = random.random(2 * rows) < (odds / (1 + odds))[place]
            raw = random.normal(size=2 * rows) + outcome * (self.apart + moved[0])[place]
            target = Target("binary", outcome, ("good", "bad"))
        known = np.arange(2 * rows) < rows
        scores = OutOfFold(target.take(known), fold, np.arange(rows), {"m": raw[known]})
        return Build(self.name, Task(), scores, raw[~known], target.take(~known))


SIMULATED = (
    Simulated("simulated, 35 positives", 35),
    Simulated("simulated, 350 positives", 350),
    Simulated("simulated, good model", 100, apart=3.0),
    Simulated("simulated, some drift", 350, drift=0.15),
    Simulated("simulated, much drift", 350, drift=0.4),
    Simulated("simulated amounts", 100, kind="regression"),
    Simulated("simulated amounts, drift", 100, kind="regression", drift=0.2),
)
