"""From the profiles of runs to the series that are watched: a figure for each run and statistic of a column.

- `location` of a column of numbers: the mean normal score of its values (van der Waerden 1952), each counted at the
  mean of its bin, by the training rows' distribution. In SDs where the column is normal; whatever its distribution, an
  outlier weighs no more than the rarest of the training rows.
- `scale`: the variance of the same scores within the run (Klotz 1962, Annals of Mathematical Statistics 33(2)), so that
  it does not move with the location; its cube root, which is nearly normal (Wilson and Hilferty 1931, PNAS 17(12)).
- `missing`, `range` (outside the training range), `unseen` (a category that training had not seen), `category` (the
  share of one) and of the job `flagged` and `quarantined`: shares of rows as angles, 2 arcsin sqrt((k + 3/8) /
  (n + 3/4)), whose sampling variance is 1 / n whatever the share (Anscombe 1948, Biometrika 35(3/4)).
- `score` and `spread`: location and scale of the model's score.
- `rows`: the logarithm of rows an hour since the run before; `age`: that of the newest row's age in hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rowcast.errors import ModelError
from rowcast.monitor.edges import Categories, Edges, Floats, Numbers
from rowcast.monitor.profile import Counts, Profile

Kind = Literal[
    "location",
    "scale",
    "missing",
    "range",
    "unseen",
    "category",
    "score",
    "spread",
    "flagged",
    "rows",
    "age",
    "quarantined",
]
RATES: tuple[Kind, ...] = ("missing", "range", "unseen", "category", "flagged", "quarantined")

LEAST_ROWS = 8  # measured ones, for a figure of a run
COMMON = 0.01  # share of the training rows from which a category has a series of its own
_USUAL = 0.1  # a tenth more or fewer rows, or older ones, is no news however alike runs are
_RUNS = 64  # turned into figures at a time
_UNSEEN = 1e-6  # training rows that a bin without any is given, so that its place has a score


@dataclass(frozen=True)
class Run:
    """What a run came to. A figure that is None is not known, and its series has a gap."""

    run_id: str
    at: datetime  # as of when
    profile: Profile
    rows: int | None = None  # that came in: scored and quarantined
    quarantined: int | None = None
    flagged: int | None = None
    age: timedelta | None = None  # of the newest row, as of the run


@dataclass(frozen=True)
class Series:
    """One statistic of one column, or of the job."""

    kind: Kind
    column: str | None = None
    category: str | None = None  # of a share: None for all the rare ones together


@dataclass(frozen=True)
class Figures:
    """R runs, S series."""

    series: tuple[Series, ...]
    values: Floats  # (R, S), NaN where there is none
    rows: Floats  # (R, S) that each value was made of
    noise: Floats  # (S,): what one independent row would add, as a variance; a value of n rows has at least noise / n

    def of(self, *kinds: Kind) -> npt.NDArray[np.bool_]:
        """Return which series are of these kinds, (S,)."""
        return np.array([each.kind in kinds for each in self.series], dtype=bool)


@dataclass(frozen=True)
class Frame:
    """How the slots of profiles make the series of their columns, by what the training rows looked like."""

    edges: Edges
    reference: Profile
    calendar: frozenset[str] = frozenset()  # columns that the calendar makes: of these only `missing` is a series

    def __post_init__(self) -> None:
        if self.reference.digest != self.edges.digest:
            raise ModelError("the reference profile is of other edges", hint="take those of one model version")

    def figures(self, runs: Sequence[Run]) -> Figures:
        """Return the figures of these runs, in their order. Raise ModelError for a profile of another model version."""
        if any(run.profile.digest != self.edges.digest for run in runs):
            raise ModelError("the runs' profiles are of several model versions", hint="look at those of one")
        parts = [self._of_columns(runs[start : start + _RUNS]) for start in range(0, len(runs), _RUNS)]
        of_job = _of_job(runs)
        values, rows = [np.concatenate(part) for part in zip(*parts, strict=True)] if parts else self._of_columns([])
        return Figures(
            (*self.series, *_JOB),
            np.hstack([values, of_job[0]]),
            np.hstack([rows, of_job[1]]),
            np.concatenate([self._noise, [1.0 if series.kind in RATES else _USUAL**2 for series in _JOB]]),
        )

    def amounts(self, counts: Counts) -> tuple[Floats, Floats]:
        """Return what the series of columns and score come to, and the SD of their column, NaN for shares; both (S,).

        They are in the columns' units, for rows with these counts. What lies outside the training range counts as at
        its end.
        """
        add, starts = np.add.reduceat, self.edges.starts[:-1]
        measured = counts.astype(np.float64)
        total = add(measured, starts)
        measured[starts] = 0
        known = add(measured, starts)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = add(measured * self._means, starts) / known
            far = measured * (self._means - np.repeat(mean, np.diff(self.edges.starts))) ** 2
            sd = np.sqrt(add(np.where(measured > 0, far, 0), starts) / known)
            base = np.where(self._of_all, total[self._base], known[self._base])
            shares = self._rows_of_shares(counts[np.newaxis])[0] / base
        at, spread = ([place for _, _, place in part] for part in (self._locations, self._scales))
        return (
            np.concatenate([mean[at], sd[spread], shares]),
            np.concatenate([sd[at], sd[spread], np.full(len(shares), np.nan)]),
        )

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """Return the series of the columns and of the score: locations, scales, then shares."""
        named = [Series(kind, column) for kind, column, _ in (*self._locations, *self._scales)]
        return (*named, *(series for series, _, _ in self._shares))

    def _of_columns(self, runs: Sequence[Run]) -> tuple[Floats, Floats]:
        """Values and rows, (R, columns' series)."""
        shape = len(runs), int(self.edges.starts[-1])
        counts = np.array([run.profile.counts for run in runs], np.float64).reshape(shape)
        add, starts, (score, square, _) = np.add.reduceat, self.edges.starts[:-1], self._scores
        scores, squares, total = (add(part, starts, axis=1) for part in (counts * score, counts * square, counts))
        measured = total - counts[:, starts]
        shared = self._rows_of_shares(counts)
        at = [place for _, _, place in self._locations]
        spread = [place for _, _, place in self._scales]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = scores / measured
            variance = np.maximum(squares / measured - mean**2, 0)
        base = np.where(self._of_all, total[:, self._base], measured[:, self._base])
        values = np.hstack([mean[:, at], np.cbrt(variance[:, spread] / self._usual_scale), to_angle(shared, base)])
        rows = np.hstack([measured[:, at], measured[:, spread], base])
        return np.where(rows < LEAST_ROWS, np.nan, values), rows

    @cached_property
    def _columns(self) -> tuple[Numbers | Categories, ...]:
        score = self.edges.score
        return self.edges.columns if score is None else (*self.edges.columns, score)

    @cached_property
    def _locations(self) -> list[tuple[Kind, str | None, int]]:
        return self._numeric("location", "score", 2)

    @cached_property
    def _scales(self) -> list[tuple[Kind, str | None, int]]:
        return self._numeric("scale", "spread", 4)

    def _numeric(self, kind: Kind, of_score: Kind, bins: int) -> list[tuple[Kind, str | None, int]]:
        """Those with that many bins inside the range: kind, column, place."""
        return [
            (of_score, None, place) if column is self.edges.score else (kind, column.name, place)
            for place, column in enumerate(self._columns)
            if isinstance(column, Numbers)
            and len(column.bounds) > bins
            and (column is self.edges.score or column.name not in self.calendar)
        ]

    @cached_property
    def _shares(self) -> list[tuple[Series, int, list[int]]]:
        """Each share's series, the place of its column, and the slots that it counts."""
        found = list[tuple[Series, int, list[int]]]()
        for place, column in enumerate(self.edges.columns):
            start, end = int(self.edges.starts[place]), int(self.edges.starts[place + 1])
            found.append((Series("missing", column.name), place, [start]))
            if column.name in self.calendar:
                continue
            if isinstance(column, Numbers):
                found.append((Series("range", column.name), place, sorted({start + 1, end - 1})))
            else:
                found.append((Series("unseen", column.name), place, [start + 1]))
                counts = self.reference.counts[start + 2 : end]
                common = counts >= max(COMMON * counts.sum(), 1)
                found += [
                    (Series("category", column.name, column.known[code]), place, [start + 2 + code])
                    for code in np.flatnonzero(common).tolist()
                ]
                if not common.all():
                    found.append(
                        (Series("category", column.name), place, (start + 2 + np.flatnonzero(~common)).tolist())
                    )
        return found

    def _rows_of_shares(self, counts: npt.NDArray[Any]) -> Floats:
        """The rows of each share, (R, shares)."""
        found = [counts[:, slots].sum(axis=1) for _, _, slots in self._shares]
        return np.array(found, np.float64).reshape(len(found), len(counts)).T

    @cached_property
    def _base(self) -> list[int]:
        return [place for _, place, _ in self._shares]

    @cached_property
    def _of_all(self) -> npt.NDArray[np.bool_]:
        """Which shares are of all rows; the others are of those with a value."""
        return np.array([series.kind == "missing" for series, _, _ in self._shares], dtype=bool)

    @cached_property
    def _scores(self) -> tuple[Floats, Floats, Floats]:
        """Of each slot the mean normal score, that of its square, and the share of its column's measured rows."""
        from scipy.special import ndtri

        score, square, share = (np.zeros(self.edges.starts[-1]) for _ in range(3))
        for place, column in enumerate(self._columns):
            if not isinstance(column, Numbers):
                continue
            slots = slice(self.edges.starts[place] + 1, self.edges.starts[place + 1])
            count = self.reference.counts[slots] + _UNSEEN
            count[[0, -1]] += 0.5  # so that what training did not see has a place beyond what it saw
            share[slots] = count / count.sum()
            ends = ndtri(np.cumsum(share[slots])[:-1])
            density = np.exp(-(ends**2) / 2) / np.sqrt(2 * np.pi)
            score[slots] = -np.diff(density, prepend=0, append=0) / share[slots]
            square[slots] = 1 - np.diff(ends * density, prepend=0, append=0) / share[slots]
        return score, square, share

    @cached_property
    def _means(self) -> Floats:
        """Of the training values in each slot, (slots,); 0 where there are none."""
        found = np.zeros(self.edges.starts[-1])
        for place, column in enumerate(self._columns):
            if isinstance(column, Numbers):
                found[self.edges.starts[place] + 1 : self.edges.starts[place + 1]] = column.means
        return found

    @cached_property
    def _moments(self) -> tuple[Floats, Floats, Floats]:
        """Of a training row's score, column by column: mean, variance, variance of the square."""
        score, square, share = self._scores
        add = np.add.reduceat
        starts = self.edges.starts[:-1]
        mean, of_square = add(share * score, starts), add(share * square, starts)
        return mean, add(share * score**2, starts) - mean**2, add(share * square**2, starts) - of_square**2

    @cached_property
    def _usual_scale(self) -> Floats:
        """The variance of scores in training, as it is counted in a run, (scales,)."""
        score, square, share = self._scores
        starts = self.edges.starts[:-1]
        within = np.add.reduceat(share * square, starts) - np.add.reduceat(share * score, starts) ** 2
        return np.array([within[place] for _, _, place in self._scales])

    @cached_property
    def _noise(self) -> Floats:
        _, variance, of_square = self._moments
        location = [variance[place] for _, _, place in self._locations]
        scale = [of_square[place] for _, _, place in self._scales] / self._usual_scale**2 / 9  # of the cube root
        return np.concatenate([location, scale, np.ones(len(self._shares))])


_JOB = (Series("flagged"), Series("quarantined"), Series("rows"), Series("age"))


def to_angle(count: Any, rows: Any) -> Any:
    """Return the angle of a share of rows, whose sampling variance is 1 / rows."""
    return 2 * np.arcsin(np.sqrt((count + 0.375) / (rows + 0.75)))


def _of_job(runs: Sequence[Run]) -> tuple[Floats, Floats]:
    """Values and rows, (R, 4)."""
    values, rows = np.full((len(runs), 4), np.nan), np.ones((len(runs), 4))
    for place, run in enumerate(runs):
        for k, count, base in (
            (0, run.flagged, (run.rows or 0) - (run.quarantined or 0)),
            (1, run.quarantined, run.rows),
        ):
            if count is not None and base is not None and base >= LEAST_ROWS:
                values[place, k], rows[place, k] = to_angle(count, base), base
        hours = (run.at - runs[place - 1].at) / timedelta(hours=1) if place else 0
        if run.rows is not None and hours > 0 and runs[place - 1].rows is not None:
            values[place, 2] = np.log((run.rows + 0.5) / hours)
        if run.age is not None:
            values[place, 3] = np.log(max(run.age / timedelta(hours=1), 0) + 1 / 60)
    return values, rows
