"""monitor: what runs looked like, counted while scoring, and whether that has changed."""

from rowcast.monitor.drift import APART, Looked, blocks, costs_of, look, weights_of
from rowcast.monitor.edges import Edges, Numbers, edges
from rowcast.monitor.events import Event, Finding, State
from rowcast.monitor.profile import Profile, add, empty, profile
from rowcast.monitor.reference import reference, training_profiles, unused_edges
from rowcast.monitor.series import Frame, Run, Series

__all__ = [
    "APART",
    "Edges",
    "Event",
    "Finding",
    "Frame",
    "Looked",
    "Numbers",
    "Profile",
    "Run",
    "Series",
    "State",
    "add",
    "blocks",
    "costs_of",
    "edges",
    "empty",
    "look",
    "profile",
    "reference",
    "training_profiles",
    "unused_edges",
    "weights_of",
]
