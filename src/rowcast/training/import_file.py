"""A model that was fitted elsewhere, kept among a run's files until the gate has decided on it."""

import base64
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast.errors import TrainingError, UsageError
from rowcast.job.workdir import WorkDir
from rowcast.source import TIME

MOST_BYTES = 256 << 20
_FILE = "train/foreign.json"
TRAIN, GATE, NEITHER = 0, 1, 2  # what a labelled row serves
_BORDERS = 201  # places for the gate's first row that are tried
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


def read(path: Path) -> bytes:
    """Return a model file's bytes. Raise UsageError where it is no plain file, cannot be read, or is too large."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path} is no plain file", hint="name a file of LightGBM's text or of skops")
        if found.st_size > MOST_BYTES:
            raise UsageError(
                f"{path} has {found.st_size >> 20} MiB, and a model at most {MOST_BYTES >> 20}",
                hint="train with fewer or smaller trees",
            )
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def keep(work: WorkDir, foreign: ImportedFile) -> None:
    data = base64.b64encode(foreign.data).decode()
    work.save_json(_FILE, {"name": foreign.name, "trained_to": foreign.trained_to.isoformat(), "data": data})


def load(work: WorkDir) -> ImportedFile | None:
    """What this run is to import, None for a run that trains."""
    if not work.has(_FILE):
        return None
    found: dict[str, Any] = work.json(_FILE)
    return ImportedFile(found["name"], base64.b64decode(found["data"]), datetime.fromisoformat(found["trained_to"]))


def find_border(
    time: npt.NDArray[np.int64], known: npt.NDArray[np.int64], fresh: npt.NDArray[np.int64], seen_to: int
) -> int:
    """Return the place in `fresh` from which rows serve the gate: the middle, if half of those before it can calibrate.

    Else where the smaller of both sides is largest.
    `time` and `known` (n,) are in microseconds, `fresh` the places of rows that neither model has seen. What calibrates
    was known when the gate's first row came.
    """
    unseen = np.flatnonzero(time > seen_to)
    places = np.unique(np.linspace(0, len(fresh) - 1, _BORDERS).astype(np.int64))

    def smaller(place: int) -> int:
        first = time[fresh[place]]
        earlier = unseen[time[unseen] < first]
        return int(min((known[earlier] <= first).sum(), (time[fresh] >= first).sum()))

    middle = len(fresh) // 2
    if 2 * smaller(middle) >= middle:
        return middle
    return int(max(places, key=lambda place: (smaller(place), -abs(int(place) - middle))))


def require_enough(rows: pa.RecordBatch, parts: npt.NDArray[np.int8], model: ImportedFile, least: int) -> None:
    """Raise TrainingError where too few rows later than the model's own calibrate it, with what they lack."""
    later = int((rows.column(TIME).to_numpy() > model.seen_to).sum())
    calibrating, gate = int((parts == TRAIN).sum()), int((parts == GATE).sum())
    if calibrating >= least:
        return
    late = later - calibrating - gate
    raise TrainingError(
        f"{calibrating:,} of {later:,} labelled rows later than --trained-to can calibrate the model, and {least:,} are"
        f" needed: the newest {gate:,} are kept apart for the gate, which compares it with the champion; {late:,} can"
        " be used for neither: their labels came after the gate's first row, or their group has rows on both"
        " sides of it",
        hint="wait for more labels; or lower [model] min_train_rows; or give an earlier --trained-to if the model has"
        " seen less",
        about="calibrating",
    )
