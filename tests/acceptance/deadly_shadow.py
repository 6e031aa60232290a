"""The command, with a version that ends the process in which it scores in the shadow, as a segmentation fault would.

A worker process imports this file too, as the one that began its parent.
"""

import os
import signal
import sys
from typing import Any

from rowcast.cli import main
from rowcast.scoring import shadow


def _deadly(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ in ("__main__", "__mp_main__"):
    shadow.score_rows = _deadly  # type: ignore[assignment]
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
