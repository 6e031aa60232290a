"""The time as of a moment ago: on some systems asking for it costs as much as scoring a row."""

import time
from datetime import UTC, datetime


class Clock:
    """Asked often, set now and then."""

    def __init__(self) -> None:
        self.offset = 0.0  # from the process's own seconds to the time of day
        self.seconds = 0.0  # as of the last tick
        self.tick()

    def tick(self) -> None:
        """Look at the system's clocks."""
        self.seconds = time.perf_counter()
        self.offset = time.time() - self.seconds

    def at(self, seconds: float) -> datetime:
        """Return the time of day of a moment that `time.perf_counter` gave."""
        return datetime.fromtimestamp(self.offset + seconds, UTC)


clock = Clock()
