"""What the pages say in words."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.looks import LeadingRow, Look, Parts
from rowcast.formatting import number, percent, significant, visible
from rowcast.models.reference_range import format_range
from rowcast.quality_report import QualityReport
from rowcast.store.records import RunRecord, RunStatus, StepStatus

_STATES = {"done": "good", "running": "quiet", "partial": "warn"}
_BAD_RUNS = (RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.PARTIAL)


def ago(span: timedelta) -> str:
    """Return how long ago something was, in the largest unit."""
    seconds = max(0.0, span.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // size)
        if count >= 1:
            return f"{count:,} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def seconds(many: float) -> str:
    """Return how long something took."""
    return f"{number(many)} s" if many < 120 else ago(timedelta(seconds=many))


def count(many: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{many:,} {one if many == 1 else several or one + 's'}"


def failed_runs(look: Look) -> list[RunRecord]:
    """Return those of the newest runs that did not do all."""
    return [run for run in look.runs if run.status in _BAD_RUNS]


def state_of_status(status: RunStatus | StepStatus) -> str:
    """Return how a run or a step is, as good, warn, bad or quiet."""
    return _STATES.get(str(status), "bad")


def rank(look: Look, parts: Parts) -> tuple[int, int, int, str]:
    """Return what jobs are sorted by: what needs a person first."""
    errors = sum(alert.severity == "error" and alert.acknowledged is None for alert in look.standing)
    pending = 0 if isinstance(parts.rows, BeingRead) else parts.rows.pending
    return (-errors, -len(look.needs), -pending, look.name)


def state_of(look: Look, parts: Parts) -> tuple[str, str]:
    """Return how a job is in a few words, and as good, warn or bad."""
    needs = len(look.needs)
    if parts.audit is not None and not parts.audit[1].holds:
        return "the audit does not hold", "bad"
    if not needs:
        return "all well", "good"
    is_bad = (
        any(alert.severity == "error" and alert.acknowledged is None for alert in look.standing)
        or look.champion is None
    )
    run = look.last_run
    is_bad = is_bad or (run is not None and run.status in _BAD_RUNS)
    return f"{needs} to look at", "bad" if is_bad else "warn"


def costs(found: QualityReport) -> tuple[str, float, dict[str, float]] | None:
    """Return realised or else estimated, the cost of a row in the window, and what it is beside; None if not known."""
    labelled = [(each.whole, each.whole.labelled) for each in found.versions if each.whole.labelled]
    known = [(part, rows) for part, rows in labelled if "cost_per_row" in part.realised]
    if known:
        total = sum(rows for _, rows in known)
        beside = {
            name: sum(part.trivial[name] * rows for part, rows in known) / total
            for name in ("none", "all")
            if all(name in part.trivial for part, _ in known)
        }
        return "realised", sum(part.realised["cost_per_row"].value * rows for part, rows in known) / total, beside
    told = [each.whole for each in found.versions if "cost_per_row" in each.whole.estimated]
    if not told:
        return None
    rows = sum(part.rows for part in told)
    return "estimated", sum(part.estimated["cost_per_row"].value * part.rows for part in told) / rows, {}


def describe_window(until: datetime, days: int) -> str:
    """Return which days figures are of."""
    return f"{until - timedelta(days=days):%Y-%m-%d} to {until:%Y-%m-%d}"


def describe_reading(part: BeingRead) -> str:
    """Return what a page says in place of what is not there yet."""
    return f"Being read for {seconds(round(part.seconds, 1))}. The page renews itself."


def describe_value(value: Any) -> str:
    """Return a value of a row for people."""
    if value is None:
        return "missing"
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else visible(str(value))


def describe_usual(of: Any) -> str:
    """Return a reference range for people."""
    return "no range on record" if of is None else format_range(of)


def describe_reasons(row: LeadingRow, most: int) -> Sequence[tuple[str, str, str, float]]:
    """Return column, value, reference range and contribution of what moved a row's score most."""
    return [
        (each.column, describe_value(each.value), describe_usual(each.reference_range), each.contribution)
        for each in row.reasons[:most]
    ]


ODDS = "Odds × 2 make 20 % into 33 %, odds ÷ 2 make 20 % into 11 %."


def describe_push(contribution: float, *, is_odds: bool) -> str:
    """Return by how much a column moved a score: what it multiplied or divided the odds by, or what it added."""
    if not is_odds:
        return f"{'+' if contribution > 0 else '−'}{number(abs(contribution))}"
    factor = math.exp(min(abs(contribution), 50.0))
    return f"odds {'×' if contribution > 0 else '÷'} {significant(factor, 2 if factor >= 1.1 else 3)}"


def describe_score(score: float, threshold: float | None) -> str:
    """Return a score; that of two classes as a probability."""
    return percent(score) if threshold is not None else number(score)


def age(at: datetime, now: datetime) -> str:
    """Return how long ago a moment was."""
    return "to come" if at > now else f"{ago(now - at)} ago"
