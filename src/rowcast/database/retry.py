"""Trying again what a restart, a dropped connection, a lock or a deadlock stopped."""

from collections.abc import Callable
from typing import TypeVar

import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from rowcast.database.protocols import Database
from rowcast.errors import DatabaseError

log = structlog.get_logger("rowcast")

Result = TypeVar("Result")

PATIENCE = 300.0  # seconds: a server's restart or failover is over by then
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0  # seconds; each is up to a second longer, so that many do not come at once


def retry_transient(
    work: Callable[[], Result], *databases: Database, tell: Callable[[], None] = lambda: None
) -> Result:
    """Return what `work` returns, tried again with new connections while its error is a transient one.

    `work` must be a whole: repeated after it succeeded unseen, it must do no harm. `tell` is called at each repetition.
    """
    attempts = stamina.retry_context(
        on=_is_transient,
        attempts=None,
        timeout=PATIENCE,
        wait_initial=_FIRST_WAIT,
        wait_max=_LONGEST_WAIT,
    )
    for attempt in attempts:
        with attempt:
            if attempt.num > 1:
                tell()
                for db in databases:
                    db.reconnect()
            return work()
    raise AssertionError  # the last attempt returned or raised


def _is_transient(error: Exception) -> bool:
    return isinstance(error, DatabaseError) and error.is_transient


def _log_retry(details: RetryDetails) -> None:
    log.warning("trying again", error=details.caused_by, wait_s=round(details.wait_for, 1))


set_on_retry_hooks([_log_retry])
