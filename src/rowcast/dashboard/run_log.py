"""What a run said: its lines of pipeline.log, where it ran on this computer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_MOST = 200  # lines, the last ones
_NO_DETAIL = ("run", "job", "event", "level", "timestamp")


@dataclass(frozen=True)
class LogLine:
    """An event that a run logged."""

    at: datetime
    level: str
    event: str
    about: dict[str, Any]


def read_log(folder: Path, run_id: int) -> tuple[LogLine, ...]:
    """Return the last lines of a run: those that name it, and those between that name no run. None where none is left.

    The file may hold values of rows, as every page does.
    """
    lines = [line for path in (folder / "pipeline.log.1", folder / "pipeline.log") for line in _read(path)]
    named = [place for place, line in enumerate(lines) if line.get("run") == run_id]
    if not named:
        return ()
    between = [line for line in lines[named[0] : named[-1] + 1] if line.get("run", run_id) == run_id]
    return tuple(_line(line) for line in between[-_MOST:])


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # none was written, or it is another user's
        return
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:  # half a line, where a disk was full
            continue
        if isinstance(found, dict) and "timestamp" in found:
            yield found


def _line(found: dict[str, Any]) -> LogLine:
    about = {name: value for name, value in found.items() if name not in _NO_DETAIL and value is not None}
    at = datetime.fromisoformat(str(found["timestamp"]))
    return LogLine(at, str(found.get("level", "")), str(found.get("event", "")), about)
