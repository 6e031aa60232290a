"""The command, in a process that ends while it copies a store: after the table that the environment names."""

import os
import signal
import sys
from typing import Any

from rowcast.cli import main
from rowcast.store_copy import copying

_honest = copying.copy_rows


def _deadly(origin: Any, copy: Any, pair: Any, numbers: Any, tell: Any) -> None:
    _honest(origin, copy, pair, numbers, tell)
    if pair.name == os.environ["DIES_AFTER"]:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    copying.copy_rows = _deadly
    sys.exit(main(sys.argv[1:]))
