"""When people are told: of trouble when it begins, changes and ends, of decisions once. Nothing here stops a run."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from rowcast import notify
from rowcast.alerts import delivery
from rowcast.config import Settings
from rowcast.database import connect
from rowcast.errors import BusyError, StoreError, UsageError
from rowcast.job.opening import Job, alerts
from rowcast.job.workdir import work_root
from rowcast.messages.alerts import redact, render_alert
from rowcast.messages.events import BY_HAND, Event, RunDied, RunFailed, VersionDecided
from rowcast.scoring.request import Outcome
from rowcast.signals import is_stopping
from rowcast.store import migrations
from rowcast.store.alert_record import SEVERITIES, Alert, Severity, alert_from_json
from rowcast.store.alerts import Alerts
from rowcast.store.records import DecisionRecord, EndCause, PipelineName, RunStatus
from rowcast.store.tables import tables

log = structlog.get_logger("rowcast")

Returned = TypeVar("Returned")


Failures = dict[str, Exception | None]  # by topic, what a run tried: why it failed, None where it did not


class RunResult(Protocol):
    """What alerts need to know of a run."""

    pipeline: PipelineName
    run_id: int
    status: RunStatus
    failures: Failures
    outcome: Outcome | None


@contextmanager
def note_failure(failures: Failures, topic: str) -> Iterator[None]:
    """Note whether what is in it succeeds. Another run that does it already is no trouble."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, BusyError):
            failures[topic] = error
        raise
    failures.setdefault(topic, None)


def alert_death_before(job: Job, run_id: int, now: datetime) -> None:
    """Alert at once where the run before this one died: this one may die as well."""
    died = _unless_away(lambda: job.runs.find_death_before(run_id))
    if died is None or any(alert.run_id == died.run_id for _, alert, _ in _read_kept(job.settings)):
        return  # or it ended in order, and only the store could not be told
    cause = died.end_cause or EndCause.DIED
    if alert_events(job, [RunDied(died.pipeline, died.run_id, cause, min(died.started_at, now))]):
        deliver(job)


def alert_end(job: Job, result: RunResult, now: datetime, error: BaseException | None = None) -> bool:
    """Write down what is true at a run's end; `error` is what ended it. False where the store cannot be told."""
    if error is not None:
        _unless_away(job.store.reconnect)  # an interruption can leave a transaction open
    failures = dict(result.failures)
    outside = isinstance(error, Exception) and not isinstance(error, BusyError) and error not in failures.values()
    if outside:
        failures["run"] = error  # type: ignore[assignment]
    events = []
    for topic, failure in failures.items():
        if failure is not None:
            events.append(_failure_event(result, topic, failure, now, "error" if failure is error else "warning"))
    looked_at = set(failures) | ({"run", "process"} if error is None else set())
    return alert_events(job, events, set() if result.pipeline in BY_HAND else looked_at) and alert_decisions(job)


def _failure_event(result: RunResult, topic: str, error: Exception, now: datetime, severity: Severity) -> RunFailed:
    failed = {} if result.outcome is None else result.outcome.failed
    left = len(failed) if any(error is one for one in failed.values()) else 0
    is_done = result.status is RunStatus.DONE
    return RunFailed(topic, result.pipeline, result.run_id or None, is_done, error, left, now, severity)


def alert_decisions(job: Job) -> bool:
    """Write down decisions about versions that have become no alert yet; False where that is not possible."""

    def write() -> bool:
        for made in job.registry.decisions_to_alert():
            alert = _render(job.settings, _decision_event(made))
            job.alerts.write_once(alert, job.registry.mark_alerted(made.promotion_id))
        return True

    return _unless_away(write) is True


def _decision_event(made: DecisionRecord) -> VersionDecided:
    return VersionDecided(
        promotion_id=made.promotion_id,
        version=made.version,
        champion_before=made.previous,
        outcome=made.outcome,
        by=made.decided_by,
        reason=made.reason,
        role=made.evidence.get("shadow"),
        at=made.decided_at,
    )


def alert_watched(job: Job, topic: str, events: Sequence[Event]) -> bool:
    """Write down what a look at the champion's rows found of a topic; what it no longer finds has ended."""
    looked_at = job.alerts.list_standing_topics(topic)
    if events:
        looked_at.discard(topic)  # of all drifts in one, before version 14 of the store: it ends with the last of them
    return alert_events(job, events, looked_at, job.registry.champion())


