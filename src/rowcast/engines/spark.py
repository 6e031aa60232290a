"""Batches on the executors of Spark: of a master, of the session that is there, or in processes of this machine."""

import os
import shutil
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from rowcast.engines.cluster import GRACE, LOOK, map_items
from rowcast.errors import ConfigError, DeadWorkerError, RowcastError, RunError

Item = TypeVar("Item")
Result = TypeVar("Result")
Task = Future[Any]  # of whether the item was worked on, and what was returned or raised

_PATIENCE = 120.0  # seconds that a cluster has to find an executor for what waits
_ANSWER = 10.0  # seconds that a master has to answer
_GROUP = "rowcast"
_ENGINE = '[infer] engine = "spark"'
_RAISED = "org.apache.spark.api.python.PythonException"  # in Java: what Python raised, where it did not just end


class Spark:
    """The executors of a `SparkContext`. Each item is a job of one task, in a thread that waits for it."""

    is_remote: bool = True

    def __init__(self, context: Any, most: int) -> None:
        self.context = context
        self.most = most  # items at a time that are handed out in any case: executors may come when they are asked for

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, apart: bool = False
    ) -> Generator[Result]:
        died = DeadWorkerError(
            "a Spark executor or its Python process died",
            hint="often its memory limit: lower [infer] batch_rows, or raise spark.executor.memoryOverhead;"
            " then 'rowcast resume'",
        )
        return map_items(self, function, items, apart=apart, died=died)

    def count_slots(self) -> int:
        try:
            return max(int(self.context.defaultParallelism), self.most)
        except Exception as error:  # whatever the gateway to Java raises
            raise _gone() from error

    def begin(self, function: Callable[[Item], Result], item: Item) -> Task:
        task: Task = Future()

        def run() -> None:
            try:
                self.context.setJobGroup(_GROUP, f"rowcast: batch {item}", interruptOnCancel=True)
                rows = self.context.parallelize([item], 1).map(_Work(function))
                task.set_result(rows.collect()[0])
            except BaseException as error:
                task.set_exception(error)

        threading.Thread(target=run, name=f"batch {item}", daemon=True).start()
        return task

    def wait(self, tasks: set[Task]) -> set[Task]:
        seen = time.monotonic()
        while time.monotonic() < seen + _PATIENCE:
            done, _ = wait(tasks, timeout=LOOK, return_when=FIRST_COMPLETED)
            if done:
                return done
            if self._is_at_work():
                seen = time.monotonic()
        raise RunError(
            "the Spark cluster has no executor for the run",
            hint="its master or resource manager says why; then 'rowcast resume'",
        )

    def read(self, task: Task) -> tuple[list[Any], str]:
        error = task.exception()
        if error is None:
            is_done, found = task.result()
            if is_done:
                return [found], ""
            raise found
        if self._is_stopped():
            raise _gone() from error
        is_dead, words = _explain(error)
        if is_dead:
            return [], words
        raise RunError(
            "a Spark executor cannot work for the run",
            hint="install the same versions of rowcast, Python and LightGBM on all nodes; PYSPARK_PYTHON names"
            " their Python",
            detail=words,
        ) from None

    def end(self, tasks: set[Task]) -> None:
        wait(tasks, timeout=GRACE)
        with suppress(Exception):  # also where Spark is gone
            self.context.cancelJobGroup(_GROUP)

    def _is_at_work(self) -> bool:
        """Return whether any executor has a task of the run."""
        try:
            tracker = self.context.statusTracker()
            jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(_GROUP)]
            stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
            return any(stage.numActiveTasks for stage in stages if stage)
        except Exception as error:
            raise _gone() from error

    def _is_stopped(self) -> bool:
        try:
            return bool(self.context._jsc.sc().isStopped())
        except Exception:  # there is no Java process any more
            return True


