"""Runs of a fab at the level of their profiles: how many rows fall between which edges, without drawing the rows.

Sensors are those of `rowcast.simulate`: groups of ten with three factors in common, a third of whose variance lies
between lots of 25 wafers; tools and chambers with offsets; cells missing one by one, for a lot and by sampling. One
run differs from another, in part alike in a group, and the day has a pattern. Given a run's lots, the values of a
sensor are held to be normal, so that the counts of its bins are multinomial.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from rowcast.models.matrix import Matrix
from rowcast.monitor.edges import Edges, Numbers, compute_edges
from rowcast.monitor.profile import Profile, count_profile
from rowcast.monitor.statistics import Frame, Run

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BEGIN, EVERY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(hours=6)
LOT, GROUP, FACTORS, LOT_SHARE = 25, 10, 3, 0.3
TOOLS, CHAMBERS, OFFSET = 4, 3, 0.3
TRAINING_ROWS = 5_000
MISSING = 0.015  # single cells; the same again of lots' groups
SAMPLED = 0.05  # of the sensors are metrology, which skips three rows in ten
QUARANTINED = 0.002
THRESHOLD = 1.476  # SDs: 7 % of the rows are flagged


@dataclass(frozen=True)
class Shift:
    """What happens to some columns from a run on."""

    columns: tuple[int, ...]
    step: float = 0.0  # SD
    ramp: int = 0  # runs that the step takes
    scale: float = 1.0  # factor of the SD
    missing: float = 0.0  # share of rows, in place of the usual one


@dataclass(frozen=True)
class Fab:
    """Its make-up and what was learned from its training rows."""

    seed: int
    sensors: int = 590
    model: int = 60  # columns that the model uses, the first ones of a random order
    run_effect: float = 0.0  # SD
    pattern: float = 0.1  # SD, of the day, in a third of the sensors
    lots: float = 40.0  # a run, on average

    @cached_property
    def design(self) -> "Design":
        return Design(self)

    @cached_property
    def frame(self) -> Frame:
        return Frame(self.design.edges, self.design.reference)

    @cached_property
    def weights(self) -> dict[str, float]:
        """By how many of its SDs the score moves with a column's: a few columns weigh most."""
        return {f"s{place}": float(weight) for place, weight in enumerate(self.design.weights)}


