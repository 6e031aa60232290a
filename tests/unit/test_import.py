"""What an import loads: heavy libraries only where they are used."""

import subprocess
import sys
from functools import cache

import pytest

SERVING = ("uvicorn", "httptools", "msgspec", "starlette")
HEAVY = ("pyarrow", "sqlalchemy", "numpy", "lightgbm", "sklearn", "scipy", "pandas", "pydantic")


@cache
def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_other_library() -> None:
    assert not loaded_by("import rowcast") & {*HEAVY, "structlog", "cyclopts", "rich"}


def test_the_command_line_starts_without_the_libraries_of_the_model_and_the_database() -> None:
    assert not loaded_by("import rowcast.cli") & ({*HEAVY, *SERVING} - {"pydantic"})


def test_the_pipelines_are_imported_without_the_libraries_of_the_http_service() -> None:
    assert not loaded_by("import rowcast.pipeline, rowcast.api.keys") & set(SERVING)


@pytest.mark.parametrize("library", ["lightgbm", "sklearn", "scipy", "pandas"])
def test_the_pipelines_are_imported_without_the_libraries_of_the_model(library: str) -> None:
    assert library not in loaded_by("import rowcast.pipeline")
