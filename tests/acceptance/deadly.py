"""The command, with rows that end the process which scores them, as a segmentation fault in an estimator would.

A worker process imports this file too, as the one that began its parent.
"""

import os
import signal
import sys
from typing import Any

from rowcast import features
from rowcast.cli import main

DEADLY = 1.25  # of the first sensor

_honest = features.process


def _deadly(rows: Any, *others: Any) -> Any:
    if DEADLY in rows.column("s01").to_pylist():
        os.kill(os.getpid(), signal.SIGKILL)
    return _honest(rows, *others)


if __name__ in ("__main__", "__mp_main__"):
    features.process = _deadly  # type: ignore[assignment]
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
