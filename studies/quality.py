"""How good rowcast's default model is beside plain baselines: one protocol, the same rows for all.

Each data set is cut into a first part and five periods after it (random parts where rows have no order). Whatever is
trained for a period is trained on all rows before it; rowcast is `build` with its defaults, validation inside included.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from rowcast import config
from rowcast.contract import ColumnRule, Contract
from rowcast.fit import TrainingData, fit_challenger
from rowcast.fit.selection import select_candidate
from rowcast.gate import auc
from rowcast.models.artifact import Model
from rowcast.models.decision import Costs, decision_costs
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target
from rowcast.report import table
from studies import sets
from studies.sets import Dataset

Floats = npt.NDArray[np.float64]
Said = tuple[Floats, npt.NDArray[Any]]  # scores that rank, and decisions
PERIODS, FIRST = 5, 0.35


@dataclass(frozen=True)
class Task:
    """A data set and the figure that counts on it."""

    name: str
    load: Callable[[], Dataset]
    figure: str  # auc, cost, accuracy or mae
    shuffled: bool = False
    starts: tuple[float, ...] = tuple(np.linspace(FIRST, 1, PERIODS + 1)[:-1])

    @property
    def higher_is_better(self) -> bool:
        return self.figure in ("auc", "accuracy")


TASKS = (
    Task("SECOM", sets.secom, "auc"),
    Task("AI4I, in random order", sets.ai4i, "auc", shuffled=True),
    Task("APS, cost 500 and 10", sets.aps, "cost", shuffled=True),
    Task("elec2", sets.elec2, "accuracy"),
    Task("car loans, the later half", sets.car_loans, "auc", starts=(0.5, 0.6, 0.7, 0.8, 0.9)),
    Task("kamyr, mean absolute error", sets.kamyr, "mae"),
)


def study() -> None:
    """Print a table for each data set."""
    warnings.simplefilter("ignore")
    for task in TASKS:
        print(f"\n{task.name}: {task.figure}, mean of {PERIODS} later periods with its 95 % interval\n")
        print(table(_rows(task), ["model", task.figure, "95 %", "rowcast is better by", "95 % ", "verdict"]))


def _rows(task: Task) -> list[dict[str, Any]]:
    data = task.load()
    if task.shuffled:
        data = data.take(np.random.default_rng(0).permutation(len(data.target)))
        data = Dataset(data.matrix, data.target, np.arange(len(data.target)), data.task)
    return compare(task, data, models(task), "rowcast")


def compare(
    task: Task, data: Dataset, tried: Mapping[str, Callable[[Dataset, Dataset], Said]], ours_is: str
) -> list[dict[str, Any]]:
    """Return a row for each model on the later periods, and by how much `ours_is` is better than it."""
    found: dict[str, list[float]] = {}
    for before, after in _periods(task, data):
        for name, model in tried.items():
            found.setdefault(name, []).append(_figure(task, data.task, after, model(before, after)))
    ours, sign = np.array(found[ours_is]), 1 if task.higher_is_better else -1
    rows = []
    for name, figures in found.items():
        mean, reach = _interval(np.array(figures))
        row = {"model": name, task.figure: f"{mean:.4g}", "95 %": f"{mean - reach:.4g} to {mean + reach:.4g}"}
        if name != ours_is:
            gain, off = _interval(sign * (ours - np.array(figures)))
            word = "better" if gain - off > 0 else "worse" if gain + off < 0 else "cannot be told"
            row |= {
                f"{ours_is} is better by": f"{gain:.3g}",
                "95 % ": f"{gain - off:.3g} to {gain + off:.3g}",
                "verdict": word,
            }
        rows.append(row)
    return rows


def _interval(values: Floats) -> tuple[float, float]:
    """Mean and half the width of Student's interval: periods are few, and differ."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)) * t.ppf(0.975, len(values) - 1))


def _periods(task: Task, data: Dataset) -> Iterator[tuple[Dataset, Dataset]]:
    bounds = [int(start * len(data.target)) for start in task.starts] + [len(data.target)]
    for start, end in pairwise(bounds):
        yield data.take(slice(start)), data.take(slice(start, end))


