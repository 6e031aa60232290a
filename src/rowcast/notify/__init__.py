"""Tells people: events become alerts in the store, and alerts become messages that sinks deliver.

To support another kind of sink, add a file with one class that fills `Sink`, and name it in `sinks`.
"""

from rowcast.notify.alerts import Alerts
from rowcast.notify.delivery import Delivered, Sink, deliver, sinks, tried
from rowcast.notify.event import SEVERITIES, Event, Severity, from_json, message

__all__ = [
    "SEVERITIES",
    "Alerts",
    "Delivered",
    "Event",
    "Severity",
    "Sink",
    "deliver",
    "from_json",
    "message",
    "sinks",
    "tried",
]
