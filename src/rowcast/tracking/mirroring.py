"""What waits is sent in its order, by one process at a time, until it is done or the server does not take it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from rowcast.config import Settings
from rowcast.errors import ConfigError, NotifyError, RowcastError
from rowcast.job.opening import Job, open_job
from rowcast.store.mirror import Mirror, MirrorState
from rowcast.tracking.facts import gather_decision, gather_run, gather_version
from rowcast.tracking.server import Server

log = structlog.get_logger("rowcast")

_MOST = 50  # runs that are looked at together
_SECONDS = 20.0  # after which what is left waits for the next run


@dataclass(frozen=True)
class MirrorResult:
    """What became of what waited."""

    sent: int  # runs and decisions that the server has taken now
    waiting: int  # those it has not
    error: NotifyError | None = None  # why it did not take the next one

    @property
    def ok(self) -> bool:
        """Whether the server took what it was sent."""
        return self.error is None


def mirror(settings: Settings) -> MirrorResult:
    """Send all that waits to the tracking server, at once. Raise ConfigError where none is named."""
    if settings.mlflow.tracking_uri is None:
        raise ConfigError("no MLflow server is named", hint="name [mlflow] tracking_uri in rowcast.toml")
    with open_job(settings) as job:
        return _mirror(job, seconds=None)


def mirror_after_run(settings: Settings) -> None:
    """Send what is due, where a server is named, and say in the log what it did not take; raise nothing."""
    if settings.mlflow.tracking_uri is None:
        return
    try:
        with open_job(settings) as job:
            result = _mirror(job, seconds=_SECONDS)
    except RowcastError as error:  # the run has said so already
        log.debug("runs are not mirrored", error=error)
        return
    if result.error is not None:
        log.warning("runs are not mirrored", waiting=result.waiting, error=result.error)


def _mirror(job: Job, *, seconds: float | None) -> MirrorResult:
    """Send what waits; with `seconds` what is due, and no longer than that."""
    cursor = Mirror(job.store, job.tables, job.settings.name)
    state = cursor.claim(at_once=seconds is None)
    if state is None or not cursor.count_waiting(state):
        if state is not None:
            cursor.release(state, failed=False)
        return MirrorResult(0, 0 if state is None else cursor.count_waiting(state))
    until = None if seconds is None else time.monotonic() + seconds
    sent, problem = 0, None
    try:
        for _ in _send(job, cursor, state):
            sent += 1
            if until is not None and time.monotonic() > until:
                break
    except NotifyError as error:
        problem = error
    finally:
        cursor.release(state, failed=problem is not None)
    return MirrorResult(sent, cursor.count_waiting(cursor.state() or state), problem)


def _send(job: Job, cursor: Mirror, state: MirrorState) -> Iterator[None]:
    """Send runs with the versions that they made, then decisions; yield after each that is recorded as sent."""
    server, last = Server(job.settings, state.store_id), state.run_id
    while runs := cursor.list_ended(last, _MOST):
        for run in runs:
            name = server.send_run(gather_run(job, run))
            for version in reversed(job.registry.versions()):
                if version.run_id == run.run_id:
                    server.send_version(gather_version(job, version), name)
            last = run.run_id
            cursor.advance(run_id=last)
            yield
    made = {version.version: version.run_id for version in job.registry.versions()}
    for decision in sorted(job.registry.decisions(), key=lambda each: each.promotion_id):
        if decision.promotion_id <= state.promotion_id:
            continue
        if made.get(decision.version, 0) > last:  # of a run that is under way
            return
        serves = decision.outcome.changes_champion
        server.send_decision(decision.version, gather_decision(decision), serves=serves)
        cursor.advance(promotion_id=decision.promotion_id)
        yield
