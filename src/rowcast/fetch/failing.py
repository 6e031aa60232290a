"""Rows and columns that the database cannot compute: read apart from all others, so that these are still read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rowcast.database import Column
from rowcast.errors import DatabaseError
from rowcast.source import Fetched

_TOGETHER = 500  # rows that are first tried together: SQLite refuses expressions that are a thousand deep
_MOST_FAILING = 100, 0.1  # rows, and share of them: where more fail, columns are at fault

Key = tuple[str, ...]
Read = Callable[[Sequence[Column], Sequence[Key] | None], Fetched]  # columns, and rows by rendered keys: None for all


@dataclass(frozen=True)
class Failing:
    """What the database could not compute."""

    keys: tuple[Key, ...] = ()  # of the rows that are left out
    columns: tuple[str, ...] = ()  # that are left out
    error: DatabaseError | None = None  # the first one

    def __bool__(self) -> bool:
        return self.error is not None


def read_around(
    read: Read, columns: Sequence[Column], keys: Sequence[Key], error: DatabaseError
) -> tuple[list[Fetched], Failing]:
    """Return the rows with these keys in their order, some at a time, without those whose values cannot be computed.

    `error` is what reading all of them raised. Where too many rows fail, columns are left out instead, each of which
    cannot be read by itself. Raise `error` where neither helps.
    """
    found: list[Fetched] = []
    failed: list[Key] = []
    most = max(1.0, min(_MOST_FAILING[0], _MOST_FAILING[1] * len(keys)))
    waiting = [keys[start : start + _TOGETHER] for start in range(0, len(keys), _TOGETHER)]
    while waiting and len(failed) <= most:
        part = waiting.pop(0)
        fetched = _try(read, columns, part)
        if fetched is not None:
            found.append(fetched)
        elif len(part) == 1:
            failed.extend(part)
        else:
            waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
    if len(failed) <= most and found:
        return found, Failing(tuple(failed), (), error)
    left_out = _find_failing_columns(read, columns)
    kept = [column for column in columns if column.name not in left_out]
    whole = _try(read, kept, None) if left_out and kept else None
    if whole is None:
        raise error
    return [whole], Failing((), tuple(left_out), error)


def _find_failing_columns(read: Read, columns: Sequence[Column]) -> list[str]:
    """Return the columns that cannot be read in all rows, each by itself."""
    if _try(read, columns, None) is not None:
        return []
    if len(columns) < 2:
        return [column.name for column in columns]
    half = len(columns) // 2
    return [*_find_failing_columns(read, columns[:half]), *_find_failing_columns(read, columns[half:])]


def _try(read: Read, columns: Sequence[Column], keys: Sequence[Key] | None) -> Fetched | None:
    """Return the rows, None where the database cannot compute one of their values."""
    try:
        return read(columns, keys)
    except DatabaseError as error:
        if error.reason != "other":
            raise
        return None
