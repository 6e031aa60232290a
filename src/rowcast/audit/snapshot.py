"""One moment of both databases."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import sqlalchemy as sa

from rowcast.job.opening import Job


@contextmanager
def open_snapshot(job: Job) -> Iterator[None]:
    """Let every statement in it see one moment; that of the store is the earlier one."""
    source, store = job.source, job.store
    with ExitStack() as stack:
        stack.enter_context(store.transaction("snapshot"))
        if store is not source.db:
            store.scalar(sa.select(sa.func.count()).select_from(job.own.prediction))  # the snapshot begins here
            stack.enter_context(source.db.transaction("snapshot"))
        yield
