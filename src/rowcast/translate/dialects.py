"""How each system writes what a translated model needs: numbers, texts, names and a few functions."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.sql.compiler import RESERVED_WORDS

from rowcast.source import NOTHING

DialectName = Literal["mssql", "postgresql", "sqlite", "bigquery", "snowflake", "databricks"]

_BLANKS = " \t\n\v\f\r"
_SIMPLE = re.compile("[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class InDatabase:
    """What a system must compute so that the ledger can publish rows which it scored."""

    number_bytes: Callable[[str], str]  # a number's eight bytes in a row's hash
    text_digest: Callable[[str], str]  # a text's eight bytes in it
    first_of_sha256: Callable[[Sequence[str]], str]  # the first eight bytes over others, as a signed integer
    count_at_most: Callable[[str, Sequence[float]], str]  # how many of ascending numbers a value is not below, or NULL


@dataclass(frozen=True)
class Dialect:
    """One system's SQL. Its numbers are all 64-bit floats."""

    name: DialectName
    number: Callable[[float], str]  # a finite number
    text: Callable[[str], str]  # a text literal
    quote: Callable[[str], str]  # the name of a column or table
    float_type: str
    text_type: str
    trim: Callable[[str], str]  # a text without white space around it
    same_text: Callable[[str, str], str]  # whether a value is just this text: case, accents and trailing spaces count
    greatest: Callable[[Sequence[str]], str]  # of numbers that are not NULL
    least: Callable[[Sequence[str]], str]
    is_nan: Callable[[str], str] | None = None  # None where a float holds none
    true: str = "TRUE"
    false: str = "FALSE"
    fence: str = ""  # what keeps a derived table from being written out anew wherever its columns are used
    nesting: int = 60  # how deep CASE nests at most
    trees_together: int = 400  # trees added up in one column
    longest: int | None = None  # characters of a statement that the system takes
    most_terms: int | None = None  # names and numbers in one expression
    most_columns: int = 4000  # of a derived table
    in_database: InDatabase | None = None  # None where rows cannot be scored and published in it

    def case(self, pairs: Sequence[tuple[str, str]], otherwise: str = "NULL") -> str:
        """Return CASE WHEN condition THEN value … ELSE otherwise END; `otherwise` alone without a pair."""
        if not pairs:
            return otherwise
        return "CASE " + " ".join(f"WHEN {when} THEN {then}" for when, then in pairs) + f" ELSE {otherwise} END"

    def literal(self, value: object) -> str:
        """Return a label as the source spells it."""
        if isinstance(value, bool):
            return self.true if value else self.false
        if isinstance(value, int):
            return str(value)
        return self.number(value) if isinstance(value, float) else self.text(str(value))


def _double(value: float) -> str:
    return repr(float(value))


def _exponent(value: float) -> str:
    """A number that no system takes for a decimal."""
    written = repr(float(value))
    return written if "e" in written else f"{written}e0"


def _cast(value: float) -> str:
    return f"{float(value)!r}::float8"


_NOTHING = f"'\\x{NOTHING:016x}'::bytea"


def _number_bytes(value: str) -> str:
    return f"coalesce(float8send(nullif(CAST({value} AS float8) + {_cast(0.0)}, 'NaN')), {_NOTHING})"


def _text_digest(value: str) -> str:
    # By concat(), since a cast takes the spaces from the end of a char(n), which count where it is read.
    digest = f"substring(sha256(convert_to(concat({value}), 'UTF8')) FROM 1 FOR 8)"
    return f"CASE WHEN {value} IS NULL THEN {_NOTHING} ELSE {digest} END"


def _first_of_sha256(parts: Sequence[str]) -> str:
    digest = f"sha256({' || '.join(parts)})"
    return f"CAST(CAST('x' || encode(substring({digest} FROM 1 FOR 8), 'hex') AS bit(64)) AS bigint)"


def _width_bucket(value: str, borders: Sequence[float]) -> str:
    listed = ",".join(repr(float(border)) if abs(border) < math.inf else "Infinity" for border in borders)
    return f"width_bucket(CAST({value} AS float8), CAST('{{{listed}}}' AS float8[]))"


