"""A year of rows on which a champion and its challengers make mistakes, without any model.

A mistake is a latent value past a threshold: a failure that is missed, a good row that is flagged. The values of
champion and challengers have parts in common, and a part that all rows of a day share, so that mistakes come together.
Expected costs are exact, so that "no better" and "better by a tenth" are known and not estimated.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

MISSED, ALARM = 20.0, 1.0
MISS, FLAG = 0.3, 0.1  # the champion's chances to miss a failure and to flag a good row
SHARED = 0.8  # of the variance of a latent value: common to champion and challengers
DAY = 0.1  # of the rest: common to all rows of a day
DAYS = 7

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fab:
    """What comes in, and how challengers differ from the champion."""

    rows: int = 350  # a week
    failures: float = 0.07  # share of rows
    gain: float = 0.0  # share of the champion's cost that a challenger saves, in what it misses and flags alike
    trade: float = 0.0  # false alarms saved, as a share, and paid for with missed failures of equal expected cost
    alike: float = 0.8  # of the variance in which challengers differ from the champion: common to all of them
    blocks: int = DAYS  # a week

    @property
    def cost(self) -> float:
        """The champion's expected cost of a row."""
        return self.failures * MISS * MISSED + (1 - self.failures) * FLAG * ALARM

    @property
    def chances(self) -> tuple[float, float]:
        """A challenger's, to miss a failure and to flag a good row."""
        saved = FLAG * self.trade
        paid = saved * (1 - self.failures) * ALARM / (self.failures * MISSED)
        return (MISS + paid) * (1 - self.gain), (FLAG - saved) * (1 - self.gain)


class Year:
    """The rows of one simulated time, seen by the champion, and by as many challengers as are asked for."""

    def __init__(self, fab: Fab, weeks: int, seed: int) -> None:
        self.fab = fab
        self.random = np.random.default_rng(seed)
        count = fab.rows * weeks
        self.outcome: Bools = self.random.random(count) < fab.failures
        self.block = np.arange(count) * fab.blocks // fab.rows
        self.common = self._normal(count) * np.sqrt(SHARED)
        self.challengers = self._own(0, count)
        self.champion = self._cost(self.common + self._own(0, count) * np.sqrt(1 - SHARED), MISS, FLAG, 0)

    def gain(self, begin: int, end: int) -> Floats:
        """What the next challenger saves on each of these rows."""
        alike = self.fab.alike
        own = np.sqrt(alike) * self.challengers[begin:end] + np.sqrt(1 - alike) * self._own(begin, end)
        cost = self._cost(self.common[begin:end] + np.sqrt(1 - SHARED) * own, *self.fab.chances, begin)
        return self.champion[begin:end] - cost

    def _cost(self, latent: Floats, miss: float, flag: float, begin: int) -> Floats:
        outcome = self.outcome[begin : begin + len(latent)]
        cost: Floats = np.where(outcome, (latent < norm.ppf(miss)) * MISSED, (latent > norm.isf(flag)) * ALARM)
        return cost

    def _own(self, begin: int, end: int) -> Floats:
        """Values of variance 1, in part common to the rows of a block."""
        place = self.block[begin:end] - self.block[begin]
        own: Floats = np.sqrt(DAY) * self._normal(place[-1] + 1)[place] + np.sqrt(1 - DAY) * self._normal(end - begin)
        return own

    def _normal(self, count: int) -> Floats:
        return self.random.standard_normal(count)
