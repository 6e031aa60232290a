"""The message that a person gets of an alert."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from rowcast.formatting import ascii_only
from rowcast.store.alert_record import Alert, Severity

_LONGEST = 100  # signs of a subject that SNS takes


@dataclass(frozen=True)
class Message:
    """An alert as it is sent."""

    subject: str  # one line of plain letters
    text: str
    severity: Severity
    attributes: Mapping[str, str]  # for sinks that can choose by them


def message(alert: Alert) -> Message:
    """Short and plain: what, since when, what to do next, and the command for it."""
    run = f" (run {alert.run_id})" if alert.run_id is not None else ""
    mark = {"changed": "changed: ", "ended": "over: "}.get(alert.state, "")
    subject = " ".join(f"rowcast {alert.job}: {mark}{alert.title}{run}".split())
    time = {"once": "at", "ended": "began"}.get(alert.state, "since")
    facts = {time: f"{alert.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"}
    if alert.state == "ended":
        facts |= {"next": "nothing needs to be done"}
    else:
        facts |= {"next": alert.hint, "command": alert.command}
    width = max(map(len, facts))
    what = f"It is over: {alert.what}" if alert.state == "ended" else alert.what
    lines = [what, "", *(f"{name:<{width}}  {value}" for name, value in facts.items() if value)]
    about = {"job": ascii_only(alert.job), "topic": ascii_only(alert.topic), "severity": alert.severity}
    return Message(ascii_only(subject)[:_LONGEST], "\n".join(lines), alert.severity, {**about, "state": alert.state})
