"""Map a function over batches: the same work, wherever it is done."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Where batches are worked on. Functions, items and results travel between processes, so all are picklable."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Results as they are ready. An error ends the iteration once the items under way are done."""
        ...
