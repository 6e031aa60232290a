"""What a worker of a cluster loads first in the tests: somebody ends between a commit and its report, or is not fit.

DIES names a folder, how often, and who: this "worker", the "executor" around it (the Java process of Spark), or the
"run", whose process id is in the folder's file `run`. Each death leaves a file there. DEADLY is a value of the first
sensor over which the worker ends as by a segmentation fault, SHADOW is set where it ends when it scores in the shadow.
SLOW names a folder: the first task to be scored leaves a file there and takes its time, and a twin that waits leaves
the file `twin`. VERSION is what the worker says of rowcast's version.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

import rowcast
from rowcast import features
from rowcast.scoring import remote, shadow
from rowcast.store import Ledger

# A worker may load this twice.
_publish = vars(Ledger).get("honest", Ledger.publish)
Ledger.honest = _publish  # type: ignore[attr-defined]
_process = vars(features).get("honest", features.process)
features.honest = _process  # type: ignore[attr-defined]
_wait = vars(remote).get("honest", remote._wait_for_other)
remote.honest = _wait  # type: ignore[attr-defined]


def _publish_and_die(self: Ledger, *given: Any, **options: Any) -> bool:
    done = _publish(self, *given, **options)
    folder, most, who = os.environ["DIES"].split(":")
    for number in range(int(most)):
        if _is_first(Path(folder) / f"death{number}"):
            os.kill(_find(who, Path(folder)), signal.SIGKILL)
            if who != "worker":  # who goes on, unheard, until it notices
                time.sleep(60)
    return done


def _find(who: str, folder: Path) -> int:
    if who == "run":
        file = folder / "run"
        while not file.exists():
            time.sleep(0.01)
        return int(file.read_text())
    return os.getpid() if who == "worker" else _parent(_parent(os.getpid()))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _is_first(file: Path) -> bool:
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _process_or_die(rows: Any, *others: Any) -> Any:
    if "DEADLY" in os.environ and float(os.environ["DEADLY"]) in rows.column("s01").to_pylist():
        os.kill(os.getpid(), signal.SIGKILL)
    if "SLOW" in os.environ and _is_first(Path(os.environ["SLOW"]) / "slow"):
        time.sleep(20)
    return _process(rows, *others)


def _wait_and_tell(*given: Any) -> bool:
    (Path(os.environ["SLOW"]) / "twin").touch()
    return _wait(*given)


def _die(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


if "DIES" in os.environ:
    Ledger.publish = _publish_and_die  # type: ignore[method-assign]
if "DEADLY" in os.environ or "SLOW" in os.environ:
    features.process = _process_or_die  # type: ignore[assignment]
if "SLOW" in os.environ:
    remote._wait_for_other = _wait_and_tell
if "SHADOW" in os.environ:
    shadow.score_rows = _die
if "VERSION" in os.environ:
    rowcast.__version__ = os.environ["VERSION"]
    vars(remote)["__version__"] = os.environ["VERSION"]
