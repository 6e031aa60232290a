"""Where scoring begins, and what is left to training."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Learned:
    """Rows that a version could learn from: up to an event time, or a key, with a label that was known at a moment."""

    until: datetime | tuple[str, ...]
    known_by: datetime


@dataclass(frozen=True)
class Scope:
    """The rows that are scored: from an event time on or, without a time column, after a key. Fixed once."""

    since: datetime | None = None
    after: tuple[str, ...] | None = None  # the key as the source rendered it; () is before every key
    learned: Learned | None = None  # rows left out of it, wherever it begins
    with_learned: bool = False  # whether none is left out, since [infer] since said where scoring begins

    @property
    def is_fixed(self) -> bool:
        return self.since is not None or self.after is not None
