"""What a backtest found, in words."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rowcast import report
from rowcast.backtest.comparison import Interval
from rowcast.backtest.policies import format_duration
from rowcast.backtest.record import HINDSIGHT, BacktestReport, PolicyResult
from rowcast.formatting import number

COLUMNS = ("policy", "cost per 1,000", "more than the cheapest", "95 % interval")
COUNTS = ("models", "promoted", "alarms", "seconds")


def describe(found: BacktestReport) -> str:
    """Return the whole report for a terminal."""
    rows = [row(found, each) for each in found.policies]
    rows.append({"policy": HINDSIGHT, "cost per 1,000": write_cost(found, found.hindsight)})
    for each in rows:
        each |= {name: "" for name in (*COLUMNS, *COUNTS) if name not in each}
    table = report.table(rows, (*COLUMNS, *COUNTS))
    lines = "\n".join(f"    {line}" for line in found.verdict.lines.splitlines())
    notes = "\n".join(list_notes(found))
    return f"{describe_span(found)}\n\n{table}\n\n{describe_verdict(found)}\n\n{lines}\n\n{notes}"


def describe_span(found: BacktestReport) -> str:
    """Return what was replayed, in a sentence or two."""
    often = "each day" if found.step == timedelta(days=1) else f"every {format_duration(found.step)}"
    return (
        f"{len(found.policies)} policies, run as of {often} from {found.start:%Y-%m-%d} to {found.end:%Y-%m-%d}."
        f" Compared on the same {found.rows:,} rows."
    )


def row(found: BacktestReport, policy: PolicyResult) -> dict[str, Any]:
    """Return a policy's line of the table; the config's own is marked."""
    difference = policy.difference
    is_own = policy.name == found.verdict.own
    is_cheapest = policy.name == found.verdict.cheapest
    return {
        "policy": f"{policy.name} (yours)" if is_own else policy.name,
        "cost per 1,000": write_cost(found, policy.cost),
        "more than the cheapest": "cheapest" if is_cheapest else write_cost(found, difference.value),
        "95 % interval": "" if is_cheapest else describe_interval(found, difference.interval),
        "models": policy.built,
        "promoted": policy.promoted,
        "alarms": policy.alarms,
        "seconds": f"{policy.seconds:,.0f}",
    }


def describe_interval(found: BacktestReport, interval: Interval | None) -> str:
    """Return between what a difference lies."""
    if interval is None:
        return "too few days"
    return f"{write_cost(found, interval.low)} to {write_cost(found, interval.high)}"


def write_cost(found: BacktestReport, cost: float) -> str:
    """Return a cost with as many decimals as all of the report have: the largest then has four digits, or more."""
    largest = max((abs(each.cost) for each in found.policies), default=0.0)
    decimals = min(12, max(0, 3 - math.floor(math.log10(largest)))) if largest else 0
    return f"{round(cost, decimals) + 0.0:,.{decimals}f}"


def describe_verdict(found: BacktestReport) -> str:
    """Return what can be told, and what to do."""
    verdict = found.verdict
    chosen, own = verdict.recommended, verdict.own
    if verdict.outcome == "one is cheapest":
        said = f"{chosen} is the cheapest, by more than chance explains."
    elif verdict.outcome == "all are tied":
        said = f"These cannot be told apart on your data. The simplest of them is {chosen}."
    else:
        worse = [each.name for each in found.policies if each.name not in verdict.tied and not each.is_yardstick]
        said = (
            f"{join(worse)} {'costs' if len(worse) == 1 else 'cost'} more than {verdict.cheapest}."
            f" {join(verdict.tied)} cannot be told apart; the simplest of them is {chosen}."
        )
    if chosen == own:
        return f"{said} That is what rowcast.toml asks for."
    if own in verdict.tied:
        return f"{said} Yours, {own}, is among them: nothing speaks against keeping it. To change:"
    return f"{said} To have it, in rowcast.toml:"


def join(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def list_notes(found: BacktestReport) -> list[str]:
    """Return what a reader should know of the figures, a sentence or two each."""
    days = "day" if found.block_days == 1 else f"{found.block_days} days"
    unit = "how far predicted values are off" if found.of_values else "the costs of [task]"
    notes = [
        f"Cost: {unit}, by the labels that are known today{_describe_prices(found)}.",
        f"Intervals: paired, by {days}. The verdict allows for all pairs of policies.",
        f"{HINDSIGHT.capitalize()}: had each week had the policy that was cheapest in it. Nobody can know that before.",
    ]
    if found.labels_at_once:
        notes.append(
            "Neither label_time nor label_delay is set: each label was taken as known at the time of its event, so"
            " that models learned sooner than they could have."
        )
    if found.left_out:
        notes.append(
            f"{found.left_out:,} labelled rows were left out: some policy had not scored them, or could have been"
            " trained on them."
        )
    notes += [_describe_yardstick(found, each) for each in found.policies if each.is_yardstick]
    failed = [f"{each.name} {each.failed}" for each in found.policies if each.failed]
    if failed:
        where = f"each policy's pipeline.log under {found.folder} says what"
        notes.append(f"Runs in which something failed: {', '.join(failed)}; {where}.")
    return notes


def _describe_yardstick(found: BacktestReport, policy: PolicyResult) -> str:
    """Return what is to be learned from a policy that no config asks for."""
    interval, cheapest = policy.difference.interval, found.verdict.cheapest
    said = f"{policy.name} is there to compare with: each new model serves, whatever the gate would say."
    if interval is not None and interval.high < 0:
        said += f' It would have cost less than {cheapest}: [gate] rule = "better" comes closest to it.'
    elif interval is not None and interval.low > 0:
        said += f" It would have cost more than {cheapest}."
    return said


def _describe_prices(found: BacktestReport) -> str:
    asked = {"a build": found.prices.retrain, "an alarm": found.prices.review}
    parts = [f"{number(price)} for {what}" for what, price in asked.items() if price]
    return f", and {join(parts)}" if parts else ""