def _doubled(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _escaped(text: str) -> str:
    """Where a backslash begins an escape."""
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    for sign, letter in (("\n", "n"), ("\r", "r"), ("\t", "t")):
        text = text.replace(sign, f"\\{letter}")
    return f"'{text}'"


def _called(function: str) -> Callable[[Sequence[str]], str]:
    return lambda values: f"{function}({', '.join(values)})" if len(values) > 1 else values[0]


def _of_values(function: str) -> Callable[[Sequence[str]], str]:
    """T-SQL's, which before 2022 has no GREATEST."""

    def write(values: Sequence[str]) -> str:
        listed = ", ".join(f"({value})" for value in values)
        return f"(SELECT {function}(v) FROM (VALUES {listed}) AS every_one(v))"  # noqa: S608

    return write


def _equals(collation: str = "") -> Callable[[str, str], str]:
    return lambda value, text: f"{value}{collation} = {text}"


def _in_backticks(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _doubled_backticks(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _in_quotes(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _where_needed(name: str) -> str:
    """Snowflake folds names that are not quoted to upper case, as it folded them when the table was made."""
    return name if _SIMPLE.fullmatch(name) and name not in RESERVED_WORDS else _in_quotes(name)


DIALECTS: dict[DialectName, Dialect] = {
    "sqlite": Dialect(
        "sqlite",
        number=_double,
        text=_doubled,
        quote=_in_quotes,
        float_type="REAL",
        text_type="TEXT",
        trim=lambda value: f"trim({value}, ' ' || char(9, 10, 11, 12, 13))",
        same_text=_equals(" COLLATE BINARY"),
        greatest=_called("max"),
        least=_called("min"),
        true="1",
        false="0",
        fence=" LIMIT -1 OFFSET 0",
        most_columns=1900,
    ),
    "postgresql": Dialect(
        "postgresql",
        number=_cast,
        text=_doubled,
        quote=_in_quotes,
        float_type="double precision",
        text_type="text",
        trim=lambda value: f"btrim({value}, E' \\t\\n\\x0b\\f\\r')",
        same_text=_equals(' COLLATE "C"'),
        greatest=_called("greatest"),
        least=_called("least"),
        is_nan=lambda value: f"{value} = 'NaN'",
        fence=" OFFSET 0",
        most_columns=1600,
        in_database=InDatabase(_number_bytes, _text_digest, _first_of_sha256, _width_bucket),
    ),
    "mssql": Dialect(
        "mssql",
        number=_exponent,
        text=lambda text: "N" + _doubled(text),
        quote=lambda name: "[" + name.replace("]", "]]") + "]",
        float_type="float",
        text_type="nvarchar(4000)",
        trim=lambda value: (
            f"TRIM(NCHAR(9) + NCHAR(10) + NCHAR(11) + NCHAR(12) + NCHAR(13) + N' ' FROM {value})"  # from 2017 on
        ),
        # A sign behind both, since spaces at the end count for nothing there.
        same_text=lambda value, text: f"{value} + N'|' COLLATE Latin1_General_100_BIN2 = {text} + N'|'",
        greatest=_of_values("MAX"),
        least=_of_values("MIN"),
        true="1",
        false="0",
        nesting=6,  # ten at most, with what derived tables bring where the server writes them out
        trees_together=1,
        most_terms=65_535,
    ),
    "bigquery": Dialect(
        "bigquery",
        number=_exponent,
        text=_escaped,
        quote=_in_backticks,
        float_type="FLOAT64",
        text_type="STRING",
        trim=lambda value: f"TRIM({value}, ' \\t\\n\\v\\f\\r')",
        same_text=_equals(),
        greatest=_called("GREATEST"),
        least=_called("LEAST"),
        is_nan=lambda value: f"IS_NAN({value})",
        longest=1_000_000,
    ),
    "snowflake": Dialect(
        "snowflake",
        number=lambda value: f"{float(value)!r}::FLOAT",
        text=lambda text: "'" + text.replace("\\", "\\\\").replace("'", "''") + "'",
        quote=_where_needed,
        float_type="FLOAT",
        text_type="VARCHAR",
        trim=lambda value: f"TRIM({value}, ' \\t\\n\\x0b\\f\\r')",
        same_text=_equals(),
        greatest=_called("GREATEST"),
        least=_called("LEAST"),
        is_nan=lambda value: f"{value} = 'NaN'::FLOAT",
        longest=1_000_000,
    ),
    "databricks": Dialect(
        "databricks",
        number=_exponent,
        text=_escaped,
        quote=_doubled_backticks,
        float_type="DOUBLE",
        text_type="STRING",
        trim=lambda value: f"TRIM(BOTH ' \\t\\n\\r' FROM {value})",
        same_text=_equals(),
        greatest=_called("GREATEST"),
        least=_called("LEAST"),
        is_nan=lambda value: f"isnan({value})",
    ),
}
