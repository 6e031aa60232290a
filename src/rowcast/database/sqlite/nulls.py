"""How columns that may be NULL come out of SQLite in one type, however many NULLs come first.

The driver takes a column's type from the first rows that it reads. So NULL is read as an empty value of the column's
type, with what is NULL in a column beside it.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

_NULL = "rowcast.null_"  # of columns that tell where another is NULL
_EMPTY: tuple[tuple[Any, str], ...] = (
    (sa.LargeBinary, "X''"),
    (sa.Float, "0.0"),
    (sa.Integer, "0"),
    (sa.Boolean, "0"),
    (sa.String, "''"),
)


def fill_nulls(statement: sa.Select[Any], dialect: sa.Dialect) -> sa.Select[Any]:
    """Return the statement with an empty value for NULL in each column of a declared table that may hold it."""
    chosen: list[sa.ColumnElement[Any]] = []
    beside: list[sa.ColumnElement[Any]] = []
    for column in statement.selected_columns:
        empty = _find_empty(column, dialect)
        if empty is None:
            chosen.append(column)
            continue
        value = column.element if isinstance(column, sa.Label) else column
        chosen.append(sa.func.coalesce(value, sa.literal_column(empty)).label(column.name))
        beside.append(sa.case((value.is_(None), 1), else_=0).label(f"{_NULL}{column.name}"))
    return statement.with_only_columns(*chosen, *beside)


def restore_nulls(table: pa.Table) -> pa.Table:
    """Return what `fill_nulls` read, with NULL where it was."""
    flags = [name for name in table.schema.names if name.startswith(_NULL)]
    for flag in flags:
        name = flag.removeprefix(_NULL)
        values = table[name].combine_chunks()
        is_null = pc.equal(table[flag].combine_chunks(), 1)
        restored = pc.if_else(is_null, pa.scalar(None, values.type), values)
        table = table.set_column(table.schema.get_field_index(name), name, restored)
    return table.drop_columns(flags)


def _find_empty(column: Any, dialect: sa.Dialect) -> str | None:
    """Return the empty value of a column that may be NULL; None where it may not, or its type is not known."""
    declared = column.element if isinstance(column, sa.Label) else column
    if not isinstance(declared, sa.Column) or not declared.nullable:
        return None
    kind: Any = declared.type
    if isinstance(kind, sa.types.TypeDecorator):
        kind = kind.load_dialect_impl(dialect)
    return next((empty for type_, empty in _EMPTY if isinstance(kind, type_)), None)
