"""SQL expressions of SQLite, where times are text (ISO 8601) or Unix seconds, compared to the millisecond."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from rowcast.database.literals import quote_text
from rowcast.database.relation import FLOAT32_MAX, Column
from rowcast.database.sqlite.mixed import Key
from rowcast.database.sqlite.spelled_times import find_transitions, read_time
from rowcast.database.times import EXCEL, SECONDS, OrderedPart, list_ordered_numbers, to_seconds
from rowcast.errors import DatabaseError

_RENDERED = re.compile(
    r"-?\d+(\.\d+)?(e[+-]?\d+)?|'([^']|'')*'|X'[0-9A-F]*'|CAST\(X'[0-9A-F]*' AS TEXT\)", re.DOTALL | re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WAIT, _PATIENCE = 1.0, 30.0  # seconds that SQLite waits for a lock, and that are waited in all


class SQLiteExpressions:
    """How SQLite reads keys, times and features; see `Expressions`."""

    text_key = "TEXT"
    ignores_trailing_spaces = False
    no_keys: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.dialect: sa.Dialect = sqlite.dialect(paramstyle="qmark")
        preparer = self.dialect.identifier_preparer
        preparer.reserved_words = preparer.reserved_words | {"nothing", "returning"}  # SQLAlchemy does not know them

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        return sa.column(column.name)

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        value = sa.cast(sa.column(column.name), sa.Double)
        is_number = sa.func.typeof(sa.column(column.name)).in_(("integer", "real"))
        return sa.case((sa.and_(is_number, sa.func.abs(value) <= FLOAT32_MAX), value))

    def is_no_nan(self, column: Column) -> sa.ColumnElement[bool]:
        return sa.true()  # SQLite makes it NULL

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        return self.event_time(column, "UTC").is_not(None)

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        counted = sa.func.typeof(value).in_(("integer", "real"))
        spelled: sa.ColumnElement[Any] = sa.literal_column(
            read_time(self._quoted(column.name), column.time_format, timezone)
        )
        seconds: sa.ColumnElement[Any] = sa.case((counted, to_seconds(value, column)), else_=spelled)
        if column.time_format in (None, EXCEL, SECONDS):  # most often ISO 8601, which is read at less cost
            dated: sa.ColumnElement[bool] = value.op("GLOB")("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*")
            of_text: sa.ColumnElement[Any] = sa.func.unixepoch(value, "subsec")
            if timezone != "UTC":
                of_text = of_text - _zone_offset(value, timezone)
            dated = sa.and_(sa.func.typeof(value) == "text", dated, value.between("0001-01-02", "9999-12-31"))
            iso = sa.case((dated, sa.func.coalesce(of_text, spelled)), else_=spelled)
            seconds = sa.case((counted, to_seconds(value, column)), else_=iso)
        return sa.cast(sa.func.round(seconds * 1000.0), sa.Integer) * 1000

    def list_ordered_parts(self, column: Column) -> list[OrderedPart]:
        if column.kind != "number":
            return []  # texts may be of several forms
        value: sa.ColumnElement[Any] = sa.column(column.name)
        text: sa.ColumnElement[Any] = sa.literal_column("''")  # every number comes before it
        numbers = [OrderedPart(sa.and_(part.values, value < text), part.slack) for part in list_ordered_numbers(column)]
        return [*numbers, OrderedPart(value >= text, None)]

    def is_found_by_index(self, column: Column) -> bool:
        return column.kind == "number"

    def cast_text_to_time(self, name: str) -> str:
        return f"datetime({name})"

    def _quoted(self, name: str) -> str:
        return self.dialect.identifier_preparer.quote_identifier(name)

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        return sa.literal((moment - _EPOCH) // _MICROSECOND, sa.Integer)

    def add_duration(self, event_time: sa.ColumnElement[Any], duration: timedelta) -> sa.ColumnElement[Any]:
        return event_time + sa.literal(duration // _MICROSECOND, sa.Integer)

    def hours_between(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return (until - since) / sa.literal(3.6e9, sa.Double)

    def event_time_between(
        self, column: Column, timezone: str, since: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        time = self.event_time(column, timezone)
        if until is None:
            return time >= self.instant(since)
        return time.between(self.instant(since), self.instant(until))  # reads the text once for both

    def render_key(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        # quote() ends a text at its first NUL.
        with_nul = sa.and_(sa.func.typeof(value) == "text", sa.func.instr(value, sa.func.char(0)) > 0)
        spelled = sa.literal("CAST(X'", sa.Text) + sa.func.hex(value) + sa.literal("' AS TEXT)", sa.Text)
        return sa.case((with_nul, spelled), else_=sa.func.quote(value))

    def parse_key(self, text: str, column: Column) -> sa.ColumnElement[Any]:
        if not _RENDERED.fullmatch(text):  # it becomes part of a statement
            raise DatabaseError(f"a stored key bound of {column.name} is damaged", detail=text[:60])
        return sa.literal_column(text)

    def interpret_key(self, text: str, column: Column) -> list[str]:
        if column.integer and re.fullmatch(r"-?\d+", text):
            return [text]
        # A column may hold 5, '5' and X'35' side by side; 007 and 1.50 are no way in which a number is rendered.
        integer = [text] if re.fullmatch(r"0|-?[1-9]\d*", text) else []
        spelled = [text] if _RENDERED.fullmatch(text) and (text[-1] in "')" or repr(float(text)) == text) else []
        return [*integer, quote_text(text), *spelled]

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        return sa.column(column.name, Key(integer=column.integer))

    def key_text(self, column: Column) -> sa.ColumnElement[Any]:
        # No text of another system holds every sequence of bytes, and not each one holds a NUL.
        key, found = self.key_value(column), sa.func.typeof(sa.column(column.name))
        with_nul = sa.and_(found == "text", sa.func.instr(key, sa.func.char(0)) > 0)
        return sa.case((sa.or_(found == "blob", with_nul), sa.func.hex(key)), else_=sa.cast(key, sa.Text))

    def has_exact_text(self, column: Column) -> bool:
        return False  # a real has 15 digits as text, and bytes look like the text of their digits


def _zone_offset(value: sa.ColumnElement[Any], timezone: str) -> sa.ColumnElement[Any]:
    """Return the seconds by which a text without a zone is ahead of UTC; 0 for one that carries its zone."""
    trimmed = sa.func.rtrim(value)
    zoned = sa.or_(trimmed.op("GLOB")("*[Zz]"), trimmed.op("GLOB")("*[+-][0-9][0-9]:[0-9][0-9]"))
    wall = sa.func.unixepoch(value)
    return sa.case((zoned, 0), else_=_search_steps(wall, find_transitions(timezone)))


def _search_steps(wall: sa.ColumnElement[Any], steps: tuple[tuple[int, int], ...]) -> sa.ColumnElement[Any]:
    """Return a binary search over (wall-clock second from which it holds, offset) as nested CASE."""
    if len(steps) == 1:
        return sa.literal(steps[0][1], sa.Integer)
    middle = len(steps) // 2
    return sa.case(
        (wall < steps[middle][0], _search_steps(wall, steps[:middle])), else_=_search_steps(wall, steps[middle:])
    )
