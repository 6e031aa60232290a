"""What happened, as it is kept and told."""

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

Severity = Literal["info", "warning", "error"]
State = Literal["once", "begins", "changed", "ended"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
_FIGURE = re.compile(r"\b\d[\d.,]*%?")  # a number that stands alone: those in a name belong to it


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
