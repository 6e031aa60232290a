"""What a chart says, in words."""

from rowcast.formatting import number, percent
from rowcast.monitor import control_charts
from rowcast.watch.chart_data import Chart


def value(chart: Chart, figure: float) -> str:
    return percent(figure) if chart.kind == "share" else number(figure)


def reference_range(chart: Chart) -> str:
    """Between which values the last day would be unremarkable, or what is lacking to say so."""
    last = chart.points[-1]
    if last.limits is not None:
        return f"{value(chart, last.limits.low)} to {value(chart, last.limits.high)}"
    learned = sum(point.role == "baseline" and point.stretch == last.stretch for point in chart.points)
    return f"after {control_charts.BASELINE} days, now {learned}"


def ewma_range(chart: Chart) -> str:
    smoothed = chart.points[-1].smoothed
    return "-" if smoothed is None else f"{value(chart, smoothed.low)} to {value(chart, smoothed.high)}"


def describe_violations(chart: Chart) -> str:
    """The rules that the last day breaks, and since when."""
    return "; ".join(f"{rule} since {since}" for rule, since in control_charts.current_violations(chart.points).items())


def describe_past_violation(chart: Chart) -> str:
    """The rule that was broken last of those that the last day does not break, and how many others were."""
    found = control_charts.past_violations(chart.points)
    if not found:
        return ""
    newest = max(found, key=found.__getitem__)
    return f"{newest} until {found[newest]}" + (f", {len(found) - 1} more before" if len(found) > 1 else "")


def day(point: control_charts.Point) -> str:
    return f"{point.subgroup.day:%Y-%m-%d}"
