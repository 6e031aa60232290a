"""From shifts of series to what a person is told: an alarm for what begins to matter in a run, and its end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from rowcast.monitor.baseline import Baseline
from rowcast.monitor.edges import Floats
from rowcast.monitor.shifts import Shift
from rowcast.monitor.statistics import RATES, Figures, Frame, Kind, Run, Series

MATTERS = 0.05  # SDs of the score, root mean square over rows: what moves it less changes no decision worth a message
FLAGGED, QUARANTINED = 0.10, 0.005  # matter too: a tenth more or fewer rows flagged, half a percent more quarantined
ROWS, AGE = float(np.log(1.25)), float(np.log(1.5))  # a quarter more rows an hour, a fifth fewer; half as old again
ENDED = 0.5  # of what matters: below it an alarm is over
SHOWN = 0.25  # of its size: so much of it has to show in the column's own unit, else the size is what shows
NAMED = 10  # findings of an event
COUNTED = 50  # rows, at least, by which a cost is expected
_OWN: tuple[Kind, ...] = ("missing", "unseen")  # news of a column, whatever else of it is known
RECENT = 8  # runs that the table shows of a series that has not shifted

EventKind = Literal["started", "ended"]


@dataclass(frozen=True)
class Concentration:
    """The few groups of rows that a shift is confined to."""

    by: str  # the column that rows are grouped by
    groups: tuple[str, ...]  # that which moved most first
    of: int  # how many groups there are


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
    unseen: tuple[str, ...] = ()  # categories that training had not seen, the most frequent; where they were looked up
    is_first: bool = False  # whether it began with the version's first run: then nobody knows whether it is older
    within: Concentration | None = None  # the few groups that it is confined to, where they were looked for


@dataclass(frozen=True)
class Event:
    """An alarm begins, whatever others stand, or ends."""

    what: EventKind
    run_id: str  # that showed it
    begun: str  # the run that showed the beginning of the alarm, by which it is known
    at: datetime
    size: float  # of all its findings together; 1 is what matters
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
        """In time order; of a run, what ends before what begins."""
        began = [(alarm.begun, 1, alarm) for alarm in self._alarms]
        ended = [(alarm.ended, 0, alarm) for alarm in self._alarms if alarm.ended is not None]
        return tuple(
            self._event("started", run, run, alarm.told)
            if begins
            else self._event("ended", run, alarm.begun, alarm.shifts)
            for run, begins, alarm in sorted([*began, *ended], key=lambda each: each[:2])
        )

    def all_shifts(self, begun: str) -> Event:
        """Return everything that has shifted as of the last run, as if it were one alarm."""
        last = len(self.runs) - 1
        return replace(self._event("started", last, last, self._sizes[:, -1] > 0), begun=begun)

    @cached_property
    def _alarms(self) -> "list[_Alarm]":
        """Every alarm: the shifts that begin to matter in a run, of columns that no other alarm stands for."""
        found, standing = list[_Alarm](), list[_Alarm]()
        for run in range(len(self.runs)):
            sizes = self._sizes[:, run]
            active = sizes > 0
            for alarm in standing:
                alarm.shifts |= active & ~self._of(standing) & self._is_known(alarm.shifts)
                alarm.ended = run if _together(sizes[alarm.shifts]) < ENDED else None
            standing = [alarm for alarm in standing if alarm.ended is None]
            told = self._of(standing)
            new = active & ~told & ~self._is_known(told)
            if _together(sizes[new]) >= 1 and _together(self._shown_sizes(new, run)) >= 1:
                standing.append(_Alarm(run, new.copy(), new))
                found.append(standing[-1])
        return found

    def _of(self, alarms: "Sequence[_Alarm]") -> npt.NDArray[np.bool_]:
        found = np.zeros(len(self.shifts), bool)
        for alarm in alarms:
            found |= alarm.shifts
        return found

    def _is_known(self, told: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which shifts are no news beside those told: (K,). Missing values and unseen categories always are, once."""
        subjects = np.array([each.column or each.kind for each in self._shifted])
        kinds = np.array([each.kind if each.kind in _OWN else "" for each in self._shifted])
        known = np.isin(subjects, subjects[told])
        for kind in _OWN:
            mine = kinds == kind
            known[mine] = np.isin(subjects[mine], subjects[told & mine])
        return known

    @cached_property
    def _shifted(self) -> list[Series]:
        return [self.figures.series[shift.series] for shift in self.shifts]

    def _shown_sizes(self, shifts: npt.NDArray[np.bool_], run: int) -> Floats:
        return np.array([self._make_finding(self.shifts[k], k, run).size for k in np.flatnonzero(shifts).tolist()])

    def _event(self, what: EventKind, run: int, begun: int, shifts: npt.NDArray[np.bool_]) -> Event:
        """As of a run, about these shifts."""
        places = np.flatnonzero(shifts).tolist()
        findings = sorted((self._make_finding(self.shifts[k], k, run) for k in places), key=lambda one: -one.size)
        first = min((self.shifts[k].since for k in places), default=run)
        return Event(
            what,
            self.runs[run].run_id,
            self.runs[begun].run_id,
            self.runs[run].at,
            _together(np.array([one.size for one in findings])),
            tuple(findings[:NAMED]),
            len(findings[NAMED:]),
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
        size, weight = float(self._sizes[k, run]), float(self.weights[place])
        if series.kind in ("location", "score"):
            change = (now - was) / float(sd[place])
            size = _as_shown(size, abs(change) * weight / MATTERS)
        elif series.kind in ("scale", "spread"):
            change = now / was
            size = _as_shown(size, abs(change**1.5 - 1) * weight / MATTERS)
        else:
            change = now - was if series.kind in RATES else now / was
        return Finding(
            series,
            self.runs[shift.since].run_id,
            self._begin_of(shift.since),
            was,
            now,
            change,
            size,
            weight,
            is_first=bool(shift.since) and not self.runs[shift.since - 1].run_id,
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
        if kind == "missing" and self._is_provisional:
            before = float(self._usual[0][shift.series])
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
        """Of the clean runs, as `_in_units`, or of the training rows before there are enough; of the job its means."""
        if self._is_provisional:
            return self._in_units(self.frame.reference.counts)
        counts, _ = self._sum_runs(0, self.clean - 1)
        return self._in_units(counts, self.baseline.mean[len(self.frame.series) :])

    @property
    def _is_provisional(self) -> bool:
        return len(self.runs) <= self.clean

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


@dataclass
class _Alarm:
    """Shifts that began to matter in the same run. Runs are by their place, shifts (K,) marked."""

    begun: int
    told: npt.NDArray[np.bool_]  # as it began
    shifts: npt.NDArray[np.bool_]  # and those of the same columns since
    ended: int | None = None


def _as_shown(size: float, shown: float) -> float:
    """A change of ranks that hardly shows in the column's unit is of no more size than what shows."""
    return size if not shown < SHOWN * size else shown


def _together(sizes: Floats) -> float:
    return float(np.sqrt((sizes**2).sum()))


def _or_none(amount: float) -> float | None:
    return None if np.isnan(amount) else float(amount)
