"""Times that are not what they seem: texts that cannot be read, and days as Excel counts them."""

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from rowcast.errors import DatabaseError
from rowcast.source import Source

_EXCEL = (20_000, 80_000)  # days of 1954 to 2119; as seconds, all of them lie on the first day of 1970


class OddTimeCause(StrEnum):
    """Why the times of labelled rows are of no use."""

    UNREADABLE = "unreadable"
    EXCEL = "excel"


@dataclass(frozen=True)
class OddTimes:
    """Labelled rows whose time is of no use."""

    cause: OddTimeCause
    rows: int
    labelled: int  # of how many
    example: str  # as the source holds it

    @property
    def hint(self) -> str:
        """The setting that mends it."""
        if self.cause is OddTimeCause.EXCEL:
            return 'they look like days as Excel counts them: set [source] time_format = "excel", or "seconds" if not'
        return (
            "set [source] time_format, such as '%m/%d/%Y %H:%M'; read without it are ISO 8601, 2026/12/01, 01.12.2026"
            " and counts since 1970"
        )


def find_odd_times(source: Source) -> OddTimes | None:
    """Return what is odd about the event times of labelled rows: some cannot be read, or all look like Excel's days."""
    if source.time is None:
        return None
    value: sa.ColumnElement[object] = sa.column(source.time.name)
    labelled, there = sa.column(source.label.name).is_not(None), value.is_not(None)
    unreadable = sa.and_(labelled, there, ~source.db.sql.has_event_time(source.time))
    conditions = {OddTimeCause.UNREADABLE: unreadable}
    if source.time.time_format is None and (source.time.kind == "number" or source.db.dialect.name == "sqlite"):
        number = sa.and_(there, value.between(*_EXCEL))
        if source.db.dialect.name == "sqlite":
            number = sa.and_(number, sa.func.typeof(value).in_(("integer", "real")))
        conditions[OddTimeCause.EXCEL] = sa.and_(labelled, number)
    counts = [sa.func.sum(sa.case((part, 1), else_=0)).label(cause.value) for cause, part in conditions.items()]
    [found] = source.db.rows(source.select(sa.func.sum(sa.case((labelled, 1), else_=0)).label("labelled"), *counts))
    total = int(found["labelled"] or 0)
    for cause, condition in conditions.items():
        rows = int(found[cause.value] or 0)
        if rows and (cause is OddTimeCause.UNREADABLE or rows == total):
            return OddTimes(cause, rows, total, _example(source, condition))
    return None


def _example(source: Source, condition: sa.ColumnElement[bool]) -> str:
    assert source.time is not None
    value: sa.ColumnElement[str] = sa.cast(sa.column(source.time.name), sa.String)
    try:
        return str(source.db.scalar(source.select(sa.func.min(value).label("example")).where(condition)))
    except DatabaseError:
        return ""
