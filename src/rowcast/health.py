"""How the newest run went beside those before it, and what needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rowcast.job.opening import Job
from rowcast.store.records import RunRecord, RunStatus, StepRecord, StepStatus

LEAST, MOST = 8, 50  # earlier runs that tell what is usual
FOLD = 2.0  # from the median at least, and beyond all earlier runs, is unusual
_COMPARED = {"duration_s": "slower", "rows_in": "more rows", "peak_rss_mb": "more memory"}
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
    """Of the newest run that ended; none where no run has."""
    newest = _newest(job)
    if newest is None:
        return []
    before: dict[tuple[str, str], list[StepRecord]] = {}
    for step in job.runs.steps_before(newest.run_id, newest.pipeline, MOST):
        before.setdefault((step.name, step.row_set), []).append(step)
    return [_step(step, before.get((step.name, step.row_set), [])) for step in job.runs.steps(newest.run_id)]


def needs_a_person(job: Job) -> list[str]:
    """What does not mend itself, in a sentence each."""
    found = [f"{one.title} since {one.since:%Y-%m-%d %H:%M}: {one.hint}" for one in job.alerts.standing()]
    newest = _newest(job)
    if newest is not None and newest.status is not RunStatus.DONE and not found:
        found.append(f"run {newest.run_id} ({newest.pipeline}) is {newest.status}: {newest.error}")
    if job.registry.champion() is None:
        found.append("nothing is scored yet: 'rowcast retrain' trains the first model")
    unsent = [alert for alert in job.alerts.due(at_once=True) if alert.attempts >= _TRIED]
    if unsent:
        found.append(f"{len(unsent)} alerts do not reach {', '.join(unsent[0].waiting)}: 'rowcast notify' tries again")
    return found


def _newest(job: Job) -> RunRecord | None:
    return next((run for run in job.runs.newest() if run.finished_at is not None), None)


def _step(step: StepRecord, before: Sequence[StepRecord]) -> Step:
    usual = {name: _median(before, name) for name in _COMPARED}
    words = []
    for name, word in _COMPARED.items():
        value, known = getattr(step, name), _known(before, name)
        if value is None or len(known) < LEAST:
            continue
        if value > FOLD * usual[name] and value > max(known):
            words.append(word)
        elif name == "rows_in" and value < usual[name] / FOLD and value < min(known):
            words.append("fewer rows")
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
        f"{' and '.join(words)} than usual" if words else "",
    )


def _known(before: Sequence[StepRecord], name: str) -> list[float]:
    return [value for step in before if (value := getattr(step, name)) is not None]


def _median(before: Sequence[StepRecord], name: str) -> Any:
    known = _known(before, name)
    return float(np.median(known)) if len(known) >= LEAST else None
