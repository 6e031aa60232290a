"""When a retrain is due: by time and labels, and where the policy asks for it by what the monitor shows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rowcast import fetch
from rowcast.job.opening import Job
from rowcast.job.step_record import record_step
from rowcast.watch import drift, quality

_AT_LEAST = timedelta(hours=1)  # between a retrain that failed and the next that nobody asked for


@dataclass(frozen=True)
class Due:
    """Whether a retrain is, and why, or why not."""

    now: bool
    reason: str


def by_time(job: Job, now: datetime) -> Due:
    """By the time and the labels since the last model; whatever the policy, no retrain is due before."""
    policy, versions = job.settings.retrain, job.registry.versions()
    if policy.policy == "never":
        return Due(False, "not due: the policy is never")
    if not versions:
        return Due(True, "there is no model yet")
    failed = job.runs.failed_training()
    again = failed[0] + max(policy.every / 7, _AT_LEAST) if failed else now
    if failed and now < again and job.registry.champion() is not None:
        return Due(False, f"not tried again before {again:%Y-%m-%d %H:%M} UTC, since the last try failed: {failed[1]}")
    waited = now - versions[0].created_at
    if waited < policy.every:
        return Due(False, f"not due before {versions[0].created_at + policy.every:%Y-%m-%d %H:%M} UTC")
    new = fetch.count_known_labels(job.source, now) - int(versions[0].metrics.get("labels_known", 0))
    if new < policy.min_new_labels:
        return Due(False, f"not due: {new} new labels of at least {policy.min_new_labels}")
    return Due(True, f"{waited.days} days and {new} labels since v{versions[0].version}")


def by_figures(job: Job, now: datetime, run_id: int, due: Due) -> Due:
    """What is due by time, held against the figures that the policy asks for; without a champion there are none."""
    champion = job.registry.champion()
    if champion is not None and job.settings.retrain.policy == "on-drift":
        found = job.retried(lambda: drift.drifting(job, champion))
        return Due(bool(found), found or "not due: nothing drifts")
    if champion is not None and job.settings.retrain.policy == "on-loss":
        loss = _loss(job, now, run_id)
        return Due(bool(loss), loss or "not due: no figure shows that the champion costs more than it promised")
    return due


def _loss(job: Job, now: datetime, run_id: int) -> str:
    """Which figure shows that the champion costs more than it promised, recorded with the run; empty if none."""
    with record_step(job.runs, run_id, "quality", "score") as about:
        found = job.retried(lambda: quality.champion(job, now))
        if found is None:
            about.rows_in = about.rows_out = 0
            return ""
        about.rows_in = about.rows_out = found.whole.rows
        about.metrics = quality.figures(found)
        about.note = f"v{found.version}: {found.loss}" if found.loss else ""
        return about.note
