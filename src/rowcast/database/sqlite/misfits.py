"""Values in a SQLite column that the kind of the column cannot hold: they become NULL, and their originals misfits."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.contract import Misfit
from rowcast.database.relation import ColumnKind


def find_torn(table: pa.Table, columns: Mapping[str, ColumnKind]) -> dict[str, ColumnKind]:
    """Return the columns that hold values their kind cannot: texts and blobs among numbers, blobs among texts."""
    return {name: kind for name, kind in columns.items() if _is_torn(kind, table.schema.field(name).type)}


def _is_torn(kind: ColumnKind, found: pa.DataType) -> bool:
    return not _is_number(found) if kind in ("number", "boolean") else kind == "category" and pa.types.is_binary(found)


def select_fitting(statement: sa.Select[Any], torn: Mapping[str, ColumnKind]) -> sa.Select[Any]:
    """Return the statement with the values of torn columns that fit and, apart from them, the misfits' originals."""
    by_name = {column.name: column for column in statement.selected_columns}
    fitting, originals = [], []
    for place, (name, kind) in enumerate(torn.items()):
        fits = ("text", "integer", "real") if kind == "category" else ("integer", "real")
        found, spelled = sa.func.typeof(by_name[name]), sa.Text() if kind == "category" else sa.REAL()
        fitting.append(sa.case((found.in_(fits), sa.cast(by_name[name], spelled))).label(f"fitting_{place}"))
        original = sa.case((found.not_in((*fits, "null")), sa.func.quote(by_name[name])))
        originals.append(original.label(f"original_{place}"))
    return statement.with_only_columns(*fitting, *originals)


def replace_torn(table: pa.Table, fitting: pa.Table, torn: Mapping[str, ColumnKind], misfits: list[Misfit]) -> pa.Table:
    """Return the table with what `select_fitting` read in place of its torn columns; their misfits are added."""
    for place, (name, kind) in enumerate(torn.items()):
        wanted = pa.string() if kind == "category" else pa.float64()
        values = fitting[f"fitting_{place}"].cast(wanted)
        table = table.set_column(table.schema.get_field_index(name), name, values)
        original = fitting[f"original_{place}"]
        rows = pc.indices_nonzero(pc.is_valid(original)).to_pylist()
        misfits.extend(Misfit(row, name, _unquote(str(original[row].as_py()))) for row in rows)
    return table


def decode_texts(table: pa.Table, name: str, misfits: list[Misfit]) -> pa.Table:
    """Return the table with texts of a column that are not UTF-8, which SQLite does not check, as added misfits."""
    column = table[name]
    try:
        column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for row, value in enumerate(column.cast(pa.binary()).to_pylist()):
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(None)
                misfits.append(Misfit(row, name, value.decode(errors="backslashreplace")))
        return table.set_column(table.schema.get_field_index(name), name, pa.array(texts, pa.string()))
    return table


def cast_columns(table: pa.Table, columns: Mapping[str, ColumnKind]) -> pa.Table:
    """Return the table with its columns in the Arrow types of their kinds; one of NULLs alone comes as integers."""
    for place, field in enumerate(table.schema):
        wanted = _find_type(columns.get(field.name), field.type)
        if wanted is not None:
            table = table.set_column(place, field.name, table.column(place).cast(wanted))
    return table


def _find_type(kind: ColumnKind | None, found: pa.DataType) -> pa.DataType | None:
    """Return the Arrow type to cast to, None where it is right."""
    if kind in ("category", "other") and not pa.types.is_string(found) and not pa.types.is_binary(found):
        return pa.string()
    return pa.float64() if kind in ("number", "boolean") and not _is_number(found) else None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _unquote(literal: str) -> str:
    return literal[1:-1].replace("''", "'") if literal.startswith("'") else literal
