"""An alert as it is kept and sent: the text that a person reads, and the fields by which it is kept apart."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]
State = Literal["once", "begins", "changed", "ended"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")


@dataclass(frozen=True)
class Acknowledgement:
    """A person has seen an alert, and says what is done about it."""

    by: str
    at: datetime
    note: str


@dataclass(frozen=True)
class Alert:
    """Something that a person should know. `rowcast.messages.alerts` writes its text."""

    job: str
    topic: str  # what was looked at: of one topic, one alert stands at a time
    title: str  # in a few words, for a subject
    what: str  # in a sentence or two
    severity: Severity
    since: datetime
    hint: str  # what to do next
    command: str  # by which to look at it, to reproduce it or to go on
    dedup_key: str | None  # equal for the same trouble; None in what was written before version 9 of the store
    run_id: int | None = None
    state: State = "begins"  # "once" for what does not last
    digest: bool = False  # it needs nothing, and is sent with others of its kind
    version: int | None = None  # of the model, where it is about one
    replaced_by: int | None = None  # it ended since this version serves now
    # What the store alone knows:
    alert_id: int | None = field(default=None, compare=False)
    acknowledged: Acknowledgement | None = field(default=None, compare=False)  # an alert that changes is a new one

    def to_json(self) -> str:
        """Return the alert as JSON, as `alert_from_json` reads it."""
        about = {name: value for name, value in asdict(self).items() if name not in ("alert_id", "acknowledged")}
        return json.dumps({**about, "since": self.since.isoformat()}, ensure_ascii=False)

    def is_same_trouble(self, other: "Alert") -> bool:
        """Return whether both tell of the same trouble; of one from an older store that is taken for granted."""
        return self.dedup_key is None or other.dedup_key is None or self.dedup_key == other.dedup_key


def join_topic(main: str, part: str) -> str:
    """Return the topic of a part, such as one drift of several."""
    return f"{main} {part}"


def is_topic_of(topic: str, main: str) -> bool:
    """Return whether a topic is `main`, or a part of it."""
    return topic == main or topic.startswith(join_topic(main, ""))


def alert_from_json(text: str) -> Alert:
    """Return the alert that `to_json` wrote, of this version of rowcast or of one before."""
    found: dict[str, Any] = json.loads(text)
    if "todo" in found:  # written by version 0.1
        found = {name: value for name, value in found.items() if name not in ("todo", "alike")} | {
            "hint": found["todo"],
            "dedup_key": None,
        }
    return Alert(**{**found, "since": datetime.fromisoformat(found["since"])})
