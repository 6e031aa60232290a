"""`[infer] engine = "dask"`: workers of a cluster claim, score and publish; the run hears counts only."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jobs import LABELLED, PENDING, Job, environment, wafers
from proof import batches, is_exactly_once, statuses

from rowcast.engines import dask

pytest.importorskip("distributed")
pytest_plugins = ("job_fixtures",)

PRELOADED = Path(__file__).parent / "mortal_worker.py"
SCORED = range(LABELLED + 1, LABELLED + PENDING + 1)

Start = Callable[..., str]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Start]:
    """Starts a scheduler, and workers with an environment of their own; returns the scheduler's address."""
    with contextlib.ExitStack() as stack:

        def begin(name: str, env: dict[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
            log = stack.enter_context((tmp_path / f"{name}.log").open("w"))
            module = f"distributed.cli.dask_{name.partition(' ')[0]}"
            command = [sys.executable, "-m", module, "--host", "127.0.0.1", *arguments]
            process = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
            stack.callback(_end, process)
            return process

        def start(workers: int = 2, **more: str) -> str:
            with contextlib.closing(socket.socket()) as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            address = f"tcp://127.0.0.1:{port}"
            start.scheduler = begin("scheduler", environment(), "--port", str(port), "--no-dashboard")  # type: ignore[attr-defined]
            for number in range(workers):
                plain = [address, "--nthreads", "1", "--no-dashboard", "--memory-limit", "0"]
                begin(f"worker {number}", {**environment(), **more}, *plain, "--preload", str(PRELOADED))
            return address

        yield start


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def configure(job: Job, scheduler: str | None = None, **infer: Any) -> None:
    """A config without a secret, for the workers of a cluster."""
    about = {"engine": "dask", "batch_rows": 9, "workers": 2, "scheduler": scheduler, **infer}
    job.configure({"source": {"url": "${FAB_URL}"}, "infer": about})


def url(job: Job) -> dict[str, str]:
    return {"FAB_URL": job.place.url}


def test_a_cluster_of_this_machine_scores_every_row_once(trained: Job) -> None:
    configure(trained)
    done = trained.run("infer", environment=url(trained))
    assert done.code == 0, done.err
    assert done.json["scored"] == PENDING
    is_exactly_once(trained.place, SCORED)
    trained.shows_no_secret(done)


@pytest.mark.parametrize("deaths", [3, pytest.param(100, marks=pytest.mark.long)])
def test_workers_that_die_between_commit_and_report_lose_and_double_nothing(
    trained: Job, cluster: Start, tmp_path: Path, deaths: int
) -> None:
    more = wafers(LABELLED + PENDING + 1, 3 * deaths, False)
    trained.add(more)
    scheduler = cluster(**url(trained), DIES=f"{tmp_path}:{deaths}")
    configure(trained, scheduler, batch_rows=9 if deaths < 10 else 3)
    for _ in range(deaths):
        done = trained.run("infer", environment=url(trained))
        if done.code == 0:
            break
    assert done.code == 0, done.err
    assert len(list(tmp_path.glob("death*"))) == deaths
    is_exactly_once(trained.place, [*SCORED, *(row["wafer"] for row in more)])
    if deaths == 3:
        assert done.json["scored"] == PENDING + len(more)  # those that nobody heard of are counted


@pytest.mark.long
def test_a_run_that_is_stopped_gives_back_in_time(lite: Job, cluster: Start) -> None:
    configure(lite, cluster(**url(lite)), batch_rows=1)
    process = lite._popen(lite.command("infer"), {**lite.environment(), **url(lite)})
    deadline = time.monotonic() + 120
    while not batches(lite, "published") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert statuses(lite)[-1] == "interrupted"
    assert lite.run("infer", environment=url(lite)).code == 0
    is_exactly_once(lite.place, SCORED)


@pytest.mark.long
def test_a_scheduler_that_dies_fails_the_run_and_the_next_takes_up(lite: Job, cluster: Start) -> None:
    configure(lite, cluster(**url(lite)), batch_rows=1)
    process = lite._popen(lite.command("infer"), {**lite.environment(), **url(lite)})
    deadline = time.monotonic() + 120
    while not batches(lite, "published") and time.monotonic() < deadline:
        time.sleep(0.05)
    cluster.scheduler.kill()  # type: ignore[attr-defined]
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert "the Dask scheduler is gone" in err
    configure(lite)
    assert lite.run("infer", environment=url(lite)).code == 0
    is_exactly_once(lite.place, SCORED)


@pytest.mark.long
def test_a_worker_with_another_version_is_refused_by_name(lite: Job, cluster: Start) -> None:
    configure(lite, cluster(1, **url(lite), VERSION="0.0.1"))
    error = lite.refused("infer", done=lite.run("infer", environment=url(lite)))
    assert f"worker {socket.gethostname()}:" in error
    assert "it has rowcast 0.0.1, and the run has" in error
    assert batches(lite, "published") == 0


def test_a_variable_that_a_worker_lacks_is_named_with_the_worker(lite: Job, cluster: Start) -> None:
    configure(lite, cluster(1))
    error = lite.refused("infer", done=lite.run("infer", environment=url(lite)))
    assert f"worker {socket.gethostname()}:" in error
    assert "uses ${FAB_URL}, which is not set" in error


def test_a_password_in_the_config_does_not_travel(lite: Job) -> None:
    lite.configure({"infer": {"engine": "dask"}, "store": {"url": "postgresql://ada:s3cret@127.0.0.1:1/fab"}})
    from rowcast.config import load, make_template
    from rowcast.errors import ConfigError

    with pytest.raises(ConfigError, match="holds a password as plain text") as raised:
        make_template(load(lite.folder / "rowcast.toml"))
    assert "s3cret" not in str(raised.value)


def test_a_scheduler_that_is_away_is_named(lite: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_PATIENCE", 0.5)
    lite.configure({"infer": {"engine": "dask", "scheduler": "tcp://127.0.0.1:1"}})
    assert "the Dask scheduler tcp://127.0.0.1:1 does not answer" in lite.refused("infer")


def test_without_the_extra_it_is_named(lite: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    lite.configure({"infer": {"engine": "dask"}})
    assert "pip install 'rowcast[dask]'" in lite.refused("infer")
