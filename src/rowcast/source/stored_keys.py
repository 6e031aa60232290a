"""Keys as the store holds them: how they are declared, how they travel, and which of them it can tell apart."""

import re
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from rowcast.database import Column, Database
from rowcast.source.table import Source

_BUILT_IN = {"smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "bytea", "uuid", "inet"}
_BUILT_IN |= {"text", "character varying", "character", "name", "date", "timestamp without time zone"}
_BUILT_IN |= {"timestamp with time zone"}


def declare_key(source: Source, store: Database) -> tuple[Column, ...]:
    """Return the key columns as the store declares them: alike where it knows their types, else integers or text."""

    def declare(c: Column) -> Column:
        if is_known(c, source, store):
            # In a STRICT table ANY keeps each value as it is; in another one it makes numbers of texts.
            return replace(c, type="") if store.dialect.name == "sqlite" and c.type.upper() == "ANY" else c
        if c.integer:
            return Column(c.name, "number", "BIGINT", True)
        return Column(c.name, "category", store.sql.text_key)

    return tuple(declare(c) for c in source.key)


def select_key(source: Source, store: Database) -> list[sa.ColumnElement[Any]]:
    """Return the key as it is read, in a form that the store's key columns take."""
    found: list[sa.ColumnElement[Any]] = []
    for c in source.key:
        if is_known(c, source, store):
            found.append(source.db.sql.key_value(c))
        else:
            found.append(source.db.sql.key_value(c) if c.integer else source.db.sql.key_text(c))
    return [value.label(c.name) for value, c in zip(found, source.key, strict=True)]


def meet_store(source: Source, store: Database) -> Source:
    """Return the source with what of its keys the store cannot tell apart.

    It may ignore spaces at the end of texts, and what is no text may look alike as one. Rows whose keys are one key to
    the store are unusable: neither is scored in the other's place.
    """
    found: list[sa.ColumnElement[Any]] = []
    is_exact = True
    for c in source.key:
        if c.integer or is_known(c, source, store):
            found.append(sa.column(c.name))
            continue
        text = source.db.sql.key_text(c)
        found.append(sa.func.rtrim(text) if store.sql.ignores_trailing_spaces else text)
        is_exact &= source.db.sql.has_exact_text(c) and not store.sql.ignores_trailing_spaces
    return source if is_exact else replace(source, stored_key=tuple(found))


def is_known(column: Column, source: Source, store: Database) -> bool:
    """Return whether the store can declare a key column as the source does: a type can be one database's own."""
    if store is source.db:
        return True
    if store.dialect.name != source.db.dialect.name:
        return False
    plain, _, collation = re.sub(r"\(.*?\)", "", column.type).partition(" COLLATE ")
    return store.dialect.name in ("sqlite", "mssql") or (plain in _BUILT_IN and collation in ("", '"C"', '"POSIX"'))
