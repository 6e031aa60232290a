"""Old results are forgotten: deleted in bounded transactions, recorded as a run, and accounted for by the audit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from rowcast.config import Settings
from rowcast.errors import RowcastError, UsageError, describe
from rowcast.job.opening import Job, open_job, parse_moment
from rowcast.store import ForgottenRows, OldBatch, heartbeat
from rowcast.store.pruning import Pruned, Pruning
from rowcast.store.records import EndCause, PipelineName, RunOptions, RunStatus

log = structlog.get_logger("rowcast")

_ROWS, _BATCHES = 50_000, 500  # of one transaction, at most, unless one batch has more


@dataclass(frozen=True)
class Forgotten:
    """What `rowcast forget` deleted, or would delete."""

    run_id: int | None  # the run that did; None where nothing was deleted
    before: datetime  # results that were published before it
    rows: ForgottenRows


def preview(settings: Settings, before: str) -> Forgotten:
    """Return what would be deleted; rows in the shadow are not counted. Raise UsageError for a moment to come."""
    with open_job(settings) as job:
        moment = _parse(job, before)
        old = job.ledger.find_old(moment)
        rows = ForgottenRows(len(old), sum(one.scored for one in old), sum(one.quarantined for one in old))
        return Forgotten(None, moment, rows)


def forget(
    settings: Settings, before: str, by: str, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Forgotten:
    """Delete what was published before a moment, a transaction at a time: what is done stays done if it is stopped.

    The run that does so records by whom. Raise UsageError for a moment to come.
    """
    with open_job(settings) as job:
        moment = _parse(job, before)
        options = RunOptions(before=moment, by=by)
        run_id = job.retry(lambda: job.runs.start(PipelineName.FORGET, job.store.now(), job.settings.sha256(), options))
        try:
            with heartbeat(job.store, partial(job.runs.renewal, run_id)):
                found = _forget_batches(job, moment, run_id, progress)
                job.retry(lambda: job.online.forget(moment))
        except BaseException as error:
            _record_end(job, run_id, error)
            raise
        job.retry(lambda: job.runs.finish(run_id, RunStatus.DONE, EndCause.COMPLETED))
        return Forgotten(run_id, moment, found)


def prune(job: Job) -> Pruned:
    """Delete what rowcast noted about runs longer ago than `[store] keep`; nothing where that is not set."""
    keep = job.settings.store.keep
    if keep is None:
        return Pruned()
    pruning = Pruning(job.store, job.tables, job.settings.name)
    return job.retry(lambda: pruning.prune(job.store.now() - keep))


def _parse(job: Job, before: str) -> datetime:
    moment = parse_moment("--before", before, job.settings.source.timezone)
    if moment > job.store.now():
        raise UsageError(f"--before {before} is yet to come", hint="results of the past alone can be forgotten")
    return moment


def _forget_batches(job: Job, before: datetime, run_id: int, progress: Callable[[int, int], None]) -> ForgottenRows:
    old = job.retry(lambda: job.ledger.find_old(before))
    total, found, done = sum(one.rows for one in old), ForgottenRows(), 0
    for group in _group(old):
        ids = [one.batch_id for one in group]
        found += job.retry(partial(job.ledger.forget_batches, ids, run_id))
        done += sum(one.rows for one in group)
        progress(done, total)
        log.info("results forgotten", batches=len(ids), rows=f"{done} of {total}")
    return found


def _group(old: Sequence[OldBatch]) -> Iterator[list[OldBatch]]:
    """Yield batches that are forgotten in one transaction."""
    group: list[OldBatch] = []
    for one in old:
        if group and (len(group) == _BATCHES or sum(each.rows for each in group) + one.rows > _ROWS):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _record_end(job: Job, run_id: int, error: BaseException) -> None:
    failed = isinstance(error, Exception)
    status = RunStatus.FAILED if failed else RunStatus.INTERRUPTED
    with suppress(RowcastError):  # a database that is away cannot be told so
        job.store.reconnect()  # an interruption can leave a transaction open
        cause = EndCause.ERROR if failed else EndCause.STOPPED
        job.runs.finish(run_id, status, cause, describe(error, details=True))
