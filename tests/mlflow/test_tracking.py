"""Runs, figures and versions on a real tracking server, which keeps them in SQLite. `make test-mlflow` installs it."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

tracking = pytest.importorskip("mlflow.tracking")
SERVER = os.environ.get("ROWCAST_MLFLOW_SERVER", "")
pytestmark = pytest.mark.skipif(not SERVER, reason="ROWCAST_MLFLOW_SERVER does not name the command mlflow")

QUICK = '\n[model]\nbudget = "0s"\n'


def free_port() -> int:
    """Return a port that nobody has, of those that no other test is given: the server comes back to it later."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", random.randrange(20_000, 30_000)))
            return int(probe.getsockname()[1])


def begin_server(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    stores = [f"--backend-store-uri=sqlite:///{folder}/m.db", f"--artifacts-destination={folder}/artifacts"]
    command = [SERVER, "server", *stores, "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=quiet, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 300
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.5)
    return process


def end_server(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, 9)  # it has workers
    process.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    process = begin_server(folder, port)
    yield folder, port
    end_server(process)


@pytest.fixture(scope="module")
def job(place: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small job that was mirrored with its first two runs."""
    from rowcast.demo import build

    folder = tmp_path_factory.mktemp("job")
    config = build(folder, rows=800, sensors=20).config
    server = f'\n[mlflow]\ntracking_uri = "http://user:s3cret@127.0.0.1:{place[1]}"\ncards = true\n'
    config.write_text(config.read_text() + QUICK + server)
    for command in (["retrain", "--as-of", "2026-03-06"], ["infer", "--as-of", "2026-03-07"]):
        called(folder, *command)
    called(folder, "mlflow")  # what a slow server did not take in a run's time
    return folder


def called(folder: Path, *command: str, code: int = 0) -> str:
    patient = {**os.environ, "MLFLOW_HTTP_REQUEST_TIMEOUT": "120"}
    whole = [sys.executable, "-m", "rowcast", *command]
    done = subprocess.run(whole, cwd=folder, env=patient, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def client(place: tuple[Path, int]) -> Any:
    uri = f"http://127.0.0.1:{place[1]}"
    return tracking.MlflowClient(uri, uri)


def runs_on(client: Any) -> list[Any]:
    found = client.search_runs([client.get_experiment_by_name("wafers").experiment_id])
    return sorted(found, key=lambda run: run.info.start_time)


def test_a_run_is_there_with_its_figures_and_its_end(job: Path, client: Any) -> None:
    import rowcast

    trained, scored = runs_on(client)
    assert [trained.info.run_name, scored.info.run_name] == ["retrain 1", "infer 2"]
    assert {trained.info.status, scored.info.status} == {"FINISHED"}
    assert scored.data.params["as_of"] == "2026-03-07T00:00:00+00:00"
    figures = {(each.step, each.name): each.value for each in figures_of(job, 1)}
    assert trained.data.metrics["model-build/auc"] == figures[("model-build", "auc")] > 0.5
    [found] = [each for each in rowcast.open(job / "rowcast.toml").runs() if each.run_id == 2]
    assert scored.info.end_time == int(found.finished_at.timestamp() * 1000)


def figures_of(job: Path, run_id: int) -> list[Any]:
    import rowcast

    with rowcast.open(job / "rowcast.toml").connection() as opened:
        return opened.runs.figures(run_id)


def test_a_version_is_an_external_model_with_digest_card_and_alias(job: Path, client: Any) -> None:
    import rowcast

    [version] = rowcast.open(job / "rowcast.toml").models()
    [found] = client.search_model_versions("name = 'wafers'")
    assert found.source.startswith("rowcast://")
    assert found.source.endswith("/wafers/1")
    assert found.tags["rowcast.sha256"] == version.artifact_sha256
    assert found.tags["rowcast.decision"] == "promoted"
    assert client.get_model_version_by_alias("wafers", "champion").version == found.version
    [model] = client.search_logged_models([client.get_experiment_by_name("wafers").experiment_id])
    assert {each.key for each in model.metrics} >= {"auc", "cost_per_row"}
    assert [each.path for each in client.list_artifacts(found.run_id)] == ["card-v1.html"]


def test_what_was_sent_before_is_not_there_twice(job: Path, client: Any) -> None:
    """As where a process ends after it sent something, before it wrote so down."""
    import rowcast

    with rowcast.open(job / "rowcast.toml").connection() as opened:
        opened.store.execute(opened.tables.mirror.update().values(run_id=0, promotion_id=0))
    assert '"sent": 3' in called(job, "mlflow", "--json")
    assert len(runs_on(client)) == 2
    assert len(client.search_model_versions("name = 'wafers'")) == 1
    assert len(client.search_logged_models([client.get_experiment_by_name("wafers").experiment_id])) == 1


def test_a_server_that_is_away_ends_no_run_and_is_sent_what_waited_in_order(job: Path, tmp_path: Path) -> None:
    config, port = (job / "rowcast.toml").read_text(), free_port()
    elsewhere = config.replace("tracking_uri", f'tracking_uri = "http://127.0.0.1:{port}" #')
    (job / "rowcast.toml").write_text(elsewhere)
    called(job, "infer", "--as-of", "2026-03-10")
    called(job, "retrain", "--as-of", "2026-05-10")
    assert '"waiting": 3' in called(job, "mlflow", "--json", code=1)
    process = begin_server(tmp_path, port)
    try:
        assert '"sent": 3, "waiting": 0' in called(job, "mlflow", "--json")
        uri = f"http://127.0.0.1:{port}"
        names = [run.info.run_name for run in runs_on(tracking.MlflowClient(uri, uri))]
        assert names == ["infer 3", "retrain 4"]
    finally:
        end_server(process)
