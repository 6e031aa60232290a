"""The error that gates may make within a year, and how much of it one of them may.

Every gate that tests is one more chance that a challenger which is no better looks better. The levels at which they
test add up to no more than `yearly_error` within any year of 52 weeks. By Bonferroni's inequality the chance that any
such challenger is promoted within a year is then no larger, however much rows and challengers have in common.

It is alpha-spending (Foster and Stine 2008, Journal of the Royal Statistical Society B 70(2)) by the calendar (Lan and
DeMets 1983, Biometrika 70(3)): each day brings its 364th part, and a gate spends what has come in since the last one
that tested. So a gate that cannot decide, or is not held, leaves its part to the next. A gate that promotes spends
nothing either: its level was either not needed, since the challenger is better, or there is no more to protect; that is
the online fallback procedure (Tian and Ramdas 2021, Statistical Methods in Medical Research 30(4)).

While a former champion is watched, half of each day's part is for the tests of the watch, the other half for the gates:
neither can use up what is the other's, and together they spend no faster than before. To roll back to a version that is
no better is an error like any other. A watch keeps most of its part for its end, when it has most rows: after half of
its time it may have spent a quarter (power family, Kim and DeMets 1987, Biometrika 74(1)). What it leaves is not spent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rowcast.gate.watch import Watch, list_watches
from rowcast.store.records import DecisionOutcome, DecisionRecord

YEAR = timedelta(weeks=52)  # so that a gate every week spends a 52nd part
WATCH = 0.5  # of what comes in while a former champion is watched: for the tests of the watch


@dataclass(frozen=True)
class Allowance:
    """What one gate may spend. Shares of 1, as probabilities."""

    yearly: float
    level: float  # the chance, at most, that this gate promotes a challenger that is no better
    left: float  # of the year's, before this gate


def allowance(
    yearly: float, now: datetime, decisions: Iterable[DecisionRecord], watching: timedelta = timedelta(0)
) -> Allowance:
    """Return what a gate may spend as of `now`, by the decisions on record in any order.

    The first decision begins the count. Time that a gate has spent for is never spent again: as of a moment before the
    latest gate's test there is nothing. `watching` is how long a watch lasts after a promotion.
    """
    made = list(decisions)
    tests = [each.decided_at for each in made if spends(each) and not is_of_watch(each)]
    since = max(tests, default=min((each.decided_at for each in made), default=now))
    waited = min(max(now - since, timedelta(0)), YEAR)
    shared = sum((_overlap(now - waited, now, *times) for times in list_watches(made, watching)), timedelta(0))
    return _at_most(yearly, now, made, yearly * ((waited - WATCH * shared) / YEAR))


def allowance_of_watch(yearly: float, now: datetime, decisions: Iterable[DecisionRecord], watch: Watch) -> Allowance:
    """Return what a test of this watch may spend as of `now`, after those that it has made."""
    made = list(decisions)
    length = watch.until - watch.since
    elapsed = min(max((now - watch.since) / length, 0.0), 1.0)
    of_watch = [each for each in made if spends(each) and is_of_watch(each) and each.decided_at >= watch.since]
    spent = sum(each.evidence["level"] for each in of_watch)
    return _at_most(yearly, now, made, max(0.0, yearly * WATCH * (length / YEAR) * elapsed**2 - spent))


def _at_most(yearly: float, now: datetime, made: list[DecisionRecord], level: float) -> Allowance:
    """This level, as far as the tests of a year leave it, those of gates and of watches alike."""
    spent = sum(each.evidence["level"] for each in made if spends(each) and now - each.decided_at < YEAR)
    left = max(0.0, yearly - spent)
    return Allowance(yearly, min(level, left), left)


def _overlap(begin: datetime, end: datetime, since: datetime, until: datetime) -> timedelta:
    return max(min(end, until) - max(begin, since), timedelta(0))


def spends(decision: DecisionRecord) -> bool:
    """Return whether a decision used up some of the budget: a gate or a watch tested, and changed nothing."""
    return decision.outcome is DecisionOutcome.KEPT and bool(decision.evidence.get("level"))


def is_of_watch(decision: DecisionRecord) -> bool:
    """Return whether a watch decided, and not a gate after training."""
    return decision.evidence.get("shadow") == "watched"
