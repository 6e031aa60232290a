"""How keys come out of SQLite as they are stored, whatever the types of their values.

The driver gives a column one Arrow type: of integers and texts it makes texts, of texts and blobs blobs. So the storage
class of each key is read beside it, and where there are several, the key is read once more in a column for each class.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.database.mixed_keys import PARTS, join_parts

_CLASS, _PART = "rowcast.class_", "rowcast.part_"  # of columns that are read beside a key, or in its place
_CODES = {"integer": ord("i"), "real": ord("r"), "text": ord("t"), "blob": ord("b")}  # as typeof() begins
_NUMBERS = {_CODES["integer"], _CODES["real"]}
# What a part holds where the value is of another class: the driver takes a column's type from the first rows.
_NOTHING = {"integer": "0", "real": "0.0", "text": "''", "blob": "X''"}

Keys = Mapping[str, sa.ColumnElement[Any]]


class Key(sa.types.UserDefinedType[Any]):
    """Marks a key column in a statement that is read."""

    cache_ok = True

    def __init__(self, integer: bool = False) -> None:
        self.integer = integer  # declared so: then Arrow's type tells whether there are others


def find_keys(statement: sa.Select[Any]) -> dict[str, sa.ColumnElement[Any]]:
    """Return the key columns that a statement reads, by the name under which it reads them."""
    return {
        column.name: part
        for column in statement.selected_columns
        for part in sa.sql.visitors.iterate(column)
        if isinstance(part, sa.ColumnClause) and isinstance(part.type, Key)
    }


def is_bare(statement: sa.Select[Any], name: str) -> bool:
    """Return whether a key is read as it is, and not in an expression."""
    return isinstance(statement.selected_columns[name].type, Key)


def add_classes(statement: sa.Select[Any], keys: Keys) -> sa.Select[Any]:
    """Return the statement with the storage class of each key beside it, where its Arrow type will not tell."""
    told = [_class(key).label(f"{_CLASS}{name}") for name, key in keys.items() if not _is_integer(key)]
    return statement.add_columns(*told)


def take_classes(table: pa.Table, keys: Keys) -> tuple[pa.Table, dict[str, set[int]]]:
    """Return what `add_classes` read, without the classes; and which ones each key has."""
    classes: dict[str, set[int]] = {}
    for name, key in keys.items():
        if _is_integer(key):
            is_whole = pa.types.is_integer(table.schema.field(name).type)
            classes[name] = {_CODES["integer"]} if is_whole else {*_CODES.values()}
        else:
            ends = pc.min_max(table[f"{_CLASS}{name}"])
            classes[name] = {ends["min"].as_py(), ends["max"].as_py()} if len(table) else set()
            table = table.drop_columns([f"{_CLASS}{name}"])
    return table, classes


def find_mixed(statement: sa.Select[Any], classes: Mapping[str, set[int]]) -> str | None:
    """Return a key whose values are of several classes; as texts, numbers of both kinds are told apart."""
    for name, found in classes.items():
        if len(found) > 1 and (is_bare(statement, name) or not found <= _NUMBERS):
            return name
    return None


def select_parts(statement: sa.Select[Any], keys: Keys) -> sa.Select[Any]:
    """Return the statement with each key as a column for each storage class, and one that tells which holds it."""
    chosen: list[sa.ColumnElement[Any]] = []
    for column in statement.selected_columns:
        if column.name not in keys:
            chosen.append(column)
            continue
        found = _class(keys[column.name])
        for part, code in _CODES.items():
            value = sa.case((found == code, keys[column.name]), else_=sa.literal_column(_NOTHING[part]))
            chosen.append(value.label(f"{_PART}{part}_{column.name}"))
        chosen.append(found.label(f"{_CLASS}{column.name}"))
    return statement.with_only_columns(*chosen)


def assemble(table: pa.Table) -> pa.Table:
    """Return what `select_parts` read, with one mixed column for each key again."""
    columns: dict[str, Any] = {}
    for name in table.schema.names:
        if name.startswith(_CLASS):
            key, found = name.removeprefix(_CLASS), table[name].combine_chunks()
            columns[key] = join_parts({part: _part(table, key, part, found) for part in PARTS}, len(table))
        elif not name.startswith(_PART):
            columns[name] = table[name]
    return pa.table(columns)


def _part(table: pa.Table, key: str, part: str, found: Any) -> Any:
    """The values of one class, and NULL for the others."""
    values = table[f"{_PART}{part}_{key}"].combine_chunks().cast(PARTS[part])
    return pc.if_else(pc.equal(found, _CODES[part]), values, pa.scalar(None, PARTS[part]))


def _class(key: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.unicode(sa.func.typeof(key))


def _is_integer(key: sa.ColumnElement[Any]) -> bool:
    return isinstance(key.type, Key) and key.type.integer
