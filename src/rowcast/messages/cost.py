"""Costs beyond what was expected, in sentences."""

from rowcast.formatting import number
from rowcast.monitor.track_record import CostExcess


def describe_excess(excess: CostExcess) -> str:
    """Return which figure shows that rows cost more, or otherwise, than was said of them."""
    if excess.kind == "contradicted":
        return (
            f"{number(excess.expected)} per row was estimated for {excess.rows:,} rows of the latest "
            f"{excess.days} days with labels, and they cost {number(excess.cost)}"
        )
    rows = "labelled rows" if excess.kind == "realised" else "rows"
    return (
        f"the {excess.kind} cost of {number(excess.cost)} per row on {excess.rows:,} {rows} of the latest "
        f"{excess.days} days is above the {number(excess.expected)} that the model promised, by more than luck"
    )
