"""What happened, and the message that a person gets of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from rowcast.shown import ascii_only

Severity = Literal["info", "warning", "error"]
State = Literal["once", "begins", "changed", "ended"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
_FIGURE = re.compile(r"\b\d[\d.,]*%?")  # a number that stands alone: those in a name belong to it
_LONGEST = 100  # signs of a subject that SNS takes


@dataclass(frozen=True)
class Event:
    """Something that a person should know."""

    job: str
    topic: str  # by which the same trouble is recognised
    title: str  # in a few words, for a subject
    what: str  # in a sentence or two
    severity: Severity
    since: datetime
    todo: str  # what to do next
    command: str  # by which to look at it, to reproduce it or to go on
    run_id: int | None = None
    state: State = "begins"  # "once" for what does not last
    alike: str = ""  # what makes it the same trouble as before; empty: `what` but for its figures

    @property
    def sameness(self) -> str:
        return f"{self.title}: {self.alike or _FIGURE.sub('#', self.what)}"

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "since": self.since.isoformat()}, ensure_ascii=False)


def from_json(text: str) -> Event:
    found: dict[str, Any] = json.loads(text)
    return Event(**{**found, "since": datetime.fromisoformat(found["since"])})


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
