"""What is missing since results were forgotten, in a sentence."""

from datetime import datetime


def describe_forgotten(until: datetime) -> str:
    """Return that results are missing which were published up to a moment."""
    return f"results published up to {until:%Y-%m-%d %H:%M} UTC were deleted by 'rowcast forget', and are missing here"
