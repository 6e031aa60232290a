"""Write the templates of this version, whose image tag is its own by default, and their page, as one archive.

The same files give the same bytes: `make aws-package` says their SHA-256.
"""

import hashlib
import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TAG = "  ImageTag:\n    Type: String\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that an archive can hold


def read_version() -> str:
    """Return the version of this source."""
    text = (ROOT / "src" / "rowcast" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None
    return found[1]


def list_files(version: str) -> dict[str, str]:
    """Return the files of the archive by name."""
    aws = ROOT / "deploy" / "aws"
    job = (aws / "rowcast.yaml").read_text(encoding="utf-8")
    assert job.count(_TAG) == 1
    return {
        "README.md": (ROOT / "deploy" / "README.md").read_text(encoding="utf-8"),
        "registry.yaml": (aws / "registry.yaml").read_text(encoding="utf-8"),
        "rowcast.yaml": job.replace(_TAG, f'{_TAG}    Default: "{version}"\n'),
    }


def write_package(folder: Path) -> Path:
    """Write the archive into a folder, and return its path."""
    version = read_version()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rowcast-aws-{version}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in list_files(version).items():
            archive.writestr(zipfile.ZipInfo(f"rowcast-aws-{version}/{name}", _EPOCH), text)
    return path


if __name__ == "__main__":
    made = write_package(Path(sys.argv[1]))
    print(f"{hashlib.sha256(made.read_bytes()).hexdigest()}  {made}")
