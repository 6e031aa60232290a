"""Engines: the same work wherever it is done, and an end in any case."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from rowcast.engines import Engine, dask, local, spark
from rowcast.engines.dask import open_dask
from rowcast.engines.local import Local
from rowcast.engines.spark import open_spark
from rowcast.errors import ConfigError, DeadWorkerError, EstimatorError, RunError


def doubled(item: int) -> int:
    return 2 * item


def process_of(_: int) -> int:
    return os.getpid()


def failing(item: int) -> int:
    if item == 3:
        raise EstimatorError("three is too many")
    return item


def dying(item: int) -> int:
    """One worker is killed while the other starts one thread after the other."""
    if item == 1:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
    return item


def killing_the_idle(item: int) -> int:
    """The other worker, which waits for more and holds the queue's lock, is killed when all the work is done."""
    if item == 2:
        time.sleep(1)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                is_worker = "spawn_main" in (process / "cmdline").read_text()
                if is_worker and int(parent) == os.getppid() and int(process.name) != os.getpid():
                    os.kill(int(process.name), signal.SIGSTOP)  # it must not hear that the work is done
                    subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {process.name}"])
    return item


def told_while_being_told(item: int) -> int:
    """The worker is told to leave, and once more at every line of what hears it."""

    def again(frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            signal.raise_signal(signal.SIGTERM)
        return again

    sys.settrace(again)
    signal.raise_signal(signal.SIGTERM)
    sys.settrace(None)
    return item


def stopping(item: int) -> int:
    """One worker is stopped, as by a debugger or a suspended container."""
    if item == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return item


def marking(folder: Path, item: int) -> int:
    (folder / f"begun{item}").touch()
    time.sleep(0.5)
    (folder / f"done{item}").touch()
    return item


def mistaken(item: int) -> int:
    return item // 0


def _fail_to_read() -> None:
    raise ImportError("no rowcast here")


class Unreadable:
    """What a process without the right packages cannot make of its order."""

    def __reduce__(self) -> Any:
        return _fail_to_read, ()


class Marking:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, item: int) -> int:
        return marking(self.folder, item)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Engine]:
    """A Dask cluster of two processes."""
    pytest.importorskip("distributed")
    with open_dask(None, 2, ("rowcast", "lightgbm")) as engine:
        yield engine


@pytest.fixture(scope="module")
def executors() -> Iterator[Engine]:
    """Spark with two tasks at a time in a process of this machine."""
    pytest.importorskip("pyspark", reason="make test-spark installs it")
    with open_spark(None, 2) as engine:
        yield engine


CLUSTERS = {"dask": "cluster", "spark": "executors"}


@pytest.fixture(params=[1, 2, pytest.param(3, marks=pytest.mark.long), *CLUSTERS])
def engine(request: pytest.FixtureRequest) -> Engine:
    name = CLUSTERS.get(request.param)
    found: Engine = Local(request.param) if name is None else request.getfixturevalue(name)
    return found


