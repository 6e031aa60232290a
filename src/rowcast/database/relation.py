"""What a table or query consists of: its columns, their kinds, and what keeps its rows apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

ColumnKind = Literal["number", "category", "boolean", "time", "other"]
MOST_TABLES = 5_000  # that are listed of a database
FLOAT32_MAX = 3.4e38  # the largest number that a float32 holds, rounded down


@dataclass(frozen=True)
class Column:
    """A column of the user's table or query."""

    name: str
    kind: ColumnKind
    type: str  # as the database spells it, collation included: good for declaring the same column again
    integer: bool = False  # whether `type` is one of the integer types
    time_format: str | None = None  # how it writes times, where the config says so


@dataclass(frozen=True)
class Relation:
    """The user's table or query, as the database describes it."""

    columns: tuple[Column, ...]
    unique: tuple[frozenset[str], ...] = ()  # sets of columns that a constraint or index keeps from repeating
    indexed: tuple[tuple[str, ...], ...] = ()  # the columns of each index, in its order

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(column.name for column in self.columns)

    def is_unique(self, key: Sequence[str]) -> bool:
        """Return whether the database itself keeps this key from repeating."""
        return any(columns <= set(key) for columns in self.unique)

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


class RawType(sa.types.UserDefinedType[Any]):
    """A type spelled as the database itself spells it."""

    cache_ok = True

    def __init__(self, spelled: str) -> None:
        self.spelled = spelled

    def get_col_spec(self, **_: Any) -> str:
        return self.spelled
