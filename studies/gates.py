"""Gates over simulated years: the pipeline's rows, the gate's own bound and budget, and plainer rules beside it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from rowcast.gate import Allowance, PairedCosts, Watch, allowance, allowance_of_watch, decide_by_regret, find_watch
from rowcast.gate.bound import Blocks, doubt, least_doubt
from rowcast.gate.budget import WATCH, YEAR, is_of_watch
from rowcast.store.records import DecisionOutcome, DecisionRecord
from studies.fab import MISSED, Fab, Floats, Year

YEARLY = 0.05
WATCHED = 4  # weeks after a promotion
MAX_HARM = 0.05  # of the champion's cost: the config's default
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Decisions = list[DecisionRecord]
Rule = Callable[[datetime, Decisions], Allowance]
WatchRule = Callable[[datetime, Decisions, Watch], Allowance]


def budgeted(now: datetime, decisions: Decisions) -> Allowance:
    return allowance(YEARLY, now, decisions)


def bonferroni(_now: datetime, _decisions: Decisions) -> Allowance:
    """52 gates a year, each at a 52nd of the same error."""
    return Allowance(YEARLY, YEARLY / 52, YEARLY)


def unbudgeted(_now: datetime, _decisions: Decisions) -> Allowance:
    """Each gate at 5 %."""
    return Allowance(YEARLY, YEARLY, YEARLY)


@dataclass(frozen=True)
class Gate:
    """What one gate came to."""

    week: int
    tested: bool
    promoted: bool


def year(
    fab: Fab, rule: Rule, seed: int, every: int = 1, after: int = 0, decisions: Decisions | None = None
) -> list[Gate]:
    """Gates to the end of the year, up to the first that promotes, each with a challenger of its own.

    They are against one champion, which came after so many weeks; `decisions` are those on record by then.
    """
    simulated, gates = Year(fab, 52 - after, seed), list[Gate]()
    decisions = decisions or [decision(BEGIN, "promoted", None)]  # the first version
    for week in range(after + every, 52 + 1, every):
        now, end = BEGIN + timedelta(days=7 * week), fab.rows * (week - after)
        begin = end // 2  # the later half of what came after the champion's training
        allowed = rule(now, decisions)
        value = judged(simulated, begin, end, allowed.level)
        promoted = value is not None and value <= allowed.level
        gates.append(Gate(week, value is not None, promoted))
        word = "promoted" if promoted else "undecided" if value is None else "kept"
        decisions.append(decision(now, word, None if value is None else allowed.level))
        if promoted:
            break
    return gates


def year_of_two(fab: Fab, better: float, rule: Rule, seed: int) -> list[Gate]:
    """As `year`, with challengers that are better until one of them is champion, and no better from then on."""
    decisions: Decisions = [decision(BEGIN, "promoted", None)]
    gates = year(replace(fab, gain=better), rule, seed, decisions=decisions)
    if not gates[-1].promoted or gates[-1].week == 52:
        return [replace(gates[-1], promoted=False)]
    return year(fab, rule, 500_000 + seed, after=gates[-1].week, decisions=decisions)


def late(now: datetime, decisions: Decisions, watch: Watch) -> Allowance:
    return allowance_of_watch(YEARLY, now, decisions, watch)


def evenly(now: datetime, decisions: Decisions, watch: Watch) -> Allowance:
    """What has come in for the watch since its last test, as gates spend it."""
    since = max([watch.since, *(each.decided_at for each in decisions if is_of_watch(each))])
    return Allowance(YEARLY, YEARLY * WATCH * ((now - since) / YEAR), YEARLY)


def watch(fab: Fab, seed: int, rule: WatchRule = late) -> int | None:
    """In which week the champion before, better by the fab's gain, is rolled back to after a promotion; None for never.

    The watch tests each week, on all rows since the promotion.
    """
    simulated, decisions = Year(fab, WATCHED, seed), [_promotion(BEGIN)]
    for week in range(1, WATCHED + 1):
        if _watched(simulated, decisions, week, week, rule):
            return week
    return None


def watch_by_regret(fab: Fab, seed: int) -> int | None:
    """As `watch`, by the rules "fresh" and "better"."""
    simulated = Year(fab, WATCHED, seed)
    former = simulated.champion - simulated.gain(0, fab.rows * WATCHED)
    for week in range(1, WATCHED + 1):
        seen = slice(fab.rows * week)
        costs = PairedCosts(
            simulated.champion[seen], former[seen], simulated.outcome[seen], MISSED, simulated.block[seen]
        )
        if decide_by_regret(costs, max_harm=MAX_HARM).promote:
            return week
    return None


def year_watched(fab: Fab, seed: int) -> tuple[bool, bool]:
    """Whether a gate promotes, and whether a watch rolls back, in a year in which nobody is better than another.

    There is a gate each week, and at the beginning of each quarter another champion, whatever the gate thinks of it.
    """
    promoted, back = False, False
    decisions: Decisions = []
    for quarter in range(0, 52, 13):
        decisions.append(_promotion(BEGIN + timedelta(weeks=quarter)))
        simulated = Year(fab, 13, 1_000 * seed + quarter)
        for week in range(1, 14):
            back |= week <= WATCHED and _watched(simulated, decisions, quarter + week, week)
            now = BEGIN + timedelta(weeks=quarter + week)
            allowed = allowance(YEARLY, now, decisions, timedelta(weeks=WATCHED))
            end = fab.rows * week
            value = judged(simulated, end // 2, end, allowed.level)
            promoted |= value is not None and value <= allowed.level
            decisions.append(decision(now, "undecided" if value is None else "kept", value and allowed.level))
    return promoted, back


def _watched(simulated: Year, decisions: Decisions, week: int, since: int, rule: WatchRule = late) -> bool:
    """Whether a watch rolls back in this week, so many after the promotion; where it does not, that is on record."""
    now, watch = BEGIN + timedelta(weeks=week), find_watch(decisions[::-1], timedelta(weeks=WATCHED))
    assert watch is not None
    allowed = rule(now, decisions, watch)
    value = judged(simulated, 0, simulated.fab.rows * since, allowed.level)
    if value is not None:
        decisions.append(decision(now, "kept", allowed.level, shadow="watched"))
    return value is not None and value <= allowed.level


def _promotion(at: datetime) -> DecisionRecord:
    return replace(decision(at, "promoted", None), version=2, previous=1)


def decision(at: datetime, word: str, level: float | None, **evidence: Any) -> DecisionRecord:
    """As the store keeps it."""
    held = {"level": level, **evidence}
    return DecisionRecord(0, "fab", 1, None, at, "gate", DecisionOutcome(word), "", held)


def judged(simulated: Year, begin: int, end: int, level: float) -> float | None:
    gain = simulated.gain(begin, end)
    return p_value(simulated.outcome[begin:end], gain, simulated.block[begin:end], level)


def p_value(outcome: Any, gain: Floats, block: Any, level: float) -> float | None:
    """Of what `rowcast.gate.decide` tests, without bootstrap and AUC; None where it does not decide."""
    place = block - block[0]
    units = int((np.bincount(place, weights=gain != 0) > 0).sum())
    rows = np.bincount(place)
    if outcome.sum() < 5 or len(rows) < 8 or units < 8 or least_doubt(units) > level:
        return None
    return doubt(Blocks.of(np.bincount(place, weights=gain).astype(np.float64), rows, units, MISSED), 0.0)
