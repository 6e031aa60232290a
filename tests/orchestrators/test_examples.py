"""The examples run in the real Prefect and Dagster, and the real Airflow parses its DAGs.

`make test-orchestrators` installs them; elsewhere they are skipped.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

MORE = """
[model]
budget = "0s"       # the first candidate: any model will do
[infer]
since = "2026-01-01"
"""
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What orchestrators keep, they keep in the test's folder."""
    for name in ("PREFECT_HOME", "DAGSTER_HOME", "AIRFLOW_HOME"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A small simulated fab, untrained."""
    demo = pytest.importorskip("rowcast.demo")
    built: Path = demo.build(tmp_path / "fab", rows=800, sensors=20).config
    built.write_text(built.read_text() + MORE)
    return built


def load(file: str) -> ModuleType:
    spec = spec_from_file_location(Path(file).stem, EXAMPLES / file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_prefect_retrains_and_scores(config: Path) -> None:
    pytest.importorskip("prefect")
    from prefect.testing.utilities import prefect_test_harness

    import rowcast

    flows = load("prefect/flows.py")
    with prefect_test_harness(server_startup_timeout=300):
        with pytest.raises(rowcast.RowcastError):  # nobody is champion yet: the flow fails
            flows.infer.with_options(retries=0)(str(config))
        assert flows.retrain(str(config)).startswith("v1")
        assert flows.infer(str(config)) > 0
    job = rowcast.open(config)
    assert job.status().rows.pending == 0
    assert job.audit().holds


def test_dagster_materialises_a_champion_and_predictions(config: Path) -> None:
    dagster = pytest.importorskip("dagster")

    import rowcast

    example = load("dagster/definitions.py")
    job = rowcast.open(config)
    resources: dict[str, Any] = {"job": example.RowcastJob(config=str(config))}
    today = datetime.now(UTC).date()
    first, week = "2026-01-04", example.WEEKS.get_last_partition_key()
    too_early = dagster.materialize([example.champion], partition_key=first, resources=resources, raise_on_error=False)
    assert not too_early.success  # no label was known by then: the run fails, and the task with it
    assert dagster.materialize([example.champion], partition_key=week, resources=resources).success
    assert job.status().champion is not None
    done = dagster.materialize([example.predictions], partition_key=str(today - timedelta(days=1)), resources=resources)
    [made] = done.asset_materializations_for_node("predictions")
    assert made.metadata["scored"].value == job.status().rows.scored > 0
    assert job.audit().holds
    assert len(example.defs.schedules) == 2


def test_airflow_parses_the_dags(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("airflow.sdk")
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(str(EXAMPLES / "airflow"))
    assert found.import_errors == {}
    assert {name: [task.task_id for task in dag.tasks] for name, dag in found.dags.items()} == {
        "rowcast_infer": ["infer"],
        "rowcast_retrain": ["retrain"],
    }
    for dag in found.dags.values():
        [task] = dag.tasks
        assert task.op_args[1] == "{{ logical_date.isoformat() }}"
        assert task.python == os.environ.get("ROWCAST_PYTHON", "/opt/rowcast/bin/python")
