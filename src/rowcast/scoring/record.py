"""The rows of the scoring steps in the store, added up over all batches and workers."""

from datetime import datetime

from rowcast.errors import RowcastError
from rowcast.job.opening import Job
from rowcast.job.step_record import peak_rss_mb, write_step
from rowcast.scoring.request import Outcome
from rowcast.store.records import StepRecord, StepStatus

STEPS = ("data-fetch", "data-check", "data-process", "inference")


def record_steps(job: Job, run_id: int, total: Outcome, started_at: datetime, failed: BaseException | None) -> None:
    """Record the scoring steps of a run; where it failed, as far as it came."""
    good = total.fetched - total.quarantined
    counts = {
        "data-fetch": (total.fetched, total.fetched),
        "data-check": (total.fetched, good),
        "data-process": (good, good),
        "inference": (good, total.scored),
    }
    broken_at = STEPS.index(failed.step) if isinstance(failed, RowcastError) and failed.step in STEPS else 0
    for place, (name, (rows_in, rows_out)) in enumerate(counts.items()):
        if failed is not None and place > broken_at and not total.batches:
            return
        metrics: dict[str, float] = {}
        status, note = StepStatus.DONE, ""
        error: BaseException | None = None
        if name == "data-check":
            metrics = {"quarantined": total.quarantined}
            note = f"set aside: {total.most_broken()}" if total.broken else ""
        if name == "inference":
            metrics = total.figures()
            if total.failed:
                status, error = StepStatus.PARTIAL, next(iter(total.failed.values()))
        if failed is not None and place == broken_at:
            status = StepStatus.FAILED if isinstance(failed, Exception) else StepStatus.INTERRUPTED
            error = failed
        figures = (total.seconds[name], rows_in, rows_out, total.columns, total.peak_rss_mb or peak_rss_mb(), None)
        write_step(job.runs, StepRecord(run_id, name, "score", status, started_at, *figures), metrics, note, "", error)
