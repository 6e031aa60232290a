"""Labelled rows that nothing can be learned from: the database cannot compute them, or their times cannot be read."""

import pyarrow as pa
import structlog

from rowcast import fetch
from rowcast.errors import TrainingError, describe
from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.step_record import StepReport
from rowcast.source import TIME

log = structlog.get_logger("rowcast")

FAILING = "train/failing.json"  # columns that the database cannot compute
_EXAMPLES = 20
_FIRST_DAY_OF_1970 = 86_400 * 10**6  # microseconds


def tell_failing(run: Run, failing: fetch.Failing, about: StepReport) -> None:
    """Count and name what the database cannot compute, and keep for data-check which columns that left out."""
    run.work.save_json(FAILING, failing.columns)
    if failing.error is None:
        return
    about.metrics["failing_rows"] = len(failing.keys)
    what = f"columns {', '.join(failing.columns)}" if failing.columns else f"labelled rows: {len(failing.keys):,}"
    about.note = f"left out, since the database cannot compute them: {what}"
    keys = "; ".join("/".join(key) for key in failing.keys[:_EXAMPLES])
    about.detail = f"{describe(failing.error, details=True)}" + (f" in {keys}" if keys else "")
    log.warning("what the database cannot compute is left out", left_out=what, error=failing.error)


def require_times(job: Job, rows: pa.RecordBatch) -> None:
    """Raise TrainingError where it is for their times that labelled rows cannot be learned from."""
    if job.source.time is None or (rows.num_rows and rows.column(TIME)[-1].as_py() > _FIRST_DAY_OF_1970):
        return
    odd = fetch.find_odd_times(job.source)
    if odd is not None and (not rows.num_rows or odd.cause is fetch.OddTimeCause.EXCEL):
        what = "cannot be read" if odd.cause is fetch.OddTimeCause.UNREADABLE else "lies on the first day of 1970"
        raise TrainingError(
            f"the time '{job.source.time.name}' {what} in {odd.rows:,} of {odd.labelled:,} labelled rows",
            hint=odd.hint,
            detail=f"such as {odd.example!r}",
            about=job.source.time.name,
        )
