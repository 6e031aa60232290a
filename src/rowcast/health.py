"""How the newest run went beside those before it, and what needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rowcast.job.opening import Job
from rowcast.messages.health import (
    AlertsUndelivered,
    Need,
    NothingInService,
    RunNotDone,
    TroubleStands,
    Unusual,
    describe_need,
    describe_unusual,
)
from rowcast.store.records import RunRecord, RunStatus, StepRecord, StepStatus

LEAST, MOST = 8, 50  # earlier runs that tell what is usual
FOLD = 2.0  # from the median at least, and beyond all earlier runs, is unusual
_COMPARED = {"duration_s": Unusual.SLOWER, "rows_in": Unusual.MORE_ROWS, "peak_rss_mb": Unusual.MORE_MEMORY}
_TRIED = 3  # times, ten minutes or more, before somebody should look why a sink does not take an alert


@dataclass(frozen=True)
class Step:
    """A step of the newest run that ended, and the medians of the runs of its pipeline before."""

    name: str
    row_set: str
    status: StepStatus
    duration_s: float | None
    usual_s: float | None  # None where too few runs tell
    rows_in: int | None
    usual_rows: float | None
    peak_mb: float | None
    usual_mb: float | None
    unusual: str  # in words; empty where nothing is


def steps(job: Job) -> list[Step]:
    """Return the steps of the newest run that ended, each beside the runs before; none where no run has ended."""
    newest = _newest(job)
    if newest is None:
        return []
    before: dict[tuple[str, str], list[StepRecord]] = {}
    for step in job.runs.steps_before(newest.run_id, newest.pipeline, MOST):
        before.setdefault((step.name, step.row_set), []).append(step)
    return [_step(step, before.get((step.name, step.row_set), [])) for step in job.runs.steps(newest.run_id)]


def needs_a_person(job: Job) -> list[str]:
    """Return what does not mend itself, in a sentence each."""
    return [describe_need(need) for need in find_needs(job)]


def find_needs(job: Job) -> list[Need]:
    """Return what does not mend itself."""
    found: list[Need] = [TroubleStands(alert) for alert in job.alerts.list_standing()]
    newest = _newest(job)
    if newest is not None and newest.status is not RunStatus.DONE and (newest.is_dead or not found):
        found.append(RunNotDone(newest))
    if job.registry.champion() is None:
        found.append(NothingInService())
    unsent = [delivery for delivery in job.alerts.due(at_once=True) if delivery.attempts >= _TRIED]
    if unsent:
        found.append(AlertsUndelivered(len(unsent), unsent[0].waiting))
    return found


def _newest(job: Job) -> RunRecord | None:
    return next((run for run in job.runs.newest() if run.status is not RunStatus.RUNNING), None)


def _step(step: StepRecord, before: Sequence[StepRecord]) -> Step:
    usual = {name: _median(before, name) for name in _COMPARED}
    found: list[Unusual] = []
    for name, more in _COMPARED.items():
        value, known = getattr(step, name), _list_known(before, name)
        if value is None or len(known) < LEAST:
            continue
        if value > FOLD * usual[name] and value > max(known):
            found.append(more)
        elif name == "rows_in" and value < usual[name] / FOLD and value < min(known):
            found.append(Unusual.FEWER_ROWS)
    return Step(
        step.name,
        step.row_set,
        step.status,
        step.duration_s,
        usual["duration_s"],
        step.rows_in,
        usual["rows_in"],
        step.peak_rss_mb,
        usual["peak_rss_mb"],
        describe_unusual(found),
    )


def _list_known(before: Sequence[StepRecord], name: str) -> list[float]:
    return [value for step in before if (value := getattr(step, name)) is not None]


def _median(before: Sequence[StepRecord], name: str) -> Any:
    known = _list_known(before, name)
    return float(np.median(known)) if len(known) >= LEAST else None
