"""Rows in time order to build on and to be held against: real ones from ../shared/data, and simulated ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.config import Task
from rowcast.fit.folds import folds
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.models.target import Target
from studies import sets
from studies.sets import Dataset

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

    objectives: dict[str, dict[str, Any]] = {
        "binary": {"objective": "binary"},
        "multiclass": {"objective": "multiclass", "num_class": len(target.classes)},
        "regression": {"objective": "l2"},
    }
    objective = objectives[target.kind]
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


# Real rows, in time order or, where no time is known, in row order


def _dated(name: str, rows: Dataset, fit: Fit) -> History:
    return replace(_undated(name, rows, fit), block=rows.time // 86_400)


def _undated(name: str, rows: Dataset, fit: Fit) -> History:
    features = rows.matrix.values.astype(np.float64)
    return History(name, features, rows.target, rows.task, np.arange(len(rows.time)), fit)


def _car_loans(shifting: bool) -> History:
    rows = replace(sets.car_loans(), task=Task(cost_missed=5, cost_false_alarm=1))
    if shifting:
        return _dated("car loans, a shift to come", rows, trees)
    return _dated("car loans", rows.take(slice(0, CAR_LOANS_AS_THEY_WERE)), trees)


CAR_LOANS_AS_THEY_WERE = 50_000
REAL: dict[str, Callable[[], History]] = {
    "SECOM": lambda: _dated("SECOM", sets.secom(), linear),
    "elec2": lambda: _dated("elec2", sets.elec2(), trees),
    "AI4I": lambda: _undated("AI4I", sets.ai4i(), trees),
    "AI4I, causes": lambda: _undated("AI4I, causes", sets.ai4i_causes(), trees),
    "APS": lambda: _undated("APS", sets.aps(), trees),
    "car loans": lambda: _car_loans(shifting=False),
    "car loans, a shift to come": lambda: _car_loans(shifting=True),
    "kamyr digester": lambda: _undated("kamyr digester", sets.kamyr(), trees),
    "flotation cell": lambda: _undated("flotation cell", sets.flotation(), linear),
}


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
