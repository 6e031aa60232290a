"""T-SQL as rowcast writes it: SQLAlchemy's dialect with Unicode throughout, the server's types, and keys as text."""

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mssql import DATETIME2
from sqlalchemy.dialects.mssql.base import MSSQLCompiler, MSTypeCompiler
from sqlalchemy.dialects.mssql.mssqlpython import MSDialect_mssqlpython

from rowcast.database.relation import ColumnKind
from rowcast.errors import ConfigError

MICROSECONDS, MILLISECONDS = DATETIME2(6), DATETIME2(3)  # type: ignore[no-untyped-call]

_KINDS: dict[str, ColumnKind] = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "decimal", "numeric"), "number"),
    **dict.fromkeys(("money", "smallmoney", "float", "real"), "number"),
    **dict.fromkeys(("char", "varchar", "nchar", "nvarchar"), "category"),
    **dict.fromkeys(("date", "smalldatetime", "datetime", "datetime2", "datetimeoffset"), "time"),
    "bit": "boolean",
}
NUMBERS = tuple(name for name, kind in _KINDS.items() if kind == "number")
INTEGERS = ("tinyint", "smallint", "int", "bigint")
CHARACTERS = ("char", "varchar", "nchar", "nvarchar")
_BINARIES = ("binary", "varbinary", "timestamp", "rowversion")
# The style by which CONVERT writes a value so that it reads back the same.
_STYLES = {"float": 3, "real": 3, "money": 2, "smallmoney": 2, "date": 23, "time": 121, "datetimeoffset": 121}
_STYLES |= dict.fromkeys(("datetime", "smalldatetime", "datetime2"), 126) | dict.fromkeys(_BINARIES, 1)


class _Compiler(MSSQLCompiler):
    def visit_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> str:
        if bindparam.value is None and bindparam.callable is None and not bindparam.required:
            return "NULL"  # a NULL that is bound has a type, which not every column takes
        return super().visit_bindparam(bindparam, *args, **kw)  # type: ignore[no-untyped-call,no-any-return]

    def visit_count_func(self, fn: Any, **kw: Any) -> str:
        return "COUNT_BIG" + self.function_argspec(fn, **kw)  # COUNT ends at 2,147,483,647 rows

    # A truth value is a condition to the server and no value, except beside a bit.

    def visit_true(self, expr: Any, **kw: Any) -> str:
        return "1 = 1"

    def visit_false(self, expr: Any, **kw: Any) -> str:
        return "0 = 1"

    def visit_is_true_unary_operator(self, element: Any, operator: Any, **kw: Any) -> str:
        if isinstance(element.element, sa.True_ | sa.False_):
            return self.process(element.element, **kw)
        return super().visit_is_true_unary_operator(element, operator, **kw)  # type: ignore[no-untyped-call,no-any-return]

    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> str:
        if isinstance(binary.right, sa.True_ | sa.False_):
            bit: sa.ColumnElement[Any] = sa.literal_column("1" if isinstance(binary.right, sa.True_) else "0")
            binary = sa.BinaryExpression(binary.left, bit, binary.operator)
        return super().visit_binary(binary, *args, **kw)  # type: ignore[no-untyped-call,no-any-return]

    def visit_current_timestamp_func(self, fn: Any, **kw: Any) -> str:
        return "SYSDATETIMEOFFSET()"  # CURRENT_TIMESTAMP is the server's wall clock, without its zone

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> str:
        text: str = super().visit_column(column, *args, **kw)
        schema = getattr(column.table, "schema", None)  # schema.table.column is a deprecated form
        return text.removeprefix(f"{self.preparer.quote_schema(schema)}.") if schema else text


class _TypeCompiler(MSTypeCompiler):
    def visit_TEXT(self, type_: Any, **kw: Any) -> str:
        return "NVARCHAR(max)"

    visit_text = visit_unicode_text = visit_TEXT

    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:
        return f"NVARCHAR({type_.length or 'max'})"


class _Unicode(sa.String):
    """Texts written into a statement are Unicode ones, or characters outside the code page would be lost."""

    def literal_processor(self, dialect: sa.Dialect) -> Any:
        return quote_text


def make_dialect() -> sa.Dialect:
    """Return SQLAlchemy's dialect as rowcast needs it: every name quoted, every text Unicode."""
    made: Any = MSDialect_mssqlpython(paramstyle="qmark", deprecate_large_types=True)  # type: ignore[no-untyped-call]
    made.statement_compiler = _Compiler
    made.type_compiler_instance = _TypeCompiler(made)
    made.identifier_preparer._requires_quotes = lambda _: True  # the server has words that SQLAlchemy does not know
    made.colspecs = {**made.colspecs, sa.String: _Unicode, sa.Text: _Unicode, sa.Unicode: _Unicode}
    return made  # type: ignore[no-any-return]


