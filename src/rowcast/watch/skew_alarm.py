"""Whether the HTTP service and the batch see the same rows: by the recorded answers, under the alarm budget."""

from datetime import UTC, datetime, timedelta

from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.step_record import StepReport
from rowcast.messages.events import RowsSkewed
from rowcast.monitor.skew import UNIT, SkewUnit, find_skews
from rowcast.store.reading.online_pairs import sum_online

SHARE = 0.05  # of the false alarms allowed; it is taken from drift's where answers are recorded
_REACH = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def watch(run: Run, about: StepReport) -> list[RowsSkewed] | None:
    """Return an event where more recorded rows than may differ from what the batch read, in whole units of time.

    Return None where nothing new can be said: no unit has ended since the last look, or no answer was ever recorded.
    """
    job, until = run.job, _EPOCH + (run.now - _EPOCH) // UNIT * UNIT
    before = job.profiles.find_last_look(run.run_id, "skew_rows")
    if before is None and not job.online.is_used():
        return None
    if before is not None and until <= before[0] and not job.is_ahead(before[0], run.now):
        return None
    units = _sum_units(job, until)
    if units:
        about.metrics |= {
            "skew_rows": sum(unit.rows for unit in units),
            "skew_differing": sum(unit.differing for unit in units),
        }
    most = job.settings.serve.max_skew
    found = find_skews(units, most, job.settings.monitor.false_alarms_per_month * SHARE)
    return [RowsSkewed(skew, most, run.run_id) for skew in found if skew.until is None]


def _sum_units(job: Job, until: datetime) -> list[SkewUnit]:
    since = until - _REACH
    found = sum_online(job.store, job.tables, job.own, since, until, UNIT)
    return [SkewUnit(since + each.number * UNIT, each.rows, each.differing) for each in found if each.rows]
