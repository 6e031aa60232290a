"""examples/p2 as its user drives it: `python -m p2.pipeline` from its own folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import pytest
from jobs import environment

from rowcast.database import connect

pytest_plugins = ("job_fixtures",)

EXAMPLE = Path(__file__).parents[2] / "examples" / "p2"
ACTIONS = ("data-fetch", "data-check", "data-process", "model-build", "inference", "full-pipeline")
HELD = {"source": 4000, "unusable": 0, "out_of_scope": 3700, "scored": 296, "quarantined": 4, "pending": 0}


class Folder:
    """A copy of the example in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(EXAMPLE, path, ignore=shutil.ignore_patterns("*.db*", "*.log*", ".rowcast", "__pycache__"))

    def python(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with forked.Popen(command, cwd=self.path, env={**environment(), **more}, **streams) as process:
            out, err = process.communicate(timeout=1800)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def act(self, action: str, level: str = "INFO", **more: str) -> list[dict[str, Any]]:
        """The summaries that a successful action prints."""
        done = self.python("p2.pipeline", "-log", level, "-a", action, **more)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def audit(self) -> dict[str, Any]:
        done = self.python("rowcast", "audit", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["holds"]
        return found

    def sql(self, statement: str) -> list[dict[str, Any]]:
        db = connect(f"sqlite:///{self.path}/p2.db")
        try:
            rows: list[dict[str, Any]] = db.query(statement).to_pylist()
        finally:
            db.close()
        return rows

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "pipeline.log").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "p2")


def test_full_pipeline_trains_and_scores_every_row_once(folder: Folder) -> None:
    # Small batches, so that the worker processes that are spawned take part.
    [first] = folder.act("full-pipeline", ROWCAST_INFER__BATCH_ROWS="75")
    assert (first["status"], first["champion"]) == ("done", "v1")
    assert (first["scored"], first["quarantined"]) == (296, 4)
    assert "first, unproven" in first["retrain"]
    found = folder.audit()
    assert {name: found[name] for name in HELD} == HELD
    assert found["batches"] == 4

    [second] = folder.act("full-pipeline", "debug")
    assert (second["scored"], second["note"]) == (0, "nothing new to score")
    assert folder.audit() == found

    rows = folder.sql("SELECT min(id) AS low, count(DISTINCT id) AS n FROM rowcast_q6_data_prediction")
    assert rows == [{"low": 3701, "n": 296}]
    rows = folder.sql("SELECT id, reasons FROM rowcast_q6_data_quarantine ORDER BY id")
    reasons = {row["id"]: [(each["column"], each["rule"]) for each in json.loads(row["reasons"])] for row in rows}
    rules = {3790: "max", 3850: "finite", 3911: "min", 3960: "type"}
    assert reasons == {row: [("sensor_007", rule)] for row, rule in rules.items()}
    [model] = folder.sql("SELECT metrics FROM rowcast_model")
    assert json.loads(model["metrics"])["auc_low"] > 0.75  # the five sensors that matter were found
    events = [line["event"] for line in folder.log()]
    assert events[0] == "example table created"
    assert events.count("full-pipeline done") == 2


def test_steps_one_by_one_in_any_case_of_level(folder: Folder) -> None:
    early = folder.python("p2.pipeline", "-log", "WARNING", "-a", "data-check")
    assert early.returncode == 1
    assert "p2.db" in early.stderr
    levels = ("DEBUG", "info", "Warning", "eRRor", "CRITICAL")
    summaries = [folder.act(action, level) for action, level in zip(ACTIONS[:5], levels, strict=True)]
    assert [each["step"] for found in summaries for each in found] == [*ACTIONS[:4], "gate", "inference"]
    assert {each["run"] for found in summaries for each in found} == {1}
    found = folder.audit()
    assert {name: found[name] for name in HELD} == HELD


def test_help_lists_actions_and_levels(folder: Folder) -> None:
    shown = folder.python("p2.pipeline", "-h")
    assert shown.returncode == 0
    for word in (*ACTIONS, "debug", "info", "warning", "error", "critical"):
        assert word in " ".join(shown.stdout.split())


@pytest.mark.parametrize("wrong", [["-a", "everything"], [], ["-log", "loud", "-a", "full-pipeline"]])
def test_wrong_usage_ends_with_2_and_begins_nothing(folder: Folder, wrong: list[str]) -> None:
    done = folder.python("p2.pipeline", *wrong)
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert not (folder.path / "p2.db").exists()


def test_expected_errors_show_a_way_out_and_no_traceback(folder: Folder) -> None:
    assert folder.python("p2.table").returncode == 0
    folder.sql("UPDATE q6_data SET target = 0 WHERE target = 1")
    done = folder.python("p2.pipeline", "-log", "ERROR", "-a", "full-pipeline")
    assert done.returncode == 1
    assert "error: no label is the one that [task] positive names" in done.stderr
    assert "[task] positive" in done.stderr
    assert "Traceback" not in done.stderr
    assert "it names 1" in folder.log()[-1]["error"]
    debug = folder.python("p2.pipeline", "-log", "DEBUG", "-a", "full-pipeline")
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr


def test_no_example_table_is_written_to_another_database(folder: Folder) -> None:
    url = "postgresql://someone:hidden@127.0.0.1:1/fab"
    done = folder.python("p2.pipeline", "-log", "INFO", "-a", "full-pipeline", ROWCAST_SOURCE__URL=url)
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert "hidden" not in done.stderr + done.stdout
    assert not (folder.path / "p2.db").exists()
