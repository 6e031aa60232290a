"""When people are told: of trouble when it begins, changes and ends, of decisions once. Nothing here stops a run."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from rowcast import notify
from rowcast.alerts import delivery, rendering
from rowcast.alerts.rendering import BY_HAND, Told, Troubles
from rowcast.config import Settings
from rowcast.database import connect
from rowcast.errors import BusyError, StoreError, UsageError
from rowcast.job.opening import Job, alerts
from rowcast.job.workdir import work_root
from rowcast.signals import is_stopping
from rowcast.store import migrations
from rowcast.store.alerts import Alerts
from rowcast.store.event import SEVERITIES, Event, Severity, from_json
from rowcast.store.tables import tables

log = structlog.get_logger("rowcast")

Found = TypeVar("Found")


@contextmanager
def attempted(troubles: Troubles, topic: str) -> Iterator[None]:
    """Note whether what is in it succeeds. Another run that does it already is no trouble."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, BusyError):
            troubles[topic] = error
        raise
    troubles.setdefault(topic, None)


def began(job: Job, run_id: int, now: datetime) -> None:
    """Tell at once where the run before this one died: this one may die as well."""
    died = _unless_away(lambda: job.runs.died_before(run_id))
    if died is None or any(event.run_id == died.run_id for _, event, _ in _kept(job.settings)):
        return  # or it ended in order, and only the store could not be told
    what = f"Run {died.run_id} ({died.pipeline}) did not end in order: {died.error}."
    event = Event(
        job=job.settings.name,
        topic="process",
        title="a run died",
        what=what,
        severity="error",
        since=min(died.started_at, now),
        todo="was it killed, did memory run out, did the machine restart? Its rows are taken up by the next run",
        command=f"rowcast runs {died.run_id}",
        run_id=died.run_id,
        alike="died",
    )
    if raised(job, [event]):
        deliver(job)


def ended(job: Job, result: Told, now: datetime, error: BaseException | None = None) -> bool:
    """Write down what is true at a run's end; `error` is what ended it. False where the store cannot be told."""
    if error is not None:
        _unless_away(job.store.reconnect)  # an interruption can leave a transaction open
    troubles = dict(result.troubles)
    outside = isinstance(error, Exception) and not isinstance(error, BusyError) and error not in troubles.values()
    if outside:
        troubles["run"] = error  # type: ignore[assignment]
    events = []
    for topic, trouble in troubles.items():
        if trouble is not None:
            severity: Severity = "error" if trouble is error else "warning"
            events.append(rendering.trouble(job.settings, result, topic, trouble, now, severity))
    looked_at = set(troubles) | ({"run", "process"} if error is None else set())
    return raised(job, events, set() if result.pipeline in BY_HAND else looked_at) and decided(job)


def decided(job: Job) -> bool:
    """Write down decisions about versions that nobody has been told of; False where that is not possible."""

    def tell() -> bool:
        for made in job.registry.untold():
            event = rendering.clean(job.settings, rendering.decision(job.settings, made))
            job.alerts.once(event, job.registry.telling(made["promotion_id"]))
        return True

    return _unless_away(tell) is True


def raised(job: Job, events: Sequence[Event], topics: Collection[str] = ()) -> bool:
    """Write down what is true now. Trouble of these topics that is not among the events has ended.

    What cannot be written is kept in the job's folder for the next run, and the answer is False.
    """
    try:
        for file, event, told in _kept(job.settings):
            job.alerts.raised([event], told=told)
            file.unlink(missing_ok=True)
        job.alerts.raised([rendering.clean(job.settings, event) for event in events], topics)
    except Exception as error:
        _say(error)
        for event in events:
            _keep(job.settings, rendering.clean(job.settings, event))
        return False
    return True


def deliver(job: Job) -> None:
    """Send what waits, unless the command is told to stop: then the next run does."""
    if not is_stopping():
        _unless_away(lambda: _deliver(job.settings, job.alerts))


@contextmanager
def unbegun(settings: Settings, result: Told) -> Iterator[None]:
    """Tell of what stops a run before it has begun; what a person asked wrongly is said to that person alone."""
    try:
        yield
    except Exception as error:
        if not result.run_id and not isinstance(error, UsageError | BusyError):
            event = rendering.trouble(settings, result, "run", error, datetime.now(UTC), "error")
            _raised_apart(settings, rendering.clean(settings, event))
        raise


def _raised_apart(settings: Settings, event: Event) -> None:
    """Write down an event, and deliver it, over a connection of its own."""
    try:
        with closing(connect(settings.store_url)) as store:
            shared = tables(store, settings.store.schema_)
            if migrations.version(store, shared) != migrations.VERSION:
                raise StoreError("the store's tables are not those of this version")
            found = alerts(settings, store, shared)
            found.raised([event])
            _deliver(settings, found)
    except Exception as error:
        _say(error)
        _keep(settings, event)


def _deliver(settings: Settings, found: Alerts) -> None:
    delivery.deliver(found, notify.open_sinks(settings.notify), settings.secrets)


# What the store could not be told of


def _keep(settings: Settings, event: Event) -> None:
    """Leave an event in the job's folder, and send it: the same trouble once, however often it comes."""
    folder = work_root(settings) / "untold"
    file = folder / f"{hashlib.sha256(f'{event.topic}/{event.sameness}'.encode()).hexdigest()[:16]}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        left: dict[str, Any] = {"event": event.to_json(), "told": []}
        if file.exists():
            left = json.loads(file.read_text(encoding="utf-8"))
        _replace(file, left)  # before it is sent: who dies at that has not lost it
        if not is_stopping():
            _replace(file, {**left, "told": left["told"] + _sent(settings, event, left["told"])})
    except Exception as error:
        log.warning("what happened stands in the log alone", error=error)


def _replace(file: Path, found: dict[str, Any]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(file)


def _sent(settings: Settings, event: Event, told: Collection[str]) -> list[str]:
    """The sinks that have taken an event, of those that did not know it."""
    severe = SEVERITIES.index
    if severe(event.severity) < severe(settings.notify.min_severity):
        return []
    text, known = notify.message(event), settings.secrets
    to = [sink for sink in notify.open_sinks(settings.notify) if sink.name not in told]
    return [sink.name for sink in to if not notify.tried(sink, text, known)]


def _kept(settings: Settings) -> Iterator[tuple[Path, Event, list[str]]]:
    """What earlier runs left, and which sinks know it."""
    for file in sorted((work_root(settings) / "untold").glob("*.json")):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            yield file, from_json(found["event"]), found["told"]
        except (OSError, ValueError, TypeError, KeyError) as error:  # another process took it, or a person changed it
            log.warning("what an earlier run left cannot be read", file=str(file), error=error)


def _unless_away(work: Callable[[], Found]) -> Found | None:
    """What `work` returns; None, and a word in the log, where it fails."""
    try:
        return work()
    except Exception as error:
        _say(error)
        return None


def _say(error: Exception) -> None:
    log.warning("what happened cannot be told yet", error=error)
