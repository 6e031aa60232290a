"""A job's settings, and the connections that its calls share."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from rowcast.config import Settings

if TYPE_CHECKING:
    from rowcast.job.opening import Job as OpenJob


class Connections:
    """A job that connects when a call needs it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack: ExitStack | None = None
        self._opened: OpenJob | None = None

    def __repr__(self) -> str:
        return f"<rowcast job '{self.name}' of {self.settings.folder}>"

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are shared within `with`; the job itself can still be used."""
        stack, self._stack, self._opened = self._stack, None, None
        if stack is not None:
            stack.close()

    @property
    def name(self) -> str:
        """The job's name: `name` in rowcast.toml, or that of its table."""
        return self.settings.name

    @contextmanager
    def connection(self, *, prepare: bool = True) -> "Iterator[OpenJob]":
        """Connect, or use the connections that are shared within `with`; for what this class has no call for.

        `prepare` False touches nothing, for a store that may not exist.
        """
        from rowcast.job.opening import open_job

        if self._opened is not None:
            yield self._opened
        elif self._stack is not None and prepare:
            self._opened = self._stack.enter_context(open_job(self.settings))
            yield self._opened
        else:
            with open_job(self.settings, prepare=prepare) as job:
                yield job
