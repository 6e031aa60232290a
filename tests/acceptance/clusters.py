"""Clusters that the tests start: schedulers, masters and workers in processes of their own, and how a job uses them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs import Job, environment

HERE = Path(__file__).parent

Process = subprocess.Popen[bytes]


class Cluster:
    """A cluster, of which this knows how it is begun."""

    engine = "dask"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []
        self.head: Process | None = None  # the scheduler, or the master
        self.address: dict[str, str] = {}
        self.run_in: dict[str, str] = {}  # environment of the command

    def start(self, workers: int = 2, **more: str) -> None:
        """Start a scheduler and workers, which have an environment of their own."""
        port = free_port()
        self.address = {"scheduler": f"tcp://127.0.0.1:{port}"}
        self.head = self._begin("scheduler", _dask("scheduler"), "--port", str(port), "--no-dashboard")
        plain = [self.address["scheduler"], "--nthreads", "1", "--no-dashboard", "--memory-limit", "0"]
        for number in range(workers):
            preloaded = ("--preload", str(HERE / "mortal_worker.py"))
            self._begin(f"worker{number}", _dask("worker"), *plain, *preloaded, **more)

    def configure(self, job: Job, **infer: Any) -> None:
        """Write a config without a secret, for the workers of this cluster."""
        about = {"engine": self.engine, "batch_rows": 9, "workers": 2, **self.address, **infer}
        job.configure({"source": {"url": "${FAB_URL}"}, "infer": about})

    def environment(self, job: Job) -> dict[str, str]:
        """The environment of a command of the job."""
        return {"FAB_URL": job.place.url, **self.run_in}

    def begin(self, job: Job, *arguments: str) -> "subprocess.Popen[str]":
        """A command of the job, in the background."""
        return job._popen(job.command(*arguments), job.environment(*arguments[:1], **self.environment(job)))

    def close(self) -> None:
        for process in reversed(self.processes):
            _end(process)

    def _begin(self, name: str, command: Sequence[str], *arguments: str, **more: str) -> Process:
        with (self.folder / f"{name}.log").open("w") as log:
            whole, env = [*command, *arguments], {**environment(), **more}
            process = subprocess.Popen(
                whole,
                env=env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.processes.append(process)
        return process


class SparkHere(Cluster):
    """Spark in the command's own Java process, with Python processes beside it: whose environment is the command's.

    It does a task four times at most, as a cluster does.
    """

    engine = "spark"

    def start(self, workers: int = 2, **more: str) -> None:
        self.address = {"master": f"local[{workers},4]"}
        self.run_in = {**_of_workers(), **more}


class SparkAlone(Cluster):
    """A master of Spark's own kind of cluster; each worker has an address of its own, as on another machine."""

    engine = "spark"

    def start(self, workers: int = 2, **more: str) -> None:
        port = free_port()
        self.address = {"master": f"spark://127.0.0.1:{port}"}
        self.run_in = {name: value for name, value in _of_workers().items() if name != "PYTHONPATH"}
        self.head = self._begin(
            "master", _spark("master.Master"), "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"
        )
        listens(port)
        for number in range(workers):
            about = ["--host", f"127.0.0.{number + 1}", "--webui-port", "0", "-c", "1", "-m", "1g"]
            about += ["-d", str(self.folder / f"work{number}")]
            self._begin(
                f"worker{number}", _spark("worker.Worker"), *about, self.address["master"], **_of_workers(), **more
            )


def _of_workers() -> dict[str, str]:
    """What makes Python processes of Spark import `mortal_worker` first."""
    return {
        "PYTHONPATH": str(HERE),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": "--conf spark.python.daemon.module=mortal_daemon pyspark-shell",
    }


def _dask(what: str) -> list[str]:
    return [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1"]


def _spark(what: str) -> list[str]:
    import pyspark

    return [str(Path(pyspark.__file__).parent / "bin" / "spark-class"), f"org.apache.spark.deploy.{what}"]


def free_port() -> int:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


def listens(port: int) -> None:
    """Wait until somebody does."""
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


CLUSTERS: Mapping[str, type[Cluster]] = {"dask": Cluster, "spark-here": SparkHere, "spark-alone": SparkAlone}
