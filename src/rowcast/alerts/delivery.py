"""Alerts that wait are delivered to sinks: each at least once, and no sink keeps anybody waiting for long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from rowcast.config import Settings
from rowcast.errors import NotifyError
from rowcast.job.opening import Job
from rowcast.messages.alerts import render_alert
from rowcast.messages.events import SinkTested
from rowcast.notify import Sink, digest, message, open_sinks, send
from rowcast.store.alerts import Alerts, Delivery

log = structlog.get_logger("rowcast")


@dataclass(frozen=True)
class SinkAnswer:
    """Whether a sink took a message."""

    sink: str  # its name
    error: str  # why it did not take it; empty where it did

    @property
    def ok(self) -> bool:
        """Whether it took it."""
        return not self.error


@dataclass(frozen=True)
class DeliveryResult:
    """What became of the alerts that waited."""

    delivered: int  # alerts that every sink has taken now
    waiting: int  # alerts that have not reached every sink
    failed: tuple[SinkAnswer, ...]  # sinks that did not take one

    @property
    def ok(self) -> bool:
        """Whether no sink failed."""
        return not self.failed


def deliver_waiting(job: Job) -> DeliveryResult:
    """Deliver what waits to the sinks of the config at once. Raise NotifyError where there is none."""
    settings = job.settings
    return deliver(job.alerts, _open_sinks(settings), settings.secrets, at_once=True)


def test_sinks(settings: Settings) -> tuple[SinkAnswer, ...]:
    """Send a test message to every sink of the config. Raise NotifyError where there is none."""
    text = message(render_alert(SinkTested(datetime.now(UTC)), settings.name, values=False))
    return tuple(SinkAnswer(sink.name, send(sink, text, settings.secrets)) for sink in _open_sinks(settings))


def _open_sinks(settings: Settings) -> Sequence[Sink]:
    sinks = open_sinks(settings.notify)
    if not sinks:
        raise NotifyError("no sink is configured", hint="name [notify] sns_topic or urls in rowcast.toml")
    return sinks


def deliver(alerts: Alerts, to: Sequence[Sink], secrets: Sequence[str], *, at_once: bool = False) -> DeliveryResult:
    """Deliver what waits, the oldest first, and what is due only, unless `at_once`.

    A sink that fails is left alone until the next time. What a process was delivering when it died is delivered again.
    """
    delivered, failed, known = 0, dict[str, str](), {sink.name: sink for sink in to}
    for together in _group(alerts.due(at_once=at_once)):
        left = [name for name in together[0].waiting if name in known]  # one that is no longer configured is left out
        if left and set(left) <= set(failed):
            continue
        claimed = [waiting for waiting in together if alerts.claim(waiting)]
        if not claimed:
            continue
        text = digest([waiting.alert for waiting in claimed])
        for name in left[:]:
            if name not in failed:
                problem = send(known[name], text, secrets)
                if problem:
                    failed[name] = problem
                    log.warning("a message was not taken", sink=name, error=problem)
                else:
                    left.remove(name)
        for waiting in claimed:
            alerts.close(waiting, left)
        if not left:
            delivered += len(claimed)
            log.info("alert delivered", alert=text.subject)
    answers = tuple(SinkAnswer(name, problem) for name, problem in failed.items())
    return DeliveryResult(delivered, alerts.count_waiting(), answers)


def _group(due: Sequence[Delivery]) -> list[list[Delivery]]:
    """Return what is sent in one message each: what needs nothing together where the same sinks wait for it."""
    found: dict[object, list[Delivery]] = {}
    for waiting in due:
        key = waiting.waiting if waiting.alert.digest else waiting.alert_id
        found.setdefault(key, []).append(waiting)
    return list(found.values())
