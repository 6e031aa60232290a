"""Whether what a build says of later rows comes true: intervals of figures, conformal sets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import Pool
from typing import Any

import numpy as np

from rowcast import config
from rowcast.config import Task
from rowcast.fit import TrainingData
from rowcast.fit import fit_challenger as build_model
from rowcast.fit.cross_fitting import LabelledPredictions, cross_fit
from rowcast.fit.evaluation import Evaluation, evaluate
from rowcast.fit.quality import auc, measure_quality
from rowcast.fit.selection import Selection
from rowcast.models import calibration
from rowcast.models.conformal import Bands, Sets
from rowcast.models.decision import Costs, cheapest_class
from rowcast.models.target import Target
from rowcast.report import table
from studies import lines, sets
from studies.histories import REAL, SIMULATED, Build, Floats, Simulated, build
from studies.quality import contract
from studies.sets import DATA

CONFIDENCE = 0.9
TIMES = 200  # that each simulation is built
SHUFFLES = 20
STARTS = np.linspace(0.4, 0.75, 8)  # of the rows, that a build on real rows is on
FIGURES = {
    "binary": ("auc", "cost_per_row", "average_precision", "recall", "precision"),
    "multiclass": ("auc", "cost_per_row", "accuracy"),
    "regression": ("mae", "rmse", "r2", "spearman"),
}
ELEC2 = 27_187  # rows
MARKET = 17_760  # of them come before the neighbouring market's prices do
ELEC2_STARTS = np.linspace(0.25, 0.95, 15)


@dataclass(frozen=True)
class Said:
    """A figure's interval, and the figure of the later rows."""

    low: float
    high: float
    came: float
    luck: tuple[float, float] | None  # the interval by the luck of the judged rows alone

    @property
    def held(self) -> bool:
        return self.low <= self.came <= self.high

    @property
    def held_by_luck(self) -> bool:
        assert self.luck is not None
        return self.luck[0] <= self.came <= self.luck[1]


@dataclass(frozen=True)
class Held:
    """What one build said, and what came."""

    name: str
    kind: str
    rows: int  # later ones
    figures: dict[str, Said]
    covered: dict[Any, dict[str, tuple[int, int, int]]]  # class -> way -> rows, covered, uncertain
    recorded: dict[Any, bool]  # class -> whether its coverage lay where the record said


def study() -> None:
    """Print the tables of docs/models-method.md."""
    if not DATA.exists():
        print(f"(no data in {DATA}: simulations only)\n")
    work: list[Callable[[], list[Held]]] = [partial(_simulated, each) for each in SIMULATED]
    if DATA.exists():
        work += [partial(_shuffled, name) for name in ("SECOM", "AI4I")]
        work += [partial(_real, name) for name in REAL if name != "elec2"]
    with Pool(2) as pool:
        started = [pool.apply_async(each) for each in work]
        line = [pool.apply_async(lines.study, (positives,)) for positives in (30, 100, 300)]
        elec2 = pool.map(_elec2, ELEC2_STARTS if DATA.exists() else [], chunksize=1)
        found = [*(held for each in started for held in each.get()), *elec2]
        _print_intervals(found)
        _print_sure(found)
        if elec2:
            _print_elec2(list(zip(ELEC2_STARTS, elec2, strict=True)))
        print("\nThreshold: cost on later rows, percent over the best there is\n")
        rows = [row for each in line for row in each.get()]
        print(table(rows, list(rows[0])))


def builds() -> None:
    """The same of whole builds."""
    if not DATA.exists():
        print(f"(no data in {DATA})")
        return
    with Pool(2) as pool:
        rows = [row for found in pool.map(_own, OWN, chunksize=1) for row in found]
    print("\nWhole builds, candidates and all, beside what came\n")
    print(table(rows, list(rows[0])))


def _simulated(each: Simulated) -> list[Held]:
    return [_held(one) for one in each.builds(TIMES)]


def _shuffled(name: str) -> list[Held]:
    history = REAL[name]()
    rows = int(0.6 * len(history.block))
    return [_held(build(history.shuffled(seed), rows)) for seed in range(SHUFFLES)]


