"""Key values of several types in one column, which SQLite allows and no other Arrow type holds as they are."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rowcast.errors import DatabaseError

PARTS = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}


class MixedType(pa.ExtensionType):  # type: ignore[misc]
    """Each value in the part of its own type; the other parts of it are NULL."""

    def __init__(self) -> None:
        super().__init__(pa.struct(list(PARTS.items())), "rowcast.mixed")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "MixedType":
        return cls()


pa.register_extension_type(MixedType())  # so that rows saved by a step are read back as they were


def join_parts(parts: Mapping[str, Any], count: int) -> Any:
    """Return a mixed array of `count` values; parts that are left out are NULL."""
    arrays = [parts.get(name, pa.nulls(count, kind)) for name, kind in PARTS.items()]
    return pa.ExtensionArray.from_storage(MixedType(), pa.StructArray.from_arrays(arrays, names=list(PARTS)))


def to_mixed(column: Any) -> Any:
    """Return values of one type as a mixed array."""
    if isinstance(column.type, MixedType):
        return column
    name = next(name for name, kind in PARTS.items() if kind == column.type)
    return join_parts({name: column}, len(column))


def split_mixed(column: Any) -> dict[str, Any]:
    """Return the parts that `join_parts` was given, by their names."""
    return {name: pc.struct_field(column.storage, name) for name in PARTS}


def refuse_mixed(rows: pa.RecordBatch | pa.Table) -> None:
    """Raise DatabaseError for a `MixedType` column, where the columns of a database hold one type."""
    for field in rows.schema:
        if isinstance(field.type, MixedType):
            raise make_mixed_keys_error(field.name)


def refuse_no_text(rows: pa.RecordBatch | pa.Table) -> None:
    """Raise DatabaseError for a text that is not UTF-8, which SQLite keeps and no other system takes."""
    for field, column in zip(rows.schema, rows.columns, strict=True):
        if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            continue
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            name = field.name
            raise DatabaseError(
                f"the column '{name}' holds what is no text in UTF-8, which only SQLite keeps",
                hint=f"a 'query' can make a text of its bytes: hex({name}) AS {name}; or keep the store in SQLite too",
                reason="mixed",
            ) from None


def make_mixed_keys_error(name: str) -> DatabaseError:
    """Return the error for a key column whose values are of several types."""
    return DatabaseError(
        f"the key column '{name}' holds values of several types, which only SQLite keeps apart",
        hint=f"keep the store in SQLite too, or use a 'query' that gives it one type: CAST({name} AS TEXT) AS {name}",
        reason="mixed",
    )