def models(task: Task) -> dict[str, Callable[[Dataset, Dataset], Said]]:
    from sklearn.ensemble import HistGradientBoostingClassifier as Histogram
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    found: dict[str, Callable[[Dataset, Dataset], Said]] = {"rowcast": rowcast}
    if task.figure == "mae":
        kinds: dict[str, Any] = {
            "ridge": Ridge,
            "random forest": lambda: RandomForestRegressor(300, random_state=0, n_jobs=2),
            "LightGBM": _plain_lightgbm("LGBMRegressor"),
            "HistGradientBoosting": lambda: HistGradientBoostingRegressor(random_state=0),
        }
        found["the median"] = lambda before, after: _constant(np.median(before.target.values), after)
        found["the last value"] = lambda before, after: _shifted(before.target, after.target)
    else:
        kinds = {
            "logistic regression": lambda: LogisticRegression(max_iter=1000),
            "random forest": lambda: RandomForestClassifier(300, random_state=0, n_jobs=2),
            "LightGBM": _plain_lightgbm("LGBMClassifier"),
            "HistGradientBoosting": lambda: Histogram(random_state=0),
        }
        if task.figure == "accuracy":
            found["the label before"] = lambda before, after: _shifted(before.target, after.target)
    for name, make in kinds.items():
        found[name] = _baseline(make)
    return found


def _plain_lightgbm(name: str) -> Callable[[], Any]:
    import lightgbm

    return lambda: getattr(lightgbm, name)(verbosity=-1, random_state=0, n_jobs=2)


def _constant(value: float, after: Dataset) -> Said:
    said = np.full(len(after.target), value)
    return said, said


def _shifted(before: Target, after: Target) -> Said:
    said = np.concatenate([before.values[-1:], after.values[:-1]])
    return said.astype(np.float64), said


def _baseline(make: Callable[[], Any]) -> Callable[[Dataset, Dataset], Said]:
    """Median imputation, codes of categories one-hot, numbers scaled; the threshold where the costs alone put it."""

    def model(before: Dataset, after: Dataset) -> Said:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        of = before.matrix
        numbers = [place for place in range(len(of.names)) if place not in of.categorical]
        filled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        parts = [
            ("n", filled, numbers),
            ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), of.categorical),
        ]
        pipeline = make_pipeline(ColumnTransformer(parts), make())
        pipeline.fit(of.values, before.target.values)
        if before.target.kind == "regression":
            said = pipeline.predict(after.matrix.values)
            return said, said
        probability = pipeline.predict_proba(after.matrix.values)[:, 1]
        task = before.task
        return probability, probability >= task.cost_false_alarm / (task.cost_false_alarm + task.cost_missed)

    return model


def rowcast(before: Dataset, after: Dataset) -> Said:
    model = built(before)
    scored = model.score(after.matrix, 2)
    return scored.score, scored.score if scored.place is None else scored.place > 0


def built(before: Dataset) -> Model:
    """What `build` makes of these rows with its defaults."""
    return fit_challenger(training(before), contract(before.matrix), config.Model(), before.task).model


def training(data: Dataset) -> TrainingData:
    return TrainingData(data.matrix, data.target, data.time, data.time)


def contract(matrix: Matrix) -> Contract:
    rules = [
        ColumnRule(name, "category", categories=matrix.categories[name])
        if name in matrix.categories
        else ColumnRule(name, "number")
        for name in matrix.names
    ]
    return Contract(tuple(rules))


def _figure(task: Task, costs: config.Task, after: Dataset, said: Said) -> float:
    scores, decided = said
    truth = after.target.values
    if task.figure == "auc":
        found = auc(truth, scores)
        assert found is not None
        return found
    if task.figure == "accuracy":
        return float((truth == decided).mean())
    if task.figure == "mae":
        return float(np.abs(truth - decided).mean())
    return float(decision_costs(truth.astype(int), decided.astype(int), Costs.of(costs)).mean())


# Columns


