"""What a tracking server is told of a run, of a version and of a decision: figures and names, no value of a row."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rowcast import card
from rowcast.card import html
from rowcast.job.opening import Job
from rowcast.store.records import DecisionRecord, RunRecord, RunStatus
from rowcast.store.registry import Version

_STATES = {RunStatus.DONE: "FINISHED", RunStatus.INTERRUPTED: "KILLED"}
_OF_STEP = ("duration_s", "rows_in", "rows_out", "columns", "peak_rss_mb")


@dataclass(frozen=True)
class RunFacts:
    """A run that has ended."""

    run_id: int
    name: str
    started_at: datetime
    finished_at: datetime
    state: str  # as MLflow calls it
    tags: Mapping[str, str]
    params: Mapping[str, str]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class VersionFacts:
    """A model version, without its bytes."""

    version: int
    source: str  # where it is: a URI that nothing but rowcast resolves
    created_at: datetime
    tags: Mapping[str, str]
    params: Mapping[str, str]
    figures: Mapping[str, float]
    card: str | None  # a page


def gather_run(job: Job, run: RunRecord) -> RunFacts:
    """Return what is told of a run that has ended. Its error is not: it may quote values."""
    figures = {f"{each.step}/{each.name}": each.value for each in job.runs.figures(run.run_id)}
    for step in job.runs.steps(run.run_id):
        name = step.name if step.row_set == "-" else f"{step.name} {step.row_set}"
        figures |= {f"{name}/{of}": value for of in _OF_STEP if (value := getattr(step, of)) is not None}
    about = {
        "job": run.job,
        "pipeline": run.pipeline,
        "status": run.status,
        "end_cause": run.end_cause,
        "rowcast_version": run.rowcast_version,
        "config_sha256": run.config_sha256,
    }
    asked = {"as_of": run.as_of, **vars(run.options)}
    return RunFacts(
        run_id=run.run_id,
        name=f"{run.pipeline} {run.run_id}",
        started_at=run.started_at,
        finished_at=run.finished_at or run.started_at,
        state=_STATES.get(run.status, "FAILED"),
        tags={f"rowcast.{name}": str(value) for name, value in about.items() if value is not None},
        params={name: _to_text(value) for name, value in asked.items() if value not in (None, False)},
        figures=_keep_numbers(figures),
    )


def gather_version(job: Job, version: Version) -> VersionFacts:
    """Return what is told of a model version."""
    place = quote(re.sub(r"^\w+:/+", "", job.store.safe_url), safe="/:")
    about = {
        "job": job.settings.name,
        "version": version.version,
        "run_id": version.run_id,
        "sha256": version.artifact_sha256,
        "trained_from": version.trained_from,
        "trained_to": version.trained_to,
    }
    params = {"estimator": version.estimator, "rows": version.rows, "features": len(version.features)}
    params |= {name: version.metrics[name] for name in ("candidate", "kind") if name in version.metrics}
    return VersionFacts(
        version=version.version,
        source=f"rowcast://{place}/{quote(job.settings.name)}/{version.version}",
        created_at=version.created_at,
        tags={f"rowcast.{name}": _to_text(value) for name, value in about.items() if value is not None},
        params={name: str(value) for name, value in params.items()},
        figures=_keep_numbers(version.metrics),
        card=html.page(card.gather(job, version.version)) if job.settings.mlflow.cards else None,
    )


def gather_decision(decision: DecisionRecord) -> dict[str, str]:
    """Return the tags that a decision puts on its version."""
    about = {"decision": decision.outcome, "decided_by": decision.decided_by, "decided_at": decision.decided_at}
    return {f"rowcast.{name}": _to_text(value) for name, value in about.items()}


def _to_text(value: Any) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _keep_numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers under names that MLflow takes."""
    numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    return {
        re.sub(r"[^\w/. -]", "_", name): float(value)
        for name, value in numbers.items()
        if not isinstance(value, bool) and math.isfinite(value)
    }
