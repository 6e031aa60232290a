"""The error that gates may make within a year, and how much of it one of them may.

Every gate that tests is one more chance that a challenger which is no better looks better. The levels at which they
test add up to no more than `yearly_error` within any year of 52 weeks. By Bonferroni's inequality the chance that any
such challenger is promoted within a year is then no larger, however much rows and challengers have in common.

It is alpha-spending (Foster and Stine 2008, Journal of the Royal Statistical Society B 70(2)) by the calendar (Lan and
DeMets 1983, Biometrika 70(3)): each day brings its 364th part, and a gate spends what has come in since the last one
that tested. So a gate that cannot decide, or is not held, leaves its part to the next. A gate that promotes spends
nothing either: its level was either not needed, since the challenger is better, or there is no more to protect; that is
the online fallback procedure (Tian and Ramdas 2021, Statistical Methods in Medical Research 30(4)).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

YEAR = timedelta(weeks=52)  # so that a gate every week spends a 52nd part


@dataclass(frozen=True)
class Allowance:
    """What one gate may spend. Shares of 1, as probabilities."""

    yearly: float
    level: float  # the chance, at most, that this gate promotes a challenger that is no better
    left: float  # of the year's, before this gate


def allowance(yearly: float, now: datetime, decisions: Iterable[Mapping[str, Any]]) -> Allowance:
    """What a gate may spend as of `now`, by the decisions on record (their `decided_at`, `decision` and `evidence`).

    The first decision begins the count. Time that a gate has spent for is never spent again: as of a moment before the
    latest test there is nothing.
    """
    made = list(decisions)
    spent = [(each["decided_at"], each["evidence"]["level"]) for each in made if spends(each)]
    left = max(0.0, yearly - sum(level for at, level in spent if now - at < YEAR))
    since = max((at for at, _ in spent), default=min((each["decided_at"] for each in made), default=now))
    come_in = yearly * min(max(now - since, timedelta(0)), YEAR) / YEAR
    return Allowance(yearly, min(come_in, left), left)


def spends(decision: Mapping[str, Any]) -> bool:
    """Whether a decision used up some of the budget: the gate tested, and did not promote."""
    return decision["decision"] == "kept" and bool((decision["evidence"] or {}).get("level"))
