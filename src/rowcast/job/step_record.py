"""Each step of a run, recorded: status, duration, rows, columns, peak memory and figures."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from rowcast import logs
from rowcast.database.retry import retry_transient
from rowcast.errors import DatabaseError, RowcastError
from rowcast.store import Runs

log = structlog.get_logger("rowcast")


@dataclass
class Recorded:
    """What a step fills in while it runs."""

    rows_in: int | None = None
    rows_out: int | None = None
    columns: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    note: str = ""  # one line for a person


@contextmanager
def recorded(runs: Runs, run_id: int, name: str, row_set: str) -> Iterator[Recorded]:
    """Record a step around the work in it, whether it succeeds or not."""
    about = Recorded()
    started_at, begun = retry_transient(runs.db.now, runs.db), time.perf_counter()

    def done(status: str, error: str | None = None) -> None:
        write(runs, run_id, name, row_set, about, status, started_at, time.perf_counter() - begun, error=error)

    try:
        yield about
    except BaseException as caught:
        if isinstance(caught, RowcastError):
            caught.step = caught.step or name
        with suppress(DatabaseError):  # the first error tells more
            runs.db.reconnect()  # an interruption can leave a transaction open
            done("failed" if isinstance(caught, Exception) else "interrupted", said(caught))
        raise
    retry_transient(lambda: done("done"), runs.db)


def write(
    runs: Runs,
    run_id: int,
    name: str,
    row_set: str,
    about: Recorded,
    status: str,
    started_at: Any,
    duration_s: float,
    *,
    peak_mb: float | None = None,
    error: str | None = None,
) -> None:
    """Keep a step's row and figures in the store, and say it in the log."""
    peak = round(peak_mb or peak_rss_mb(), 1)
    values = {
        "status": status,
        "started_at": started_at,
        "duration_s": round(duration_s, 3),
        "rows_in": about.rows_in,
        "rows_out": about.rows_out,
        "columns": about.columns,
        "peak_rss_mb": peak,
        "error": error,
    }
    runs.record_step(run_id, name, row_set, about.metrics, **values)
    figures = {
        "run": run_id,
        "rows_in": about.rows_in,
        "rows_out": about.rows_out,
        "columns": about.columns,
        "seconds": round(duration_s, 2),
        "peak_mb": round(peak),
        "note": about.note or None,
        "error": error,
    }
    step = name if row_set == "-" else f"{name} ({row_set})"
    tell = log.error if status == "failed" else log.info
    tell(f"{step} {status}", **{key: value for key, value in figures.items() if value is not None})
    counts = {name: getattr(about, name) for name in ("rows_in", "rows_out", "columns")}
    found = {name: value for name, value in about.metrics.items() if isinstance(value, int | float)}
    measured = {"duration_s": (round(duration_s, 3), "Seconds"), "peak_rss_mb": (peak, "Megabytes")}
    units = {name: (value, "Count") for name, value in {**counts, "failed": int(status == "failed")}.items()}
    logs.figures(
        {"job": runs.job, "step": step},
        {**{name: (value, "None") for name, value in found.items()}, **units, **measured},
        run=run_id,
        status=status,
    )


def run_figures(job: str, pipeline: str, status: str, duration_s: float, outcome: Any) -> None:
    """A whole run's figures for CloudWatch, under the step `run`; its rows where it scored any."""
    names = ("fetched", "scored", "flagged", "quarantined", "retries")
    counts = {name: getattr(outcome, name) for name in names} if outcome is not None else {}
    counts |= {name: int(status == name) for name in ("failed", "partial")}
    units = {name: (value, "Count") for name, value in counts.items()}
    measured = {"duration_s": (round(duration_s, 3), "Seconds"), "peak_rss_mb": (round(peak_rss_mb(), 1), "Megabytes")}
    logs.figures({"job": job, "step": "run"}, {**measured, **units}, pipeline=pipeline, status=status)


def said(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return error.what if isinstance(error, RowcastError) else f"{type(error).__name__}: {error}"


def peak_rss_mb() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
