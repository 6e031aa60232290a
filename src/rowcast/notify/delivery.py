"""Alerts that wait are delivered to sinks: each at least once, and no sink keeps anybody waiting for long."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from rowcast.config import Notify
from rowcast.errors import NotifyError
from rowcast.logs import without
from rowcast.notify.alerts import Alerts
from rowcast.notify.apprise import Apprise
from rowcast.notify.event import Message, message
from rowcast.notify.sns import SNS

log = structlog.get_logger("rowcast")

PATIENCE = 10.0  # seconds for a sink to take a message


class Sink(Protocol):
    """Where messages go."""

    name: str  # by which an alert remembers that it waits for it

    def send(self, message: Message) -> None:
        """Raises NotifyError, or whatever its library raises, where the message was not taken."""
        ...


@dataclass
class Delivered:
    """What became of the alerts that waited."""

    alerts: int = 0  # that every sink has taken now
    failed: dict[str, str] = field(default_factory=dict)  # by sink, why


def sinks(notify: Notify) -> list[Sink]:
    """Those of the config: `sns`, and for each URL its service, numbered where a service comes again."""
    found: list[Sink] = [SNS(notify.sns_topic)] if notify.sns_topic else []
    seen: Counter[str] = Counter()
    for url in notify.urls:
        service = url.get_secret_value().partition("://")[0].lower()
        seen[service] += 1
        found.append(Apprise(service if seen[service] == 1 else f"{service}-{seen[service]}", url))
    return found


def deliver(alerts: Alerts, to: Sequence[Sink], secrets: Sequence[str], *, at_once: bool = False) -> Delivered:
    """Deliver what waits, the oldest first, and what is due only, unless `at_once`.

    A sink that fails is left alone until the next time. What a process was delivering when it died is delivered again.
    """
    found, known = Delivered(), {sink.name: sink for sink in to}
    for alert in alerts.due(at_once=at_once):
        left = [name for name in alert.waiting if name in known]  # nobody waits for one that is no longer configured
        if left and set(left) <= set(found.failed):
            continue
        if not alerts.claim(alert):
            continue
        text = message(alert.event)
        for name in left[:]:
            if name not in found.failed:
                problem = tried(known[name], text, secrets)
                if problem:
                    found.failed[name] = problem
                    log.warning("a message was not taken", sink=name, error=problem)
                else:
                    left.remove(name)
        alerts.close(alert, left)
        found.alerts += not left
        if not left:
            log.info("told", alert=text.subject)
    return found


def tried(sink: Sink, text: Message, secrets: Sequence[str]) -> str:
    """Send a message: empty, or why it was not taken. A sink that hangs is left to itself after a while."""
    said: list[str] = []

    def send() -> None:
        try:
            sink.send(text)
            said.append("")
        except NotifyError as error:
            said.append(without(secrets, f"{error.what}: {error.hint}" if error.hint else error.what))
        except Exception as error:  # libraries raise what they like
            said.append(without(secrets, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))

    thread = threading.Thread(target=send, name=f"notify {sink.name}", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return said[0] if said else f"no answer within {PATIENCE:g} s"
