"""Messages, and the sinks that deliver them.

To support another kind of sink, add a file with one class that fills `Sink`, and name it in `open_sinks`.
"""

from rowcast.notify.message import Message, digest, message
from rowcast.notify.sinks import Sink, open_sinks, send

__all__ = ["Message", "Sink", "digest", "message", "open_sinks", "send"]
