"""A run as `deploy/emr/submit.py` asks for it, by spark-submit on this machine: Spark 3.5, which EMR Serverless 7 has.

`make test-emr` packs the environment and runs this. Executors are processes of their own that unpack the archive, on a
PostgreSQL of the test's own. What only EMR Serverless knows is put in place here: s3:// and secrets.
"""

import json
import os
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

pyspark = pytest.importorskip("pyspark")
pytest.importorskip("boto3")

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / ".emr" / "environment.tar.gz"
pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason="make test-emr packs the environment")
HOME = Path(pyspark.__file__).parent  # SPARK_HOME
SECRET = "rowcast/wafers/source-url"
ENGINE = '[infer]\nengine = "spark"\nbatch_rows = 40\nsince = "2026-01-01"\n'


def loaded(path: Path) -> Any:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SUBMIT = loaded(ROOT / "deploy" / "emr" / "submit.py")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's own Python, unpacked where nobody has built it."""
    folder = tmp_path_factory.mktemp("driver") / SUBMIT.FOLDER
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="tar")
    return folder / "bin" / "python3"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    from postgres import Server

    server = Server()
    yield server.url("postgres")
    server.stop()


@pytest.fixture(scope="module")
def job(python: Path, url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job on PostgreSQL that has a champion, and rows that wait."""
    folder = tmp_path_factory.mktemp("job")
    code = """
import os, pathlib, rowcast.demo
rowcast.demo.build(pathlib.Path(), 800, 20, os.environ['ROWCAST_SOURCE_URL'])
"""
    asked(python, folder, url, "-c", code)
    config = folder / "rowcast.toml"
    config.write_text(config.read_text() + f'\n[model]\nbudget = "0s"\n{ENGINE}')
    asked(python, folder, url, "-m", "rowcast", "retrain")
    return folder


def asked(python: Path, folder: Path, url: str, *arguments: str) -> str:
    """What the archive's Python prints, in an environment that has nothing but the address."""
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=environment(url), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "JAVA_HOME")}
    return {**kept, "ROWCAST_SOURCE_URL": url, "OMP_WAIT_POLICY": "passive"}


@pytest.fixture(scope="module")
def run(python: Path, url: str, job: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run's folder, and what the driver printed."""
    folder = tmp_path_factory.mktemp("run")
    given = SUBMIT.read_arguments(
        ["--name=wafers", "--application=00f1", "--role=arn", "--logs=/rowcast", "--place=s3://bucket/rowcast",
         f"--config={job / 'rowcast.toml'}", "--secrets", f"ROWCAST_SOURCE_URL={SECRET}"]
    )  # fmt: skip
    text = given.config.read_text()
    assert SUBMIT.find_fault(text, given.secrets) == ""
    spark = SUBMIT.describe_run(given, text)
    done = subprocess.run(command(spark, url, folder), cwd=folder, env=driver_environment(spark, url, python),
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, done.stdout + done.stderr


def settings(request: dict[str, Any], url: str) -> dict[str, str]:
    """All that Spark is told, with what EMR Serverless would put in place."""
    words = shlex.split(request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"])
    [defaults] = request["configurationOverrides"]["applicationConfiguration"]
    told = dict(word.split("=", 1) for word in words if word != "--conf") | defaults["properties"]
    told = {name: value.replace(f"EMR.secret@{SECRET}", url) for name, value in told.items()}
    return told | {"spark.archives": told["spark.archives"].replace("s3://bucket/rowcast", str(ARCHIVE.parent))}


def command(request: dict[str, Any], url: str, folder: Path) -> list[str]:
    """spark-submit with a driver in this place, and executors of a size for this machine."""
    said = request["jobDriver"]["sparkSubmit"]
    small = {"spark.executor.cores": "1", "spark.executor.memory": "1g", "spark.driver.memory": "1g"}
    logs = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": folder.as_uri(), "spark.driver.host": "127.0.0.1"}
    told = settings(request, url) | small | logs | {"spark.driver.bindAddress": "127.0.0.1"}
    entry = said["entryPoint"].replace("s3://bucket/rowcast", str(ROOT / "deploy" / "emr"))
    conf = [part for name, value in told.items() for part in ("--conf", f"{name}={value}")]
    return [str(HOME / "bin" / "spark-submit"), "--master", "local-cluster[2,1,1024]", *conf, entry,
            *said["entryPointArguments"]]  # fmt: skip


def driver_environment(request: dict[str, Any], url: str, python: Path) -> dict[str, str]:
    prefix = "spark.emr-serverless.driverEnv."
    told = {name.removeprefix(prefix): value for name, value in settings(request, url).items() if prefix in name}
    found = {name: value.replace(SUBMIT.PYTHON, str(python)) for name, value in told.items()}
    return environment(url) | found | {"SPARK_HOME": str(HOME), "SPARK_LOCAL_IP": "127.0.0.1"}


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """What Spark has recorded of the run."""
    [log] = folder.glob("*-*")
    return [event for line in log.read_text().splitlines() if (event := json.loads(line))["Event"] == kind]


def worked_in(folder: Path) -> Path:
    """Where the executors of the run had their files."""
    [begun] = events(folder, "SparkListenerApplicationStart")
    return HOME / "work" / str(begun["App ID"])


def test_every_row_is_scored_once_in_tasks_of_the_executors(
    run: tuple[Path, str], python: Path, job: Path, url: str
) -> None:
    counts = json.loads(asked(python, job, url, "-m", "rowcast", "audit", "--json"))
    assert counts["holds"] is True
    assert counts["pending"] == 0
    assert counts["scored"] + counts["quarantined"] == counts["source"] == 800
    tasks = [event["Task Info"] for event in events(run[0], "SparkListenerTaskEnd")]
    assert len(tasks) == counts["batches"] == 20
    assert {task["Executor ID"] for task in tasks} == {"0", "1"}


def test_the_executors_work_in_the_packed_environment(run: tuple[Path, str]) -> None:
    assert len(list(worked_in(run[0]).glob(f"*/{SUBMIT.FOLDER}/bin/python3"))) == 2


def test_the_address_is_in_nothing_that_spark_keeps(run: tuple[Path, str]) -> None:
    [told] = [event["Spark Properties"] for event in events(run[0], "SparkListenerEnvironmentUpdate")]
    assert "redacted" in told["spark.executorEnv.ROWCAST_SOURCE_URL"]
    assert told["spark.executorEnv.PYSPARK_PYTHON"] == SUBMIT.PYTHON
    written = [*worked_in(run[0]).glob("*/std*"), *run[0].glob("*-*")]
    assert len(written) == 5  # what two executors said, twice, and the log of events
    assert b"s3cret" not in b"".join(path.read_bytes() for path in written) + run[1].encode()
