"""The command, in a process that ends while it deletes the results of its second batch."""

import os
import signal
import sys
from typing import Any

from rowcast import retention
from rowcast.cli import main
from rowcast.store import Ledger

_honest = Ledger._delete
_deleted: list[str] = []


def _deadly(ledger: Ledger, table: Any, ids: Any) -> int:
    found = _honest(ledger, table, ids)
    _deleted.append(table.name)
    if _deleted.count(table.name) == 2:  # of the first table, in the middle of the second transaction
        os.kill(os.getpid(), signal.SIGKILL)
    return found


if __name__ == "__main__":
    retention._ROWS = 1  # a transaction for each batch
    Ledger._delete = _deadly  # type: ignore[assignment, method-assign]
    sys.exit(main(sys.argv[1:]))
