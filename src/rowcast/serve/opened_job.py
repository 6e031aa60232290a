"""A job's databases for one thread of the service, over connections of its own."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TypeVar

from rowcast.config import Settings
from rowcast.errors import DatabaseError
from rowcast.job.opening import Job, open_job

Result = TypeVar("Result")


class OpenedJob:
    """A job that is opened when it is first needed, and again after its connection was lost; for one thread."""

    def __init__(self, settings: Settings, *, prepare: bool) -> None:
        self._settings = settings
        self._prepare = prepare  # whether the store's tables are made where they are missing
        self._job: Job | None = None
        self._stack = ExitStack()

    def run(self, work: Callable[[Job], Result]) -> Result:
        """Return what work returns; it is tried once more where a connection was lost. Others wait for this thread."""
        for last_try in (False, True):
            try:
                if self._job is None:
                    self._job = self._stack.enter_context(open_job(self._settings, prepare=self._prepare))
                return work(self._job)
            except DatabaseError as error:
                self.close()
                if last_try or not error.is_transient:
                    raise
        raise AssertionError

    def close(self) -> None:
        """Let go of the connection."""
        self._job = None
        stack, self._stack = self._stack, ExitStack()
        with suppress(Exception):  # one that is lost need not close well
            stack.close()
