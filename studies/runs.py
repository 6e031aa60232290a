"""Runs of a fab at the level of their profiles: how many rows fall between which edges, without drawing the rows.

Sensors are those of `rowcast.simulate`: groups of ten with three factors in common, a third of whose variance lies
between lots of 25 wafers; tools and chambers with offsets; cells missing one by one, for a lot and by sampling. One
run differs from another, in part alike in a group, and the day has a pattern. Given a run's lots, the values of a
sensor are held to be normal, so that the counts of its bins are multinomial.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from rowcast.models.matrix import Matrix
from rowcast.monitor.edges import Edges, edges
from rowcast.monitor.profile import Profile, profile
from rowcast.monitor.series import Frame, Run

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
LOT, GROUP, FACTORS, LOT_SHARE = 25, 10, 3, 0.3
TOOLS, CHAMBERS, OFFSET = 4, 3, 0.3
PATTERN = 0.1  # SD, of a third of the sensors
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
        self.pattern = PATTERN * (random.random(s) < 1 / 3)
        self.phase = random.uniform(0, 2 * np.pi, s)
        weights = np.zeros(s)
        weights[random.permutation(s)[: fab.model]] = 1 / np.arange(1, fab.model + 1)
        self.weights = weights / np.sqrt((weights**2).sum())
        mean, sd = self.values(fab, random, TRAINING_ROWS // LOT, None)
        rows = mean + sd * random.standard_normal((TRAINING_ROWS, s))
        score = rows @ self.weights
        matrix = Matrix(rows.astype(np.float32), tuple(f"s{place}" for place in range(s)), {})
        self.edges: Edges = edges(matrix, score)
        self.reference: Profile = profile(self.edges, matrix, score)
        self.bounds = np.stack([column.bounds for column in (*self.edges.columns, self.edges.score)])

    def values(self, fab: Fab, random: np.random.Generator, lots: int, hour: float | None) -> tuple[Floats, Floats]:
        """Mean and SD of each sensor's values in a run, or in the training rows."""
        factors = np.sqrt(LOT_SHARE) * random.standard_normal((lots, FACTORS, self.group[-1] + 1))
        share = np.bincount(random.integers(TOOLS, size=lots), minlength=TOOLS) / lots
        offset = np.einsum("t,tcs->s", share, self.offsets) / CHAMBERS
        mean = (factors.mean(axis=0)[:, self.group] * self.loadings).sum(axis=0) + offset
        variance = (factors.var(axis=0)[:, self.group] * self.loadings**2).sum(axis=0)
        variance += np.einsum("t,tcs->s", share, self.offsets**2) / CHAMBERS - offset**2
        variance += self.noise**2 + (1 - self.noise**2) * (1 - LOT_SHARE)
        sd = np.sqrt(variance)
        if hour is None:
            return mean, sd
        own = random.standard_normal((2, len(mean))) + random.standard_normal((2, self.group[-1] + 1))[:, self.group]
        effect = fab.run_effect * own / np.sqrt(2)
        return mean + effect[0] + self.pattern * np.cos(2 * np.pi * hour / 24 + self.phase), sd * np.exp(effect[1] / 2)


@dataclass(frozen=True)
class Drawn:
    """A run before its rows are counted."""

    at: datetime
    lots: int
    mean: Floats  # (sensors,)
    sd: Floats
    absent: Integers  # rows without a value
    seed: tuple[int, ...]


def drawn(fab: Fab, month: int, runs: int, every: timedelta = timedelta(hours=6)) -> list[Drawn]:
    """The runs of a month, and the clean ones before it."""
    found, design = [], fab.design
    for place in range(runs):
        seed = (fab.seed, 1, month, place)
        random = np.random.default_rng(seed)
        at, lots = BEGIN + place * every, max(2, int(random.poisson(fab.lots)))
        mean, sd = design.values(fab, random, lots, at.hour)
        lost = random.binomial(lots, MISSING, design.group[-1] + 1)[design.group] * LOT
        left = lots * LOT - lost
        absent = lost + random.binomial(left, MISSING)
        absent += np.where(design.metrology, random.binomial(left - (absent - lost), 0.3), 0)
        found.append(Drawn(at, lots, mean, sd, absent, seed))
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
