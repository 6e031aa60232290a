"""What a chart says, in words."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from rowcast.formatting import number, percent
from rowcast.monitor import control_charts
from rowcast.watch.chart_data import Chart


def value(chart: Chart, figure: float) -> str:
    """Return a chart's figure as text: a share in percent, anything else as a number."""
    return percent(figure) if chart.kind == "share" else number(figure)


def reference_range(chart: Chart) -> str:
    """Return between which values the last day would be unremarkable, or until when nobody can say so."""
    last = chart.points[-1]
    if last.limits is not None:
        return f"{value(chart, last.limits.low)} to {value(chart, last.limits.high)}"
    return f"none until {chart.learning.ready_on}" if chart.learning else "none"


def describe_learning(learning: control_charts.Learning) -> str:
    """Return why a chart has no limits, or not its final ones, and from when it will have them."""
    event = None if learning.since is None else f"{learning.since.what} on {learning.since.day}"
    after = "" if event is None else f" after {event}"
    until = f"{learning.missing} more needed, so {learning.ready_on} at the earliest"
    if learning.limits == "none":
        return f"No limits yet: they take {control_charts.EARLY + 1} days with rows{after}; {until}"
    final = f"{control_charts.BASELINE} days with rows{after}"
    if learning.limits == "early":
        return f"Wide limits, from {learning.days} days, until there are {final}; {until}"
    return f"Limits from before {event}, until there are {final}; {until}"


def list_learning(charts: Iterable[Chart]) -> Iterator[str]:
    """Yield which charts have no limits, or none of their own, why, and from when; those of one group together."""
    found: dict[tuple[str | None, control_charts.Learning], list[str]] = defaultdict(list)
    for chart in charts:
        if chart.learning is not None:
            found[chart.group, chart.learning].append(chart.what)
    for (group, learning), names in found.items():
        of_group = "" if group is None else f"{group}: "
        yield f"{of_group}{', '.join(names)}. {describe_learning(learning)}."


def ewma_range(chart: Chart) -> str:
    """Return between which values the last EWMA would be unremarkable; - where it has no limits."""
    smoothed = chart.points[-1].smoothed
    return "-" if smoothed is None else f"{value(chart, smoothed.low)} to {value(chart, smoothed.high)}"


def describe_violations(chart: Chart) -> str:
    """Return the rules that the last day breaks, and since when."""
    return "; ".join(f"{rule} since {since}" for rule, since in control_charts.current_violations(chart.points).items())


def describe_past_violation(chart: Chart) -> str:
    """Return the rule that was broken last of those that the last day does not break, and how many others were."""
    found = control_charts.past_violations(chart.points)
    if not found:
        return ""
    newest = max(found, key=found.__getitem__)
    return f"{newest} until {found[newest]}" + (f", {len(found) - 1} more before" if len(found) > 1 else "")


def day(point: control_charts.Point) -> str:
    """Return the day of a chart's point as text."""
    return f"{point.subgroup.day:%Y-%m-%d}"
