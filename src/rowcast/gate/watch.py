"""The watch over a gate's promotion: the champion before goes on scoring in the shadow, in case it was better."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rowcast.store.records import DecisionOutcome, DecisionRecord

Decisions = Iterable[DecisionRecord]


@dataclass(frozen=True)
class Watch:
    """Which version watches which."""

    former: int  # the champion before
    champion: int
    since: datetime  # as of when the gate promoted the champion
    until: datetime  # the former one scores in the shadow before this moment
    judged_to: Any = None  # the newest row that the gate judged by: a moment in ISO 8601, or a list of key texts


def find_watch(decisions: Decisions, length: timedelta) -> Watch | None:
    """Return the watch over the present champion, by the decisions on record, the newest first; None without one.

    The next change of the champion ends it, whoever made it. What a person decided, or what was rolled back to, is not
    watched: a gate takes back nothing but what a gate promoted.
    """
    newest = next((made for made in decisions if made.outcome.changes_champion), None)
    return None if newest is None else _begin(newest, length)


def list_watches(decisions: Decisions, length: timedelta) -> list[tuple[datetime, datetime]]:
    """Return from when until when there was a watch, by the decisions in any order; no two of these times overlap."""
    changes = sorted((made for made in decisions if made.outcome.changes_champion), key=lambda made: made.decided_at)
    ends = [made.decided_at for made in changes[1:]]
    found = []
    for made, end in zip(changes, [*ends, None], strict=True):
        watch = _begin(made, length)
        if watch is not None:
            found.append((watch.since, watch.until if end is None else min(watch.until, end)))
    return found


def _begin(made: DecisionRecord, length: timedelta) -> Watch | None:
    """Return the watch that a change of the champion began."""
    at, former = made.decided_at, made.previous
    if not length or not made.is_by_gate or made.outcome is not DecisionOutcome.PROMOTED or former is None:
        return None
    return Watch(former, made.version, at, at + length, made.evidence.get("judged_to"))
