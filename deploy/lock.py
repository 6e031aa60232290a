"""Writes the locks of the images: which versions of which packages, each with the digests of its files.

`make lock` runs it, with uv. The versions are those of constraints.txt where it names them.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATABASES = ("postgresql", "mssql")
EXTRAS = {  # by the lock's name
    **{"core": (), "notify": ("notify",), "estimator": ("estimator",)},
    **{"serve": ("serve",), "otel": ("serve", "otel")},
}


def main() -> None:
    for name, extras in EXTRAS.items():
        chosen = [f"--extra={extra}" for extra in (*DATABASES, *extras)]
        write_lock(name, "pyproject.toml", *chosen)
    write_lock("build", "deploy/requirements-build.in")


def write_lock(name: str, *what: str) -> None:
    """Write one lock, for Linux and the Python of the images."""
    how = ["--generate-hashes", "--no-annotate", "--no-header", "--python-platform=linux", "--python-version=3.11"]
    file = f"deploy/requirements-{name}.txt"
    command = ["uv", "pip", "compile", "--quiet", *how, "--constraint=constraints.txt", f"--output-file={file}", *what]
    subprocess.run([Path(sys.executable).with_name("uv"), *command[1:]], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