@pytest.fixture(params=list(CLUSTERS))
def remote(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(CLUSTERS[request.param])
    return found


@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_item_is_worked_on_once(engine: Engine, count: int) -> None:
    assert sorted(engine.map(doubled, range(count))) == [2 * item for item in range(count)]


def test_an_error_comes_out_as_it_was_raised(engine: Engine) -> None:
    with pytest.raises(EstimatorError, match="three is too many"):
        list(engine.map(failing, range(6)))


def test_a_worker_that_is_killed_ends_the_work_and_never_hangs_it() -> None:
    for apart in (False, True):
        with pytest.raises(DeadWorkerError, match="a worker process died"):
            list(Local(2).map(dying, range(8), apart=apart))


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_worker_that_is_stuck_is_ended_and_hangs_nothing(monkeypatch: pytest.MonkeyPatch, apart: bool) -> None:
    monkeypatch.setattr(local, "PATIENCE", 3.0)
    monkeypatch.setattr(local, "LOOK", 0.2)
    before = set(multiprocessing.active_children())
    with pytest.raises(DeadWorkerError, match="no sign of life"):
        list(Local(2).map(stopping, range(9), apart=apart))
    assert set(multiprocessing.active_children()) == before


def test_items_that_are_worked_on_apart_are_never_in_this_process(engine: Engine) -> None:
    found = set(engine.map(process_of, range(3), apart=True))
    assert len(found) == 1 or engine.is_remote
    assert os.getpid() not in found


def test_a_worker_of_a_cluster_that_is_killed_ends_the_work_once_the_others_are_done(remote: Engine) -> None:
    found: list[int] = []
    with pytest.raises(DeadWorkerError, match=r"a (Dask worker|Spark executor or its Python process) died"):
        found.extend(remote.map(dying, range(2)))
    assert found == [0]
    assert sorted(remote.map(doubled, range(4))) == [0, 2, 4, 6]


@pytest.mark.long
def test_a_worker_that_is_killed_while_it_waits_for_work_hangs_nothing_either() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(Local(2).map(killing_the_idle, range(3))), daemon=True)
    thread.start()
    thread.join(60)
    assert sorted(found) == [0, 1, 2]
    assert not thread.is_alive()


@pytest.mark.long
def test_a_worker_that_is_told_to_leave_while_it_is_being_told_leaves() -> None:
    ended = threading.Event()

    def work() -> None:
        with contextlib.suppress(DeadWorkerError):  # nobody is left to do the rest
            list(Local(2).map(told_while_being_told, range(8)))
        ended.set()

    threading.Thread(target=work, daemon=True).start()
    assert ended.wait(60)


def test_a_cluster_that_has_lost_all_its_workers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(dask, "LOOK", 0.2)
    with open_dask(None, 1, ("rowcast", "lightgbm")) as engine:
        monkeypatch.setattr(dask, "_PATIENCE", 1.0)
        engine.client.retire_workers()
        with pytest.raises(RunError, match="has lost all its workers"):
            list(engine.map(doubled, range(2)))


@pytest.mark.parametrize("kind", ["local", *CLUSTERS])
def test_who_stops_listening_waits_for_items_under_way_and_no_other_is_begun(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    workers: Engine = request.getfixturevalue(CLUSTERS[kind]) if kind in CLUSTERS else Local(2)
    results = workers.map(Marking(tmp_path), range(20))
    next(results)
    results.close()
    begun, done = (len(list(tmp_path.glob(f"{what}*"))) for what in ("begun", "done"))
    assert begun == done < 20
    time.sleep(0.6)
    assert len(list(tmp_path.glob("begun*"))) == begun


def test_what_python_raises_in_an_executor_is_no_death_of_it(executors: Engine) -> None:
    with pytest.raises(RunError, match="cannot work for the run") as raised:
        list(executors.map(Unreadable(), range(2)))
    assert "no rowcast here" in raised.value.detail


def test_what_a_function_raises_by_mistake_is_named(remote: Engine) -> None:
    with pytest.raises(RunError, match="failed over a batch") as raised:
        list(remote.map(mistaken, range(2)))
    assert raised.value.detail == "ZeroDivisionError: integer division or modulo by zero"


def test_spark_leaves_what_hears_an_interruption(executors: Engine) -> None:
    found = signal.getsignal(signal.SIGINT)
    assert not str(getattr(found, "__module__", "")).startswith("pyspark")


def test_a_spark_session_that_is_there_is_worked_with(executors: Any) -> None:
    with open_spark(None, 1) as engine:
        assert engine.context is executors.context
    assert sorted(executors.map(doubled, range(2))) == [0, 2]
    with pytest.raises(ConfigError, match="has a Spark session of local"), open_spark("spark://127.0.0.1:1", 1):
        pass


def test_a_cluster_that_has_no_executor_is_not_waited_for(executors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "_PATIENCE", 0.2)
    monkeypatch.setattr(spark, "LOOK", 0.1)
    monkeypatch.setattr(spark.Spark, "begin", lambda *_: Future())
    with pytest.raises(RunError, match="has no executor"):
        list(executors.map(doubled, range(2)))
