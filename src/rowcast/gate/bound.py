"""How sure one may be of a gain, at the small levels that a budget over a year leaves to one gate.

Far out in its tail a resampled mean cannot be trusted: a challenger that saves many false alarms and misses a failure
now and then looks better on all rows that hold no such miss, and no resample holds one either. `doubt` is therefore the
larger of two one-sided p-values, both of block totals:

- Student's t, corrected for a long tail of losses (Hall 1992, Journal of the Royal Statistical Society B 54(1));
- an empirical likelihood ratio (Owen 1988, Biometrika 75(2)): how far the weights of the blocks, and of a loss that has
  not been seen yet, must be tilted until nothing is gained. Leave to lose what was not seen is what adjusted empirical
  likelihood (Chen, Variyath and Abraham 2008, Journal of Computational and Graphical Statistics 17(2)) and the bets of
  Waudby-Smith and Ramdas (2024, Journal of the Royal Statistical Society B 86(1)) have in common.

`make study` measures both; docs/gate-method.md has the figures.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 60  # halvings: past double precision


@dataclass(frozen=True)
class Blocks:
    """What was gained in each block; blocks alike in both are one kind that came up `count` times."""

    gained: Floats  # in all rows of the block
    rows: Floats
    count: Floats
    units: int  # blocks on which champion and challenger differ: the others cannot tell them apart
    worst: float  # what one row can lose

    @staticmethod
    def of(gained: Floats, rows: npt.NDArray[np.int64], units: int, worst: float) -> "Blocks":
        """Return the blocks from one entry for each."""
        kinds, count = np.unique(np.stack([gained, rows]), axis=1, return_counts=True)
        return Blocks(kinds[0], kinds[1], count.astype(np.float64), units, worst)

    @property
    def mean(self) -> float:
        """The gain per row."""
        return float((self.gained @ self.count) / (self.rows @ self.count))


def doubt(blocks: Blocks, gain: float) -> float:
    """Return the one-sided p-value of "the gain per row is at most `gain`"."""
    from scipy.stats import t

    beyond = blocks.gained - gain * blocks.rows
    n = blocks.count.sum()
    mean = (beyond @ blocks.count) / n
    if mean <= 0:
        return 1.0
    off = beyond - mean
    deviation = np.sqrt((off**2 @ blocks.count) / n)
    student = np.inf
    if deviation > 0:
        skew = min((off**3 @ blocks.count) / n / deviation**3, 0.0)
        student = mean / deviation * np.sqrt(n - 1)
        student += skew * student**2 / (3 * np.sqrt(n)) + skew**2 * student**3 / (27 * n) + skew / (6 * np.sqrt(n))
    free = blocks.units - 1
    # What t is to the likelihood ratio of normal values: small samples are treated alike by both.
    tilted = np.sqrt(free * np.expm1(2 * _tilt(blocks, beyond) / blocks.units))
    return float(t.sf(min(student, tilted), free))


def least_doubt(units: int) -> float:
    """Return the least doubt that any gain can leave, where no more than `units` blocks differ."""
    from scipy.stats import t

    return float(t.sf(np.sqrt(3.0 * (units - 1)), units - 1))  # each block gains as much as the unseen one might lose


def lower_bound(blocks: Blocks, level: float) -> float | None:
    """Return the largest gain per row that `level` still doubts; None where the blocks are too few for that level."""
    high = blocks.mean
    reach = max(abs(high), blocks.worst, float(np.abs(blocks.gained / blocks.rows).max())) * 1e-3
    while doubt(blocks, high - reach) > level:
        reach *= 4
        if reach > 1e12 * max(1.0, blocks.worst):
            return None
    low = high - reach
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if doubt(blocks, middle) <= level else (low, middle)
    return low


def _tilt(blocks: Blocks, beyond: Floats) -> float:
    """The log of the likelihood that is lost by weights under which nothing is gained, one more loss allowed for.

    That loss is as large as what the worst block changed, for better or worse, and at least `worst`. It is the dual
    form: the largest sum of log(1 + tilt * gain) for tilts at which that loss would not yet ruin.
    """
    from scipy.optimize import brentq

    def slope(tilt: float) -> float:
        return float((blocks.count * beyond / (1 + tilt * beyond)).sum())

    most = (1 - 1e-9) / max(blocks.worst, float(np.abs(beyond).max()))
    best = most if slope(most) >= 0 else brentq(slope, 0.0, most, xtol=most * 1e-12)
    return float(blocks.count @ np.log1p(best * beyond))
