"""Alerts that wait are delivered to sinks: each at least once, and no sink keeps anybody waiting for long."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from rowcast.notify import Sink, message, send
from rowcast.store.alerts import Alerts

log = structlog.get_logger("rowcast")


@dataclass
class Delivered:
    """What became of the alerts that waited."""

    alerts: int = 0  # that every sink has taken now
    failed: dict[str, str] = field(default_factory=dict)  # by sink, why


def deliver(alerts: Alerts, to: Sequence[Sink], secrets: Sequence[str], *, at_once: bool = False) -> Delivered:
    """Deliver what waits, the oldest first, and what is due only, unless `at_once`.

    A sink that fails is left alone until the next time. What a process was delivering when it died is delivered again.
    """
    found, known = Delivered(), {sink.name: sink for sink in to}
    for waiting in alerts.due(at_once=at_once):
        left = [name for name in waiting.waiting if name in known]  # nobody waits for one that is no longer configured
        if left and set(left) <= set(found.failed):
            continue
        if not alerts.claim(waiting):
            continue
        text = message(waiting.alert)
        for name in left[:]:
            if name not in found.failed:
                problem = send(known[name], text, secrets)
                if problem:
                    found.failed[name] = problem
                    log.warning("a message was not taken", sink=name, error=problem)
                else:
                    left.remove(name)
        alerts.close(waiting, left)
        found.alerts += not left
        if not left:
            log.info("told", alert=text.subject)
    return found
