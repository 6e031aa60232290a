"""The routes that say what there is: health, metadata, the list of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

import rowcast
from rowcast.serve.http import Request, Response, as_json
from rowcast.serve.protocols.open_inference import describe_model
from rowcast.serve.refusal import Refusal
from rowcast.serve.scoring import Serving
from rowcast.serve.served_job import ServedJob

log = structlog.get_logger("rowcast")


@dataclass
class State:
    """Whether the service is about to end."""

    is_draining: bool = False


@dataclass(frozen=True)
class AboutRoutes:
    """Answers that need no rows."""

    jobs: Sequence[ServedJob]
    state: State = field(default_factory=State)

    async def live(self, _request: Request) -> Response:
        """Say that the process answers."""
        return as_json({"live": True})

    async def ready(self, _request: Request) -> Response:
        """Say whether every job can score: under both names that clients look for."""
        return _readiness(all(job.is_ready for job in self.jobs) and not self.state.is_draining)

    async def job_ready(self, job: ServedJob, _request: Request) -> Response:
        """Say whether one job can score."""
        return _readiness(job.is_ready and not self.state.is_draining, name=job.name)

    async def server(self, _request: Request) -> Response:
        """Name the service and its extensions."""
        return as_json({"name": "rowcast", "version": rowcast.__version__, "extensions": ["binary_tensor_data"]})

    async def model(self, job: ServedJob, _request: Request) -> Response:
        """Describe the version in service: its inputs are the features in their order."""
        return as_json(describe_model(job.require_serving()))

    async def index(self, request: Request) -> Response:
        """List the jobs that the key is of, each with what is served and what is wrong."""
        return as_json({"jobs": [_describe(job) for job in request.jobs]})

    async def example(self, job: ServedJob, _request: Request) -> Response:
        """Return a body that can be sent: a row in the middle of what is usual."""
        return as_json({"instances": [make_example(job.require_serving())]})

    async def refresh(self, job: ServedJob, request: Request) -> Response:
        """Look at the store now instead of within a second."""
        log.info("asked to look at the store", job=job.name, key=request.key)
        job.wake()
        return as_json({"job": job.name, "refresh": "under way"}, 202)


def _readiness(is_ready: bool, **more: str) -> Response:
    return as_json({**more, "ready": is_ready, "live": is_ready}, 200 if is_ready else 503)


def make_example(serving: Serving) -> dict[str, Any]:
    """Return a row of each column's middle, or of its most common category; None where that is not known."""
    ranges, columns = serving.served.model.reference_ranges, serving.columns
    row: dict[str, Any] = {} if not columns.times else {str(columns.event_time): None}
    for name in columns.features:
        if columns.past and name == columns.event_time:
            row[name] = datetime.now(UTC).isoformat(timespec="seconds")
            continue
        usual = None if name in columns.times else ranges.get(name)
        if isinstance(usual, dict):
            row[name] = next(iter(usual), None)
        elif usual is None or columns.kinds.get(name) != "number":
            row[name] = None
        else:
            row[name] = float(f"{sum(usual) / len(usual):.6g}")
    return row


def _describe(job: ServedJob) -> dict[str, object]:
    serving, (what, hint) = job.current, job.describe_problem() or (None, None)
    return {
        "job": job.name,
        "ready": job.is_ready,
        "model_version": None if serving is None else serving.version,
        "store": "away" if job.is_store_away else "there",
        "problem": what,
        "hint": hint,
    }


def require_version(job: ServedJob, version: str) -> None:
    """Raise Refusal, 404, where another version than this is in service."""
    serving = job.require_serving()
    if version != str(serving.version):
        raise Refusal(404, "this version is not in service", hint=f"v{serving.version} is, or leave out the version")