def _real(name: str) -> list[Held]:
    history = REAL[name]()
    return [_held(build(history, int(start * len(history.block)))) for start in STARTS]


def _elec2(start: float) -> Held:
    """A build before or after the market changed; later rows are few where it is late."""
    history = REAL["elec2"]()
    rows = int(start * len(history.block))
    held = _held(build(history, rows))
    return replace(held, name=f"elec2, {'a change to come' if rows < MARKET else 'a change among the folds'}")


def _first(_scores: Any) -> Selection:
    return Selection("m", "given")


def _held(one: Build) -> Held:
    judged = evaluate(one.scores, _first, one.task, CONFIDENCE)
    of = cross_fit(one.scores, _first, one.task, calibration.fit)
    came = _came(one, judged)
    said, alone = judged.record, _by_luck_alone(of, one.task)
    found = {}
    for name in FIGURES[one.later.kind]:
        low, high, value = said[f"{name}_low"], said[f"{name}_high"], came[name]
        if value is None or low is None:
            continue
        found[name] = Said(low, high, value, alone.get(name))
    covered, recorded = _covered(one, judged)
    return Held(one.name, one.later.kind, len(one.later), found, covered, recorded)


def _came(one: Build, judged: Evaluation) -> dict[str, Any]:
    """The figures of the later rows: those of a single fold, whatever it is that they are compared with."""
    probability = judged.calibration(one.raw)
    predicted: Any = probability
    if one.later.kind == "binary":
        assert judged.threshold is not None
        predicted = probability >= judged.threshold
    elif one.later.kind == "multiclass":
        predicted = cheapest_class(probability, Costs.of(one.task))
    rows = len(one.later)
    blind = np.zeros(rows if one.later.kind == "regression" else 0)
    # Three folds alike: a single one would be cut into parts.
    thrice = LabelledPredictions(
        Target(one.later.kind, np.tile(one.later.values, 3), one.later.classes),
        np.repeat(np.arange(3), rows),
        np.arange(3 * rows),
        np.concatenate([one.raw] * 3),
        np.concatenate([probability] * 3),
        np.concatenate([predicted] * 3),
        np.tile(blind, 3),
    )
    return measure_quality(thrice, one.task)


def _by_luck_alone(of: LabelledPredictions, task: Task) -> dict[str, tuple[float, float]]:
    """What is usually printed: all rows taken as independent, and later ones as no different."""
    if of.target.kind == "regression":
        return {"mae": _mean(np.abs(of.target.values - of.predicted))}
    truth, predicted = of.target.values.astype(np.int64), of.predicted.astype(np.int64)
    missed, alarm = (truth > 0) & (predicted == 0), (truth != predicted) & (predicted > 0)
    found = {"cost_per_row": _mean(missed * task.cost_missed + alarm * task.cost_false_alarm)}
    if of.target.kind == "multiclass":
        return found | {"accuracy": _mean(truth == predicted)}
    return found | {
        "auc": _delong(of.raw, of.target.values),
        "recall": _mean(predicted[truth == 1]),
        "precision": _mean(truth[predicted == 1]),
    }


def _mean(values: Any) -> tuple[float, float]:
    if len(values) == 0:
        return 0.0, 1.0
    reach = 1.96 * float(np.std(values)) / np.sqrt(len(values))
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def _delong(raw: Floats, outcome: Any) -> tuple[float, float]:
    """DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44(3), by the ranks of Sun and Xu 2014."""
    from scipy.stats import rankdata

    positive, negative = raw[outcome], raw[~outcome]
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[: len(positive)] - rankdata(positive)) / len(negative)
    below = 1 - (ranks[len(positive) :] - rankdata(negative)) / len(positive)
    reach = 1.96 * np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    return float(above.mean() - reach), float(above.mean() + reach)


# Whole builds

OWN = {"SECOM": sets.secom, "APS": sets.aps, "elec2": sets.elec2}
OWN_STARTS = (0.5, 0.6, 0.7, 0.8)


