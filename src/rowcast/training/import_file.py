"""A model that was fitted elsewhere, kept among a run's files until the gate has decided on it."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rowcast.job.workdir import WorkDir

_FILE = "train/foreign.json"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ImportedFile:
    """A model's file, and up to which event time it has seen rows."""

    name: str
    data: bytes
    trained_to: datetime

    @property
    def seen_to(self) -> int:
        """In microseconds since 1970, as event times are read."""
        return (self.trained_to - _EPOCH) // timedelta(microseconds=1)


def keep(work: WorkDir, foreign: ImportedFile) -> None:
    data = base64.b64encode(foreign.data).decode()
    work.save_json(_FILE, {"name": foreign.name, "trained_to": foreign.trained_to.isoformat(), "data": data})


def load(work: WorkDir) -> ImportedFile | None:
    """What this run is to import, None for a run that trains."""
    if not work.has(_FILE):
        return None
    found: dict[str, Any] = work.json(_FILE)
    return ImportedFile(found["name"], base64.b64decode(found["data"]), datetime.fromisoformat(found["trained_to"]))
