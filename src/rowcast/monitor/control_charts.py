"""Control charts of a series with one value a day: which days are unlike those before, by rules that fabs know.

The rules are the four of Western Electric (Statistical Quality Control Handbook, 1956), and the EWMA chart (Roberts
1959, Technometrics 1(3)), which sees small shifts that last. Both hold a day against a baseline: the first `BASELINE`
days. What a mark names may begin it anew (`Effect`), where it can have changed what the chart shows.

Rows of a day share lots, tools and weather, so that limits by the spread of rows would be far too narrow. These are by
the spread between the baseline's days. A day of fewer rows than usual has wider limits: whatever part of the spread is
the rows', that is safe. A share is judged as its angle, whose spread depends on the rows alone and is about even on
both sides (Anscombe 1948, Biometrika 35), and is never held to be steadier than rows that have nothing in common are
(Laney 2002, Quality Engineering 14(4)).

A baseline of few days knows mean and spread only so well. What is called k sigma here lies so far out that a next day
is beyond it as seldom as a normal value is beyond k known standard deviations: by Student's t, with the baseline's own
error added. It is the interval of prediction; with ever more days it becomes k sigma, and it holds of any number of
days. So a baseline need not be complete: from `EARLY` days on it has limits, wide ones, which each further day narrows.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

BASELINE = 14  # days: where each has rows, every weekday twice
EARLY = 5  # days after which the next has limits; by Student's t they are 7 standard deviations away
WEIGHT = 0.2  # of the newest day in the EWMA
BEYOND, TWO_OF_THREE, FOUR_OF_FIVE, ONE_SIDE = (
    "1 beyond 3 sigma",
    "2 of 3 beyond 2 sigma",
    "4 of 5 beyond 1 sigma",
    "8 on one side",
)
SMOOTHED = "EWMA"
RULES = (BEYOND, TWO_OF_THREE, FOUR_OF_FIVE, ONE_SIDE, SMOOTHED)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Kind = Literal["value", "probability", "share"]  # a mean of values or of probabilities, or a share of rows

# What a mark does to limits. `none`: it is shown. `anew`: it has changed what is charted, so that earlier limits say
# nothing; there are none until the first days after it have become the baseline. `later`: it may have changed it, or
# not; the limits from before stay until the first days after it have become the baseline.
Effect = Literal["none", "anew", "later"]


@dataclass(frozen=True)
class Subgroup:
    """The rows of a day."""

    day: date
    value: float  # their mean, or a share of them
    rows: int


@dataclass(frozen=True)
class Mark:
    """Something that happened on a day."""

    day: date
    what: str
    effect: Effect = "anew"


@dataclass(frozen=True)
class Limits:
    """What is usual of a subgroup."""

    centre: float
    low: float  # of 3 sigma
    high: float


@dataclass(frozen=True)
class Ewma:
    """The EWMA up to a subgroup, and its own limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A subgroup on its chart."""

    subgroup: Subgroup
    role: Literal["baseline", "watched", "mixed"]  # mixed: of a day on which all began anew, neither before nor after
    stretch: int = 0  # how many baselines were begun anew, or took another's place, before it
    limits: Limits | None = None  # None while there is no baseline
    smoothed: Ewma | None = None  # of watched ones
    broken: tuple[str, ...] = ()  # rules


@dataclass(frozen=True)
class Baseline:
    """What subgroups are like while nothing changes; of shares in their angle's scale."""

    centre: float
    variance: float  # of a subgroup of the usual size
    size: float  # that usual size, in rows
    count: int  # subgroups it is by
    weight: float  # what they weigh together, a usual one 1
    kind: Kind

    def weights(self, subgroups: Sequence[Subgroup]) -> Floats:
        """Return what each subgroup weighs, shape (n,): one of the usual size or more 1."""
        return _weights(subgroups, self.size)

    def sigmas(self, most: int) -> Floats:
        """Return how many standard deviations are called 1, 2, … sigma, shape (most,)."""
        found: Floats = stdtrit(self.count - 1, ndtr(np.arange(1, most + 1)))
        return found

    def limits(self, reach: float, rows: float) -> Limits:
        """Return the values of so many rows that are so far from the centre."""
        ends = (_value(self.centre + way * reach, rows, self.kind) for way in (-1, 1))
        return Limits(_value(self.centre, self.size, self.kind), *ends)

    def smooth(self, value: float, reach: float) -> Ewma:
        """Return an EWMA, and what is so far from the centre."""
        limits = self.limits(reach, self.size)
        return Ewma(_value(value, self.size, self.kind), limits.low, limits.high)


