"""What was read a moment ago is shown again, so that a page that many people have open costs one read."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

SECONDS = 30.0
_MOST = 200  # results

Result = TypeVar("Result")


@dataclass
class Kept:
    """Results by what was asked; an error is not kept.

    What took longer than a second to read is kept as many times longer, so that pages cost a database little.
    """

    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic
    _found: dict[Hashable, tuple[float, Any]] = field(default_factory=dict)
    _times: int = 0  # that something was forgotten
    _locks: dict[Hashable, threading.Lock] = field(default_factory=dict)

    def forget(self, job: str) -> None:
        """Read anew what is asked about a job: something has been done to it."""
        self._times += 1
        for asked in [each for each in self._found if isinstance(each, tuple) and each[0] == job]:
            self._found.pop(asked, None)

    def get(self, asked: Hashable, read: Callable[[], Result]) -> Result:
        """Return what `read` returns, or returned a moment ago; two that ask for the same at once read it once."""
        if len(self._found) > _MOST:
            self._found.clear()
            self._locks = {}
        with self._locks.setdefault(asked, threading.Lock()):
            until, result = self._found.get(asked, (0.0, None))
            begun, times = self.clock(), self._times
            if asked not in self._found or begun >= until:
                result = read()
                read_at = self.clock()
                if times == self._times:
                    self._found[asked] = (read_at + self.seconds * max(1.0, read_at - begun), result)
            return result  # type: ignore[no-any-return]
