"""KServe's own client against the service: `make test-kserve` gives it an environment of its own.

The service runs by the interpreter that the variable ROWCAST_PYTHON names.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

try:
    version("kserve")
except PackageNotFoundError:
    pytest.skip("make test-kserve installs KServe's client", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore")  # what the client's libraries warn of

PYTHON = os.environ.get("ROWCAST_PYTHON", sys.executable)
ROWS = 200
MORE = '\n[model]\nbudget = "0s"\n[infer]\nsince = "2026-01-01"\n'


@pytest.fixture(scope="module")
def fab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small job with a champion, which has scored."""
    folder = tmp_path_factory.mktemp("fab")
    build = (
        f"from pathlib import Path; from rowcast.demo import build; build(Path({str(folder)!r}), rows=800, sensors=20)"
    )
    subprocess.run([PYTHON, "-c", build], check=True)
    config = folder / "rowcast.toml"
    config.write_text(config.read_text() + MORE)
    for command in ("retrain", "infer"):
        subprocess.run([PYTHON, "-m", "rowcast", command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def url(fab: Path) -> Iterator[str]:
    """Where the service answers."""
    command = [PYTHON, "-m", "rowcast", "serve", "--port", "0", "--no-access-log"]
    with subprocess.Popen(command, cwd=fab, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            events = map(json.loads, process.stderr)
            yield next(event["url"] for event in events if event["event"] == "serving")
        finally:
            process.terminate()


def read_rows(fab: Path) -> list[dict[str, Any]]:
    """Rows that the batch has scored, each with its score."""
    with closing(sqlite3.connect(fab / "fab.db")) as db:
        db.row_factory = sqlite3.Row
        joined = "SELECT w.*, p.score AS batch_score FROM wafers w JOIN wafers_prediction p USING (wafer_id)"
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        [scored] = [name for name in tables if name.endswith("wafers_prediction")]
        return [dict(row) for row in db.execute(f"{joined.replace('wafers_prediction', scored)} LIMIT {ROWS}")]


def make_input(name: str, datatype: str, values: list[Any], *, binary: bool) -> Any:
    from kserve import InferInput

    array = np.array(values, np.object_ if datatype == "BYTES" else np.float64)
    made = InferInput(name, [len(values)], datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def make_client() -> Any:
    from kserve import InferenceRESTClient
    from kserve.inference_client import RESTConfig

    return InferenceRESTClient(RESTConfig(protocol="v2", retries=0))


def test_kserves_client_finds_server_and_model_ready(url: str) -> None:
    async def ask() -> list[bool]:
        async with make_client() as client:
            ready = [await client.is_server_live(url), await client.is_server_ready(url)]
            return [*ready, await client.is_model_ready(url, "wafers")]

    assert run(ask()) == [True, True, True]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_kserves_client_gets_the_scores_of_the_batch(fab: Path, url: str, binary: bool) -> None:
    import httpx
    import kserve

    rows = read_rows(fab)
    assert len(rows) == ROWS
    inputs = [
        make_input(each["name"], each["datatype"], [row[each["name"]] for row in rows], binary=binary)
        for each in httpx.get(f"{url}/v2/models/wafers").json()["inputs"]
    ]
    asked = kserve.InferRequest(model_name="wafers", infer_inputs=inputs, request_id="7")

    async def ask() -> Any:
        async with make_client() as client:
            return await client.infer(url, asked, model_name="wafers")

    answer = run(ask())
    assert (answer.id, answer.model_name) == ("7", "wafers")
    found = {output.name: output for output in answer.outputs}
    scores = found["score"].as_numpy().tolist()
    assert scores == pytest.approx([row["batch_score"] for row in rows], abs=1e-9, rel=0)