def alert_events(job: Job, events: Sequence[Event], topics: Collection[str] = (), serving: int | None = None) -> bool:
    """Write down what is true now. Trouble of these topics that is not among the events has ended.

    What cannot be written is kept in the job's folder for the next run, and the answer is False.
    """
    alerts = [_render(job.settings, event) for event in events]
    try:
        for file, alert, told in _read_kept(job.settings):
            job.alerts.write([alert], told=told)
            file.unlink(missing_ok=True)
        job.alerts.write(alerts, topics, serving=serving)
    except Exception as error:
        _say(error)
        for alert in alerts:
            _keep(job.settings, alert)
        return False
    return True


def _render(settings: Settings, event: Event) -> Alert:
    return redact(render_alert(event, settings.name, values=settings.notify.values), settings.secrets)


def deliver(job: Job) -> None:
    """Send what waits, unless the command is told to stop: then the next run does."""
    if not is_stopping():
        _unless_away(lambda: _deliver(job.settings, job.alerts))


@contextmanager
def alert_unbegun(settings: Settings, result: RunResult) -> Iterator[None]:
    """Alert of what stops a run before it has begun; what a person asked wrongly is said to that person alone."""
    try:
        yield
    except Exception as error:
        if not result.run_id and not isinstance(error, UsageError | BusyError):
            event = _failure_event(result, "run", error, datetime.now(UTC), "error")
            _write_apart(settings, _render(settings, event))
        raise


def _write_apart(settings: Settings, alert: Alert) -> None:
    """Write down an alert, and deliver it, over a connection of its own."""
    try:
        with closing(connect(settings.store_url)) as store:
            shared = tables(store, settings.store.schema_)
            version = migrations.version(store, shared)
            if version is None:  # nothing was ever written here: the run itself says what failed
                _keep(settings, alert)
                return
            if version != migrations.VERSION:
                raise StoreError("the store's tables are not those of this version")
            found = alerts(settings, store, shared)
            found.write([alert])
            _deliver(settings, found)
    except Exception as error:
        _say(error)
        _keep(settings, alert)


def _deliver(settings: Settings, found: Alerts) -> None:
    delivery.deliver(found, notify.open_sinks(settings.notify), settings.secrets)


# What the store could not be told of


def _keep(settings: Settings, alert: Alert) -> None:
    """Leave an alert in the job's folder, and send it: the same trouble once, however often it comes."""
    folder = work_root(settings) / "untold"
    file = folder / f"{hashlib.sha256(f'{alert.topic}/{alert.dedup_key}'.encode()).hexdigest()[:16]}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        left: dict[str, Any] = {"event": alert.to_json(), "told": []}
        if file.exists():
            left = json.loads(file.read_text(encoding="utf-8"))
        _replace(file, left)  # before it is sent: who dies at that has not lost it
        if not is_stopping():
            _replace(file, {**left, "told": left["told"] + _send(settings, alert, left["told"])})
    except OSError as error:
        log.warning("an alert is kept nowhere for a later run", alert=alert.title, file=str(file), why=error.strerror)
    except Exception as error:
        log.warning("an alert is kept nowhere for a later run", alert=alert.title, error=error)


def _replace(file: Path, found: dict[str, Any]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(file)


def _send(settings: Settings, alert: Alert, told: Collection[str]) -> list[str]:
    """The sinks that have taken an alert, of those that did not know it."""
    severe = SEVERITIES.index
    if severe(alert.severity) < severe(settings.notify.min_severity):
        return []
    text, known = notify.message(alert), settings.secrets
    to = [sink for sink in notify.open_sinks(settings.notify) if sink.name not in told]
    return [sink.name for sink in to if not notify.send(sink, text, known)]


def _read_kept(settings: Settings) -> Iterator[tuple[Path, Alert, list[str]]]:
    """What earlier runs left, and which sinks know it."""
    for file in sorted((work_root(settings) / "untold").glob("*.json")):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            yield file, alert_from_json(found["event"]), found["told"]
        except (OSError, ValueError, TypeError, KeyError) as error:  # another process took it, or a person changed it
            log.warning("what an earlier run left cannot be read", file=str(file), error=error)


def _unless_away(work: Callable[[], Returned]) -> Returned | None:
    """What `work` returns; None, and a word in the log, where it fails."""
    try:
        return work()
    except Exception as error:
        _say(error)
        return None


def _say(error: Exception) -> None:
    log.warning("alerts are not stored or sent yet; a later run tries again", error=error)
