"""What the same rows cost by each of two versions, and how the gain differs from block to block."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rowcast.gate.decision import Evidence

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PairedCosts:
    """What n rows cost by each of two versions, in the config's units; all arrays have shape (n,)."""

    champion: Floats
    challenger: Floats
    positive: Bools | None = None  # which rows needed action; None for a regression
    worst: float | None = None  # what a row can cost at most; None: the most seen
    blocks: npt.NDArray[np.int64] | None = None  # which rows belong together

    @property
    def most(self) -> float:
        """What one row can cost at most."""
        if self.worst is not None:
            return self.worst
        return float(max(self.champion.max(initial=0.0), self.challenger.max(initial=0.0)))


@dataclass(frozen=True)
class BlockGains:
    """What the challenger saves, block by block; rows without blocks stand alone."""

    gained: Floats  # (b,), in all rows of the block
    rows: npt.NDArray[np.int64]  # (b,)
    units: int  # blocks on which champion and challenger differ


def sum_blocks(costs: PairedCosts) -> BlockGains:
    """Return what the challenger saves in each block."""
    gain = costs.champion - costs.challenger
    place = np.arange(len(gain)) if costs.blocks is None else np.unique(costs.blocks, return_inverse=True)[1]
    gained = np.bincount(place, weights=gain).astype(np.float64)
    units = int((np.bincount(place, weights=gain != 0) > 0).sum())
    return BlockGains(gained, np.bincount(place), units)


def describe_costs(
    costs: PairedCosts, blocks: BlockGains, yearly: float | None, left: float | None, min_gain: float
) -> Evidence:
    """Return what both versions cost per row, and what a gate has left to spend."""
    gain = costs.champion - costs.challenger
    return Evidence(
        rows=len(gain),
        positives=None if costs.positive is None else int(costs.positive.sum()),
        blocks=None if costs.blocks is None else len(blocks.rows),
        differing=int((gain != 0).sum()),
        cost_champion=_mean(costs.champion),
        cost_challenger=_mean(costs.challenger),
        gain=_mean(gain),
        yearly_error=yearly,
        left=left,
        min_gain=min_gain,
    )


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
