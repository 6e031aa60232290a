"""Moments as people write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rowcast.errors import ConfigError


def parse_instant(text: str, timezone: str) -> datetime:
    """Return an ISO 8601 moment in UTC; without a zone it is in `timezone`. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is not a moment", hint="write 2026-05-01 or 2026-05-01T06:00:00+02:00") from None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"'{text}' is no moment of the years 1 to 9999", hint="write 2026-05-01") from None