class Design:
    """What stays the same from run to run."""

    def __init__(self, fab: Fab) -> None:
        random, s = np.random.default_rng([fab.seed, 0]), fab.sensors
        self.group = np.arange(s) // GROUP
        self.noise = np.sqrt(random.uniform(0.3, 0.7, s))
        loadings = random.standard_normal((FACTORS, s))
        self.loadings = loadings * np.sqrt((1 - self.noise**2) / (loadings**2).sum(axis=0))
        self.offsets = OFFSET * random.standard_normal((TOOLS, CHAMBERS, s)) * (random.random(s) < 0.5)
        self.metrology = random.random(s) < SAMPLED
        self.pattern = fab.pattern * (random.random(s) < 1 / 3)
        self.phase = random.uniform(0, 2 * np.pi, s)
        weights = np.zeros(s)
        weights[random.permutation(s)[: fab.model]] = 1 / np.arange(1, fab.model + 1)
        self.weights = weights / np.sqrt((weights**2).sum())
        mean, sd = self.values(random, TRAINING_ROWS // LOT)
        rows = mean + sd * random.standard_normal((TRAINING_ROWS, s))
        score = rows @ self.weights
        matrix = Matrix(rows.astype(np.float32), tuple(f"s{place}" for place in range(s)), {})
        self.edges: Edges = compute_edges(matrix, score)
        self.reference: Profile = count_profile(self.edges, matrix, score)
        every = (*self.edges.columns, self.edges.score)
        self.bounds = np.stack([column.bounds for column in every if isinstance(column, Numbers)])

    def values(self, random: np.random.Generator, lots: int) -> tuple[Floats, Floats]:
        """Mean and SD of each sensor's values in some lots."""
        factors = np.sqrt(LOT_SHARE) * random.standard_normal((lots, FACTORS, self.group[-1] + 1))
        share = np.bincount(random.integers(TOOLS, size=lots), minlength=TOOLS) / lots
        offset = np.einsum("t,tcs->s", share, self.offsets) / CHAMBERS
        mean = (factors.mean(axis=0)[:, self.group] * self.loadings).sum(axis=0) + offset
        variance = (factors.var(axis=0)[:, self.group] * self.loadings**2).sum(axis=0)
        variance += np.einsum("t,tcs->s", share, self.offsets**2) / CHAMBERS - offset**2
        variance += self.noise**2 + (1 - self.noise**2) * (1 - LOT_SHARE)
        return mean, np.sqrt(variance)

    def of_run(self, random: np.random.Generator, run_effect: float, hour: float) -> tuple[Floats, Floats]:
        """By how much a run's means are off, and the factor of its SDs."""
        own = (
            random.standard_normal((2, len(self.group)))
            + random.standard_normal((2, self.group[-1] + 1))[:, self.group]
        )
        effect = run_effect * own / np.sqrt(2)
        return effect[0] + self.pattern * np.cos(2 * np.pi * hour / 24 + self.phase), np.exp(effect[1] / 2)


@dataclass(frozen=True)
class Drawn:
    """A run before its rows are counted."""

    at: datetime
    lots: int
    mean: Floats  # (sensors,)
    sd: Floats
    absent: Integers  # rows without a value
    seed: tuple[int, ...]


def drawn(fab: Fab, month: int, runs: Iterable[int], parts: int = 1) -> list[Drawn]:
    """These runs around a month, one every six hours, or the parts of them in turn: lots of the same few hours."""
    found, design = [], fab.design
    for place in runs:
        at, seed = BEGIN + place * EVERY, (fab.seed, 1, month, place)
        off, factor = design.of_run(np.random.default_rng(seed), fab.run_effect, at.hour)
        for part in range(parts):
            random = np.random.default_rng((*seed, part))
            lots = max(2, int(random.poisson(fab.lots / parts)))
            mean, sd = design.values(random, lots)
            lost = random.binomial(lots, MISSING, design.group[-1] + 1)[design.group] * LOT
            left = lots * LOT - lost
            absent = lost + random.binomial(left, MISSING)
            absent += np.where(design.metrology, random.binomial(left - (absent - lost), 0.3), 0)
            found.append(Drawn(at, lots, mean + off, sd * factor, absent, (*seed, part)))
    return found


def counted(fab: Fab, run: Drawn) -> Run:
    """The run with its profile."""
    random = np.random.default_rng([*run.seed, 1])
    rows = run.lots * LOT
    everything = np.arange(fab.sensors)
    score, flagged = _score(fab, random, rows, run.mean, run.sd)
    counts = np.vstack([_counts(fab, random, rows, everything, run.mean, run.sd, run.absent), score])
    bad = int(random.binomial(rows, QUARANTINED))
    age = timedelta(hours=float(random.gamma(4.0, 0.25)))
    found = Profile(counts.ravel(), fab.design.edges.digest)
    return Run(f"{run.at:%Y-%m-%d %H}", run.at, found, rows + bad, bad, flagged, age)


def block(fab: Fab, runs: list[Run]) -> Run:
    """The rows of these runs, or parts of one, as training rows are known: by their columns alone."""
    counts = np.sum([run.profile.counts for run in runs], axis=0).reshape(fab.sensors + 1, -1)
    counts[-1] = [counts[-1].sum(), *np.zeros(counts.shape[1] - 1, np.int64)]
    return Run("", runs[-1].at, Profile(counts.ravel(), runs[-1].profile.digest))


def shifted(fab: Fab, run: Drawn, without: Run, shift: Shift, since: int) -> Run:
    """The run under a shift that began `since` runs before; but for the columns concerned and the score, as it was."""
    random = np.random.default_rng([*run.seed, 2])
    rows, columns = run.lots * LOT, np.array(shift.columns)
    mean, sd, absent = run.mean.copy(), run.sd.copy(), run.absent.copy()
    mean[columns] += shift.step * (min((since + 1) / shift.ramp, 1) if shift.ramp else 1)
    sd[columns] *= shift.scale
    if shift.missing:
        absent[columns] = random.binomial(rows, shift.missing, len(columns))
    counts = without.profile.counts.reshape(fab.sensors + 1, -1).copy()
    counts[columns] = _counts(fab, random, rows, columns, mean, sd, absent)
    counts[-1], flagged = _score(fab, random, rows, mean, sd)
    return replace(without, profile=Profile(counts.ravel(), without.profile.digest), flagged=flagged)


def _counts(
    fab: Fab, random: np.random.Generator, rows: int, columns: Integers, mean: Floats, sd: Floats, absent: Integers
) -> Integers:
    """Of these columns, by slot."""
    below = ndtr((fab.design.bounds[columns] - mean[columns, np.newaxis]) / sd[columns, np.newaxis])
    shares = np.diff(below, axis=1, prepend=0, append=1)
    missing = absent[columns]
    return np.hstack([missing[:, np.newaxis], random.multinomial(rows - missing, shares)])


def _score(fab: Fab, random: np.random.Generator, rows: int, mean: Floats, sd: Floats) -> tuple[Integers, int]:
    """The score's counts by slot, and how many rows are flagged."""
    design = fab.design
    centre, spread = mean @ design.weights, np.sqrt(sd**2 @ design.weights**2)
    shares = np.diff(ndtr((design.bounds[-1] - centre) / spread), prepend=0, append=1)
    flagged = random.binomial(rows, ndtr((centre - THRESHOLD) / spread))
    return np.concatenate([[0], random.multinomial(rows, shares)]), int(flagged)