def quote_text(value: str) -> str:
    """Return a text as a Unicode literal."""
    return "N'" + value.replace("'", "''") + "'"


def quote(name: str) -> str:
    """Return a name in brackets."""
    return "[" + name.replace("]", "]]") + "]"


def quote_table(table: sa.Table) -> str:
    """Return a table's name with its schema, quoted."""
    schema = f"{quote(table.schema)}." if table.schema else ""
    return schema + quote(table.name)


def find_kind(base: str) -> ColumnKind:
    """Return the kind of a column by the name of its type."""
    return _KINDS.get(base, "other")


def base(spelled: str) -> str:
    """Return the type's name alone: nvarchar of nvarchar(20) COLLATE Latin1_General_CI_AS."""
    return re.split(r"[ (]", spelled, maxsplit=1)[0].lower()


def spell(name: str, length: int, precision: int, scale: int, collation: str | None) -> str:
    """Return a type as a column of it is declared. A row version is declared as the bytes that it consists of."""
    if name in ("timestamp", "rowversion"):
        return "binary(8)"
    found = name
    if name in ("char", "varchar", "binary", "varbinary", "nchar", "nvarchar"):
        found += f"({'max' if length < 0 else length // 2 if name.startswith('n') else length})"
    elif name in ("decimal", "numeric"):
        found += f"({precision},{scale})"
    elif name in ("datetime2", "datetimeoffset", "time"):
        found += f"({scale})"
    return f"{found} COLLATE {collation}" if collation and name in CHARACTERS else found


def travels_as_text(spelled: str) -> bool:
    """Return whether a key of this type travels as text: as Arrow it would lose digits, or is not written."""
    return base(spelled) not in (*INTEGERS, *CHARACTERS)


def render(value: sa.ColumnElement[Any], spelled: str) -> sa.ColumnElement[Any]:
    """Return a value as text from which `parse` makes it again."""
    if base(spelled) in CHARACTERS:
        return value
    style = _STYLES.get(base(spelled))
    length: sa.ColumnElement[Any] = sa.literal_column("NVARCHAR(max)" if base(spelled) in _BINARIES else "NVARCHAR(60)")
    return sa.func.CONVERT(length, value, *([sa.literal_column(str(style))] if style is not None else []))


def parse(value: sa.ColumnElement[Any], spelled: str) -> sa.ColumnElement[Any]:
    """Return the value that `render` gave as text."""
    type_, _, collation = spelled.partition(" COLLATE ")
    plain: sa.ColumnElement[Any] = sa.literal_column(type_)
    if collation and base(spelled) in ("char", "varchar"):  # it names the code page, which may not be the database's
        value = value.op("COLLATE")(sa.literal_column(collation))
    style = _STYLES.get(base(spelled))
    if base(spelled) in ("float", "real", "money", "smallmoney", "datetimeoffset"):
        style = None  # needed to write only
    return sa.func.CONVERT(plain, value, *([sa.literal_column(str(style))] if style is not None else []))


def split_name(table: str) -> list[str]:
    """Return the parts of a table's name, however they are quoted: [Messwerte Anlage 3].[Wafer Ä] has two."""
    found = re.findall(r'\[((?:[^\]]|\]\])*)\](?:\.|$)|"((?:[^"]|"")*)"(?:\.|$)|([^.\["][^.]*)(?:\.|$)', table)
    return [one.replace("]]", "]") or two.replace('""', '"') or three for one, two, three in found]


def find_zone(timezone: str) -> str:
    """Return the server's own name of a time zone: it takes those of Windows. Raises ConfigError."""
    from tzlocal.windows_tz import tz_win

    if timezone not in tz_win:
        raise ConfigError(
            f"SQL Server knows no time zone {timezone}", hint="name a city of the same zone, such as Europe/Berlin"
        )
    return str(tz_win[timezone])


def add_to_1970(seconds: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the instant so many seconds after 1970: DATEADD takes no more than an int at a time."""
    exact = sa.cast(seconds, sa.Double)
    whole = sa.func.FLOOR(exact)
    days = sa.func.FLOOR(whole / 86_400.0)
    found: sa.ColumnElement[Any] = sa.cast(sa.literal_column("N'1970-01-01'"), MICROSECONDS)
    rest = sa.func.ROUND((exact - whole) * 1e6, 0)
    for unit, count in (("day", days), ("second", whole - days * 86_400.0), ("microsecond", rest)):
        found = sa.func.DATEADD(sa.literal_column(unit), sa.cast(count, sa.Integer), found)
    return found
