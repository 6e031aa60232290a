"""A row's values as a model sees them, and whether they keep the contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rowcast.config import Reading
from rowcast.contract import ColumnRule
from rowcast.database import Column
from rowcast.errors import ModelError
from rowcast.translate.dialects import Dialect
from rowcast.translate.rounding import FLOAT32_MAX

_YES, _NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_NO_NUMBER = ("nan", "+nan", "-nan")  # texts that are read as a number that is missing
VALUE = "\0"  # stands for a value in SQL that is made of it
_WIDEST = ("bigint", "int8", "numeric", "decimal")


@dataclass(frozen=True)
class RowValue:
    """One column of the contract."""

    value: str  # of the source's column: what it means, NULL where missing
    mistyped: str | None  # a condition of the source's column: it means nothing of its kind
    broken: tuple[str, ...]  # conditions of `VALUE`, one of which holds where it breaks the contract
    seen: str  # of `VALUE`: what the model sees, a category as its code


@dataclass(frozen=True)
class ColumnWriter:
    """Writes columns of the source in one system's SQL."""

    dialect: Dialect
    reading: Reading
    is_own: bool  # whether the source's database is of this system
    hours: Mapping[str, str] = field(default_factory=dict)  # SQL of the time columns, as hours before the event

    def write(self, column: Column, rule: ColumnRule) -> RowValue:
        """Return a column by its rule. Raise ModelError where this system's SQL cannot read it as rowcast does."""
        if rule.kind == "number":
            return self._number(column, rule)
        return self._boolean(column, rule) if rule.kind == "boolean" else self._category(column, rule)

    # Numbers

    def _number(self, column: Column, rule: ColumnRule) -> RowValue:
        value, mistyped = self._read_number(column, rule)
        number = self.dialect.number
        broken = [f"{VALUE} > {number(FLOAT32_MAX)}", f"{VALUE} < {number(-FLOAT32_MAX)}"]
        broken += [] if rule.min is None else [f"{VALUE} < {number(rule.min)}"]
        broken += [] if rule.max is None else [f"{VALUE} > {number(rule.max)}"]
        fits = f"{VALUE} BETWEEN {number(-FLOAT32_MAX)} AND {number(FLOAT32_MAX)}"
        return RowValue(value, mistyped, self._with_null(broken, rule), self.dialect.case([(fits, VALUE)]))

    def _read_number(self, column: Column, rule: ColumnRule) -> tuple[str, str | None]:
        name = self.dialect.quote(column.name)
        if column.name in self.hours:
            return self.hours[column.name], None
        if column.kind == "boolean" and not self._is_sqlite:
            return self.dialect.case([(f"{name} = {self.dialect.true}", "1"), (f"{name} IS NOT NULL", "0")]), None
        if column.kind not in ("number", "boolean"):
            raise self._refuse(column, rule)
        if self._is_sqlite:
            self._require_point(column)
            is_number = f"typeof({name}) IN ('integer', 'real')"
            marked = self._is_marked(name, column)
            value = self.dialect.case([(f"{is_number}{marked}", name)])
            return value, self._is_other(name, is_number, _NO_NUMBER)
        value = f"CAST({name} AS {self.dialect.float_type})"
        if any(column.type.lower().startswith(base) for base in _WIDEST) and column.integer:
            # Rounded to a float32 at once, as the model's matrix is: an integer beyond 2 ** 53 would be rounded twice.
            single = {"postgresql": "real", "mssql": "real", "databricks": "FLOAT"}.get(self.dialect.name)
            value = f"CAST(CAST({name} AS {single}) AS {self.dialect.float_type})" if single else value
        there = self._is_marked(name, column)
        if self.dialect.is_nan is not None and not column.integer:
            there += f" AND NOT {self.dialect.is_nan(f'CAST({name} AS {self.dialect.float_type})')}"
        return (self.dialect.case([(f"{name} IS NOT NULL{there}", value)]) if there else value), None

    def _is_marked(self, name: str, column: Column) -> str:
        """The further condition that a number is none of those that mean 'not measured'."""
        if not self.reading.numbers:
            return ""
        marks = list(self.reading.numbers)
        if column.type.lower().split("(")[0] in ("real", "float4") and not self._is_sqlite:
            with np.errstate(over="ignore"):
                marks = [float(np.float32(mark)) for mark in marks]
        found = [mark for mark in marks if np.isfinite(mark)]
        listed = ", ".join(map(self.dialect.number, found))
        return f" AND CAST({name} AS {self.dialect.float_type}) NOT IN ({listed})" if found else ""

    # Truth values

    def _boolean(self, column: Column, rule: ColumnRule) -> RowValue:
        name, case = self.dialect.quote(column.name), self.dialect.case
        null = self._with_null([], rule)
        if column.kind == "boolean" and not self._is_sqlite:
            true = f"{name} = {self.dialect.true}"
            return RowValue(case([(true, "1"), (f"{name} IS NOT NULL", "0")]), None, null, VALUE)
        if column.kind in ("number", "boolean"):
            marked = self._is_marked(name, column)
            value = case([(f"{name} = 1{marked}", "1"), (f"{name} = 0{marked}", "0")])
            mistyped = f"({name} NOT IN (0, 1){marked})"
            if self._is_sqlite:
                words = f"lower({self.dialect.trim(name)})"
                yes, no = (", ".join(map(self.dialect.text, words)) for words in (_YES, _NO))
                value = case(
                    [
                        (f"typeof({name}) = 'text' AND {words} IN ({yes})", "1"),
                        (f"typeof({name}) = 'text' AND {words} IN ({no})", "0"),
                        (f"{name} = 1{marked}", "1"),
                        (f"{name} = 0{marked}", "0"),
                    ]
                )
                numbers = f"(typeof({name}) IN ('integer', 'real') AND {mistyped})"
                mistyped = f"({numbers} OR {self._is_other(name, self._is_count(name), (*_YES, *_NO))})"
            return RowValue(value, mistyped, null, VALUE)
        if column.kind != "category":
            raise self._refuse(column, rule)
        words = f"lower({self.dialect.trim(f'CAST({name} AS {self.dialect.text_type})')})"
        known = {"1": _YES, "0": _NO}
        pairs = [(f"{words} IN ({', '.join(map(self.dialect.text, of))})", value) for value, of in known.items()]
        mistyped = self._is_other(name, "1 = 0", (*_YES, *_NO), spelled=words)
        return RowValue(case(pairs), mistyped, null, VALUE)

    # Categories

    def _category(self, column: Column, rule: ColumnRule) -> RowValue:
        name, case, text = self.dialect.quote(column.name), self.dialect.case, self.dialect.text
        spelled, mistyped = f"CAST({name} AS {self.dialect.text_type})", None
        if column.kind == "boolean" and not self._is_sqlite:
            true = f"{name} = {self.dialect.true}"
            spelled = case([(true, text("true")), (f"{name} IS NOT NULL", text("false"))])
        elif column.kind == "number" and column.integer:
            marked = self._is_marked(name, column)
            spelled = case([(f"{name} IS NOT NULL{marked}", spelled)])
        elif column.kind != "category":
            raise self._refuse(column, rule)
        elif self._is_sqlite:
            mistyped = f"typeof({name}) = 'blob'"
            spelled = case([(f"typeof({name}) <> 'blob'", spelled)])
        elif column.type.lower().startswith(("character(", "char(", "bpchar")) and self.dialect.name == "postgresql":
            spelled = case([(f"{name} IS NOT NULL", f"concat({name}, '')")])  # which keeps spaces at its end
        if self.reading.texts and column.kind == "category":
            absent = ", ".join(text(each) for each in sorted(self.reading.texts))
            spelled = case([(f"{self.dialect.trim(spelled)} NOT IN ({absent})", spelled)])
        codes = [(self.dialect.same_text(VALUE, text(each)), str(code)) for code, each in _coded(rule)]
        seen = case(codes) if codes else f"CAST(NULL AS {self.dialect.float_type})"
        closed = [f"({VALUE} IS NOT NULL AND {seen} IS NULL)"] if rule.closed else []
        return RowValue(spelled, mistyped, self._with_null(closed, rule), seen)

    @property
    def _is_sqlite(self) -> bool:
        """Whether any column may hold a value of any type."""
        return self.dialect.name == "sqlite"

    def _with_null(self, broken: list[str], rule: ColumnRule) -> tuple[str, ...]:
        return (*broken, *(() if rule.nullable else (f"{VALUE} IS NULL",)))

    def _is_count(self, name: str) -> str:
        return f"typeof({name}) IN ('integer', 'real')"

    def _is_other(self, name: str, fits: str, words: tuple[str, ...], spelled: str = "") -> str:
        """The condition of a value that neither fits nor is a text that is blank, a known word, or 'not measured'."""
        trimmed = self.dialect.trim(name)
        known = ", ".join(map(self.dialect.text, ("", *words)))
        lowered = spelled or f"lower({trimmed})"
        parts = [f"NOT ({fits})", f"{lowered} NOT IN ({known})"]
        if self.reading.texts:
            parts.append(f"{trimmed} NOT IN ({', '.join(map(self.dialect.text, sorted(self.reading.texts)))})")
        if self._is_sqlite:
            return f"(typeof({name}) = 'blob' OR ({name} IS NOT NULL AND {' AND '.join(parts)}))"
        return f"({name} IS NOT NULL AND {' AND '.join(parts)})"

    def _require_point(self, column: Column) -> None:
        if self.reading.decimal != ".":
            raise ModelError(
                f"column '{column.name}' may hold numbers as texts with a decimal '{self.reading.decimal}',"
                " which SQL cannot be told to read",
                hint=f"cast it in [source] query: CAST(REPLACE(REPLACE({column.name}, '.', ''), ',', '.') AS REAL)",
                about=column.name,
            )

    def _refuse(self, column: Column, rule: ColumnRule) -> ModelError:
        return ModelError(
            f"column '{column.name}' is {column.type}, which the model reads as a {rule.kind} in a way that"
            f" {self.dialect.name} cannot be told in SQL",
            hint="cast it in [source] query, then 'rowcast retrain'",
            about=column.name,
        )


def _coded(rule: ColumnRule) -> list[tuple[int, str]]:
    return list(enumerate(rule.categories))
