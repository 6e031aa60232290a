"""What stands around the code: workflows, hooks and make targets fit together."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w./-]+):", MAKEFILE, re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text()))


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def make_targets(command: str) -> list[str]:
    return re.findall(r"\bmake ([\w./-]+)", command)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_make_targets_that_exist(path: Path) -> None:
    workflow = read(path)
    called = [target for step in steps(workflow) for target in make_targets(step.get("run", ""))]
    assert called
    assert set(called) <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_each_action_to_a_commit_and_says_which_version_that_is(path: Path) -> None:
    uses = re.findall(r"uses: (.*)", path.read_text())
    assert len(uses) == sum("uses" in step for step in steps(read(path)))
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_write_nothing_unless_a_job_asks_for_it(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert "write-all" not in str(job.get("permissions", ""))


def test_the_matrix_holds_the_python_versions_that_the_classifiers_claim() -> None:
    claimed = [
        classifier.rsplit(" ", 1)[1]
        for classifier in PROJECT["classifiers"]
        if classifier.startswith("Programming Language :: Python ::")
    ]
    tested = read(ROOT / ".github" / "workflows" / "test.yaml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == claimed
    assert PROJECT["requires-python"] == f">={claimed[0]}"


def test_pre_commit_runs_exactly_what_make_lint_runs() -> None:
    lint = re.search(r"^lint: (.*)$", MAKEFILE, re.MULTILINE)
    assert lint
    hooks = [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == [f"make {target}" for target in lint[1].split()]


def test_every_phony_target_exists_and_each_that_people_call_is_described() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    named = phony[1].split()
    assert set(named) <= TARGETS
    described = set(re.findall(r"^# make ([\w-]+)", MAKEFILE, re.MULTILINE))
    assert described <= set(named)


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    version = re.search(r'__version__ = "(.*)"', (ROOT / "src" / "rowcast" / "__init__.py").read_text())
    newest = re.search(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert version
    assert newest
    assert version[1] == newest[1]
