"""What retraining earns, month by month, on real rows: the gate's rules beside always, never and a plain refit.

*always* takes each build, unasked and without the check of labels; *refit* is LightGBM with its defaults on all known
rows, cut where the costs say.

Every 28 days a model is built on what is known by then, labels late as they come; what serves is charged for all rows
until the next. Faults are put into what training sees of one month, and never into the rows that are charged.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from rowcast import config, gate
from rowcast.fit import FitResult, TrainingData, fit_challenger
from rowcast.models.decision import Costs, decision_costs
from rowcast.models.matrix import Matrix
from rowcast.store.records import DecisionOutcome, DecisionRecord
from studies import sets
from studies.quality import contract
from studies.sets import Dataset

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
DAY = 86_400
EVERY, FIRST, FAULTY = 28 * DAY, 0.3, 30 * DAY
POLICIES = ("fresh", "better", "proven", "always", "never", "refit")
_FAULTED = ("fresh", "always", "refit")
_YEAR = 365 * DAY


@dataclass(frozen=True)
class Case:
    """A table that is operated."""

    name: str
    load: Callable[[], Dataset]  # its time in seconds, or the row's place: then the rows are spread over a year
    late: int  # seconds that labels take
    is_shuffled: bool = False

    def rows(self) -> Dataset:
        """Return the rows in time order, in an order that knows no time where shuffled."""
        data = self.load()
        if len(data.time) and data.time[-1] == len(data.time) - 1:
            data = replace(data, time=data.time * _YEAR // len(data.time))
        if not self.is_shuffled:
            return data
        order = np.random.default_rng(0).permutation(len(data.time))
        return replace(data, matrix=data.matrix.take(order), target=data.target.take(order))


def _moved(name: str, load: Callable[[], Dataset], days: int) -> list[Case]:
    return [Case(name, load, days * DAY), Case(f"{name}, shuffled", load, days * DAY, is_shuffled=True)]


DATED = (
    *_moved("elec2", sets.elec2, 1),
    *_moved("flights", sets.flights, 1),
    *_moved("housing", sets.housing, 7),
)
CASES = (
    *DATED,
    Case("SECOM", sets.secom, DAY),
    Case("APS", sets.aps, DAY, is_shuffled=True),
    Case("AI4I", sets.ai4i, DAY, is_shuffled=True),
)


# Faults


Seen = tuple[Dataset, npt.NDArray[np.bool_]]  # what training sees, and of which rows it sees anything


def _shuffle_labels(data: Dataset, month: Places) -> Seen:
    values = data.target.values.copy()
    values[month] = np.random.default_rng(1).permutation(values[month])
    return replace(data, target=replace(data.target, values=values)), _all(data)


def _shift_labels(data: Dataset, month: Places) -> Seen:
    values = data.target.values.copy()
    values[month] = data.target.values[month - 1]
    return replace(data, target=replace(data.target, values=values)), _all(data)


def _leak(data: Dataset, month: Places) -> Seen:
    """A column that is written after the outcome: the first of numbers."""
    values, place = data.matrix.values.copy(), _number(data.matrix)
    low, high = np.nanquantile(values[:, place], (0.25, 0.75))
    values[month, place] = np.where(data.target.values[month], high, low)
    return replace(data, matrix=replace(data.matrix, values=values)), _all(data)


def _change_unit(data: Dataset, month: Places) -> Seen:
    values, place = data.matrix.values.copy(), _number(data.matrix)
    values[month, place] *= 1000
    return replace(data, matrix=replace(data.matrix, values=values)), _all(data)


def _lose_half(data: Dataset, month: Places) -> Seen:
    there = _all(data)
    there[month[::2]] = False
    return data, there


def _all(data: Dataset) -> npt.NDArray[np.bool_]:
    return np.ones(len(data.time), dtype=bool)


def _number(matrix: Matrix) -> int:
    """The first column of numbers with more than two values."""
    numbers = (place for place, name in enumerate(matrix.names) if name not in matrix.categories)
    return next(place for place in numbers if len(np.unique(matrix.values[:500, place])) > 10)


FAULTS: dict[str, Callable[[Dataset, Places], Seen]] = {
    "labels shuffled": _shuffle_labels,
    "labels of the row before": _shift_labels,
    "a column that knows the outcome": _leak,
    "a unit changed": _change_unit,
    "half of the rows lost": _lose_half,
}


# Policies


@dataclass
class Service:
    """What serves, and what was decided so far."""

    flag: Callable[[Matrix], npt.NDArray[np.bool_]]
    rows: int
    until: int  # the newest row that it learned from
    made: list[DecisionRecord]


@dataclass(frozen=True)
class Moment:
    """What is known at one moment: m rows in time order."""

    at: int
    data: Dataset
    known: Places  # (m,), when each label came
    newest: Matrix | None = None  # rows whose labels have not come yet, as they will be charged


def operate(case: Case, policy: str, fault: str | None = None) -> tuple[Floats, npt.NDArray[np.int64], int]:
    """Return what each charged row costs, its day, and how many models served."""
    warnings.simplefilter("ignore")
    data, serving, spent, models = case.rows(), None, [], 0
    begin, end = int(data.time[int(FIRST * len(data.time))]), int(data.time[-1])
    middle = (begin + end) // 2
    seen, there = data, _all(data)
    if fault:
        seen, there = FAULTS[fault](data, np.flatnonzero((data.time >= middle) & (data.time < middle + FAULTY)))
    for at in range(begin, end, EVERY):
        rows = np.flatnonzero((data.time + case.late <= at) & there)
        waiting = np.flatnonzero((data.time <= at) & (data.time + case.late > at))
        moment = Moment(at, seen.take(rows), data.time[rows] + case.late, data.matrix.take(waiting))
        if serving is None or policy != "never":
            newer = _retrain(moment, serving, policy)
            models += newer is not serving
            serving = newer
        later = np.flatnonzero((data.time > at) & (data.time <= at + EVERY))
        if len(later) and serving is not None:
            spent.append((later, _charge(data.take(later), serving.flag(data.matrix.take(later)))))
    place = np.concatenate([rows for rows, _ in spent])
    return np.concatenate([cost for _, cost in spent]), data.time[place] // DAY, models


def _charge(data: Dataset, flagged: npt.NDArray[np.bool_]) -> Floats:
    return decision_costs(data.target.values.astype(int), flagged.astype(int), Costs.of(data.task))


def _retrain(moment: Moment, serving: Service | None, policy: str) -> Service:
    if policy == "refit":
        return _refit(moment)
    if serving is None or policy == "always":
        first = _record(moment, None, DecisionOutcome.PROMOTED, {})
        return _serve(moment, _build_unchecked(moment) if policy == "always" else build_known(moment), [first])
    fresh = np.flatnonzero(moment.data.time > serving.until)
    if len(fresh) < 2:
        return serving
    border = int(np.searchsorted(moment.data.time, moment.data.time[fresh[len(fresh) // 2]]))
    return (_prove if policy == "proven" else _weigh)(moment, serving, border, policy)


def _weigh(moment: Moment, serving: Service, border: int, policy: str) -> Service:
    """The rules "fresh" and "better"."""
    data, settings = moment.data, config.Gate()
    built = _build(moment, border)
    rows = np.empty(0, np.int64) if built.forward is None else built.forward.rows
    said = np.empty(0, dtype=bool) if built.forward is None else built.forward.predicted.astype(bool)
    new = data.time > serving.until
    before, learned = np.arange(len(new)) < border, serving.rows
    judged, served = (max(1.0, int(used.sum()) / learned) for used in (before, before | new))
    prior = gate.make_prior(gate.learn_curve(serving.made), gate.Growth(judged, served))
    now = _moment(moment.at)
    allowed = gate.find_harm_allowance(settings.yearly_error, now, serving.made) if policy == "fresh" else None
    costs = _pair(data.take(rows), serving, said)
    found = gate.decide_by_expectation(costs, prior, allowed, max_harm=settings.max_harm)
    if (
        found.promote
        and moment.newest is not None
        and (held := _find_jump(data.take(rows), moment.newest, serving, built))
    ):
        found = gate.hold_back(found, held)
    return _settle(moment, serving, built, found)


def _find_jump(judged: Dataset, newest: Matrix, serving: Service, built: FitResult) -> gate.HeldBack | None:
    """Whether the newer model flags another share of the newest rows than of the judged ones, as its recipe does."""
    if built.forward is None:
        return None
    model, said = built.model, built.forward.predicted.astype(bool)
    later, own = (model.score(matrix.select(model.features)).flagged for matrix in (newest, judged.matrix))
    champion, newest_shares = serving.flag(judged.matrix), _share(serving.flag(newest), later)
    found = [gate.find_jump(newest_shares, _share(champion, each)) for each in (said, own)]
    return found[0] if all(found) else None


def _share(champion: npt.NDArray[np.bool_], challenger: npt.NDArray[np.bool_]) -> gate.Flagged:
    if not len(champion):
        return gate.Flagged(0, 0.0, 0.0, 0.0)
    differing = float((champion != challenger).mean())
    return gate.Flagged(len(champion), float(champion.mean()), float(challenger.mean()), differing)


def _prove(moment: Moment, serving: Service, border: int, _: str) -> Service:
    """The rule "proven": what came after the border judges, and trains nobody."""
    data, settings = moment.data, config.Gate()
    trains = np.flatnonzero(moment.known[:border] <= data.time[border])
    learned = replace(moment, data=data.take(trains), known=moment.known[trains])
    built = build_known(learned)
    later = data.take(slice(border, None))
    said = built.model.score(later.matrix.select(built.model.features)).flagged
    allowed = gate.allowance(settings.yearly_error, _moment(moment.at), serving.made)
    found = gate.decide(_pair(later, serving, said), gate.Rule(), allowed)
    return _settle(learned, serving, built, found)


def _pair(data: Dataset, serving: Service, said: npt.NDArray[np.bool_]) -> gate.PairedCosts:
    champion, challenger = (_charge(data, each) for each in (serving.flag(data.matrix), said))
    worst = max(data.task.cost_missed, data.task.cost_false_alarm)
    return gate.PairedCosts(champion, challenger, data.target.values.astype(bool), worst, data.time // DAY)


def _settle(moment: Moment, serving: Service, built: FitResult, found: gate.Decision) -> Service:
    made = [*serving.made, _record(moment, serving, found.outcome, found.evidence.to_dict())]
    return _serve(moment, built, made) if found.promote else replace(serving, made=made)


def _record(
    moment: Moment, before: Service | None, outcome: DecisionOutcome, evidence: dict[str, Any]
) -> DecisionRecord:
    return DecisionRecord(
        promotion_id=0,
        job="",
        version=0,
        previous=None if before is None else before.until,  # one number for each champion
        decided_at=_moment(moment.at),
        decided_by="gate",
        outcome=outcome,
        reason="",
        evidence=evidence,
    )


def _serve(moment: Moment, built: FitResult, made: list[DecisionRecord]) -> Service:
    model = built.model

    def flag(matrix: Matrix) -> npt.NDArray[np.bool_]:
        return np.asarray(model.score(matrix.select(model.features)).flagged)

    return Service(flag, len(moment.data.time), int(moment.data.time[-1]), made)


def _build_unchecked(moment: Moment) -> FitResult:
    """Learn from all rows, whatever they say."""
    found = [
        mock.patch(f"rowcast.fit.{name}", return_value=()) for name in ("find_suspect_periods", "find_changed_scales")
    ]
    with found[0], found[1]:
        return build_known(moment)


def build_known(moment: Moment) -> FitResult:
    """Return a first model of what is known at a moment."""
    return _build(moment, None)


def _build(moment: Moment, border: int | None) -> FitResult:
    data, time, arrived = moment.data, moment.data.time * 1_000_000, moment.known * 1_000_000
    of_day = data.time // DAY
    training = TrainingData(data.matrix, data.target, time, arrived, None, of_day, True, border, moment.newest)
    return fit_challenger(training, contract(data.matrix), config.Model(), data.task)


def _refit(moment: Moment) -> Service:
    """LightGBM's defaults on all known rows, cut where the costs say."""
    import lightgbm

    data, task = moment.data, moment.data.task
    model = lightgbm.LGBMClassifier(verbosity=-1, n_jobs=1)
    model.fit(data.matrix.values, data.target.values, categorical_feature=data.matrix.categorical or "auto")
    line = task.cost_false_alarm / (task.cost_false_alarm + task.cost_missed)

    def flag(matrix: Matrix) -> npt.NDArray[np.bool_]:
        return np.asarray(model.booster_.predict(matrix.values, num_threads=1)) >= line

    return Service(flag, len(data.time), int(data.time[-1]), [])


