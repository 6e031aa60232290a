"""Whether the source still holds what was scored: some rows of old and new batches, compared by their hashes."""

from datetime import timedelta

from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.step_record import StepReport
from rowcast.messages.events import RowsChanged
from rowcast.scoring.changes import Changes

_APART = timedelta(days=1)  # between two looks
_BATCHES, _ROWS = 4, 500  # that are looked at, from the oldest to the newest, and the most rows of each
_LOOKS = 30  # among which the lowest share is what is usual: values may be filled in after a row was scored


def watch_changed(run: Run, about: StepReport) -> list[RowsChanged] | None:
    """Return an event where many more scored rows than is usual hold other values at the source by now.

    Return None where nothing new can be said: the day has been looked at, or there is no row to look at.
    """
    before = run.job.profiles.find_looks(run.run_id, "changed_share", _LOOKS)
    if before and timedelta(0) <= run.now - before[0][0] < _APART:
        return None
    changed, rows = _count_changed(run.job)
    if not rows:
        return None
    about.metrics |= {"changed": changed, "compared": rows, "changed_share": changed / rows}
    usual = min((share for _, share in before), default=changed / rows)
    if changed / rows - usual <= run.job.settings.check.max_quarantine:
        return []
    return [RowsChanged(changed, rows, usual, run.now, run.run_id)]


def _count_changed(job: Job) -> tuple[int, int]:
    """Return how many of some scored rows have changed, and how many could be compared."""
    changes, own, changed, rows = Changes(job), job.own.prediction, 0, 0
    for batch_id, keys in job.ledger.list_spread(_BATCHES):
        of_batch, within = [own.c.batch_id == batch_id], [job.source.between(keys)]
        for stored in changes.walk(own, of_batch, within, to_score_again=False, most=_ROWS):
            mask, unknown = changes.compare(stored)
            changed += int(mask.sum())
            rows += len(stored.held) - unknown
    return changed, rows
