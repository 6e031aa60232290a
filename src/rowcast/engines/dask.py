"""Batches on the workers of a Dask cluster: one that a scheduler has, or one of this machine made for the run."""

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

from rowcast.engines.cluster import GRACE, LOOK, map_items
from rowcast.errors import ConfigError, DeadWorkerError, RowcastError, RunError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 30.0  # seconds that a scheduler has to answer, and to have a worker
_START = "[infer] scheduler names it, such as tcp://host:8786; 'dask worker tcp://host:8786' starts a worker"
_ENGINE = '[infer] engine = "dask"'


class Dask:
    """The workers of a cluster, by a `distributed.Client`; a task is a future of its."""

    is_remote: bool = True

    def __init__(self, client: Any) -> None:
        self.client = client

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, apart: bool = False
    ) -> Generator[Result]:
        died = DeadWorkerError(
            "a Dask worker died",
            hint="often its memory limit: lower [infer] batch_rows, or give workers more; then 'rowcast resume'",
        )
        return map_items(self, function, items, apart=apart, died=died)

    def begin(self, function: Callable[[Item], Result], item: Item) -> Any:
        return self.client.submit(function, item, pure=False)

    def wait(self, tasks: set[Any]) -> set[Any]:
        from distributed import wait
        from distributed.client import FuturesCancelledError

        seen = time.monotonic()
        while time.monotonic() < seen + _PATIENCE:
            try:
                with self.client.as_current():
                    found: set[Any] = wait(tasks, timeout=LOOK, return_when="FIRST_COMPLETED").done
                return found
            except TimeoutError:
                if self.count_slots():
                    seen = time.monotonic()
            except (OSError, FuturesCancelledError) as error:
                raise _gone() from error
        raise RunError(
            "the Dask cluster has lost all its workers, and no other came",
            hint="their logs say why; start some, then 'rowcast resume'",
        )

    def count_slots(self) -> int:
        try:
            return sum(self.client.nthreads().values())
        except OSError as error:  # a TimeoutError is one
            raise _gone() from error

    def read(self, task: Any) -> tuple[list[Any], str]:
        from distributed.scheduler import KilledWorker

        if task.status in ("cancelled", "lost"):
            raise _gone()
        error = task.exception() if task.status == "error" else None
        if isinstance(error, KilledWorker):
            return [], str(error)
        if error is None:
            return [task.result()], ""
        if isinstance(error, RowcastError):
            raise error
        raise RunError(
            "a Dask worker failed over a batch", hint="its log says more", detail=f"{type(error).__name__}: {error}"
        ) from error

    def end(self, tasks: set[Any]) -> None:
        from distributed import wait

        with suppress(Exception), self.client.as_current():  # also a scheduler that is gone
            wait(tasks, timeout=GRACE)
        with suppress(Exception):
            self.client.cancel(list(tasks), force=True)


@contextmanager
def open_dask(scheduler: str | None, workers: int, packages: Iterable[str]) -> Iterator[Dask]:
    """Connect to the scheduler's cluster, or make one of so many processes on this machine where none is named.

    Raise ConfigError where Dask is not installed, RunError where the scheduler or its workers are away, or where a
    worker has another version of Python or of one of these packages.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise ConfigError(f"{_ENGINE} needs Dask", hint="pip install 'rowcast[dask]'") from None
    # What Dask has to say of workers that come and go is said by the run.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
            address = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            )
        named = f"the Dask scheduler {scheduler}" if scheduler else "the Dask cluster of this machine"
        try:
            client = stack.enter_context(Client(address, timeout=_PATIENCE, set_as_default=False))
        except (OSError, TimeoutError) as error:
            raise RunError(f"{named} does not answer", hint=_START, detail=str(error)) from None
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise RunError(f"{named} has no worker", hint=_START) from None
        _require_same_versions(client, packages)
        yield Dask(client)


def _require_same_versions(client: Any, packages: Iterable[str]) -> None:
    """Raise RunError, naming the worker, where one has another version than this process."""
    found = client.get_versions(check=False, packages=list(packages))
    own = _list_versions(found["client"])
    for worker, about in found["workers"].items():
        theirs = _list_versions(about)
        for name, version in own.items():
            if theirs.get(name) != version:
                has = f"has {name} {theirs[name]}" if theirs.get(name) else f"lacks {name}"
                raise RunError(
                    f"the Dask worker {worker} {has}, and the run has {version}",
                    hint="install the same versions on all workers: rowcast, Python and LightGBM",
                    about=name,
                )


def _list_versions(about: Any) -> dict[str, str | None]:
    python = ".".join(str(about["host"]["python"]).split(".")[:2])
    packages = {name: version for name, version in about["packages"].items() if name in ("rowcast", "lightgbm")}
    return {"Python": python, **packages}


def _gone() -> RunError:
    return RunError(
        "the Dask scheduler is gone", hint="start it again, then 'rowcast resume': what was published stays published"
    )
