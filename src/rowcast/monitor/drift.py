"""Drift: what changed in the runs of a model version, told by a rule that false alarms keep to a budget.

`look` is a pure function of the runs, so that any stretch of them can be looked at again. Its events up to a run do not
depend on later runs. docs/monitoring-method.md has the method, its sources and how often it errs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rowcast.monitor.baseline import CLEAN, fit_baseline
from rowcast.monitor.edges import Edges, Floats, Numbers
from rowcast.monitor.events import Event, EventLog, Finding, State
from rowcast.monitor.profile import add_profiles
from rowcast.monitor.shifts import find_shifts, find_vanished, level_of_runs
from rowcast.monitor.statistics import Figures, Frame, Kind, Run

LEAST_ROWS = 50  # of a run
FEWEST_ROWS = 20  # of a block of training rows
APART, DAY = timedelta(hours=4), timedelta(days=1)
MOST_BLOCKS = 80
_MICROSECOND = timedelta(microseconds=1)

# Of the false alarms allowed: what each kind of series may bring, all columns together.
SHARES: dict[Kind, float] = {
    "location": 0.49,
    "scale": 0.14,
    "missing": 0.12,
    "range": 0.03,  # and `unseen`, which is the same of categories
    "score": 0.06,
    "spread": 0.02,
    "flagged": 0.03,
    "rows": 0.04,
    "age": 0.04,
    "quarantined": 0.03,
}


_TOGETHER: dict[Kind, tuple[Kind, ...]] = {"location": ("location", "category"), "range": ("range", "unseen")}


@dataclass(frozen=True)
class DriftResult:
    """What runs come to."""

    events: tuple[Event, ...]  # in time order; those of a run do not change when later runs are looked at
    standing: tuple[Event, ...]  # of these, the alarms that have begun and not ended
    alarm: Event | None  # all of them together, as of the last run
    table: tuple[State, ...]
    runs: int  # looked at: small ones are joined
    needed: int  # clean runs, which say what is usual: what is told is of runs that follow them

    @property
    def provisional(self) -> bool:
        """Whether no run has followed those that say what is usual: none can have changed yet."""
        return self.runs <= self.needed


def detect_drift(
    runs: Sequence[Run],
    frame: Frame,
    weights: Mapping[str, float] | None = None,
    false_alarms_per_month: float = 1.0,
    clean: int = 0,
    costs: Floats | None = None,
) -> DriftResult:
    """Return what changed in runs of one model version, in time order.

    `weights` says of a column by how many of its SDs the raw score moves when the column moves by one of its own (see
    `weights_of`): 0 for one that the model does not use, which then is in the table alone. Without it, 1 for all. The
    first `clean` runs are known to be clean: blocks of the training rows, with nothing but a profile. They make the
    baseline; where they are fewer than 40, the first 40 do. `costs` are those that a row is expected to cause by its
    score (see `costs_of`).
    """
    units = [*runs[:clean], *merge_small_runs(runs[clean:], frame.edges)]
    figures = frame.figures(units)
    needed = max(CLEAN, clean)
    given = np.array(
        [1.0 if s.column is None or weights is None else weights.get(s.column, 0.0) for s in figures.series]
    )
    usual = fit_baseline(figures, needed)
    hours = np.diff([unit.at.timestamp() for unit in units], prepend=np.nan) / 3600
    level = level_of_runs(np.nan_to_num(hours), false_alarms_per_month)
    found = find_shifts(figures, usual, level, _shares(figures, given)) if units else []
    found += find_vanished(figures, frame.amounts(frame.reference.counts)[0], clean, needed)
    account = EventLog(frame, units, figures, usual, needed, given, found, costs)
    events = account.events()
    ended = {event.begun for event in events if event.what == "ended"}
    standing = tuple(event for event in events if event.begun not in ended)
    alarm = account.all_shifts(standing[0].begun) if standing else None
    return DriftResult(events, standing, alarm, account.table() if units else (), len(units), needed)


def score_weights(names: Sequence[str], contributions: Floats) -> dict[str, float]:
    """Return by how many of its SDs the raw score moves with each column, from contributions (n, f).

    The SD of a column's contributions over that of the raw score: exact for a linear model, for trees as good as one
    number can be.
    """
    sd = contributions.std(axis=0) / (contributions.sum(axis=1).std() or 1.0)
    return dict(zip(names, sd.tolist(), strict=True))


def date_back(looked: DriftResult, earlier: Sequence[Finding]) -> DriftResult:
    """Return the same drift, begun when it did under the version before.

    `earlier` is what drifted in the rows of that version when this one took its place. Of what began with a version's
    first run, its own runs cannot tell whether it is older.
    """
    known = {one.series: one for one in sorted(earlier, key=lambda one: one.since_at, reverse=True)}
    first = {one.since for event in (*looked.events, looked.alarm) if event for one in event.findings if one.is_first}

    def begin(one: Finding) -> Finding:
        before = known.get(one.series) if one.is_first else None
        return one if before is None else replace(one, since=before.since, since_at=before.since_at, is_first=False)

    def of(event: Event) -> Event:
        return replace(event, findings=tuple(begin(one) for one in event.findings))

    return replace(
        looked,
        events=tuple(of(event) for event in looked.events),
        standing=tuple(of(event) for event in looked.standing),
        alarm=None if looked.alarm is None else of(looked.alarm),
        table=tuple(
            replace(state, since=known[state.series].since) if state.since in first and state.series in known else state
            for state in looked.table
        ),
    )


def compute_costs(score: Numbers, threshold: float, missed: float, false_alarm: float) -> Floats:
    """Return what a row is expected to cost in each slot of the score but the missing, (slots - 1,).

    That is, while the score is a calibrated probability. Near the threshold either decision costs the same, so that it
    does not matter on which side of it a slot's mean lies.
    """
    return np.where(score.means >= threshold, false_alarm * (1 - score.means), missed * score.means)


def split_blocks(
    rows: int, when: npt.NDArray[np.int64] | None, apart: timedelta = APART
) -> list[npt.NDArray[np.int64]]:
    """Return blocks of training rows in time order, the places of each: they stand for clean runs until there are any.

    `when` (rows,) says when they came, in microseconds since 1970, where that is known, and `apart` how far apart runs
    will be. No block lasts longer, as far as it has 50 rows, or 20 where there would be fewer than 40 blocks: what
    changes from run to run, such as from day to night, would be averaged out, and every run would differ from every
    block. Shorter ones differ more than runs do, which is safe. The newest rows count, as they are most like those to
    come.
    """
    least = min(LEAST_ROWS, max(FEWEST_ROWS, rows // CLEAN))
    if when is None or rows < 2 * least:
        borders = np.linspace(0, rows, max(1, min(CLEAN, rows // least)) + 1).astype(np.int64).tolist()
        return [np.arange(begin, end) for begin, end in pairwise(borders)]
    lasting, borders = min(apart // _MICROSECOND, int(when[-1] - when[0]) // CLEAN), [rows]
    while len(borders) <= MOST_BLOCKS:
        end = borders[-1]
        begin = min(int(np.searchsorted(when, when[end - 1] - lasting, "right")), end - least)
        if begin < 0:
            break
        borders.append(begin)
    return [np.arange(begin, end) for begin, end in pairwise(reversed(borders))]


def merge_small_runs(runs: Sequence[Run], edges: Edges) -> list[Run]:
    """Return runs of at least 50 rows, four hours or a day after the last: smaller ones are merged with the next.

    The last ones are left out until they come to that.
    """
    found, held, last = list[Run](), list[Run](), None
    for run in runs:
        held.append(run)
        waited = run.at - last if last else APART
        last = last or run.at - APART
        rows = sum(_rows(each, edges) for each in held)
        if (waited >= APART and rows >= LEAST_ROWS) or waited >= DAY:
            found.append(reduce(_together, held))
            held, last = [], run.at
    return found


def _rows(run: Run, edges: Edges) -> int:
    return int(np.add.reduceat(run.profile.counts, edges.starts[:-1]).max()) if run.rows is None else run.rows


def _together(one: Run, other: Run) -> Run:
    def sum_of(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a + b

    return Run(
        other.run_id,
        other.at,
        add_profiles(one.profile, other.profile),
        sum_of(one.rows, other.rows),
        sum_of(one.quarantined, other.quarantined),
        sum_of(one.flagged, other.flagged),
        other.age,
    )


def _shares(figures: Figures, weights: Floats) -> Floats:
    """Of the false alarms: each series', by kind and by weight within it, (S,); they add up to 1.

    The series of columns without weight, which alarm nobody, have as much again among themselves.
    """
    found, used = np.zeros(len(weights)), 0.0
    columns = Counter((series.column, series.kind) for series in figures.series)
    part = np.array([1 / columns[series.column, series.kind] for series in figures.series])  # of a column's categories
    for kind, share in SHARES.items():
        of_kind = figures.of(*_TOGETHER.get(kind, (kind,)))
        for alike, weight in ((of_kind & (weights > 0), weights * part), (of_kind & (weights <= 0), part)):
            if alike.any():
                found[alike] = share * weight[alike] / weight[alike].sum()
        used += share * bool((of_kind & (weights > 0)).any())
    return found / (used or 1.0)
