"""monitor: what runs looked like, counted while scoring, and whether that has changed."""

from rowcast.monitor.drift import Looked, look, weights_of
from rowcast.monitor.edges import Edges, edges
from rowcast.monitor.events import Event, Finding, State
from rowcast.monitor.profile import Profile, add, empty, profile
from rowcast.monitor.series import Frame, Run, Series

__all__ = [
    "Edges",
    "Event",
    "Finding",
    "Frame",
    "Looked",
    "Profile",
    "Run",
    "Series",
    "State",
    "add",
    "edges",
    "empty",
    "look",
    "profile",
    "weights_of",
]
