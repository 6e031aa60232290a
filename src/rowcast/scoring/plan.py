"""Planning: pending rows become batches, ranges of keys that are scored and published together."""

from datetime import datetime

from rowcast.job.opening import Job
from rowcast.scoring.request import ScoringRequest
from rowcast.source import KeyRange
from rowcast.store import JobState


def plan_batches(
    job: Job, run_id: int, now: datetime, state: JobState, since: datetime | None, version: int | None
) -> list[tuple[int, KeyRange]]:
    """Record batches for all pending rows that no open batch covers, and return their ids and keys.

    What is pending is looked for before the lock is taken, and again under it only where somebody else has planned in
    between: whoever else works on the table does not wait for it.
    """
    ledger, rows = job.ledger, job.settings.infer.batch_rows
    newest = ledger.newest_batch()
    ranges = job.pending.plan(state.scope, now, since, rows, ledger.open_ranges())
    with ledger.planning():
        if ledger.newest_batch() != newest:
            ranges = job.pending.plan(state.scope, now, since, rows, ledger.open_ranges())
        batches = ledger.add_batches(run_id, ranges, version)
    return list(zip(batches, ranges, strict=True))


def plan_request(job: Job, request: ScoringRequest) -> int:
    """Record batches for what a run is asked to score beside open batches, and return how many rows they hold."""
    state = job.ledger.state()
    since = state.search_start(job.settings.source.late_arrival, request.now)
    if since is not None and request.since is not None:
        # Further back than usual, never less far: what is left out is not looked for again.
        since = min(since, request.since)
    planned = plan_batches(job, request.run_id, request.now, state, since, request.champion)
    return sum(keys.rows for _, keys in planned)


def plan_halves(job: Job, request: ScoringRequest, batch_id: int, keys: KeyRange) -> list[int]:
    """Put two smaller batches, or what is still pending of them, in a planned one's place, and return their ids."""
    with job.ledger.planning():
        rows = max(1, (keys.rows + 1) // 2)
        around = job.ledger.open_ranges(but=batch_id)
        ranges = job.pending.plan(job.ledger.state().scope, request.now, None, rows, around, keys)
        return job.ledger.halve(batch_id, request.run_id, ranges)
