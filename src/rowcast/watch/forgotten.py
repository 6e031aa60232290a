"""What is missing of a window of days since results were forgotten."""

from datetime import datetime

from rowcast.job.opening import Job


def find_forgotten(job: Job, since: datetime) -> datetime | None:
    """Return up to when results were published that are forgotten; None where all of them are older than `since`."""
    until = job.ledger.forgotten_until()
    return None if until is None or until < since else until
