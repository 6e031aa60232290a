"""Whether estimates on real tables admit that they are wrong, and how soon the cost alarm says it.

The first model of each table goes on serving. Each week the last 30 days of events are looked at, as `rowcast quality`
looks at them: rows are scored on the day of their event, and labels come late. The truth of a window is what all of its
rows turn out to have cost.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.monitor.quality import Basis, Tally, TallyBuilder, estimate_cost, make_basis, total_cost
from rowcast.monitor.track_record import ExpectedCost, find_realised_loss, measure_track_record
from rowcast.watch.cost_alarm import GOES_ON, level
from studies.retraining import DAY, FIRST, Case, Moment, build_known
from studies.sets import Dataset

Floats = npt.NDArray[np.float64]
MONTH = 30


@dataclass(frozen=True)
class Watched:
    """A table whose first model goes on serving, and what is held against later rows."""

    cells: tuple[Tally, ...]  # of each day, all rows as if their labels were known
    first: int  # the first day
    basis: Basis
    expected: ExpectedCost

    def window(self, now: int, late: int) -> tuple[Tally, Tally]:
        """Return all rows of the days before `now`, and those whose labels are known by then."""
        days = range(max(self.first, now - MONTH), now)
        return (
            _join([self.cells[day - self.first] for day in days]),
            _join([self.cells[day - self.first] for day in days if day + late < now]),
        )


def study(case: Case) -> dict[str, Any]:
    """Return a line of the table of docs/monitoring-method.md."""
    table, late = watch(case), max(1, case.late // DAY)
    looks = left = withheld = shown = dear = told = alarms = first_dear = first_told = 0
    standing, end = False, table.first + len(table.cells)
    for now in range(table.first + MONTH, end):
        scored, judged = table.window(now, late)
        if not judged.count:
            continue
        stands = _shows(judged, table, GOES_ON if standing else level(1.0))
        alarms += stands and not standing
        first_told = first_told or (now - table.first) * stands
        standing = stands
        if (now - table.first) % 7:
            continue
        looks += 1
        truth, interval = total_cost(scored, table.basis) / scored.count, estimate_cost(scored, table.basis)
        is_left = not interval.holds(float(truth))
        is_withheld = measure_track_record(judged, table.basis).is_withheld
        left += is_left
        withheld += is_withheld
        shown += is_left and not is_withheld
        is_dear = truth > table.expected.high
        first_dear = first_dear or (now - table.first) * is_dear
        dear += is_dear
        told += is_dear and standing
    return {
        "data": case.name,
        "windows": looks,
        "truth outside": left,
        "and shown": shown,
        "withheld": withheld,
        "dearer than promised": dear,
        "and told": told,
        "dear from day": first_dear or "-",
        "told on day": first_told or "-",
        "alarms": alarms,
    }


def watch(case: Case) -> Watched:
    """Return a table under its first model."""
    data = case.rows()
    at = int(data.time[int(FIRST * len(data.time))])
    rows = np.flatnonzero(data.time + case.late <= at)
    built = build_known(Moment(at, data.take(rows), data.time[rows] + case.late))
    model = built.model
    later = data.take(np.flatnonzero(data.time > at))
    scored = model.score(later.matrix.select(model.features))
    day = later.time // DAY
    basis = make_basis("binary", data.task.cost_missed, data.task.cost_false_alarm, built.metrics)
    expected = ExpectedCost.of(built.metrics)
    assert expected is not None
    first = int(day.min())
    places = [np.flatnonzero(day == each) for each in range(first, int(day.max()) + 1)]
    cells = tuple(_tally(later.take(here), scored.score[here], scored.flagged[here], basis) for here in places)
    return Watched(cells, first, basis, expected)


def _tally(data: Dataset, score: Floats, flagged: npt.NDArray[np.bool_], basis: Basis) -> Tally:
    """Return a day's rows, summed."""
    adding = TallyBuilder()
    wrong = flagged != data.target.values.astype(bool)
    band = np.searchsorted(basis.edges, score)
    spread = score * (1 - score)
    sums = np.stack([np.ones(len(score)), score, spread, spread * (1 - 2 * score), wrong])
    for is_flagged in (False, True):
        for number in np.unique(band):
            among = (flagged == is_flagged) & (band == number)
            when = np.datetime64(int(data.time[0] // DAY), "D")
            adding.add(when, is_flagged, int(number), sums[:, among].sum(axis=1).tolist())
    return adding.tally()


def _join(parts: list[Tally]) -> Tally:
    parts = [part for part in parts if len(part.day)] or [TallyBuilder().tally()]
    return Tally(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def _shows(judged: Tally, table: Watched, at: float) -> bool:
    found = [
        find_realised_loss(judged, table.basis, table.expected, at),
        measure_track_record(judged, table.basis, at).contradicted,
    ]
    return any(each is not None and each.beyond > 0 for each in found)
