"""A lease is renewed while the work lasts; whose lease has passed is taken for dead."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from rowcast.database import Database
from rowcast.errors import DatabaseError

log = structlog.get_logger("rowcast")

LEASE = timedelta(minutes=2)
HEARTBEAT = LEASE / 4


def stands(lease_until: datetime | None, now: datetime, length: timedelta = LEASE) -> bool:
    """Return whether a lease of this length holds at a moment.

    One that ends later than any that is given now was taken by a clock that was ahead: waiting for it could take years.
    """
    return lease_until is not None and now <= lease_until <= now + 2 * length


@contextlib.contextmanager
def heartbeat(db: Database, renewal: Callable[[datetime], sa.Update]) -> Iterator[None]:
    """Renew a lease during the work in it, from a thread and over connections of its own.

    `renewal` makes the statement for the time until which the lease holds, by the database's clock.
    """
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(HEARTBEAT.total_seconds()):
            try:
                with contextlib.closing(db.clone()) as own:
                    own.execute(renewal(own.now() + LEASE))
            except DatabaseError as error:  # the next beat may come through; publishing closes the claim in any case
                log.debug("a lease could not be renewed", error=error)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=1)
