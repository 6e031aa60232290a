"""Engines map a task over batch ids: the same work, wherever it is done."""

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Where batches are worked on. Functions, items and results travel between processes, so all are picklable."""

    is_remote: bool  # whether they may travel to other machines: no secret goes along, and what returns may be lost

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, apart: bool = False
    ) -> Generator[Result]:
        """Yield results as they are ready.

        An error ends the iteration, and so does closing it, once no item is under way. With `apart` items are worked on
        one at a time, and never in this process. Raise DeadWorkerError where a process is gone.
        """
        ...
