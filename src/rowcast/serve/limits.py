"""How much the service takes on at a time: what is more is told to come back."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rowcast.serve.refusal import Refusal

Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """Bounds of the service."""

    body: int = 6_000_000  # bytes of one body
    bodies: int = 64_000_000  # bytes of all bodies that are being read or wait
    rows: int = 50_000  # of one request
    queue: int = 64  # requests that wait for their job's scoring thread
    inline: int = 16_384  # bytes of a body that is scored at once; a larger one waits for its job's thread
    body_seconds: float = 30.0
    answer_seconds: float = 55.0  # SageMaker waits for 60


class Gate:
    """Counts what is under way."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bytes = 0
        self._waiting: Counter[str] = Counter()  # by job
        self._threads: dict[str, ThreadPoolExecutor] = {}  # one for each job: what one waits for costs no other

    @property
    def waiting(self) -> int:
        """How many requests wait to be scored."""
        return self._waiting.total()

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes of one body; what is yielded takes more of them, or raises Refusal, 429."""
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if self.bytes + size > self.limits.bodies:
                raise _busy("too many bytes wait to be scored")
            self.bytes += size
            held += size

        try:
            yield take
        finally:
            self.bytes -= held

    async def run(self, job: str, work: Callable[[], Result]) -> Result:
        """Return what work in a job's thread returns. Raise Refusal where too much waits, or it takes too long."""
        if self._waiting[job] >= self.limits.queue:
            raise _busy("too many requests wait to be scored")
        if job not in self._threads:
            self._threads[job] = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._waiting[job] += 1
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads[job], work)
        except TimeoutError:
            what = f"no answer within {self.limits.answer_seconds:g} s"
            raise Refusal(503, what, hint="send fewer rows at a time", headers=[(b"retry-after", b"5")]) from None
        finally:
            self._waiting[job] -= 1

    def close(self) -> None:
        """Let go of the threads."""
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)


def _busy(what: str) -> Refusal:
    return Refusal(429, what, hint="try again, more slowly", headers=[(b"retry-after", b"1")])
