"""SQL expressions of PostgreSQL."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect
from sqlalchemy.engine.interfaces import BindTyping

from rowcast.database.postgresql.spelled_times import read_time
from rowcast.database.relation import FLOAT32_MAX, Column, RawType
from rowcast.database.times import (
    EXCEL,
    FIRST_DAY,
    LAST_DAY,
    OrderedPart,
    coarse_bound,
    is_coarsely_since,
    is_of_texts,
    list_ordered_numbers,
    to_seconds,
)

# Types that the driver reads and writes as they are; others travel as text or float.
ARROW_TYPES = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
}
_RESERVED = {"collation", "concurrently", "lateral", "system_user", "tablesample"}  # SQLAlchemy does not know them
_DAYS = (f"'{FIRST_DAY.date()}'", f"'{LAST_DAY.date()}'")


class _TextTimestamp(TIMESTAMP):
    """A time that goes out as text.

    For a parameter that the server takes for a zoned time, NULL included, the driver commits the open transaction.
    """

    render_bind_cast = True

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[datetime | None], str | None]:
        return lambda moment: None if moment is None else moment.isoformat()


class _Compiler(PGCompiler):
    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
        text = f"{sqltext}::TEXT" if isinstance(dbapi_type, _TextTimestamp) else sqltext
        cast: str = super().render_bind_cast(type_, dbapi_type, text)  # type: ignore[no-untyped-call]
        return cast


class PostgreSQLExpressions:
    """How PostgreSQL reads keys, times and features; see `Expressions`."""

    text_key = "TEXT"
    ignores_trailing_spaces = False
    # Some have no order, some the driver does not write.
    no_keys = frozenset({"json", "jsonb", "xml", "xid", "point", "line", "polygon"})

    def __init__(self) -> None:
        self.dialect: sa.Dialect = PGDialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        self.dialect._backslash_escapes = False  # standard_conforming_strings is switched on below
        self.dialect.bind_typing = BindTyping.RENDER_CASTS
        self.dialect.colspecs = {**self.dialect.colspecs, sa.DateTime: _TextTimestamp}
        self.dialect.statement_compiler = _Compiler
        preparer = self.dialect.identifier_preparer
        preparer.reserved_words = preparer.reserved_words | _RESERVED

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        base = column.type.split("(")[0]
        if column.kind == "number" and base not in ARROW_TYPES:
            value = sa.cast(sa.cast(value, sa.Numeric), sa.Double)
        elif column.kind in ("category", "other") and base not in ("text", "character varying", "character", "name"):
            value = sa.cast(value, sa.Text)
        return value

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        exact: sa.ColumnElement[Any] = sa.column(column.name)
        if column.type.split("(")[0] not in ARROW_TYPES:
            exact = sa.cast(exact, sa.Numeric)
        value = sa.cast(self.feature(column), sa.Double)
        # NaN counts as larger than any. Compared before the cast, which a numeric beyond a double does not survive.
        return sa.case((sa.func.abs(exact) <= FLOAT32_MAX, value))

    def is_no_nan(self, column: Column) -> sa.ColumnElement[bool]:
        if column.type.split("(")[0] not in ("real", "double precision", "numeric"):
            return sa.true()
        value: sa.ColumnElement[Any] = sa.column(column.name)
        return value != sa.literal_column("'NaN'")

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if column.kind == "number":
            return to_seconds(value, column).is_not(None)
        if is_of_texts(column.time_format):
            value = self._read_text(column)
        first, last = _DAYS
        return sa.and_(value.is_not(None), value.between(sa.literal_column(first), sa.literal_column(last)))

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        if column.kind == "number":
            return sa.func.to_timestamp(sa.cast(to_seconds(value, column), sa.Double))
        if column.type.endswith("with time zone"):
            return value
        if is_of_texts(column.time_format):
            value = self._read_text(column)
            if "%z" in str(column.time_format):
                return value
        return sa.func.timezone(timezone, sa.cast(value, sa.DateTime))

    def _read_text(self, column: Column) -> sa.ColumnElement[Any]:
        name = self.dialect.identifier_preparer.quote_identifier(column.name)
        return sa.literal_column(read_time(name, str(column.time_format)))

    def list_ordered_parts(self, column: Column) -> list[OrderedPart]:
        if column.kind == "number":
            return list_ordered_numbers(column)
        if column.type.endswith("with time zone") or is_of_texts(column.time_format):
            return []
        return [OrderedPart(sa.true(), timedelta(days=1))]  # a wall clock goes back in autumn

    def is_found_by_index(self, column: Column) -> bool:
        return not is_of_texts(column.time_format)

    def cast_text_to_time(self, name: str) -> str:
        return f"to_timestamp({name}, 'DD.MM.YYYY HH24:MI:SS')::timestamp"

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        return sa.cast(sa.literal(moment.isoformat(), sa.Text), sa.DateTime(timezone=True))

    def add_duration(self, event_time: sa.ColumnElement[Any], duration: timedelta) -> sa.ColumnElement[Any]:
        return event_time + sa.cast(sa.literal(f"{duration.total_seconds()} seconds", sa.Text), sa.Interval)

    def hours_between(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(sa.extract("epoch", until - since), sa.Double) / 3600.0

    def event_time_between(
        self, column: Column, timezone: str, since: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        time, bound = self.event_time(column, timezone), self.instant(since)
        exact = time >= bound if until is None else time.between(bound, self.instant(until))
        if column.type.endswith("with time zone") or column.time_format == EXCEL or is_of_texts(column.time_format):
            return exact
        if column.kind == "number":
            return sa.and_(is_coarsely_since(column, since), exact)
        return sa.and_(value >= sa.func.timezone(timezone, self.instant(coarse_bound(column, since))), exact)

    def render_key(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        return sa.cast(value, sa.Text)

    def parse_key(self, text: str, column: Column) -> sa.ColumnElement[Any]:
        return sa.cast(sa.literal(text, sa.Text), RawType(column.type))

    def interpret_key(self, text: str, column: Column) -> list[str]:
        return [text]

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        return sa.cast(value, sa.Text) if column.type.startswith("numeric") else value

    def key_text(self, column: Column) -> sa.ColumnElement[Any]:
        return sa.cast(self.key_value(column), sa.Text)

    def has_exact_text(self, column: Column) -> bool:
        return True
