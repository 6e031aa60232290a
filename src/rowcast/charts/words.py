"""What a chart says, in words."""

from rowcast.formatting import number, percent
from rowcast.monitor import control_charts
from rowcast.watch.chart_data import Chart


def value(chart: Chart, figure: float) -> str:
    """Return a chart's figure as text: a share in percent, anything else as a number."""
    return percent(figure) if chart.kind == "share" else number(figure)


def reference_range(chart: Chart) -> str:
    """Return between which values the last day would be unremarkable, or what is lacking to say so."""
    last = chart.points[-1]
    if last.limits is not None:
        return f"{value(chart, last.limits.low)} to {value(chart, last.limits.high)}"
    learned = sum(point.role == "baseline" and point.stretch == last.stretch for point in chart.points)
    return f"after {control_charts.BASELINE} days, now {learned}"


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
