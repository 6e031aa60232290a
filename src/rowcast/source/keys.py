"""Keys as the source orders and renders them: Python carries their text and never compares them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyRange:
    """Keys from the first to the last, both included, as text that the source rendered."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    rows: int  # pending rows in it when it was planned
