"""monitor: what runs looked like, counted while scoring, and whether that has changed."""

from rowcast.monitor.drift import APART, DriftResult, detect_drift, expected_costs, score_weights, split_blocks
from rowcast.monitor.edges import Edges, Numbers, compute_edges
from rowcast.monitor.events import Event, Finding, State
from rowcast.monitor.profile import Profile, add_profiles, count_profile, empty_profile
from rowcast.monitor.reference import list_training_profiles, make_reference, unused_edges
from rowcast.monitor.statistics import Frame, Run, Series

__all__ = [
    "APART",
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
    "compute_edges",
    "count_profile",
    "detect_drift",
    "empty_profile",
    "expected_costs",
    "list_training_profiles",
    "make_reference",
    "score_weights",
    "split_blocks",
    "unused_edges",
]
