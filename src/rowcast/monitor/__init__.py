"""monitor: what runs looked like, counted while scoring, and whether that has changed."""

from rowcast.monitor.drift import (
    APART,
    DriftResult,
    compute_costs,
    date_back,
    detect_drift,
    score_weights,
    split_blocks,
)
from rowcast.monitor.edges import Categories, Edges, Numbers, compute_edges
from rowcast.monitor.events import MATTERS, Concentration, Event, Finding, State
from rowcast.monitor.profile import Profile, add_profiles, count_profile, count_slots, empty_profile
from rowcast.monitor.reference import (
    find_unused_edges,
    list_calendar_columns,
    list_training_profiles,
    make_reference,
)
from rowcast.monitor.statistics import Frame, Run, Series

__all__ = [
    "APART",
    "MATTERS",
    "Categories",
    "Concentration",
    "DriftResult",
    "Edges",
    "Event",
    "Finding",
    "Frame",
    "Numbers",
    "Profile",
    "Run",
    "Series",
    "State",
    "add_profiles",
    "compute_costs",
    "compute_edges",
    "count_profile",
    "count_slots",
    "date_back",
    "detect_drift",
    "empty_profile",
    "find_unused_edges",
    "list_calendar_columns",
    "list_training_profiles",
    "make_reference",
    "score_weights",
    "split_blocks",
]