def _own(name: str) -> list[dict[str, Any]]:
    """What `rowcast.build` says of as many later rows as it judged, or of all that are left."""
    data, found = OWN[name](), []
    for start in OWN_STARTS:
        rows = int(start * len(data.target))
        known = data.take(slice(rows))
        block = known.time // 86_400 if name != "APS" else np.arange(rows)
        training = TrainingData(known.matrix, known.target, known.time, known.time, block=block)
        built = build_model(training, contract(known.matrix), config.Model(), data.task)
        said = built.metrics
        later = data.take(slice(rows, rows + said["rows_out_of_fold"]))
        scored, outcome = built.model.score(later.matrix), later.target.values
        cost = np.where(outcome, data.task.cost_missed * ~scored.flagged, data.task.cost_false_alarm * scored.flagged)
        came = {"auc": auc(scored.probability, outcome), "cost_per_row": float(cost.mean())}
        row: dict[str, Any] = {"rows": name, "built on": rows, "later rows": len(outcome), "pos.": int(outcome.sum())}
        for figure, value in came.items():
            row[f"{_SHORT[figure]} said"] = f"{said[f'{figure}_low']:.2f} to {said[f'{figure}_high']:.2f}"
            row[f"{_SHORT[figure]} came"] = f"{value:.2f}"
        conformal = built.model.conformal
        assert isinstance(conformal, Sets)
        inside, uncertain = conformal.sets(scored.probability), conformal.uncertain(scored.probability)
        for place, label in enumerate(("neg.", "pos.")):
            of = outcome == bool(place)
            row[f"{label} covered"] = f"{inside[of, place].mean():.0%}"
        found.append(row | {"uncertain": f"{uncertain.mean():.0%}"})
    return found


# How sure

WAYS = ("plain", "recent", "last two", "kept")


def _covered(one: Build, judged: Evaluation) -> tuple[dict[Any, dict[str, tuple[int, int, int]]], dict[Any, bool]]:
    probability = judged.calibration(one.raw)
    counted: dict[Any, dict[str, tuple[int, int, int]]] = {}
    for way in WAYS:
        conformal = judged.conformal if way == "kept" else _plainer(one, judged, way)
        uncertain = conformal.uncertain(probability)
        if isinstance(conformal, Sets):
            inside = np.take_along_axis(
                conformal.sets(probability), one.later.values.astype(np.int64)[:, None], axis=1
            )[:, 0]
            of = {label: one.later.values == place for place, label in enumerate(one.later.classes)}
        else:
            low, high = conformal.interval(probability)
            inside = (low <= one.later.values) & (one.later.values <= high)
            of = {"all": np.ones(len(inside), dtype=bool)}
        for label, rows in of.items():
            found = (int(rows.sum()), int(inside[rows].sum()), int(uncertain[rows].sum()))
            counted.setdefault(label, {})[way] = found
    recorded = {}
    for row in judged.record["coverage"]:
        if row["of"] in counted and row["low"] is not None and counted[row["of"]]["kept"][0]:
            rows, inside_, _ = counted[row["of"]]["kept"]
            recorded[row["of"]] = bool(row["low"] <= inside_ / rows <= row["high"])
    return counted, recorded


def _plainer(one: Build, judged: Evaluation, way: str) -> Sets | Bands:
    """Split conformal without any look at later folds: of all rows, the recent ones weighing more, or the last folds.

    Weights after Barber, Candes, Ramdas and Tibshirani 2023, Annals of Statistics 51(2).
    """
    target, fold = one.scores.target, one.scores.fold
    age = fold.max() - fold
    weight = {"plain": np.ones(len(age)), "recent": 0.6**age, "last two": (age < 2).astype(np.float64)}[way]
    probability = judged.calibration(one.scores.raw["m"])
    if target.kind == "regression":
        off = np.abs(target.values - probability)
        blind = _lowest(-np.abs(target.values - np.median(target.values)), np.ones(len(off)))
        return Bands((), (-_lowest(-off, weight),), -blind)
    each = np.stack([1 - probability, probability], axis=1) if target.kind == "binary" else probability
    least = [
        _lowest(each[target.values == place, place], weight[target.values == place])
        for place in range(len(target.classes))
    ]
    return Sets(tuple(max(0.0, one) for one in least))


