"""What was read a moment ago is shown again, so that a page that many people have open costs one read.

What takes long is read beside: a page shows what was read last, or that it is being read.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

SECONDS = 30.0
_MOST = 200  # results
_READERS = 2

Result = TypeVar("Result")


@dataclass(frozen=True)
class BeingRead:
    """A part of a page that is not there yet."""

    seconds: float  # for which it has been read


@dataclass
class Part(Generic[Result]):
    """A part of a page: what is being read, and what was read of it before."""

    before: Result | None
    begun: float
    clock: Callable[[], float]
    reading: "Future[Result] | None"  # None where what was read before is new enough
    is_awaited: bool = False  # by a page that was shown without it

    def take_by(self, moment: float) -> Result | BeingRead:
        """Return it as it is at a moment of the monotonic clock, or at once where that has passed."""
        return self.take(moment - time.monotonic())

    def take(self, seconds: float) -> Result | BeingRead:
        """Return it as it is after so many seconds at most; where it is still being read, as it was before."""
        if self.reading is not None:
            try:
                return self.reading.result(max(0.0, seconds))
            except TimeoutError:
                if self.reading.done():  # just now, or this is what went wrong in reading
                    return self.reading.result()
                self.is_awaited = True
                return BeingRead(self.clock() - self.begun) if self.before is None else self.before
        assert self.before is not None
        return self.before


@dataclass
class Cache:
    """Results by what was asked; an error is not kept.

    What took longer than a second to read is kept as many times longer, so that pages cost a database little.
    """

    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic
    _found: dict[Hashable, tuple[float, Any]] = field(default_factory=dict)
    _times: int = 0  # that something was forgotten
    _locks: dict[Hashable, threading.Lock] = field(default_factory=dict)
    _under_way: dict[Hashable, Part[Any]] = field(default_factory=dict)
    _beginning: threading.Lock = field(default_factory=threading.Lock)
    _readers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_READERS, "dashboard-parts"))

    def close(self) -> None:
        """Begin to read nothing more."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def forget(self, job: str) -> None:
        """Read anew what is asked about a job: something has been done to it."""
        self._times += 1
        for known in (self._found, self._under_way):
            for asked in [each for each in known if isinstance(each, tuple) and each[0] == job]:
                known.pop(asked, None)

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

    def begin(self, asked: Hashable, read: Callable[[], Result]) -> Part[Result]:
        """Begin to read what `get` would read, where it is not being read already, and let the caller go on."""
        with self._beginning:
            part = self._under_way.get(asked)
            if part is not None and part.reading is not None:
                if not part.reading.done():
                    return part
                del self._under_way[asked]
                if part.is_awaited and part.reading.exception() is not None:  # which nobody has been told yet
                    return part
            until, before = self._found.get(asked, (0.0, None))
            now = self.clock()
            if before is not None and now < until:
                return Part(before, now, self.clock, None)
            part = Part(before, now, self.clock, self._readers.submit(self.get, asked, read))
            self._under_way[asked] = part
            return part

    def look(self, asked: Hashable) -> Any | None:
        """Return what was read last, however long ago; None where nothing was. Nothing is read."""
        return self._found.get(asked, (0.0, None))[1]
