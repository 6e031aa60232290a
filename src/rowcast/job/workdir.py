"""The work directory: what each step of a run saved, so that it can be looked at and any step triggered again."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from rowcast.config import Settings
from rowcast.contract import Misfit
from rowcast.errors import RunError
from rowcast.source import Fetched

_KEPT = 3  # runs whose files are kept
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def work_root(settings: Settings) -> Path:
    """The folder of a job's files, beside its config."""
    return settings.folder / ".rowcast" / settings.name


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """A user's estimator is found beside the config, wherever the command is run from."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


class WorkDir:
    """Files of one run, under `.rowcast/<job>/<run>` beside the config."""

    def __init__(self, root: Path, run_id: int) -> None:
        self.path = root / str(run_id)

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def save_rows(self, name: str, fetched: Fetched) -> None:
        """Save rows as an Arrow file, whose metadata hold what of them could not be read."""
        misfits = json.dumps([[m.row, m.column, m.value] for m in fetched.misfits])
        rows = fetched.rows.replace_schema_metadata({"misfits": misfits})
        with self._new(name) as target, pa.ipc.new_file(target, rows.schema, options=_OPTIONS) as writer:
            writer.write_batch(rows)

    def rows(self, name: str) -> Fetched:
        with pa.OSFile(self._locate(name), "rb") as source:
            rows = pa.ipc.open_file(source).read_all().combine_chunks()
        misfits = [Misfit(*values) for values in json.loads((rows.schema.metadata or {}).get(b"misfits", b"[]"))]
        rows = rows.replace_schema_metadata(None)
        batches = rows.to_batches()
        empty = [pa.array([], field.type) for field in rows.schema]
        batch = batches[0] if batches else pa.RecordBatch.from_arrays(empty, schema=rows.schema)
        return Fetched(batch, misfits)

    def save_json(self, name: str, value: Any) -> None:
        with self._new(name) as target:
            target.write(json.dumps(value, ensure_ascii=False, indent=1, default=str).encode())

    def json(self, name: str) -> Any:
        return json.loads(Path(self._locate(name)).read_bytes())

    def prune(self) -> None:
        """Remove the files of older runs."""
        runs = sorted((path for path in self.path.parent.glob("[0-9]*") if path.is_dir()), key=lambda p: int(p.name))
        for path in runs[:-_KEPT]:
            shutil.rmtree(path, ignore_errors=True)

    def _new(self, name: str) -> Any:
        path = self.path / name
        try:
            make_private(path.parent)
        except OSError as error:
            raise RunError(
                f"the work directory {path.parent} cannot be made: {error.strerror}",
                hint="steps save what they did beside rowcast.toml: its folder must be writable",
            ) from None
        return _Replacing(path)

    def _locate(self, name: str) -> str:
        if not self.has(name):
            raise RunError(f"{self.path / name} is not there", hint="run the step before it first")
        return str(self.path / name)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner alone: files in it hold rows."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


class _Replacing:
    """Writes beside the file and moves it into place once whole: a file that is there is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")

    def __enter__(self) -> pa.NativeFile:
        os.close(os.open(self._part, os.O_CREAT | os.O_WRONLY, 0o600))
        self._part.chmod(0o600)
        self._file = pa.OSFile(str(self._part), "wb")
        return self._file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
