"""A job's figures for other systems: how its newest runs went, and what waits.

Prometheus' text exposition format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), and a line for
CloudWatch.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from rowcast.formatting import printable
from rowcast.job.opening import Job
from rowcast.logs import render_figures
from rowcast.row_places import count_places
from rowcast.store.records import RunStatus, StepStatus

Sample = tuple[str, Mapping[str, Any], float | int | None]  # name, labels, value; None is left out
Family = tuple[str, str]  # type, and what it says

# Every name with its type and what it says, in the order in which they are printed.
FAMILIES: dict[str, Family] = {
    "rowcast_runs_total": ("counter", "Runs so far, by how they ended."),
    "rowcast_run_ok": ("gauge", "Whether the newest run of a pipeline that has ended is done: 1, else 0."),
    "rowcast_run_duration_seconds": ("gauge", "How long it took."),
    "rowcast_run_finished_timestamp_seconds": ("gauge", "When it ended, in seconds since 1970."),
    "rowcast_step_ok": ("gauge", "Whether a step of that run is done: 1, else 0."),
    "rowcast_step_duration_seconds": ("gauge", "How long the step took; scoring steps are added up over all batches."),
    "rowcast_step_rows_in": ("gauge", "Rows that came into the step."),
    "rowcast_step_rows_out": ("gauge", "Rows that left it."),
    "rowcast_step_columns": ("gauge", "Columns that it worked on."),
    "rowcast_step_peak_memory_bytes": ("gauge", "The most memory that its process had held by then."),
    "rowcast_step_figure": ("gauge", "Another figure of the step, such as retries, rows set aside, or the AUC."),
    "rowcast_rows": ("gauge", "Source rows by where they are."),
    "rowcast_pending_oldest_age_seconds": ("gauge", "Age of the oldest pending row by its event time; 0 without one."),
    "rowcast_champion_version": ("gauge", "The model version in service."),
    "rowcast_champion_age_seconds": ("gauge", "Time since it came into service."),
    "rowcast_training_age_seconds": ("gauge", "Time since a run last built a model, in service or not."),
    "rowcast_alerts_waiting": ("gauge", "Alerts that have not reached every sink."),
    "rowcast_troubles": ("gauge", "Troubles that have begun and not ended."),
}


def format_metrics(job: Job) -> str:
    """Return every figure as text. Counting the rows reads the keys of the whole table, as `rowcast status` does."""
    return format_samples(collect_samples(job), FAMILIES)


def format_for_cloudwatch(job: Job) -> str:
    """Return what waits, and what is in service, as a line of CloudWatch's embedded metric format, step `job`.

    The newest runs are left out: each run writes its own figures when it ends. Counting reads the keys of the table.
    """
    samples = collect_samples(job)
    rows = {labels["place"]: value for name, labels, value in samples if name == "rowcast_rows"}
    found = {name.removeprefix("rowcast_"): value for name, _, value in samples if name in _FOR_CLOUDWATCH}
    seconds = {name: (value, "Seconds") for name, value in found.items() if name.endswith("_seconds")}
    counts = {name: (value, "Count") for name, value in {**rows, **found}.items() if name not in seconds}
    line = render_figures({"job": job.settings.name, "step": "job"}, {**counts, **seconds})
    assert line is not None  # counts are always there
    return line


_FOR_CLOUDWATCH = (
    "rowcast_pending_oldest_age_seconds",
    "rowcast_champion_age_seconds",
    "rowcast_training_age_seconds",
    "rowcast_alerts_waiting",
    "rowcast_troubles",
)


def collect_samples(job: Job) -> list[Sample]:
    """Return every figure of a job; counting the rows reads the keys of the whole table."""
    now = job.store.now()
    samples = [*_runs(job), *_rows(job), *_champion(job, now)]
    samples += [
        ("rowcast_alerts_waiting", {}, job.alerts.count_waiting()),
        ("rowcast_troubles", {}, len(job.alerts.list_standing())),
    ]
    return [(name, {"job": job.settings.name, **labels}, value) for name, labels, value in samples]


def format_samples(samples: Iterable[Sample], families: Mapping[str, Family]) -> str:
    """Return samples as text, those of a family together; a histogram's have its name and an ending."""
    of_family: dict[str, list[str]] = {}
    for name, labels, value in samples:
        if value is not None:
            family = name if name in families else name.rpartition("_")[0]
            of_family.setdefault(family, []).append(_line(name, labels, value))
    lines = []
    for name, (kind, text) in families.items():
        if name in of_family:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *of_family[name]]
    return "\n".join(lines) + "\n"


def _runs(job: Job) -> Iterator[Sample]:
    for (pipeline, status), count in sorted(job.runs.counts().items()):
        yield "rowcast_runs_total", {"pipeline": pipeline, "status": status}, count
    for run in job.runs.newest_ended():
        labels = {"pipeline": run.pipeline}
        yield "rowcast_run_ok", labels, int(run.status is RunStatus.DONE)
        yield "rowcast_run_duration_seconds", labels, run.seconds
        finished = None if run.finished_at is None else run.finished_at.timestamp()
        yield "rowcast_run_finished_timestamp_seconds", labels, finished
        for step in job.runs.steps(run.run_id):
            of_step = {**labels, "step": step.name, "row_set": step.row_set}
            yield "rowcast_step_ok", of_step, int(step.status is StepStatus.DONE)
            yield "rowcast_step_duration_seconds", of_step, step.duration_s
            for name in ("rows_in", "rows_out", "columns"):
                yield f"rowcast_step_{name}", of_step, getattr(step, name)
            peak = step.peak_rss_mb
            yield "rowcast_step_peak_memory_bytes", of_step, None if peak is None else round(peak * 1024**2)
        for figure in job.runs.figures(run.run_id):
            yield "rowcast_step_figure", {**labels, "step": figure.step, "name": figure.name}, figure.value


def _rows(job: Job) -> Iterator[Sample]:
    counts = count_places(job)
    for place in ("scored", "quarantined", "forgotten", "pending", "out_of_scope", "unusable"):
        yield "rowcast_rows", {"place": place}, getattr(counts, place)
    if job.source.time is not None:
        oldest = counts.oldest
        yield "rowcast_pending_oldest_age_seconds", {}, 0 if oldest is None else oldest.total_seconds()


def _champion(job: Job, now: datetime) -> Iterator[Sample]:
    made = job.registry.find_promotion()
    yield "rowcast_champion_version", {}, job.registry.champion()
    yield "rowcast_champion_age_seconds", {}, None if made is None else (now - made.decided_at).total_seconds()
    trained_at = job.runs.last_done("model-build", "-", now)
    yield "rowcast_training_age_seconds", {}, None if trained_at is None else (now - trained_at).total_seconds()


def _line(name: str, labels: Mapping[str, Any], value: float) -> str:
    shown = ",".join(f'{key}="{_escape(str(text))}"' for key, text in labels.items())
    number = repr(value) if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    return f"{name}{{{shown}}} {number}" if shown else f"{name} {number}"


def _escape(text: str) -> str:
    return printable(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
