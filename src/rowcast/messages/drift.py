"""Drift in sentences. Which category of a column it is, is a value of rows: it is named only with `values`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rowcast.formatting import number, percent, significant, visible
from rowcast.monitor import Concentration, Event, Finding, Series, State
from rowcast.store.records import DriftRecord

NAMED = 5  # findings in a sentence
ALL_ROWS = "(all)"  # in place of a column: a figure of the whole job


def describe_alarm(alarm: Event, *, values: bool) -> str:
    """Return which columns drift, since when and by how much, and what it does to the decisions."""
    text = _describe(alarm.findings, alarm.more, values=values)
    if alarm.flagged is not None:
        was, now = alarm.flagged
        text += f". Flagged are {now:.2%} of the rows, were {was:.2%}"
    if alarm.cost is not None:
        was, now = alarm.cost
        text += f". A row is expected to cost {significant(now, 3)}, was {significant(was, 3)}"
        text += ", if the scores are still calibrated"
    return text


def describe_learning(looked_at: int, needed: int) -> str:
    """Return what is still to come before drift is told: clean blocks and runs, then a run that follows them."""
    if looked_at < needed:
        return f"told once {needed} blocks and runs say what is usual: {looked_at} so far"
    return f"told of the runs that follow: {needed} blocks and runs say what is usual"


def describe_record(made: DriftRecord, *, values: bool) -> str:
    """Return the sentence of a drift on record."""
    findings = [read_finding(each) for each in made.findings]
    if values or not any(_quotes(one) for one in findings):
        return made.sentence
    return _describe(findings, 0, values=values)


def quotes_values(alarm: Event) -> bool:
    """Return whether the sentence about an alarm names a category, with `values`."""
    return any(_quotes(one) for one in alarm.findings[:NAMED])


def list_columns(alarm: Event) -> str:
    """Return the columns that drift, or the kinds of figure of the whole job."""
    columns = [one.series.column or one.series.kind for one in alarm.findings[:NAMED]]
    return ", ".join(dict.fromkeys(columns))


def describe_finding(one: Finding, *, values: bool) -> str:
    """Return what a series was and is, and in which groups where it is confined to few."""
    return _describe_series(one, values=values) + _describe_groups(one.within, values=values)


def _describe_groups(within: Concentration | None, *, values: bool) -> str:
    if within is None:
        return ""
    many = len(within.groups)
    if not values:
        return f", only in {many} of the {within.of} groups by {within.by}"
    return f", only in {within.by} {' and '.join(map(visible, within.groups))}"


def _describe_series(one: Finding, *, values: bool) -> str:
    name, was, now = one.series.column, one.was, one.now
    match one.series.kind:
        case "location":
            return f"{name} is {_further(one.change)} ({number(was)}, now {number(now)})"
        case "scale":
            sds = f"SD {significant(was, 3)}, now {significant(now, 3)}"
            return f"{name} spreads {significant(one.change, 2)} times as wide ({sds})"
        case "missing":
            return f"{name} is missing in {now:.1%} of the rows (was {was:.1%})"
        case "range":
            return f"{name} lies outside the range of the training rows in {now:.1%} of the rows (was {was:.1%})"
        case "unseen":
            known = f" ({', '.join(map(visible, one.unseen))})" if one.unseen and values else ""
            return f"{name} has a category that training had not seen{known} in {now:.1%} of the rows (was {was:.1%})"
        case "category":
            if one.series.category is not None and not values:
                return f"{name} is of one category in {now:.1%} of the rows (was {was:.1%})"
            return f"{name} is {_name_category(one.series)} in {now:.1%} of the rows (was {was:.1%})"
        case "score":
            return f"the score is {_further(one.change)}"
        case "spread":
            return f"the score spreads {significant(one.change, 2)} times as wide"
        case "flagged":
            return f"{now:.2%} of the rows are flagged (was {was:.2%})"
        case "quarantined":
            return f"{now:.2%} of the rows are quarantined (was {was:.2%})"
        case "rows":
            return f"{significant(now, 3)} rows come in an hour (was {significant(was, 3)})"
        case "age":
            return f"the newest row is {significant(now, 3)} h old (was {significant(was, 3)})"


def _describe(findings: Sequence[Finding], further: int, *, values: bool) -> str:
    named = findings[:NAMED]
    parts = []
    for since, is_first in sorted({(one.since_at, one.is_first) for one in named}):
        those = [one for one in named if (one.since_at, one.is_first) == (since, is_first)]
        or_before = " or before (the version's first run)" if is_first else ""
        said = "; ".join(describe_finding(one, values=values) for one in those)
        parts.append(f"since {since:%Y-%m-%d %H:%M} UTC{or_before} {said}")
    more = len(findings) + further - len(named)
    return "; ".join(parts + ([f"and {more} more"] if more > 0 else []))


def _quotes(one: Finding) -> bool:
    return bool(one.unseen) or one.within is not None or one.series.category is not None


def _name_category(series: Series) -> str:
    return "a rare one" if series.category is None else visible(series.category)


def _further(sds: float) -> str:
    return f"{significant(abs(sds), 2)} SD {'higher' if sds > 0 else 'lower'}"


_NAMES = {
    "location": "mean",
    "scale": "standard deviation",
    "missing": "share missing",
    "range": "share outside the training rows' range",
    "unseen": "share of categories that training had not seen",
    "score": "mean score",
    "spread": "standard deviation of the score",
    "flagged": "share flagged",
    "quarantined": "share quarantined",
    "rows": "rows an hour",
    "age": "age of the newest row in hours",
}
_SHARES = ("missing", "range", "unseen", "category", "flagged", "quarantined")


def tabulate_state(state: State) -> dict[str, Any]:
    """Return a series as a row of a table: its column, which figure it is, and that in training, usually and now.

    `size` and `weight` are there where it has shifted: 1 is the size that matters.
    """
    series = state.series
    show = percent if series.kind in _SHARES else number
    figures = {"in training": state.trained, "usual": state.was, "now": state.now}
    return {
        "column": series.column or ALL_ROWS,
        "what": name_series(series),
        **{name: None if value is None else show(value) for name, value in figures.items()},
        "since run": state.since,
        "size": state.size if state.since is not None else None,
        "weight": state.weight,
    }


def name_series(series: Series) -> str:
    """Return the figure of a column that a series follows, in the field's words."""
    if series.kind == "category":
        return "share of rare categories" if series.category is None else f"share of {visible(series.category)}"
    return _NAMES[series.kind]


def read_finding(found: Mapping[str, Any]) -> Finding:
    """Return a finding of a record."""
    was, now, change, size = (float("nan") if found[n] is None else found[n] for n in ("was", "now", "change", "size"))
    series = Series(found["kind"], found["column"], found["category"])
    since = datetime.fromisoformat(found["since"])
    unseen, held = tuple(found.get("unseen", ())), found.get("within")
    within = None if held is None else Concentration(held["by"], tuple(held["groups"]), held["of"])
    return Finding(
        series, str(found["since_run"]), since, was, now, change, size, 0.0, unseen, bool(found.get("is_first")), within
    )
