"""Days as the clock of a place shows them, which last 23 or 25 hours where it is put forward or back."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Days:
    """Days of a time zone, counted from a first one, which is 0."""

    first: date
    timezone: str

    @property
    def start(self) -> datetime:
        """The moment at which the first one begins, in UTC."""
        return self._midnight.astimezone(UTC)

    def date(self, number: int) -> date:
        """Return the date of a day by its number."""
        return self.first + timedelta(days=number)

    def shifts(self, until: datetime) -> Iterator[tuple[float, float]]:
        """Yield when the clock is changed after the first day began, in hours since then, and by how many hours.

        Hours since the start, with all changes up to then added, are the hours that the clock has counted.
        """
        start, zone = self.start, ZoneInfo(self.timezone)
        offset, low = self._midnight.utcoffset() or timedelta(), start
        while low <= until:
            high = low + timedelta(days=1)
            if _offset(high, zone) != offset or _offset(low, zone) != offset:
                changed = low if _offset(low, zone) != offset else _search(low, high, zone)
                yield (changed - start) / _HOUR, (_offset(changed, zone) - offset) / _HOUR
                offset = _offset(changed, zone)
                low = changed
            else:
                low = high

    @property
    def _midnight(self) -> datetime:
        return datetime.combine(self.first, time(), ZoneInfo(self.timezone))


def days_until(now: datetime, count: int, timezone: str) -> Days:
    """Return days of which the last of so many is that of a moment."""
    return Days(now.astimezone(ZoneInfo(timezone)).date() - timedelta(days=count - 1), timezone)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _search(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The first second at which the offset is another than at `low`; at `high` it is."""
    before = _offset(low, zone)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high
