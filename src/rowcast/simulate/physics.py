"""How sensors behave, and what makes a wafer fail."""

from datetime import timedelta
from typing import Literal

import numpy as np

from rowcast.simulate.fab import Drift, Fab, Floats, Integers, Role
from rowcast.simulate.lots import CHAMBERS, TOOLS
from rowcast.simulate.streams import BLOCK, LOT, open_stream

_GROUP, _FACTORS = 10, 3  # sensors of a correlated group, and the latent factors behind them
_LOT_SHARE = 0.3  # of a factor's variance lies between lots
_LINEAR = (1.2, -1.1, 0.4, -0.3, 0.3)  # weights per standard deviation; the first is of a sensor that ages
_BOTH_HIGH, _PRODUCT, _WINDOW = 1.6, 0.3, 1.2  # weights of what a linear model cannot see, or sees in part
_BAD_STATION, AGEING_TOOL = 7, 1  # ETCH-03 B fails more often; ETCH-02 ages
AGEING_FROM, STEP_FROM = 0.55, 0.75  # when they start, as shares of the horizon


class Physics:
    """How sensors behave and what makes a wafer fail. s sensors, named by position; g groups; 12 stations."""

    def __init__(self, fab: Fab) -> None:
        random, s = open_stream(fab.seed, "design"), fab.sensors
        few = [max(1, round(share * s)) for share in (0.04, 0.03, 0.05)]
        parts = np.split(random.permutation(s), np.cumsum([5, 4, 1, 2, 3, *few]))
        self.linear, self.pairs, window, ageing, stepping, self.constant, self.metrology, twins, others = parts
        self.window, self.ageing = window[0], np.append(ageing, self.linear[0])
        self.twins = dict(zip(twins.tolist(), [int(self.linear[1]), *others.tolist()], strict=False))
        self.stepping = np.concatenate([stepping, self.linear[1:2], twins[:1]])
        self.roles: dict[int, Role] = dict.fromkeys(self.linear.tolist(), "linear")
        self.roles |= dict.fromkeys(self.pairs.tolist(), "interaction") | {int(self.window): "nonlinear"}
        self.names = tuple(f"s{place:03d}" for place in range(1, s + 1))

        self.group, stations = np.arange(s) // _GROUP, len(TOOLS) * len(CHAMBERS)
        self.noise = np.sqrt(random.uniform(0.3, 0.7, s))
        loadings = random.standard_normal((_FACTORS, s))
        self.loadings = loadings * np.sqrt((1 - self.noise**2) / (loadings**2).sum(axis=0))
        self.offsets = 0.3 * random.standard_normal((stations, s)) * (random.random(s) < 0.5)
        self.harm = 0.3 * random.standard_normal(stations)  # raw log-odds
        self.harm[_BAD_STATION] = 1.5
        self.scale = 10 ** random.uniform(-3, 5, s)
        self.centre = self.scale * random.uniform(5, 50, s)
        self.skewed = np.flatnonzero(random.random(s) < 0.2)

    def readings(self, random: np.random.Generator, station: Integers) -> Floats:
        """Standard units, shape (n, s), before any drift."""
        shape = (_FACTORS, self.group[-1] + 1)
        lots = np.repeat(random.standard_normal((BLOCK // LOT, *shape)), LOT, axis=0)[: len(station)]
        wafers = random.standard_normal((len(station), *shape))
        factors = np.sqrt(_LOT_SHARE) * lots + np.sqrt(1 - _LOT_SHARE) * wafers
        readings: Floats = random.standard_normal((len(station), len(self.names))) * self.noise + self.offsets[station]
        for k in range(_FACTORS):  # not one matrix product: its last bits depend on the number of threads
            readings += factors[:, k, self.group] * self.loadings[k]
        for twin, source in self.twins.items():
            readings[:, twin] = readings[:, source] + 0.05 * readings[:, twin]
        return readings

    def log_odds(self, readings: Floats, station: Integers) -> Floats:
        """Raw log-odds of failure, shape (n,): intercept and slope are calibrated later."""
        a, b, c, d = readings[:, self.pairs].T
        interactions = _BOTH_HIGH * np.maximum(a, 0) * np.maximum(b, 0) + _PRODUCT * c * d
        outside = _WINDOW * np.minimum(readings[:, self.window] ** 2, 6)
        log_odds: Floats = (readings[:, self.linear] * _LINEAR).sum(axis=1) + interactions + outside
        return log_odds + self.harm[station]

    def convert_readings(self, readings: Floats) -> Floats:
        """Return what the sensors report, in their units, (n, s), column by column in memory."""
        values: Floats = np.asfortranarray(readings * self.scale + self.centre)
        values[:, self.skewed] = self.scale[self.skewed] * np.exp(0.6 * readings[:, self.skewed])
        values[:, self.constant] = self.centre[self.constant]
        return values


def list_drifts(fab: Fab, physics: Physics) -> tuple[Drift, ...]:
    def drift(kind: Literal["gradual", "step"], places: Integers, tool: str | None, share: float) -> Drift:
        names = tuple(physics.names[place] for place in sorted(places))
        return Drift(kind, names, tool, fab.start + timedelta(days=fab.days * share))

    ageing = drift("gradual", physics.ageing, TOOLS[AGEING_TOOL], AGEING_FROM)
    return (ageing, drift("step", physics.stepping, None, STEP_FROM)) if fab.drift else ()
