"""Costs beyond what was expected, in sentences."""

from rowcast.formatting import number
from rowcast.monitor.track_record import CostExcess, TrackRecord


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


def describe_withheld(record: TrackRecord) -> str:
    """Return why an estimate is not shown; empty where it is."""
    if record.contradicted is not None:
        return f"contradicted by labels: {describe_excess(record.contradicted)}"
    if record.missed is None:
        return ""
    low, high = (number(end or 0.0) for end in (record.missed.interval.low, record.missed.interval.high))
    return (
        f"labels left its interval: {low} to {high} per row was estimated for the {record.rows:,} rows of known label, "
        f"and they cost {number(record.missed.cost)}"
    )
