"""What stands under deploy/ fits the project: locks, images, templates."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import rowcast
from rowcast.cli import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXTRAS = {
    **{"core": [], "notify": ["notify"], "estimator": ["estimator"]},
    **{"serve": ["serve"], "otel": ["serve", "otel"]},
}
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    return {plain(name): version for name, version in PIN.findall(path.read_text())}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_holds_what_its_image_needs_in_the_versions_that_were_tested_together(name: str) -> None:
    """Where this fails, `make lock` writes the locks anew."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [*EXTRAS[name], "postgresql", "mssql"]
    needed = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    locked = pins(DEPLOY / f"requirements-{name}.txt")
    assert {plain(re.split(r"[\[><=]", requirement)[0]) for requirement in needed} <= set(locked)
    assert locked.items() <= pins(ROOT / "constraints.txt").items()


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("requirements-*.txt")), ids=lambda path: path.stem)
def test_each_package_of_a_lock_has_digests(path: Path) -> None:
    blocks = re.split(r"^(?=\w)", path.read_text(), flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_dockerfile_adds_locks_that_are_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    added = {name for names in re.findall(r"deploy/add ([a-z ]+)", text) for name in names.split()}
    assert added == set(EXTRAS) - {"core", "otel"}  # which one names with EXTRAS


def test_databricks_starts_a_command_of_the_wheel_with_the_driver_of_its_database() -> None:
    job = json.loads((DEPLOY / "databricks" / "job.json").read_text())
    [task], [cluster] = job["tasks"], job["job_clusters"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert task["python_wheel_task"]["package_name"] == project["name"]
    assert task["python_wheel_task"]["entry_point"] in project["scripts"]
    command, option, config = task["python_wheel_task"]["parameters"]
    assert app[command] is not None
    assert (option, Path(config).name) == ("--config", "rowcast.toml")
    [wheel, driver] = task["libraries"]
    assert Path(wheel["whl"]).name == f"rowcast-{rowcast.__version__}-py3-none-any.whl"
    assert [driver["pypi"]["package"]] == project["optional-dependencies"]["postgresql"]
    assert task["job_cluster_key"] == cluster["job_cluster_key"]
    assert cluster["new_cluster"]["spark_env_vars"]["ROWCAST_SOURCE_URL"].startswith("{{secrets/")


def test_vertex_gives_the_image_the_variables_that_it_reads() -> None:
    container = json.loads((DEPLOY / "vertex" / "model.json").read_text())["model"]["containerSpec"]
    entry = (DEPLOY / "entry").read_text()
    for variable in ("ROWCAST_BEHIND", "ROWCAST_TOML"):
        assert variable in {one["name"] for one in container["env"]}
        assert variable in entry


def test_the_package_for_aws_names_the_images_of_its_version_and_comes_out_alike(tmp_path: Path) -> None:
    script = DEPLOY / "aws" / "package.py"
    for folder in ("one", "other"):
        subprocess.run([sys.executable, str(script), str(tmp_path / folder)], check=True, capture_output=True)
    name = f"rowcast-aws-{rowcast.__version__}"
    one, other = (tmp_path / folder / f"{name}.zip" for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert archive.namelist() == [f"{name}/{file}" for file in ("README.md", "registry.yaml", "rowcast.yaml")]
        template = archive.read(f"{name}/rowcast.yaml").decode()
    assert f'  ImageTag:\n    Type: String\n    Default: "{rowcast.__version__}"\n' in template
    changed = set(template.splitlines()) ^ set((DEPLOY / "aws" / "rowcast.yaml").read_text().splitlines())
    assert changed == {f'    Default: "{rowcast.__version__}"'}