def _moment(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


# Tables


def study(run: Callable[..., Any], case: Case) -> Iterator[dict[str, Any]]:
    """Yield a row of the table for each case: costs of each policy, and how much `fresh` costs beyond each."""
    found = dict(zip(POLICIES, run(partial(operate, case), POLICIES), strict=True))
    fresh, day, _ = found["fresh"]
    row: dict[str, Any] = {"data": case.name}
    row |= {policy: f"{costs.sum():,.0f}" for policy, (costs, _, _) in found.items()}
    best = min(("always", "never", "refit"), key=lambda policy: float(found[policy][0].sum()))
    excess, reach = compare(fresh, found[best][0], day)
    row |= {"fresh beyond the cheapest": f"{excess:+.1%} ± {reach:.1%}", "of": best, "promoted": found["fresh"][2] - 1}
    yield row


def faults(run: Callable[..., Any], case: Case) -> Iterator[dict[str, Any]]:
    """Yield for each fault how much more `fresh` and `always` cost than without it."""
    work = [(policy, fault) for policy in _FAULTED for fault in (None, *FAULTS)]
    found = dict(zip(work, run(partial(_operate_pair, case), work), strict=True))
    for fault in FAULTS:
        row: dict[str, Any] = {"data": case.name, "fault": fault}
        for policy in _FAULTED:
            (with_fault, day, _), (without, _, _) = found[policy, fault], found[policy, None]
            excess, reach = compare(with_fault, without, day)
            row[policy] = f"{excess:+.1%} ± {reach:.1%}"
        yield row


def _operate_pair(case: Case, work: tuple[str, str | None]) -> tuple[Floats, npt.NDArray[np.int64], int]:
    return operate(case, *work)


def compare(costs: Floats, others: Floats, day: npt.NDArray[np.int64]) -> tuple[float, float]:
    """How much more the first cost, as a share of the others, and half the paired 95 % interval by days."""
    place = np.unique(day, return_inverse=True)[1]
    gained = np.bincount(place, weights=costs - others)
    reach = float(gained.std(ddof=1) * np.sqrt(len(gained)) * student.ppf(0.975, len(gained) - 1))
    total = float(others.sum())
    return float(gained.sum()) / total, reach / total
