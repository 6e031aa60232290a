"""Batches in processes of this machine."""

import contextlib
import multiprocessing
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from rowcast.errors import DeadWorkerError
from rowcast.store.lease import LEASE

Item = TypeVar("Item")
Result = TypeVar("Result")

_STOPPING = (signal.SIGINT, signal.SIGTERM)
GRACE = 6.0  # seconds that workers have to finish what they are at when the run is stopped
PATIENCE = LEASE.total_seconds()  # without a sign of life from a worker: its claim has passed by then
LOOK = 10.0  # seconds between two looks at the workers' signs of life


class Local:
    """Up to `workers` processes.

    What few items there are stay in this one, since starting others takes longer; `always_spawns` is for items that
    take longer still.
    """

    is_remote: bool = False

    def __init__(self, workers: int, *, always_spawns: bool = False) -> None:
        self.workers = workers
        self.always_spawns = always_spawns

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, apart: bool = False
    ) -> Generator[Result]:
        workers = 1 if apart else self.workers
        if not apart and not self.always_spawns and (workers == 1 or len(items) <= workers):
            yield from map(function, items)
            return
        # Spawned, not forked: database drivers and OpenMP do not survive a fork.
        context = multiprocessing.get_context("spawn")
        before = set(multiprocessing.active_children())
        needed = max(1, min(workers, len(items)))
        with (
            tempfile.TemporaryDirectory(prefix="rowcast-workers-") as folder,
            ProcessPoolExecutor(
                needed, mp_context=context, initializer=_start_worker, initargs=(folder, PATIENCE / 12)
            ) as pool,
        ):
            watch = _Watch(Path(folder), before)
            waiting: set[Future[Result]] = set()
            left = iter(items)
            grace: float | None = None
            try:
                while True:
                    for item in left:
                        with _block_stopping():
                            waiting.add(pool.submit(_work_on, function, item))
                        if len(waiting) >= 2 * workers:
                            break
                    if not waiting:
                        return
                    done, waiting = wait(waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
                    if watch.end_stuck():
                        raise DeadWorkerError(
                            "a worker process gave no sign of life, and was ended",
                            hint="something stopped it (SIGSTOP, a debugger, a suspended container), or held it up",
                        )
            except BrokenProcessPool:
                raise DeadWorkerError(
                    "a worker process died",
                    hint="often the memory limit: lower [infer] batch_rows or workers; then 'rowcast resume'",
                ) from None
            except (KeyboardInterrupt, GeneratorExit):
                grace = GRACE
                raise
            finally:
                # The pool's own end would wait for ever where a worker is killed while it holds the queue's lock.
                pool.shutdown(wait=False, cancel_futures=True)
                _end(watch, grace)


@contextlib.contextmanager
def _block_stopping() -> Iterator[None]:
    """Hold back what stops this process: it must not reach a worker that is just starting and cannot handle it yet."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Watch:
    """The workers' signs of life: each touches a file of its own every few seconds."""

    def __init__(self, folder: Path, others: set[multiprocessing.process.BaseProcess]) -> None:
        self.folder = folder
        self.others = others  # children of this process that are no workers
        self._seen: dict[int, float] = {}  # since when a worker is known
        self._late: set[int] = set()  # workers that were late at the look before: a machine may have slept
        self._looked = time.monotonic()

    def workers(self) -> list[multiprocessing.process.BaseProcess]:
        """Return the workers that are there."""
        return [process for process in multiprocessing.active_children() if process not in self.others]

    def end_stuck(self) -> bool:
        """Kill workers without a sign of life, where it is time to look; return whether there were any."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        late = {process for process in self.workers() if time.time() - self._last_sign(process.pid or 0) > PATIENCE}
        stuck = [process for process in late if process.pid in self._late]
        self._late = {process.pid or 0 for process in late}
        for process in stuck:
            process.kill()
        return bool(stuck)

    def _last_sign(self, pid: int) -> float:
        seen = self._seen.setdefault(pid, time.time())
        try:
            return (self.folder / str(pid)).stat().st_mtime
        except OSError:  # it is just starting
            return seen


def _end(watch: _Watch, grace: float | None) -> None:
    """Let workers finish their item, for so many seconds or as long as it takes, but no further one."""
    processes = watch.workers()
    for process in processes:
        process.terminate()
    deadline = None if grace is None else time.monotonic() + grace
    while alive := [process for process in processes if process.is_alive()]:
        left = LOOK if deadline is None else deadline - time.monotonic()
        if left <= 0:
            break
        alive[0].join(min(left, LOOK))
        watch.end_stuck()
    for process in processes:
        if process.is_alive():
            process.kill()


# In a worker

_working = threading.Lock()  # held while it is at an item
_leave_requests: "queue.SimpleQueue[None]" = queue.SimpleQueue()


def _start_worker(folder: str, every: float) -> None:
    # Two OpenMP pools that spin for each other's cores are many times slower than two that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Ctrl-C reaches the whole process group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # No more than this in the handler: a thread cannot be started while another is being started, and an event that is
    # being set cannot be set again.
    signal.signal(signal.SIGTERM, lambda *_: _leave_requests.put(None))
    sign = Path(folder) / str(os.getpid())
    for target in (_leave_after_work, _end_with_parent, lambda: _give_signs(sign, every)):
        threading.Thread(target=target, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def _work_on(function: Callable[[Item], Result], item: Item) -> Result:
    with _working:
        return function(item)


def _give_signs(sign: Path, every: float) -> None:
    with contextlib.suppress(OSError):  # the parent is gone, and its folder
        while True:
            sign.touch()
            time.sleep(every)


def _leave_after_work() -> None:
    _leave_requests.get()
    _working.acquire()  # for good: no further item is begun
    os._exit(0)


def _end_with_parent() -> None:
    """End this worker with its parent: it would wait for work for ever; what it had claimed is claimed again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
