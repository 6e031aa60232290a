"""Several jobs in one process, one after another: each in its own run, and none stops the others."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from rowcast import logs, report
from rowcast.api import Job
from rowcast.cli.app import Common
from rowcast.cli.terminal import log_to_file
from rowcast.config import DEFAULT_PATH
from rowcast.errors import RowcastError, UsageError, as_rowcast_error, describe

if TYPE_CHECKING:
    from rowcast.pipeline import Progress
    from rowcast.run_result import RunResult

log = structlog.get_logger("rowcast")

Start = Callable[[Job, "Progress"], "RunResult"]


@dataclass(frozen=True)
class JobResult:
    """What became of one job."""

    config: Path
    job: str | None  # its name; None where rowcast.toml could not be read
    run: "RunResult | None"  # None where no run came to an end
    error: RowcastError | None  # what stopped it

    @property
    def ok(self) -> bool:
        """Whether everything in it went well."""
        return self.run is not None and self.run.ok

    def to_dict(self, *, details: bool) -> dict[str, Any]:
        """Return its line of the summary."""
        about: dict[str, Any] = {"config": str(self.config), "job": self.job}
        if self.run is not None:
            return about | self.run.to_dict(details=details)
        assert self.error is not None
        return about | {"status": "failed", "error": describe(self.error, details=details)}


def run_several(configs: Sequence[Path], common: Common, start: Start, **overrides: Any) -> int:
    """Start a run of each job, print a line for each as it ends, and return 1 where one did not go well.

    Raise UsageError where a job is named twice, or `--config` beside them.
    """
    if common.config != DEFAULT_PATH:
        raise UsageError("--config names one job, and others are named beside it", hint="name all of them without it")
    files = [config.resolve() for config in configs]
    twice = [config for place, config in enumerate(configs) if files[place] in files[:place]]
    if twice:
        raise UsageError(f"{twice[0]} is named twice", hint="name each job once")
    return 1 if [found for config in configs if not (found := _run_one(config, common, start, overrides)).ok] else 0


def _run_one(config: Path, common: Common, start: Start, overrides: dict[str, Any]) -> JobResult:
    own, name = replace(common, config=config), None
    try:
        job = Job(own.settings(**overrides))
        name = job.settings.name
        with log_to_file(job.settings, own) as progress:
            result = _guarded(config, name, lambda: start(job, progress))
            if result.error is not None:
                log.error(result.error.what, hint=result.error.hint or None, detail=result.error.detail or None)
    except RowcastError as error:
        result = JobResult(config, name, None, error)
    _show(result)
    return result


def _guarded(config: Path, name: str, work: "Callable[[], RunResult]") -> JobResult:
    try:
        return JobResult(config, name, work(), None)
    except Exception as error:  # whatever stops one job, the others go on
        log.debug("where it failed", exc_info=True)
        return JobResult(config, name, None, as_rowcast_error(error))


def _show(result: JobResult) -> None:
    about = result.to_dict(details=logs.shows_details(sys.stdout))
    if not sys.stdout.isatty():
        report.show(report.as_json(about))
        return
    shown = [f"{name} {value}" for name, value in about.items() if name not in ("config", "job", "status")]
    report.show(f"{result.job or result.config}: {', '.join([str(about['status']), *shown])}")
