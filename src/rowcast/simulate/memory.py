"""Tools that remember: now and then a defect damages its tool, whose wafers fail more often until maintenance."""

from datetime import timedelta

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from rowcast.simulate.fab import Fab, Floats, Integers, Maintenance
from rowcast.simulate.lots import CHAMBERS, TOOLS, Lots
from rowcast.simulate.streams import DAY, open_stream

_DAMAGES = 0.04  # of the defects
_APART = 25 * DAY  # seconds between two maintenances of a tool, on average


class Memory:
    """Which wafers (n,) were made by a damaged tool: each depends on all that were made before."""

    def __init__(self, fab: Fab, lots: Lots) -> None:
        random = open_stream(fab.seed, "maintenance")
        count = int(4 * fab.days * DAY / _APART) + 8
        self.times = [np.cumsum(random.exponential(_APART, count)) for _ in TOOLS]  # seconds after the start
        self._fab, self._lots = fab, lots

    def list_maintenance(self) -> tuple[Maintenance, ...]:
        """Return what was done within the horizon, in time order."""
        start, end = self._fab.start, self._fab.days * DAY
        done = [(float(second), tool) for tool, times in zip(TOOLS, self.times, strict=True) for second in times]
        return tuple(Maintenance(tool, start + timedelta(seconds=int(s))) for s, tool in sorted(done) if s < end)

    def find_damaged(self, log_odds: Floats, luck: Floats) -> npt.NDArray[np.bool_]:
        """Return which wafers a damaged tool made, by their log-odds without that and the luck (n,) that decides."""
        rows = np.arange(len(log_odds))
        tool, second = self._lots.station(rows) // len(CHAMBERS), self._lots.seconds(rows)
        span = np.empty(len(rows), np.int64)  # between which two maintenances of its tool
        for place, times in enumerate(self.times):
            span[tool == place] = np.searchsorted(times, second[tool == place], side="right")
        usual, worse = expit(log_odds), expit(log_odds + self._fab.memory)
        damages = open_stream(self._fab.seed, "damage").random(len(rows)) < _DAMAGES
        return self._replay(tool, span, luck < usual, luck < worse, damages)

    @staticmethod
    def _replay(
        tool: Integers,
        span: Integers,
        fails: npt.NDArray[np.bool_],
        fails_if_damaged: npt.NDArray[np.bool_],
        damages: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.bool_]:
        """Return which wafers a damaged tool made, in the order in which they were made."""
        damaged, state = np.zeros(len(tool), np.bool_), dict.fromkeys(range(len(TOOLS)), (-1, False))
        for row, (place, now) in enumerate(zip(tool.tolist(), span.tolist(), strict=True)):
            since, is_damaged = state[place]
            is_damaged = is_damaged and since == now
            damaged[row] = is_damaged
            failed = fails_if_damaged[row] if is_damaged else fails[row]
            state[place] = (now, is_damaged or bool(failed and damages[row]))
        return damaged
