"""A job's champion in memory. A thread of its own asks the store for the version in service, and takes up a new one.

Where the store is away, what is in memory goes on being served.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import structlog

from rowcast.config import Settings
from rowcast.errors import DatabaseError, RowcastError, as_rowcast_error
from rowcast.job.opening import Job, open_job
from rowcast.scoring.served_model import load_served
from rowcast.serve.clock import clock
from rowcast.serve.columns import list_columns
from rowcast.serve.past_columns import PastReader, require_readable
from rowcast.serve.recording import Recorder
from rowcast.serve.refusal import Refusal
from rowcast.serve.scoring import Serving
from rowcast.store.api_keys import ApiKey

log = structlog.get_logger("rowcast")

POLL = 1.0  # seconds between two looks at the store
_AGAIN = 10.0  # seconds before a version that could not be loaded is tried again


class ServedJob:
    """One job of the service."""

    def __init__(self, settings: Settings, poll: float = POLL) -> None:
        self.settings = settings
        self.name = settings.name
        self.poll = poll
        self.current: Serving | None = None
        self.problem: RowcastError | None = None  # why the newest look did not end with the champion in memory
        self.is_store_away = False
        self.recorder = Recorder(settings)
        self.past = PastReader(settings)
        self.keys: Sequence[ApiKey] = ()
        self.has_keys = False  # it had at some time: whoever deletes them does not open the service
        self._refused: tuple[int, float] | None = None  # a version that could not be loaded, and when
        self._job: Job | None = None
        self._stack = ExitStack()
        self._stopped, self._woken = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Take up the champion, where there is one, and follow it from now on."""
        self.refresh()
        self._thread = threading.Thread(target=self._follow, name=f"follow {self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following. A look that waits for a database is not waited for."""
        self._stopped.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * self.poll + 1)
        self.recorder.close()
        self.past.close()

    def require_serving(self) -> Serving:
        """Return the version in memory. Raise Refusal, 503, where there is none, with what to do."""
        serving = self.current
        if serving is None:
            what, hint = self.describe_problem() or ("the service has not looked at the store yet", "")
            raise Refusal(503, f"job '{self.name}' cannot score: {what}", hint=hint, headers=[(b"retry-after", b"5")])
        return serving

    def describe_problem(self) -> tuple[str, str] | None:
        """Return what is wrong and the way out, as a client may read it; None where nothing is."""
        if self.problem is None:
            return None
        if isinstance(self.problem, DatabaseError):  # which names servers and files
            return "its store does not answer", "the service's log says more; scoring begins once it does"
        return self.problem.what, self.problem.hint

    @property
    def is_ready(self) -> bool:
        """Whether rows can be scored."""
        return self.current is not None

    def wake(self) -> None:
        """Let the thread look at the store now."""
        self._woken.set()

    def refresh(self) -> None:
        """Look at the store once, and take up the champion. Errors are kept, not raised."""
        clock.tick()
        try:
            self._look(self._open())
        except Exception as error:
            known = as_rowcast_error(error)
            self._note(known)
            if isinstance(known, DatabaseError):
                self.is_store_away = True
            self._close()

    def _look(self, job: Job) -> None:
        if self.has_keys or job.api_keys.exists():
            self.keys = job.api_keys.list()
            self.has_keys |= bool(self.keys)
        champion = job.registry.champion() if job.store.admin.has_table(job.tables.job) else None
        self.is_store_away = False
        if champion is None:
            self._note(RowcastError("it has no champion yet", hint="'rowcast run' trains and promotes the first model"))
            return
        if self.current is not None and self.current.version == champion:
            self.problem = None
            return
        if self._refused is not None and self._refused[0] == champion and time.monotonic() < self._refused[1] + _AGAIN:
            return
        try:
            served = load_served(job, champion)
            require_readable(job.source, served)
        except DatabaseError:
            raise
        except RowcastError as error:
            self._refused = (champion, time.monotonic())
            self._note(error)
            return
        self.current = Serving.of(self.name, served, list_columns(job, served))
        self.problem, self._refused = None, None
        log.info("a champion is served", job=self.name, version=champion)

    def _note(self, error: RowcastError) -> None:
        if self.problem is None or str(self.problem) != str(error):
            serves = None if self.current is None else self.current.version
            log.warning("the champion was not taken up", job=self.name, error=error, serves=serves)
        self.problem = error

    def _open(self) -> Job:
        if self._job is None:
            self._job = self._stack.enter_context(open_job(self.settings, prepare=False))
        return self._job

    def _close(self) -> None:
        self._job = None
        stack, self._stack = self._stack, ExitStack()
        _quietly(stack.close)

    def _follow(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait(self.poll)
            self._woken.clear()
            if not self._stopped.is_set():
                self.refresh()
        self._close()


def _quietly(work: Callable[[], Any]) -> None:
    try:
        work()
    except Exception as error:  # a connection that is lost need not close well
        log.debug("a connection did not close", error=error)
