"""Times as all systems bound them: what Python can hold, and how far an index must reach for an exact comparison."""

from datetime import UTC, datetime, timedelta

from rowcast.database.relation import Column

# What Python can hold, and a day at each end for time zones: as seconds since 1970, and as days.
FIRST_SECOND, LAST_SECOND = -62135510400, 253402214400
FIRST_DAY, LAST_DAY = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def coarse_bound(column: Column, since: datetime) -> datetime:
    """Return a moment from which an index on the column finds every event time that is at least `since`.

    Stored seconds are rounded, and a wall clock goes back in autumn.
    """
    return max(since, FIRST_DAY) - (timedelta(seconds=1) if column.kind == "number" else timedelta(days=1))