@dataclass(frozen=True)
class Learning:
    """A baseline that is not complete."""

    since: Mark | None  # after which it began; None: with the first day of the chart
    limits: Literal["none", "early", "before"]  # of the last day: by fewer days, or by the baseline before it
    days: int  # with rows, so far
    missing: int  # how many more it takes until there are limits or, where there are some, until it is complete
    ready_on: date  # the day with which this is so, if there are rows on every day from now on


def make_chart(subgroups: Sequence[Subgroup], marks: Iterable[Mark] = (), kind: Kind = "value") -> list[Point]:
    """Return each subgroup held against the baseline before it; they come in the order of their days."""
    anew, later = _cuts(marks)
    found: list[Point] = []
    for begin, end in pairwise([None, *anew, None]):
        among = _between(subgroups, begin, end)
        inside = [day for day in later if (begin is None or begin < day) and (end is None or day < end)]
        number = found[-1].stretch + 1 if found else 0
        found += [Point(each, "mixed", number) for each in subgroups if each.day == begin]
        found += _hold(among, inside, number, kind)
    return found


def find_learning(subgroups: Sequence[Subgroup], marks: Iterable[Mark] = ()) -> Learning | None:
    """Return what the newest baseline waits for; None where it is complete, or there is none."""
    if not subgroups:
        return None
    marks = [mark for mark in marks if mark.day <= subgroups[-1].day]
    anew, later = _cuts(marks)
    begin = anew[-1] if anew else None
    is_first = len(_between(subgroups, begin, None)) < BASELINE
    newest = max((day for day in later if begin is None or begin < day), default=begin)
    since, effect = (begin, "anew") if is_first else (newest, "later")
    days = len(_between(subgroups, since, None))
    if days >= BASELINE:
        return None
    limits: Literal["none", "early", "before"] = "before" if not is_first else "none" if days <= EARLY else "early"
    missing = (EARLY + 1 if limits == "none" else BASELINE) - days
    named = next((mark for mark in marks if mark.day == since and mark.effect == effect), None)
    return Learning(named, limits, days, missing, subgroups[-1].day + timedelta(days=missing))


def _cuts(marks: Iterable[Mark]) -> tuple[list[date], list[date]]:
    """The days on which all begins anew, and those after which a baseline of its own follows later."""
    marks = list(marks)
    anew = sorted({mark.day for mark in marks if mark.effect == "anew"})
    return anew, sorted({mark.day for mark in marks if mark.effect == "later"} - set(anew))


def _between(subgroups: Sequence[Subgroup], after: date | None, before: date | None) -> Sequence[Subgroup]:
    """Those of days later than one and earlier than another."""
    days = [each.day for each in subgroups]
    return subgroups[
        bisect_right(days, after) if after else 0 : bisect_left(days, before) if before else len(subgroups)
    ]


def _hold(subgroups: Sequence[Subgroup], later: Sequence[date], number: int, kind: Kind) -> list[Point]:
    """Subgroups among which nothing begins anew: the first are the baseline, until later ones take its place."""
    first = subgroups[:BASELINE]
    if len(first) < BASELINE:
        return [_hold_early(first[:place], each, number, kind) for place, each in enumerate(first)]
    held = fit_baseline(first, kind)
    reach = _reach(first, held)[:, -1]
    limits = [held.limits(far, each.rows) for far, each in zip(reach, first, strict=True)]
    points = [Point(each, "baseline", number, of_it) for each, of_it in zip(first, limits, strict=True)]
    for after, before in pairwise([*later, None]):
        among = _between(subgroups, after, before)[:BASELINE]
        if len(among) == BASELINE:
            end = subgroups.index(among[-1]) + 1
            points += apply_limits(subgroups[len(points) : end], held, number)
            held, number = fit_baseline(among, kind), number + 1
    return points + apply_limits(subgroups[len(points) :], held, number)


def _hold_early(before: Sequence[Subgroup], subgroup: Subgroup, number: int, kind: Kind) -> Point:
    """A day of a baseline that is not complete, held against those before it."""
    if len(before) < EARLY:
        return Point(subgroup, "baseline", number)
    [point] = apply_limits([subgroup], fit_baseline(before, kind), number)
    broken = tuple(rule for rule in point.broken if rule == BEYOND)
    return replace(point, role="baseline", smoothed=None, broken=broken)


def fit_baseline(subgroups: Sequence[Subgroup], kind: Kind = "value") -> Baseline:
    """Return the baseline of two subgroups or more."""
    values, size = _values_of(subgroups, kind), float(np.median([each.rows for each in subgroups]))
    weights = _weights(subgroups, size)
    total = float(weights.sum())
    centre = float(weights @ values) / total
    least = 1 / (4 * size + 2) if kind == "share" else (1e-9 * centre) ** 2  # what another order of adding changes
    variance = max(float(weights @ (values - centre) ** 2) / (len(values) - 1), least)
    return Baseline(centre, variance, size, len(values), total, kind)


