"""Each step of a run, recorded: status, duration, rows, columns, peak memory and figures."""

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from rowcast import logs
from rowcast.database.retry import retry_transient
from rowcast.errors import DatabaseError, RowcastError, describe
from rowcast.store import Runs
from rowcast.store.records import PipelineName, RunStatus, StepRecord, StepStatus

log = structlog.get_logger("rowcast")


@dataclass
class StepReport:
    """What a step fills in while it runs."""

    rows_in: int | None = None
    rows_out: int | None = None
    columns: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    note: str = ""  # one line for a person
    detail: str = ""  # what more there is to it, which may quote a value of a row


@contextmanager
def record_step(runs: Runs, run_id: int, name: str, row_set: str) -> Iterator[StepReport]:
    """Record a step around the work in it, whether it succeeds or not."""
    report = StepReport()
    started_at, begun = retry_transient(runs.db.now, runs.db), time.perf_counter()

    def end(status: StepStatus, error: BaseException | None = None) -> None:
        figures = (report.rows_in, report.rows_out, report.columns, peak_rss_mb(), None)
        step = StepRecord(run_id, name, row_set, status, started_at, time.perf_counter() - begun, *figures)
        write_step(runs, step, report.metrics, report.note, report.detail, error)

    try:
        yield report
    except BaseException as caught:
        if isinstance(caught, RowcastError):
            caught.step = caught.step or name
        with suppress(DatabaseError):  # the first error tells more
            runs.db.reconnect()  # an interruption can leave a transaction open
            failed = isinstance(caught, Exception)
            end(StepStatus.FAILED if failed else StepStatus.INTERRUPTED, caught)
        raise
    retry_transient(lambda: end(StepStatus.DONE), runs.db)


def write_step(
    runs: Runs,
    step: StepRecord,
    metrics: Mapping[str, Any],
    note: str = "",
    detail: str = "",
    error: BaseException | None = None,
) -> None:
    """Keep a step's row and figures in the store, and report it in the log.

    `detail` belongs to the note and may quote a value of a row, which the log heeds; `error` is what ended the step.
    """
    seconds, peak = step.duration_s or 0.0, round(step.peak_rss_mb or 0.0, 1)
    failed = None if error is None else describe(error, details=True)
    runs.record_step(replace(step, duration_s=round(seconds, 3), peak_rss_mb=peak, error=failed), metrics)
    figures = {
        "run": step.run_id,
        "rows_in": step.rows_in,
        "rows_out": step.rows_out,
        "columns": step.columns,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak),
        "note": note or None,
        "detail": detail or None,
        "error": error,
    }
    name = step.name if step.row_set == "-" else f"{step.name} ({step.row_set})"
    write = log.error if step.status is StepStatus.FAILED else log.info
    write(f"{name} {step.status}", **{key: value for key, value in figures.items() if value is not None})
    counts = {column: getattr(step, column) for column in ("rows_in", "rows_out", "columns")}
    counts |= {"failed": int(step.status is StepStatus.FAILED)}
    numbers = {metric: (value, "None") for metric, value in metrics.items() if isinstance(value, int | float)}
    units = {column: (value, "Count") for column, value in counts.items()}
    measured = {"duration_s": (round(seconds, 3), "Seconds"), "peak_rss_mb": (peak, "Megabytes")}
    about = {"job": runs.job, "step": name}
    logs.figures(about, {**numbers, **units, **measured}, run=step.run_id, status=step.status)


def emit_run_figures(job: str, pipeline: PipelineName, status: RunStatus, duration_s: float, outcome: Any) -> None:
    """Emit a whole run's figures for CloudWatch, under the step `run`; its rows where it scored any."""
    names = ("fetched", "scored", "flagged", "quarantined", "retries")
    counts = {name: getattr(outcome, name) for name in names} if outcome is not None else {}
    counts |= {name: int(status == name) for name in ("failed", "partial")}
    units = {name: (value, "Count") for name, value in counts.items()}
    measured = {"duration_s": (round(duration_s, 3), "Seconds"), "peak_rss_mb": (round(peak_rss_mb(), 1), "Megabytes")}
    logs.figures({"job": job, "step": "run"}, {**measured, **units}, pipeline=pipeline, status=status)


def peak_rss_mb() -> float:
    """Return the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
