"""Arrow as the driver gives it and as OPENJSON takes it."""

import json

import pyarrow as pa

_UTC = pa.timestamp("us", "UTC")


def to_plain(table: pa.Table) -> pa.Table:
    """Return the table with texts and bytes of the usual width, and times as what they are, UTC."""
    kinds = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary(), pa.timestamp("us"): _UTC}
    kinds[pa.timestamp("us", "+00:00")] = _UTC
    schema = pa.schema([field.with_type(kinds.get(field.type, field.type)) for field in table.schema])
    return table if schema == table.schema else table.cast(schema)


def is_text(kind: pa.DataType) -> bool:
    """Return whether an Arrow type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def to_json(rows: pa.RecordBatch | pa.Table) -> str:
    """Return a list of rows, each a list of values, as OPENJSON reads it."""
    columns = []
    for values in rows.columns:
        kind = values.type
        if pa.types.is_timestamp(kind):
            columns.append([v if v is None else v.isoformat("T", "microseconds") for v in values.to_pylist()])
        elif pa.types.is_floating(kind):
            columns.append([v if v is not None and abs(v) < float("inf") else None for v in values.to_pylist()])
        else:
            columns.append(values.to_pylist())
    return json.dumps(list(zip(*columns, strict=True)), ensure_ascii=False, allow_nan=False)
