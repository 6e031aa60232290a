"""Items on the workers of a cluster: handed out as workers are free, results as they come, and an end in any case."""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from rowcast.errors import DeadWorkerError

Item = TypeVar("Item")
Result = TypeVar("Result")

GRACE = 6.0  # seconds that workers have to finish what they are at when the run is stopped
LOOK = 5.0  # seconds between two looks whether there is still a worker


class Cluster(Protocol):
    """What a cluster is asked for. A task is its own kind of handle, for one item under way."""

    def count_slots(self) -> int:
        """Return how many items it works on at a time."""
        ...

    def begin(self, function: Callable[[Item], Result], item: Item) -> Any:
        """Hand out one item; return its task."""
        ...

    def wait(self, tasks: set[Any]) -> set[Any]:
        """Wait until some of the tasks are done, and return those. Raise RunError where nobody is left to do them."""
        ...

    def read(self, task: Any) -> tuple[list[Any], str]:
        """Return what a task that is done has returned, or how its worker died. Raise what it raised."""
        ...

    def end(self, tasks: set[Any]) -> None:
        """Let what is under way come to its end for a moment; nobody waits for what takes longer."""
        ...


def map_items(
    cluster: Cluster,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    apart: bool,
    died: DeadWorkerError,
) -> Generator[Result]:
    """Yield results as they are ready. Raise `died` where a worker dies, once what is under way is done.

    An item is handed out when a worker is free, so that none waits where it cannot be seen.
    """
    waiting: set[Any] = set()
    left, dead = iter(items), ""
    try:
        while True:
            most = 0 if dead else 1 if apart else max(1, cluster.count_slots())
            waiting |= {cluster.begin(function, item) for item in _take(left, most - len(waiting))}
            if not waiting:
                break
            for task in cluster.wait(waiting):
                waiting.remove(task)
                result, words = cluster.read(task)
                dead = dead or words
                yield from result
    finally:
        if waiting:
            cluster.end(waiting)
    if dead:  # the others have come to their end first: what they published has been counted
        died.detail = dead
        raise died


def _take(items: Iterator[Item], most: int) -> Iterator[Item]:
    for _ in range(most):
        try:
            yield next(items)
        except StopIteration:
            return
