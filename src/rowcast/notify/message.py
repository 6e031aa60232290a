"""The message that a person gets of an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from rowcast.formatting import ascii_only
from rowcast.store.event import Event, Severity

_LONGEST = 100  # signs of a subject that SNS takes


@dataclass(frozen=True)
class Message:
    """An event as it is sent."""

    subject: str  # one line of plain letters
    text: str
    severity: Severity
    attributes: Mapping[str, str]  # for sinks that can choose by them


def message(event: Event) -> Message:
    """Short and plain: what, since when, what to do next, and the command for it."""
    run = f" (run {event.run_id})" if event.run_id is not None else ""
    mark = {"changed": "changed: ", "ended": "over: "}.get(event.state, "")
    subject = " ".join(f"rowcast {event.job}: {mark}{event.title}{run}".split())
    time = {"once": "at", "ended": "began"}.get(event.state, "since")
    facts = {time: f"{event.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"}
    if event.state == "ended":
        facts |= {"next": "nothing needs to be done"}
    else:
        facts |= {"next": event.todo, "command": event.command}
    width = max(map(len, facts))
    what = f"It is over: {event.what}" if event.state == "ended" else event.what
    lines = [what, "", *(f"{name:<{width}}  {value}" for name, value in facts.items() if value)]
    about = {"job": ascii_only(event.job), "topic": ascii_only(event.topic), "severity": event.severity}
    return Message(ascii_only(subject)[:_LONGEST], "\n".join(lines), event.severity, {**about, "state": event.state})
