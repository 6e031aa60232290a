"""Batches in processes of this machine."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rowcast.errors import RunError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Local:
    """Up to `workers` processes; what few items there are stay in this one, since starting others takes longer."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        if self.workers == 1 or len(items) <= self.workers:
            yield from map(function, items)
            return
        # Spawned, not forked: database drivers and OpenMP do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(self.workers, len(items)), mp_context=context, initializer=_begin) as pool:
            waiting: set[Future[Result]] = set()
            left = iter(items)
            try:
                while True:
                    for item in left:
                        waiting.add(pool.submit(function, item))
                        if len(waiting) >= 2 * self.workers:
                            break
                    if not waiting:
                        return
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            except BrokenProcessPool:
                raise RunError(
                    "a worker process was killed from outside",
                    hint="often the memory limit: lower [infer] batch_rows or workers; then 'rowcast resume'",
                ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    # Two OpenMP pools that spin for each other's cores are many times slower than two that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever; what it had claimed is claimed again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
