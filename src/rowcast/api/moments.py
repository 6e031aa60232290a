"""The moments that calls take: a datetime, a date, or text as on the command line."""

from datetime import date, datetime
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rowcast.job.opening import Job

Moment: TypeAlias = datetime | date | str  # text as on the command line: 2026-05-01, or 2026-05-01T06:00:00+02:00


def to_text(moment: Moment | None) -> str | None:
    """Return a moment as text; None for None."""
    return moment.isoformat() if isinstance(moment, date) else moment


def to_instant(job: "Job", moment: Moment) -> datetime:
    """Return a moment with its time zone; where it names none, it is in `source.timezone`. Raise UsageError."""
    from rowcast.job.opening import parse_moment

    return parse_moment("since, until", str(to_text(moment)), job.settings.source.timezone)
