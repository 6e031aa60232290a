"""What SQLite says of its tables, and how a store is made in a file."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import sqlalchemy as sa

from rowcast.database.driver import DriverConnection
from rowcast.database.literals import in_parentheses, quote_text
from rowcast.database.relation import MOST_TABLES, Column, ColumnKind, Relation
from rowcast.database.rights import Grant
from rowcast.database.sqlite.access import (
    find_lacking_access,
    find_lacking_grants,
    list_file_grants,
    user_name,
    write_access,
)
from rowcast.errors import DatabaseError

_SAMPLE = 1000  # rows looked at where a column declares no type
_FEWER = 50  # one by one, where some cannot be computed


class SQLiteAdmin:
    """The tables of one SQLite file; see `Admin`."""

    def __init__(self, db: DriverConnection, path: Path) -> None:
        self._db = db
        self._path = path

    def has_table(self, table: sa.Table) -> bool:
        return bool(self._read_columns(table.name))

    def split_name(self, table: str) -> tuple[str | None, str]:
        return None, table

    def list_tables(self) -> list[str]:
        sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
        found: list[str] = self._db.query(f"{sql} ORDER BY name LIMIT {MOST_TABLES}").column(0).to_pylist()
        return found

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        if table is None:
            return Relation(tuple(self._sample_columns(in_parentheses(str(query))).values()))
        declared = self._read_columns(table)
        if not declared:
            return None
        sampled = {} if all(type_ for type_, _ in declared.values()) else self._sample_columns(self._quote(table))
        columns = tuple(
            Column(name, _find_kind(type_), type_, "INT" in type_.upper()) if type_ else sampled[name]
            for name, (type_, _) in declared.items()
        )
        primary = tuple(name for _, name in sorted((place, name) for name, (_, place) in declared.items() if place))
        indexes = self._read_indexes(table)
        unique = [frozenset(names) for names, is_unique in indexes if is_unique]
        if primary:
            unique.append(frozenset(primary))
        return Relation(columns, tuple(unique), (primary, *(names for names, _ in indexes)))

    def _read_columns(self, table: str) -> dict[str, tuple[str, int]]:
        """Return each column's declared type and its place in the primary key, 0 for none."""
        found = self._db.query(f"SELECT name, type, pk FROM pragma_table_xinfo({quote_text(table)}) WHERE hidden <> 1")  # noqa: S608
        return {row["name"]: (row["type"], row["pk"]) for row in found.to_pylist()}

    def _read_indexes(self, table: str) -> list[tuple[tuple[str, ...], bool]]:
        """Return the columns of each whole-table index, and whether it is unique."""
        found: list[tuple[tuple[str, ...], bool]] = []
        listed = self._db.query(
            f'SELECT name, "unique" AS is_unique FROM pragma_index_list({quote_text(table)}) WHERE NOT partial'  # noqa: S608
        )
        for index in listed.to_pylist():
            members = self._db.query(
                f"SELECT name FROM pragma_index_info({quote_text(index['name'])}) ORDER BY seqno"  # noqa: S608
            ).to_pylist()
            if all(member["name"] for member in members):
                found.append((tuple(member["name"] for member in members), bool(index["is_unique"])))
        return found

    def _sample_columns(self, relation: str) -> dict[str, Column]:
        """Return columns without a declared type, their kinds judged by the values of some rows."""
        names = self._db.query(f"SELECT * FROM {relation} LIMIT 0").schema.names  # noqa: S608
        try:
            sampled = self._sample_types(relation, names, _SAMPLE)
        except DatabaseError as error:
            if error.reason != "other":
                raise
            sampled = {name: self._sample_one_by_one(relation, name) for name in names}
        found = {}
        for name, seen in sampled.items():
            numbers = sum(kind in ("integer", "real") for kind in seen)
            kind: ColumnKind = "other" if "blob" in seen else "number" if 2 * numbers >= len(seen) else "category"
            found[name] = Column(name, kind, "", bool(seen) and set(seen) == {"integer"})
        return found

    def _sample_types(self, relation: str, names: Sequence[str], most: int, skip: int = 0) -> dict[str, list[str]]:
        """Return the storage classes of the first values of columns, NULL aside."""
        kinds = ", ".join(f"typeof({self._quote(name)})" for name in names)
        rows = self._db.query(f"SELECT {kinds} FROM {relation} LIMIT {most} OFFSET {skip}")  # noqa: S608
        columns = [[kind for kind in column.to_pylist() if kind != "null"] for column in rows.columns]
        return dict(zip(names, columns, strict=True))

    def _sample_one_by_one(self, relation: str, name: str) -> list[str]:
        """Return the same of one column, without values that cannot be computed."""
        found: list[str] = []
        for row in range(_FEWER):
            with suppress(DatabaseError):
                found += self._sample_types(relation, [name], 1, row)[name]
        return found

    def _quote(self, name: str) -> str:
        return self._db.dialect.identifier_preparer.quote_identifier(name)

    def has_index(self, table: sa.Table, column: str) -> bool:
        return any(names[0] == column for names, _ in self._read_indexes(table.name))

    def count_bytes(self, table: sa.Table) -> int:
        found = self._db.query(
            "SELECT COALESCE(SUM(pgsize), 0) AS bytes FROM dbstat WHERE aggregate = TRUE AND name IN"  # noqa: S608
            f" (SELECT name FROM sqlite_schema WHERE tbl_name = {quote_text(table.name)})"
        )
        return int(found.column(0)[0].as_py())

    def prepare_store(self, schema: str) -> None:
        # Write-ahead logging: reading a batch never blocks publishing one. The file keeps the setting.
        self._db.query("PRAGMA journal_mode = WAL")

    def schema_ddl(self, schema: str) -> list[str]:
        return []

    def version(self) -> str:
        return (
            f"SQLite {self._db.scalar(sa.select(sa.func.sqlite_version().label('v')))}, journal mode {self._journal()}"
        )

    def advice(self) -> list[tuple[str, str]]:
        if self._journal() == "wal":
            return []
        return [
            ("SQLite's write-ahead log is off: readers and writers wait for each other", "PRAGMA journal_mode = WAL")
        ]

    def _journal(self) -> str:
        return str(self._db.query("PRAGMA journal_mode").column(0)[0].as_py()).lower()

    def user(self) -> str:
        return user_name()

    def list_creation_grants(self, schema: str) -> list[Grant]:
        return list_file_grants(self._path, write=True)

    def list_store_grants(self, schema: str, tables: Mapping[sa.Table, Sequence[str]]) -> list[Grant]:
        return list_file_grants(self._path, write=True)

    def list_source_grants(self, tables: Sequence[str]) -> list[Grant]:
        return list_file_grants(self._path, write=False)

    def find_lacking(self, grant: Grant) -> tuple[str, ...]:
        return find_lacking_access(grant)

    def may_alter(self, table: sa.Table) -> bool:
        return True  # where the file may be written

    def name_denied(self, said: str) -> Grant | None:
        return next(iter(find_lacking_grants(self._path)), None)

    def write_grant(self, grant: Grant, user: str) -> str:
        return write_access(grant, user)

    def table_ddl(self, table: sa.Table) -> list[str]:
        return []

    def reserve_numbers(self, table: sa.Table, count: int) -> int:
        [key] = table.primary_key.columns
        return int(self._db.scalar(sa.select(sa.func.max(key))) or 0)  # nobody else writes before the transaction ends

    def take_numbers(self, table: sa.Table) -> AbstractContextManager[None]:
        return nullcontext()

    def declare_staging(self, table: sa.Table, key: Sequence[Column]) -> sa.Table | None:
        return None  # a bulk write is part of the transaction


def _find_kind(declared: str) -> ColumnKind:
    """Return the kind by SQLite's rules of affinity (sqlite.org/datatype3.html), with dates told apart."""
    name = declared.upper()
    if "INT" in name:
        return "number"
    if any(word in name for word in ("CHAR", "CLOB", "TEXT")):
        return "category"
    if "BLOB" in name:
        return "other"
    return "time" if "DATE" in name or "TIME" in name else "number"
