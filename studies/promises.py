"""How often a champion that keeps its promise is told to cost more, and how soon one that does not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.monitor.quality import DEVIATIONS, Basis, Tally, TallyBuilder
from rowcast.monitor.track_record import CostExcess, ExpectedCost, find_realised_loss, measure_track_record
from rowcast.report import table
from rowcast.watch.cost_alarm import GOES_ON, level

Floats = npt.NDArray[np.float64]

MONTH, BEFORE, PROMISED = 30, 30, 60  # days: looked at, of labels before them, out of fold
MISSED, FALSE_ALARM = 20.0, 1.0
FAILURES, FLAGGED = 0.07, 0.25  # shares of the rows
FIRST = np.datetime64("2026-03-01")
SURE = Basis("binary", MISSED, FALSE_ALARM)


@dataclass(frozen=True)
class Line:
    """What a day scores, how much the luck of days differs, and by how much more fails than the scores say."""

    rows: int
    luck: float  # SD of a day's factor of failures
    worse: float = 0.0

    def day(self, random: np.random.Generator, worse: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Scores and outcomes: where the line is worse, so much more fails than the scores say."""
        score = random.beta(0.5, 0.5 * (1 - FAILURES) / FAILURES, size=self.rows)
        factor = random.gamma(1 / self.luck**2, self.luck**2) if self.luck else 1.0
        return score, random.random(self.rows) < np.minimum(score * factor * (1 + worse), 1)


def study(months: int) -> None:
    """Print the tables of docs/monitoring-method.md."""
    with Pool(2) as pool:
        run = partial(pool.map, chunksize=5)
        print("Null: months in which labels come each day for a champion that keeps its promise, 1 false alarm a month")
        print("allowed in all: how often it is told to cost more than it promised, or than its scores say\n")
        lines = [Line(rows, luck) for rows in (60, 240, 1_000) for luck in (0.0, 0.3)]
        rows = [_null(run, line, months) for line in lines]
        print(table(rows, list(rows[0])))
        print("\nPower: from one day on more fail than the scores say: share of months told, and the mean day\n")
        rows = [_power(run, Line(rows, 0.3, worse), months) for rows in (60, 240, 1_000) for worse in (0.25, 0.5, 1.0)]
        print(table(rows, list(rows[0])))


def _null(run: Callable[..., Any], line: Line, months: int) -> dict[str, Any]:
    counts = np.array([len(days) for days in run(partial(_told, line), range(months))])
    return {
        "rows a day": f"{line.rows:,}",
        "luck of days": f"{line.luck:.0%}",
        "months": months,
        "alarms a month": f"{counts.mean():.3f}",
        "±": f"{1.96 * counts.std() / np.sqrt(months):.3f}",
        "none": f"{(counts == 0).mean():.1%}",
        "most": int(counts.max()),
    }


def _power(run: Callable[..., Any], line: Line, months: int) -> dict[str, Any]:
    first = [days[0] for days in run(partial(_told, line), range(10_000, 10_000 + months // 4)) if days]
    share = len(first) / (months // 4)
    return {
        "rows a day": f"{line.rows:,}",
        "more failures": f"{line.worse:.0%}",
        "told": f"{share:.0%}",
        "on day": f"{np.mean(first):.1f}" if first else "-",
    }


def _told(line: Line, month: int) -> list[int]:
    """On which days of a month an alarm begins."""
    random = np.random.default_rng(month)
    score = np.concatenate([line.day(random, 0.0)[0] for _ in range(20)])
    threshold = float(np.quantile(score, 1 - FLAGGED))
    expected = _expected(line, random, threshold)
    days = [
        _tally(FIRST + day, *line.day(random, line.worse * (day >= BEFORE)), threshold) for day in range(BEFORE + MONTH)
    ]
    begun, standing = [], False
    for day in range(BEFORE, BEFORE + MONTH):
        window = _joined(days[day - BEFORE + 1 : day + 1])
        now = _shows(window, expected, GOES_ON if standing else level(1.0))
        if now and not standing:
            begun.append(day - BEFORE + 1)
        standing = now
    return begun


def _shows(judged: Tally, expected: ExpectedCost, at: float) -> bool:
    found: list[CostExcess | None] = [
        find_realised_loss(judged, SURE, expected, at),
        measure_track_record(judged, SURE, at).contradicted,
    ]
    return any(each is not None and each.beyond > 0 for each in found)


def _expected(line: Line, random: np.random.Generator, threshold: float) -> ExpectedCost:
    """As from so many days out of fold, with an interval for as many later ones."""
    costs = []
    for _ in range(PROMISED):
        score, failed = line.day(random, 0.0)
        costs.append(float(np.where(score >= threshold, FALSE_ALARM * ~failed, MISSED * failed).mean()))
    value, deviation = float(np.mean(costs)), float(np.std(costs, ddof=1) * np.sqrt(2 / PROMISED))
    return ExpectedCost(value, value + DEVIATIONS * deviation)


def _tally(day: np.datetime64, score: Floats, failed: npt.NDArray[np.bool_], threshold: float) -> Tally:
    adding, flagged = TallyBuilder(), score >= threshold
    sums = np.stack([np.ones(len(score)), score, score * (1 - score), score * (1 - score) * (1 - 2 * score)])
    for is_flagged in (False, True):
        here = flagged == is_flagged
        adding.add(day, is_flagged, 0, [*sums[:, here].sum(axis=1).tolist(), float((flagged != failed)[here].sum())])
    return adding.tally()


def _joined(days: list[Tally]) -> Tally:
    return Tally(**{name: np.concatenate([vars(day)[name] for day in days]) for name in vars(days[0])})
