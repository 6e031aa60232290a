"""SQL expressions of SQL Server."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rowcast.database.mssql import tsql
from rowcast.database.mssql.spelled_times import read_time
from rowcast.database.relation import FLOAT32_MAX, Column, RawType
from rowcast.database.times import EXCEL, FIRST_DAY, LAST_DAY, OrderedPart, coarse_bound, is_of_texts, to_seconds

_DAYS = (FIRST_DAY, LAST_DAY - timedelta(days=1))
_FIRST_YEARS = {"smalldatetime": 1900, "datetime": 1753}


class MSSQLExpressions:
    """How SQL Server reads keys, times and features; see `Expressions`."""

    text_key = "NVARCHAR(400) COLLATE Latin1_General_100_BIN2"  # of another system: alike only where equal
    ignores_trailing_spaces = True
    no_keys: frozenset[str] = frozenset(
        {"text", "ntext", "image", "xml", "sql_variant", "geography", "geometry", "hierarchyid"}
    )

    def __init__(self) -> None:
        self.dialect = tsql.make_dialect()

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if tsql.base(column.type) in ("decimal", "numeric", "money", "smallmoney"):
            return sa.cast(value, sa.Double)
        return value

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        value = sa.cast(self.feature(column), sa.Double)
        return sa.case((sa.func.abs(value) <= FLOAT32_MAX, value))

    def is_no_nan(self, column: Column) -> sa.ColumnElement[bool]:
        return sa.true()  # a float of SQL Server holds none

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if column.kind == "number":
            return to_seconds(value, column).is_not(None)
        if is_of_texts(column.time_format):
            value = self._read_text(column)
        first, last = _DAYS
        return sa.and_(value.is_not(None), value.between(self.instant(first), self.instant(last)))

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        # Compared as UTC without a zone; the server takes that for UTC beside a datetimeoffset as well.
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if column.kind == "number":
            return tsql.add_to_1970(to_seconds(value, column))
        if is_of_texts(column.time_format):
            value = self._read_text(column)
            if timezone == "UTC" or "%z" in str(column.time_format):
                return value
        elif self._is_utc(column, timezone):
            return value
        if timezone == "UTC" or tsql.base(column.type) == "datetimeoffset":
            return sa.cast(value, tsql.MILLISECONDS)
        zone: sa.ColumnElement[Any] = sa.literal_column(tsql.quote_text(tsql.find_zone(timezone)))
        zoned = sa.cast(value, tsql.MICROSECONDS).op("AT TIME ZONE")(zone)
        return sa.cast(zoned.op("AT TIME ZONE")(sa.literal_column("N'UTC'")), tsql.MICROSECONDS)

    def _read_text(self, column: Column) -> sa.ColumnElement[Any]:
        return sa.literal_column(read_time(tsql.quote(column.name), str(column.time_format)))

    def _is_utc(self, column: Column, timezone: str) -> bool:
        """Return whether the column itself can be compared with UTC, so that an index on it serves.

        What a datetime shows is rounded: .007 is .0066667 to the server.
        """
        base = tsql.base(column.type)
        return base == "datetimeoffset" or (timezone == "UTC" and base not in ("datetime", *tsql.NUMBERS))

    def list_ordered_parts(self, column: Column) -> list[OrderedPart]:
        return []

    def is_found_by_index(self, column: Column) -> bool:
        return not is_of_texts(column.time_format)

    def cast_text_to_time(self, name: str) -> str:
        return f"TRY_CONVERT(datetime2, {name}, 104)"

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        wall = moment.astimezone(UTC).replace(tzinfo=None)
        return sa.cast(sa.literal_column(tsql.quote_text(wall.isoformat("T", "microseconds"))), tsql.MICROSECONDS)

    def add_duration(self, event_time: sa.ColumnElement[Any], duration: timedelta) -> sa.ColumnElement[Any]:
        parts = (("day", duration.days), ("second", duration.seconds), ("microsecond", duration.microseconds))
        for unit, count in parts:
            if count:  # DATEADD takes no more than an int at a time
                event_time = sa.func.DATEADD(sa.literal_column(unit), sa.literal_column(str(count)), event_time)
        return event_time

    def hours_between(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.DATEDIFF_BIG(sa.literal_column("microsecond"), since, until) / sa.literal_column("3.6e9")

    def event_time_between(
        self, column: Column, timezone: str, since: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        time, bound = self.event_time(column, timezone), self.instant(since)
        exact = time >= bound if until is None else time.between(bound, self.instant(until))
        if is_of_texts(column.time_format) or column.time_format == EXCEL or self._is_utc(column, timezone):
            return exact
        early = coarse_bound(column, since)  # by which the index finds
        coarse: sa.ColumnElement[Any]
        if column.kind == "number":
            coarse = sa.literal_column(repr(early.timestamp()))
        else:
            first = datetime(_FIRST_YEARS.get(tsql.base(column.type), 1), 1, 2, tzinfo=UTC)
            early = max(early, first)
            coarse = sa.cast(sa.literal_column(tsql.quote_text(f"{early:%Y-%m-%dT%H:%M:%S}")), RawType(column.type))
        return sa.and_(value >= coarse, exact)

    def render_key(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        return tsql.render(value, column.type)

    def parse_key(self, text: str, column: Column) -> sa.ColumnElement[Any]:
        if tsql.base(column.type) in tsql.INTEGERS and re.fullmatch(r"-?\d{1,19}", text):
            return sa.literal_column(text)
        return tsql.parse(sa.literal_column(tsql.quote_text(text)), column.type)

    def interpret_key(self, text: str, column: Column) -> list[str]:
        return [text]

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        return tsql.render(value, column.type) if tsql.travels_as_text(column.type) else value

    def key_text(self, column: Column) -> sa.ColumnElement[Any]:
        return tsql.render(sa.column(column.name), column.type)

    def has_exact_text(self, column: Column) -> bool:
        return True