class _Work:
    """A function as executors call it: what it raises returns, since Java would make a text of it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, item: Any) -> tuple[bool, Any]:
        try:
            return True, self.function(item)
        except RowcastError as error:
            return False, error
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            return False, RunError("a Spark executor failed over a batch", hint="its log says more", detail=words)


@contextmanager
def open_spark(master: str | None, workers: int) -> Iterator[Spark]:
    """Open the master's cluster; without one the session that is there, or so many processes of this machine.

    Raise ConfigError where PySpark or Java is not installed, RunError where the master does not answer.
    """
    try:
        from pyspark import SparkContext
    except ModuleNotFoundError:
        raise ConfigError(f"{_ENGINE} needs PySpark", hint="pip install 'rowcast[spark]'") from None
    there = SparkContext._active_spark_context
    if there is not None:
        if master not in (None, there.master):
            raise ConfigError(
                f"[infer] master is {master}, and this process has a Spark session of {there.master} already",
                hint="leave out 'master' to work with that one",
            )
        yield Spark(there, workers)
        return
    context = _start(master, workers)
    try:
        yield Spark(context, workers)
    finally:
        with suppress(Exception):  # also where Spark is gone
            context.stop()


def _start(master: str | None, workers: int) -> Any:
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError

    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # by spark-submit, which knows its master
    conf = SparkConf(loadDefaults=False).setAppName("rowcast")
    conf.set("spark.ui.enabled", "false").set("spark.ui.showConsoleProgress", "false")
    environment: dict[str, str] = {}  # of Python in the executors
    # PySpark warns of the pandas that it may find and that nobody uses here.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"pyspark\.")
    if not is_submitted:
        master = master or f"local[{workers}]"
        _require_java()
        if not {"SPARK_HOME", "SPARK_CONF_DIR"} & set(os.environ):  # whose settings say what is logged
            quiet = Path(__file__).with_name("log4j2.properties").as_uri()
            conf.set("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={quiet}")
    if master is not None:
        conf.setMaster(master)
        _require_master(master)
        if master.startswith("local"):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
            conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
    named = f"the Spark master {master}" if master else "Spark"
    try:
        with _keep_interrupt():
            return SparkContext(conf=conf, environment=environment)
    except PySparkRuntimeError as error:
        raise ConfigError(
            "Spark's Java process did not start", hint="it needs Java 17: 'java -version' says which is there"
        ) from error
    except Exception as error:  # whatever Java raises
        raise RunError(
            f"{named} gives no application",
            hint="[infer] master names it, such as spark://host:7077",
            detail=str(error).partition("\n")[0],
        ) from error


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=None if home is None else f"{home}/bin") is None:
        where = f"JAVA_HOME is {home}, and has no bin/java" if home else "there is no 'java'"
        raise ConfigError(
            f"{_ENGINE} needs Java: {where}", hint="install a Java 17 runtime (Debian: openjdk-17-jre-headless)"
        )


def _require_master(master: str) -> None:
    """Raise RunError where none of a cluster's own masters answers: Spark itself would try for a minute."""
    if not master.startswith("spark://"):
        return
    last: Exception | None = None
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with closing(socket.create_connection((host, int(port)), timeout=_ANSWER)):
                return
        except OSError as error:
            last = error
    raise RunError(
        f"the Spark master {master} does not answer",
        hint="[infer] master names it, such as spark://host:7077",
        detail=str(last),
    )


@contextmanager
def _keep_interrupt() -> Iterator[None]:
    """Keep what handles SIGINT: PySpark sets a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _explain(error: BaseException) -> tuple[bool, str]:
    """Return whether an executor or its Python process just ended, and what is known of it in a line."""
    java = getattr(error, "java_exception", None)
    if java is None:
        return False, f"{type(error).__name__}: {error}"
    words = ""
    while java is not None:
        lines = str(java.getMessage()).splitlines()
        if java.getClass().getName() == _RAISED:  # the traceback, and an indented line of Spark's own
            return False, [line for line in lines if line and not line[0].isspace()][-1]
        words = words or lines[0]
        java = java.getCause()
    return True, words


def _gone() -> RunError:
    return RunError("Spark is gone", hint="'rowcast resume' goes on: what was published stays published")