def apply_limits(subgroups: Sequence[Subgroup], held: Baseline, stretch: int = 0) -> list[Point]:
    """Return subgroups, one after another, held against a baseline."""
    if not subgroups:
        return []
    off = _values_of(subgroups, held.kind) - held.centre
    reach = _reach(subgroups, held)
    smoothed, far = _smooth(off, held.weights(subgroups), held)
    broken = {**western_electric(off, reach), SMOOTHED: np.abs(smoothed) > far}
    return [
        Point(
            subgroup,
            "watched",
            stretch,
            held.limits(reach[place, -1], subgroup.rows),
            held.smooth(held.centre + smoothed[place], far[place]),
            tuple(rule for rule in RULES if broken[rule][place]),
        )
        for place, subgroup in enumerate(subgroups)
    ]


def western_electric(off: Floats, reach: Floats) -> dict[str, Bools]:
    """Return which of n subgroups break which rule, (n,): each of them completes a pattern that it is part of.

    `off` (n,) is how far they are from the centre, `reach` (n, 3) how far 1, 2 and 3 sigma are.
    """
    found = {rule: np.zeros(len(off), dtype=bool) for rule in RULES[:4]}
    for side in (1, -1):
        one, two, three = (side * off[:, np.newaxis] > reach).T
        found[BEYOND] |= three
        found[TWO_OF_THREE] |= two & (_among(two, 3) >= 2)
        found[FOUR_OF_FIVE] |= one & (_among(one, 5) >= 4)
        found[ONE_SIDE] |= _among(side * off > 0, 8) == 8
    return found


def current_violations(points: Sequence[Point]) -> dict[str, date]:
    """Return the rules that the last subgroup breaks, and since which day each subgroup has."""
    found: dict[str, date] = {}
    for rule in points[-1].broken if points else ():
        streak = 0
        while streak < len(points) and rule in points[-1 - streak].broken:
            streak += 1
        found[rule] = points[-streak].subgroup.day
    return found


def past_violations(points: Sequence[Point]) -> dict[str, date]:
    """Return the rules that were broken, but not by the last subgroup, and when they were last."""
    found = {rule: point.subgroup.day for point in points for rule in point.broken}
    return {rule: found[rule] for rule in RULES if rule in found and rule not in points[-1].broken}


def _values_of(subgroups: Sequence[Subgroup], kind: Kind) -> Floats:
    """Their values, (n,), of shares the angle."""
    values, rows = (
        np.array([getattr(each, name) for each in subgroups], dtype=np.float64) for name in ("value", "rows")
    )
    return np.arcsin(np.sqrt((values * rows + 0.375) / (rows + 0.75))) if kind == "share" else values


def _value(measured: float, rows: float, kind: Kind) -> float:
    """The other way round; shares and probabilities end at 0 and 1."""
    if kind == "share":
        measured = ((rows + 0.75) * np.sin(np.clip(measured, 0, np.pi / 2)) ** 2 - 0.375) / rows
    return float(measured) if kind == "value" else float(np.clip(measured, 0, 1))


def _weights(subgroups: Sequence[Subgroup], size: float) -> Floats:
    """Of subgroups of the usual size or more 1, of smaller ones less."""
    return np.minimum(np.array([each.rows for each in subgroups]) / size, 1.0)


def _reach(subgroups: Sequence[Subgroup], held: Baseline) -> Floats:
    """How far from the centre 1, 2 and 3 sigma are of each subgroup, (n, 3)."""
    spread = np.sqrt(held.variance * (1 / held.weights(subgroups) + 1 / held.weight))
    return np.outer(spread, held.sigmas(3))


def _smooth(off: Floats, weights: Floats, held: Baseline) -> tuple[Floats, Floats]:
    """The EWMA of distances from the centre, beginning at it, and how far its 3 sigma are, both (n,)."""
    values, far = np.empty_like(off), np.empty_like(off)
    sigma = held.sigmas(3)[-1]
    value = spread = kept = 0.0
    for place, (distance, weight) in enumerate(zip(off, weights, strict=True)):
        value = WEIGHT * distance + (1 - WEIGHT) * value
        spread = WEIGHT**2 / weight + (1 - WEIGHT) ** 2 * spread
        kept = WEIGHT + (1 - WEIGHT) * kept  # how much of the centre's own error is in it
        values[place] = value
        far[place] = sigma * np.sqrt(held.variance * (spread + kept**2 / held.weight))
    return values, far


def _among(there: Bools, window: int) -> npt.NDArray[np.int64]:
    """How many of the last `window` are, each included."""
    total = np.concatenate([np.zeros(window, np.int64), np.cumsum(there)])
    found: npt.NDArray[np.int64] = total[window:] - total[:-window]
    return found
