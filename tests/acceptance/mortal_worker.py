"""What a Dask worker of the tests loads first: it ends between a commit and its report, or is not fit for the run.

DIES names a folder and how often: each death leaves a file there. VERSION is what it says of rowcast's version.
"""

import os
import signal
from pathlib import Path
from typing import Any

import rowcast
from rowcast.store import Ledger

# A worker may load this twice.
_publish = vars(Ledger).get("honest", Ledger.publish)
Ledger.honest = _publish  # type: ignore[attr-defined]


def _publish_and_die(self: Ledger, *given: Any, **options: Any) -> bool:
    done = _publish(self, *given, **options)
    folder, most = os.environ["DIES"].rsplit(":", 1)
    for number in range(int(most)):
        try:
            os.close(os.open(Path(folder) / f"death{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return done


if "DIES" in os.environ:
    Ledger.publish = _publish_and_die  # type: ignore[method-assign]
rowcast.__version__ = os.environ.get("VERSION", rowcast.__version__)
