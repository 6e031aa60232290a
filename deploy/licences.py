"""Holds the licence of each package that the images install against a list of those allowed: `make licences`.

It installs the locks into a folder that is removed again, and reads what each package says of itself. Exit code 1 where
one says something else, or nothing.
"""

import re
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path

HERE = Path(__file__).parent
LOCKS = ("core", "notify", "estimator", "serve", "otel")

# SPDX identifiers. Each lets a company use and pass on the unchanged package with its notices.
ALLOWED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC"),
    *("MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Zlib"),
}

# What older packages write in place of an identifier.
WRITTEN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

# What says nothing that can be read by a program, and what its licence file says; looked at by a person.
READ_BY_HAND = {
    "mssql-python": "MIT",  # licenses/LICENSE; what it says of Windows libraries concerns wheels for Windows
    "skops": "MIT",  # licenses/LICENSE
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",  # LICENSE: either of the two
    "scipy": "BSD-3-Clause",  # LICENSE.txt
}

# Not open source. Microsoft lets whoever accepts its terms install and run it; passing it on has conditions: images
# that hold it belong into a registry of your own, not into a public one.
PROPRIETARY = {"mssql-python-odbc": "Microsoft ODBC Driver for SQL Server"}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for lock in LOCKS:
            install(HERE / f"requirements-{lock}.txt", Path(folder))
        found = sorted(distributions(path=[folder]), key=lambda package: package.name.lower())
        return report(found)


def install(lock: Path, folder: Path) -> None:
    """Install what a lock names into a folder, each file held against its digest."""
    uv = Path(sys.executable).with_name("uv")
    how = ["--quiet", "--no-deps", "--require-hashes", "--python-version=3.11", f"--target={folder}"]
    subprocess.run([uv, "pip", "install", *how, "-r", lock], check=True)


def report(packages: list[Distribution]) -> int:
    """Print a line for each package; return 1 where one is not allowed."""
    refused = 0
    for package in packages:
        name = re.sub(r"[-_.]+", "-", package.name).lower()
        said = PROPRIETARY.get(name) or READ_BY_HAND.get(name) or read_licence(package.metadata)
        is_fine = name in PROPRIETARY or is_allowed(said)
        refused += not is_fine
        print(f"{'' if is_fine else 'NOT ALLOWED  '}{package.name} {package.version}: {said or 'says nothing'}")
    print(f"{len(packages)} packages, {refused} not allowed")
    return 1 if refused or not packages else 0


def read_licence(about: PackageMetadata) -> str:
    """Return the SPDX expression of a package's licence, as far as it says one; else what it says."""
    given = about.get_all("License-Expression") or []
    if given:
        return str(given[0])
    classifiers = [
        line.split(" :: ")[-1] for line in about.get_all("Classifier") or [] if line.startswith("License ::")
    ]
    texts = [*(about.get_all("License") or []), *classifiers]
    known = [WRITTEN.get(text, text) for text in texts]
    return next((text for text in known if text in ALLOWED), texts[0].partition("\n")[0] if texts else "")


def is_allowed(expression: str) -> bool:
    """Return whether an SPDX expression of AND and OR can be met by allowed licences alone."""
    parts = [part.strip(" ()") for part in re.split(r"\bAND\b", expression)]
    return all(any(choice.strip(" ()") in ALLOWED for choice in re.split(r"\bOR\b", part)) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