def _lowest(score: Floats, weight: Floats) -> float:
    """What the score of one more row, of the largest weight, reaches with the promised probability."""
    score, weight = score[weight > 0], weight[weight > 0]
    if not len(score):
        return -np.inf
    order = np.argsort(score)
    reached = np.cumsum(weight[order])
    place = np.searchsorted(reached, (1 - CONFIDENCE) * (reached[-1] + weight.max()) + 1e-9, side="right")
    return float(score[order][place - 1]) if place else -np.inf


# Tables


def _by_name(found: list[Held]) -> Iterator[tuple[str, list[Held]]]:
    for name in dict.fromkeys(held.name for held in found):
        yield name, [held for held in found if held.name == name]


def _print_intervals(found: list[Held]) -> None:
    for kind, names in FIGURES.items():
        rows = []
        for name, held in _by_name([each for each in found if each.kind == kind]):
            row: dict[str, Any] = {"rows": name, "builds": len(held)}
            for figure in names:
                said = [each.figures[figure] for each in held if figure in each.figures]
                row[_SHORT[figure]] = f"{np.mean([each.held for each in said]):.0%}"
                if said[0].luck is not None:
                    row["luck" + " " * sum(key.startswith("luck") for key in row)] = (
                        f"{np.mean([each.held_by_luck for each in said]):.0%}"
                    )
                if figure in ("auc", "mae"):
                    row["width"] = f"{np.mean([each.high - each.low for each in said]):.3f}"
                    if said[0].luck is not None:
                        row["of luck"] = f"{np.mean([each.luck[1] - each.luck[0] for each in said if each.luck]):.3f}"
            rows.append(row)
        print(f"Intervals, {kind}: share that held the figure of the later rows\n")
        print(table(rows, list(rows[0])) + "\n")


_SHORT = {name: name for names in FIGURES.values() for name in names} | {
    "cost_per_row": "cost",
    "average_precision": "av. prec.",
}


def _print_elec2(found: list[tuple[float, Held]]) -> None:
    rows = []
    for start, held in found:
        said, (up, covered, uncertain) = held.figures, held.covered["1"]["kept"]
        rows.append(
            {
                "built on": int(start * ELEC2),
                "later rows": held.rows,
                **{
                    f"{name} {word}": text
                    for name, figure in (("auc", said["auc"]), ("cost", said["cost_per_row"]))
                    for word, text in (
                        ("said", f"{figure.low:.2f} to {figure.high:.2f}"),
                        ("came", f"{figure.came:.2f}"),
                    )
                },
                "up covered": f"{covered / up:.0%}",
                "plain": f"{held.covered['1']['plain'][1] / up:.0%}",
                "uncertain": f"{uncertain / up:.0%}",
            }
        )
    print(f"\nelec2, build by build: the market changes at row {MARKET:,}\n")
    print(table(rows, list(rows[0])))


def _print_sure(found: list[Held]) -> None:
    rows = []
    for name, held in _by_name(found):
        for label in held[0].covered:
            row: dict[str, Any] = {"rows": name, "class": label}
            total = {way: np.sum([each.covered[label][way] for each in held], axis=0) for way in WAYS}
            if not total["kept"][0]:
                continue
            row["later rows"] = int(total["kept"][0])
            row |= {way: f"{total[way][1] / total[way][0]:.1%}" for way in WAYS}
            row |= {f"unc. {way}": f"{total[way][2] / total[way][0]:.0%}" for way in ("plain", "kept")}
            said = [each.recorded[label] for each in held if label in each.recorded]
            row["record held"] = f"{np.mean(said):.0%}" if said else "-"
            rows.append(row)
    print(f"\nHow sure: share of later rows whose truth was in the set or interval, {CONFIDENCE:.0%} promised\n")
    print(table(rows, list(rows[0])))
