"""When a retrain is due: by time and labels, and where the policy asks for it by what the monitor shows."""

from datetime import datetime, timedelta

from rowcast import fetch
from rowcast.job.opening import Job
from rowcast.job.step_record import record_step
from rowcast.messages.cost import describe_excess
from rowcast.messages.retraining import Due, DueCause
from rowcast.monitor.track_record import CostExcess
from rowcast.store.profiles import find_standing
from rowcast.watch import quality

_AT_LEAST = timedelta(hours=1)  # between a retrain that failed and the next that nobody asked for


def check_time(job: Job, now: datetime) -> Due:
    """Return whether a retrain is due by time and new labels. Whatever the policy, none is due before."""
    policy, versions = job.settings.retrain, job.registry.versions()
    if policy.policy == "never":
        return Due(DueCause.NEVER)
    if not versions or job.registry.champion() is None:  # or the first run died before its gate
        return Due(DueCause.NO_MODEL)
    failed = job.runs.find_failed_training()
    if failed and job.is_ahead(failed[0], now):
        failed = None
    again = failed[0] + max(policy.every / 7, _AT_LEAST) if failed else now
    if failed and now < again:
        return Due(DueCause.FAILED_BEFORE, until=again, run_id=failed[1])
    waited = now - versions[0].created_at
    if waited < policy.every and not job.is_ahead(versions[0].created_at, now):
        return Due(DueCause.TOO_EARLY, until=versions[0].created_at + policy.every)
    new = fetch.count_known_labels(job.source, now) - int(versions[0].metrics.get("labels_known", 0))
    if new < policy.min_new_labels:
        return Due(DueCause.FEW_LABELS, labels=new, labels_needed=policy.min_new_labels)
    return Due(DueCause.ELAPSED, days=max(waited.days, 0), labels=new, version=versions[0].version)


def check_figures(job: Job, now: datetime, run_id: int, due: Due) -> Due:
    """Return whether what is due by time is due by the policy's figures too; without a champion there are none."""
    champion = job.registry.champion()
    if champion is not None and job.settings.retrain.policy == "on-drift":
        drifting = job.retry(lambda: find_standing(job.profiles.list_drift(champion)))
        return Due(DueCause.DRIFT, drift=drifting) if drifting else Due(DueCause.NO_DRIFT)
    if champion is not None and job.settings.retrain.policy == "on-loss":
        excess = _excess(job, now, run_id)
        return Due(DueCause.COST, excess=excess, version=champion) if excess else Due(DueCause.NO_COST)
    return due


def would_build(job: Job, now: datetime) -> bool:
    """Return whether a run as of this moment would retrain; nothing is recorded."""
    due = check_time(job, now)
    if due.now and job.settings.retrain.policy == "on-loss" and job.registry.champion() is not None:
        found = quality.champion(job, now)
        return found is not None and found.loss is not None
    return due.now and check_figures(job, now, 0, due).now


def _excess(job: Job, now: datetime, run_id: int) -> CostExcess | None:
    """Return the figure that shows that the champion costs more than was expected, recorded with the run."""
    with record_step(job.runs, run_id, "quality", "score") as report:
        found = job.retry(lambda: quality.champion(job, now))
        if found is None:
            report.rows_in = report.rows_out = 0
            return None
        report.rows_in = report.rows_out = found.whole.rows
        report.metrics = quality.figures(found)
        report.note = f"v{found.version}: {describe_excess(found.loss)}" if found.loss else ""
        return found.loss
