"""Acts that are under way: short ones in a thread, runs in a process of their own that a restart of pages cannot slow.

What was done is on record in the store; what is kept here is for the page that follows it, until the service ends.
"""

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import structlog

from rowcast.config import Settings
from rowcast.dashboard.acts import Act, do_now, list_arguments
from rowcast.errors import as_rowcast_error

log = structlog.get_logger("rowcast")

_KEPT = 200  # acts
_LINES = 8  # of what a run's process said last
_PATIENCE = 10.0  # seconds that a process has to end in order


@dataclass
class Work:
    """An act that is under way, or has ended."""

    number: int
    job: str
    act: Act
    by: str
    begun_at: datetime
    pid: int | None = None  # of its process, where it has one
    has_failed: bool = False
    said: str = ""  # why it failed
    hint: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class Background:
    """What this service does in the background; `tell` is called with a job's name once something is done to it."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._numbers = count(1)
        self._works: dict[int, Work] = {}
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._threads = ThreadPoolExecutor(4, "acts")

    def find(self, number: int, job: str) -> Work | None:
        """Return the act of this number."""
        found = self._works.get(number)
        return found if found is not None and found.job == job else None

    def find_under_way(self, job: str, act: Act) -> Work | None:
        """Return the same act of the same job where it is under way."""
        works = list(self._works.values())
        return next((each for each in works if (each.job, each.act) == (job, act) and not each.ended.is_set()), None)

    def begin(self, settings: Settings, act: Act, *, by: str, words: str) -> Work:
        """Begin an act, and return what becomes of it."""
        work = Work(next(self._numbers), settings.name, act, by, datetime.now(UTC))
        self._works[work.number] = work
        while len(self._works) > _KEPT:
            del self._works[next(iter(self._works))]
        if act.kind.takes_long:
            self._start_process(work, list_arguments(settings, act, by=by))
        else:
            self._threads.submit(self._end_with, work, lambda: do_now(settings, act, by=by, words=words))
        return work

    def close(self) -> None:
        """End processes in order: their runs are recorded as interrupted, and 'rowcast resume' goes on with them."""
        processes = list(self._processes.values())
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _start_process(self, work: Work, arguments: list[str]) -> None:
        command = [sys.executable, "-m", "rowcast", *arguments]
        process = subprocess.Popen(  # noqa: S603 - it is rowcast itself
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        work.pid = process.pid
        self._processes[work.number] = process
        threading.Thread(target=self._end_with, args=[work, lambda: _follow(work, process)], daemon=True).start()

    def _end_with(self, work: Work, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:
            known = as_rowcast_error(error)
            work.has_failed, work.said, work.hint = True, known.what, known.hint
        finally:
            self._processes.pop(work.number, None)
            log.info("acted", job=work.job, act=str(work.act.kind), about=work.act.about, by=work.by,
                     failed=work.has_failed)  # fmt: skip
            self._tell(work.job)
            work.ended.set()


def _follow(work: Work, process: "subprocess.Popen[str]") -> None:
    """Pass on what a process says to the service's log, until it has ended."""
    assert process.stderr is not None
    last: deque[str] = deque(maxlen=_LINES)
    with process.stderr:
        for line in process.stderr:
            last.append(line)
            sys.stderr.write(line)
    if process.wait() != 0:
        work.has_failed, work.said = True, "".join(last).strip()