def columns(times: int = 10) -> None:
    """Which share of the columns that matter is kept, and which share of the kept ones matters; a twin counts."""
    from rowcast.fit.feature_selection import select_features

    found: dict[str, list[list[float]]] = {}
    for seed in range(1, times + 1):
        data = sets.fab(2_000, 590, seed)
        truth = sets.truth(2_000, 590, seed)
        for most in (20, 30, 60):
            kept = select_features(data.matrix, data.target, most, seed).kept
            right = [name for name in kept if name in truth.matters or truth.twins.get(name) in truth.matters]
            stand = {truth.twins.get(name, name) for name in kept} | set(kept)
            recall = len(stand & set(truth.matters)) / len(truth.matters)
            found.setdefault(f"{most}", []).append([len(kept), len(right) / len(kept), recall])
    rows = []
    for width, values in found.items():
        count, share, recalled = (_interval(np.array(each)) for each in zip(*values, strict=True))
        shown = {"max_features": width, "kept": f"{count[0]:.1f}", "precision": f"{share[0]:.0%}"}
        shown |= {"95 %": _reaching(share), "recall": f"{recalled[0]:.0%}", "95 % ": _reaching(recalled)}
        rows.append(shown)
    print(
        f"\nColumns: 590 sensors x 2,000 wafers, of which {len(truth.matters)} columns matter; {times} simulated fabs\n"
    )
    print(table(rows, list(rows[0])))


def _reaching(of: tuple[float, float]) -> str:
    return f"{of[0] - of[1]:.0%} to {of[0] + of[1]:.0%}"


# Speed


def speed() -> None:
    """A whole build as a multiple of one plain LightGBM fit on the same matrix, two threads for both."""
    rows = []
    for name, data in (("SECOM", sets.secom()), ("simulated fab", _large())):
        plain = _timed(lambda data=data: _fit_plain(data))  # type: ignore[misc]
        whole = _timed(lambda data=data: built(data))  # type: ignore[misc]
        size = f"{len(data.target):,} x {len(data.matrix.names)}"
        rows.append(
            {"rows": name, "size": size, "LightGBM s": plain, "build s": whole, "multiple": f"{whole / plain:.1f}"}
        )
    print("\nSpeed: a whole build, its five folds included, beside one LightGBM fit of 100 trees on all columns\n")
    print(table(rows, list(rows[0])))


@cache
def _large() -> Dataset:
    return sets.fab(100_000, 587, drift=True)


def _fit_plain(data: Dataset) -> None:
    import lightgbm

    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 2}
    lightgbm.train(parameters, lightgbm.Dataset(data.matrix.values, data.target.values.astype(np.float32)), 100)


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return round(time.perf_counter() - begun, 2)


# Leaks


def leaks(times: int = 200) -> None:
    """Labels shuffled: whatever is found is not there."""
    from multiprocessing import Pool

    with Pool(2) as pool:
        found = np.array(pool.map(_shuffled, range(times), chunksize=5))
    error = found.std(ddof=1) / np.sqrt(times)
    print(f"\nLeaks: SECOM's last 600 wafers and first 120 sensors, labels shuffled {times} times\n")
    columns = {
        "out-of-fold AUC, mean": found.mean(),
        "from": found.mean() - 1.96 * error,
        "to": found.mean() + 1.96 * error,
    }
    row = {name: f"{value:.4f}" for name, value in columns.items()} | {"sd": f"{found.std(ddof=1):.3f}"}
    print(table([row], list(row)))


def _shuffled(seed: int) -> float:
    from rowcast.fit.candidates import default_candidates
    from rowcast.fit.fold_fits import predict_out_of_fold

    data = sets.secom().take(slice(-600, None))
    few = Dataset(data.matrix.select(data.matrix.names[:120]), data.target, data.time)
    order = np.random.default_rng(seed).permutation(600)
    few = Dataset(few.matrix, few.target.take(order), few.time)
    scores, _ = predict_out_of_fold(
        training(few), default_candidates("binary", seed), config.Model(), seed, lambda: 0.0
    )
    name = select_candidate(scores).name
    every = [
        auc(scores.target.values[scores.fold == f], scores.raw[name][scores.fold == f]) for f in np.unique(scores.fold)
    ]
    return float(np.mean([each for each in every if each is not None]))  # a fold may lack a class
