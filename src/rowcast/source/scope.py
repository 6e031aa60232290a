"""Where scoring begins."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Scope:
    """The rows that are scored: from an event time on or, without a time column, after a key. Fixed once."""

    since: datetime | None = None
    after: tuple[str, ...] | None = None  # the key as the source rendered it; () is before every key

    @property
    def is_fixed(self) -> bool:
        return self.since is not None or self.after is not None
