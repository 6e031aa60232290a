"""From shifts of series to what a person is told: one alarm for all that matters, then its changes and its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from rowcast.monitor.baseline import Baseline
from rowcast.monitor.edges import Floats
from rowcast.monitor.shifts import Shift
from rowcast.monitor.statistics import RATES, Figures, Frame, Run, Series

MATTERS = 0.05  # SDs of the score, root mean square over rows: what moves it less changes no decision worth a message
FLAGGED, QUARANTINED = 0.10, 0.005  # matter too: a tenth more or fewer rows flagged, half a percent more quarantined
ROWS, AGE = float(np.log(1.25)), float(np.log(1.5))  # a quarter more rows an hour, a fifth fewer; half as old again
ENDED = 0.5  # of what matters: below it an alarm is over
NEWS = 0.5  # of what was told last: by so much others have to shift for an alarm to be told again
NAMED = 10  # findings of an event
COUNTED = 50  # rows, at least, by which a cost is expected
RECENT = 8  # runs that the table shows of a series that has not shifted

EventKind = Literal["started", "changed", "ended"]


@dataclass(frozen=True)
class Finding:
    """A series that has shifted."""

    series: Series
    since: str  # the run with which it began, as far as can be told
    since_at: datetime  # that of the run before it: its rows have come since then
    was: float  # in the clean runs: the mean or SD in the column's unit, or a share of 1, rows an hour, hours
    now: float  # since then
    change: float  # SDs for a mean; the factor for an SD, for rows and for age; the difference for a share
    size: float  # how much it moves what the model says; 1 is what matters
    weight: float  # the column's


@dataclass(frozen=True)
class Event:
    """An alarm begins, is joined by other columns that matter half as much as those told, or ends."""

    what: EventKind
    run_id: str  # that showed it
    at: datetime
    size: float  # of all findings together; 1 is what matters
    findings: tuple[Finding, ...]  # the ten largest, in that order
    more: int  # further series that shifted
    flagged: tuple[float, float] | None  # share of the rows: in the clean runs, and since the first finding; if known
    cost: tuple[float, float] | None  # expected, of a row: before the first finding, and since; if known


@dataclass(frozen=True)
class State:
    """One series, whether or not it has shifted."""

    series: Series
    trained: float | None  # in the training rows; None for what they do not have
    was: float | None  # None for what no clean run had
    now: float | None  # since it shifted, else in the last eight runs
    since: str | None  # the run with which it shifted; None where it has not
    size: float  # 0 where it has not
    weight: float


@dataclass(frozen=True)
class EventLog:
    """All that is known of R runs and S series."""

    frame: Frame
    runs: Sequence[Run]
    figures: Figures
    baseline: Baseline
    clean: int  # how many of the first runs it is of
    weights: Floats  # (S,)
    shifts: Sequence[Shift]
    costs: Floats | None  # expected of a row, by slot of the score

    def events(self) -> tuple[Event, ...]:
        """Return the events in time order."""
        found, told, size_told = list[Event](), np.zeros(len(self.shifts), bool), 0.0
        series = [self.figures.series[shift.series] for shift in self.shifts]
        subject = np.array([each.column or each.kind for each in series])
        for run in range(len(self.runs)):
            active = self._sizes[:, run] > 0
            size, new = _together(self._sizes[:, run]), active & ~np.isin(subject, subject[told])
            what: EventKind | None = None
            if told.any() and size < ENDED:
                what = "ended"
            elif _together(self._sizes[new, run]) >= max(1, size_told * NEWS):
                what = "changed" if told.any() else "started"
            if what is not None:
                found.append(self.event(what, run, told if what == "ended" else active))
                told, size_told = (told | active) & (what != "ended"), size * (what != "ended")
        return tuple(found)

    def find_standing(self, told: tuple[Event, ...]) -> Event | None:
        """Return the alarm as of the last run, by the last of its events; None where none stands."""
        if not told or told[-1].what == "ended":
            return None
        return self.event(told[-1].what, len(self.runs) - 1, self._sizes[:, -1] > 0)

    def event(self, what: EventKind, run: int, shifts: npt.NDArray[np.bool_]) -> Event:
        """Return an event as of that run, about these shifts."""
        places = sorted(np.flatnonzero(shifts).tolist(), key=lambda k: -self._sizes[k, run])
        first = min((self.shifts[k].since for k in places), default=run)
        return Event(
            what,
            self.runs[run].run_id,
            self.runs[run].at,
            _together(self._sizes[:, run]),
            tuple(self._make_finding(self.shifts[k], k, run) for k in places[:NAMED]),
            len(places[NAMED:]),
            self._find_flagged(first, run),
            self._cost(first, run),
        )

    def table(self) -> tuple[State, ...]:
        """Return the state of every series as of the last run."""
        last = len(self.runs) - 1
        trained, _ = self._in_units(self.frame.reference.counts)
        recent = self._amounts(max(last + 1 - RECENT, 0), last)
        active = {shift.series: (shift, k) for k, shift in enumerate(self.shifts) if self._is_active(shift, last)}
        usual, _ = self._usual
        found = []
        for place, series in enumerate(self.figures.series):
            shift, k = active.get(place, (None, 0))
            now = recent if shift is None else self._amounts(shift.since, last)
            found.append(
                State(
                    series,
                    _or_none(trained[place]),
                    _or_none(usual[place]),
                    _or_none(now[place]),
                    None if shift is None else self.runs[shift.since].run_id,
                    0.0 if shift is None else float(self._sizes[k, last]),
                    float(self.weights[place]),
                )
            )
        return tuple(found)

    def _begin_of(self, run: int) -> datetime:
        """From when on the rows of a run are."""
        before = self.runs[run - 1] if run else self.runs[run]
        return before.at if before.run_id else self.runs[run].at  # a block of training rows may lie long back

    def _find_flagged(self, first: int, run: int) -> tuple[float, float] | None:
        """In the clean runs, or, where these are blocks of training rows, in those before."""
        place = self.figures.series.index(Series("flagged"))
        was, now = float(self._usual[0][place]), float(self._amounts(first, run)[place])
        if np.isnan(was) and first:
            was = float(self._amounts(0, first - 1)[place])
        return None if np.isnan(was) or np.isnan(now) else (was, now)

    def _cost(self, first: int, run: int) -> tuple[float, float] | None:
        before, since = self._estimate_cost(0, first), self._estimate_cost(first, run + 1)
        return None if before is None or since is None else (before, since)

    def _estimate_cost(self, first: int, end: int) -> float | None:
        """Cost of a row in these runs, by their scores."""
        if self.costs is None:
            return None
        start = self.frame.edges.starts[-2] + 1  # past those without a score
        counts = sum((run.profile.counts[start:] for run in self.runs[first:end]), np.zeros(len(self.costs), np.int64))
        rows = int(counts.sum())
        return float(counts @ self.costs) / rows if rows >= COUNTED else None

    def _is_active(self, shift: Shift, run: int) -> bool:
        return shift.seen <= run and (shift.ended is None or run < shift.ended)

    def _make_finding(self, shift: Shift, k: int, run: int) -> Finding:
        """One that is over is shown by the runs that say so."""
        first = shift.since if self._is_active(shift, run) else max(run + 1 - RECENT // 2, shift.since)
        place, series = shift.series, self.figures.series[shift.series]
        usual, sd = self._usual
        was, now = float(usual[place]), float(self._amounts(first, run)[place])
        if series.kind in ("location", "score"):
            change = (now - was) / float(sd[place])
        else:
            change = now - was if series.kind in RATES else now / was
        return Finding(
            series,
            self.runs[shift.since].run_id,
            self._begin_of(shift.since),
            was,
            now,
            change,
            float(self._sizes[k, run]),
            float(self.weights[place]),
        )

    @cached_property
    def _sizes(self) -> Floats:
        """How much each of K shifts moves what the model says, as of each run while it is on: (K, R), else 0."""
        found = np.zeros((len(self.shifts), len(self.runs)))
        for k, shift in enumerate(self.shifts):
            values = self.figures.values[shift.since : shift.ended, shift.series]
            sums, count = np.cumsum(np.nan_to_num(values)), np.cumsum(~np.isnan(values))
            moved = self._distance(shift, sums / np.maximum(count, 1)) * self.weights[shift.series] / MATTERS
            found[k, shift.seen : shift.ended] = moved[shift.seen - shift.since :]
        return found

    def _distance(self, shift: Shift, mean: Floats) -> Floats:
        """In SDs of what the column adds to the score, root mean square over rows; of the job's, as if it were."""
        kind, usual = self.figures.series[shift.series].kind, float(self.baseline.mean[shift.series])
        share, before = np.sin(mean / 2) ** 2, float(np.sin(usual / 2) ** 2)  # of a kind that is an angle
        if kind in ("location", "score"):
            moved = (mean - usual) / np.sqrt(self.figures.noise[shift.series])
        elif kind in ("scale", "spread"):
            moved = (mean / usual) ** 1.5 - 1
        elif kind in ("rows", "age"):
            moved = MATTERS * (mean - usual) / (ROWS if kind == "rows" else AGE)
        elif kind == "flagged":
            moved = MATTERS * (share / before - 1) / FLAGGED
        elif kind == "quarantined":
            moved = MATTERS * (share - before) / QUARANTINED
        else:
            moved = np.sqrt(np.abs(share - before))  # so many rows move by what the column adds to them
        found: Floats = np.abs(moved)
        return found

    @cached_property
    def _usual(self) -> tuple[Floats, Floats]:
        """Of the clean runs, as `_in_units`: of the job the means of its own."""
        counts, _ = self._sum_runs(0, self.clean - 1)
        return self._in_units(counts, self.baseline.mean[len(self.frame.series) :])

    def _amounts(self, first: int, last: int) -> Floats:
        if (first, last) not in self._known_amounts:
            self._known_amounts[first, last] = self._in_units(*self._sum_runs(first, last))[0]
        return self._known_amounts[first, last]

    @cached_property
    def _known_amounts(self) -> dict[tuple[int, int], Floats]:
        return {}

    def _sum_runs(self, first: int, last: int) -> tuple[npt.NDArray[np.int64], Floats]:
        """Counts of these runs, and the mean figures of the job."""
        counts = sum(
            (run.profile.counts for run in self.runs[first : last + 1]), np.zeros_like(self.frame.reference.counts)
        )
        of_job = self.figures.values[first : last + 1, len(self.frame.series) :]
        known = ~np.isnan(of_job)
        with np.errstate(invalid="ignore"):
            return counts, np.where(known, of_job, 0).sum(axis=0) / known.sum(axis=0)

    def _in_units(self, counts: npt.NDArray[np.int64], of_job: Floats | None = None) -> tuple[Floats, Floats]:
        """Of each series the amount that these counts and figures come to, and of a column its SD, (S,)."""
        amounts, sd = self.frame.amounts(counts)
        job = self.figures.series[len(amounts) :]
        figures = np.full(len(job), np.nan) if of_job is None else of_job
        shown = [np.sin(f / 2) ** 2 if s.kind in RATES else np.exp(f) for s, f in zip(job, figures, strict=True)]
        return np.concatenate([amounts, shown]), np.concatenate([sd, np.full(len(job), np.nan)])


def _together(sizes: Floats) -> float:
    return float(np.sqrt((sizes**2).sum()))


def _or_none(amount: float) -> float | None:
    return None if np.isnan(amount) else float(amount)
