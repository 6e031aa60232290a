"""The watch over a gate's promotion: the champion before goes on scoring in the shadow, in case it was better."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Decisions = Iterable[Mapping[str, Any]]

_CHANGES = ("promoted", "rolled back")  # decisions after which another version serves


@dataclass(frozen=True)
class Watch:
    """Which version watches which."""

    former: int  # the champion before
    champion: int
    since: datetime  # as of when the gate promoted the champion
    until: datetime  # the former one scores in the shadow before this moment
    judged_to: Any = None  # the newest row that the gate judged by: a moment in ISO 8601, or a list of key texts


def watching(decisions: Decisions, length: timedelta) -> Watch | None:
    """The watch over the present champion, by the decisions on record, the newest first; None where there is none.

    The next change of the champion ends it, whoever made it. What a person decided, or what was rolled back to, is not
    watched: a gate takes back nothing but what a gate promoted.
    """
    newest = next((made for made in decisions if made["decision"] in _CHANGES), None)
    return None if newest is None else _begun(newest, length)


def watches(decisions: Decisions, length: timedelta) -> list[tuple[datetime, datetime]]:
    """From when until when there was a watch, by the decisions in any order; no two of these times overlap."""
    changes = sorted((made for made in decisions if made["decision"] in _CHANGES), key=lambda made: made["decided_at"])
    ends = [made["decided_at"] for made in changes[1:]]
    found = []
    for made, end in zip(changes, [*ends, None], strict=True):
        begun = _begun(made, length)
        if begun is not None:
            found.append((begun.since, begun.until if end is None else min(begun.until, end)))
    return found


def _begun(made: Mapping[str, Any], length: timedelta) -> Watch | None:
    """The watch that a change of the champion began."""
    at, former = made["decided_at"], made.get("previous")
    if not length or made["decided_by"] != "gate" or made["decision"] != "promoted" or former is None:
        return None
    return Watch(former, made["version"], at, at + length, (made["evidence"] or {}).get("judged_to"))
