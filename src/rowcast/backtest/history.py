"""The moments of the past that are replayed, and what the source says of them."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from rowcast import fetch
from rowcast.errors import TrainingError, UsageError
from rowcast.job.opening import Job, parse_moment

DAY = timedelta(days=1)
_KNOWN = 4  # by default, replaying begins when one label in so many was known


@dataclass(frozen=True)
class History:
    """Moments as of which the pipeline is run, one after another."""

    start: datetime
    end: datetime  # the last moment is not later
    step: timedelta

    @property
    def moments(self) -> tuple[datetime, ...]:
        """Every moment, the first one being the start."""
        return tuple(self.start + place * self.step for place in range((self.end - self.start) // self.step + 1))


def find_history(job: Job, since: str | None, until: str | None, step: timedelta) -> History:
    """Return the moments from `since` to `until`.

    By default it begins with the day by which a quarter of the labels were known, and ends with the newest event. Raise
    UsageError where the source or the options allow no history, TrainingError where no label is known.
    """
    source, zone = job.source, job.settings.source.timezone
    if source.time is None:
        raise UsageError(
            "a backtest needs source.time: without it nobody knows what was there at a moment of the past",
            hint="name the column of the event time in [source] time",
        )
    if step <= timedelta(0):
        raise UsageError("--step leaves no time between two moments", hint="1d, for example")
    now = job.store.now()
    end = fetch.find_newest_event(source, now) if until is None else parse_moment("--to", until, zone)
    if end is None:
        raise TrainingError(f"{source.identity} has no row yet", hint="a backtest needs a history")
    start = _find_start(job, end) if since is None else parse_moment("--from", since, zone)
    if start + step > end:
        raise UsageError(
            f"from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC there are no two moments",
            hint="--from and --to name the span, --step the time between two moments",
        )
    return History(start, end, step)


def _find_start(job: Job, end: datetime) -> datetime:
    """Return the first midnight, UTC, by which a quarter of what is known at the end was known."""
    oldest = fetch.find_oldest_event(job.source, end)
    known = fetch.count_known_labels(job.source, end)
    if oldest is None or not known:
        raise TrainingError("no row has a known label yet", hint="a backtest needs labelled rows; check [source] label")
    first = datetime.combine(oldest.astimezone(UTC).date(), time(), UTC)
    days = range((end - first) // DAY + 1)
    place = bisect_left(
        days, -(-known // _KNOWN), key=lambda day: fetch.count_known_labels(job.source, first + day * DAY)
    )
    return first + place * DAY
