"""What SQL Server's catalog says of tables, rights and how the database is set up, and how a store is made in it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.sql import quoted_name

from rowcast.database.literals import in_parentheses
from rowcast.database.mssql import tsql
from rowcast.database.relation import MOST_TABLES, Column, RawType, Relation
from rowcast.database.rights import Grant
from rowcast.errors import DatabaseError

if TYPE_CHECKING:
    from rowcast.database.mssql.connection import MSSQLConnection

ALLOW_SNAPSHOT = "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON"
_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


class MSSQLAdmin:
    """The tables of one database on SQL Server; see `Admin`."""

    def __init__(self, db: "MSSQLConnection") -> None:
        self._db = db
        self._names: dict[str, tuple[str | None, str]] = {}  # tables as the config spells them, once looked up

    def has_table(self, table: sa.Table) -> bool:
        return self._exists(tsql.quote_table(table))

    def _exists(self, name: str) -> bool:
        return self._db.query(f"SELECT OBJECT_ID({tsql.quote_text(name)}) AS id").column(0)[0].as_py() is not None

    def split_name(self, table: str) -> tuple[str | None, str]:
        if table not in self._names:
            self._names[table] = self._look_up(table)
        return self._names[table]

    def _look_up(self, table: str) -> tuple[str | None, str]:
        found = tsql.split_name(table)
        if len(found) > 1 and not self._exists(table) and self._exists(tsql.quote(table)):
            return None, table  # a dot may be part of a plain name
        *schema, name = found or [table]
        if len(schema) > 1:  # another database on the same server
            return ".".join(tsql.quote(part) for part in schema), name
        return (quoted_name(schema[0], True) if schema else None), name

    def list_tables(self) -> list[str]:
        """Return those of this database: the server shows what this user has a right on."""
        found = self._db.query(
            f"SELECT TOP {MOST_TABLES} NULLIF(s.name, SCHEMA_NAME()) AS [schema], o.name"  # noqa: S608
            " FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id"
            " WHERE o.type IN (N'U', N'V') AND o.is_ms_shipped = 0 ORDER BY s.name, o.name"
        )
        return [f"{row['schema']}.{row['name']}" if row["schema"] else row["name"] for row in found.to_pylist()]

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        if table is not None:
            return self._describe_table(*self.split_name(table))
        whole = f"SELECT * FROM {in_parentheses(str(query))} AS q"  # noqa: S608
        try:
            return _make_relation(
                self._db.query_last_result(f"EXEC sp_describe_first_result_set @tsql = {tsql.quote_text(whole)}")
            )
        except DatabaseError as error:
            hint = "as a subquery it can have no WITH and no ORDER BY, and needs a name for each column; or use a view"
            raise DatabaseError(error.what, hint=error.hint or hint, detail=error.detail, reason=error.reason) from None

    def _describe_table(self, schema: str | None, name: str) -> Relation | None:
        """Return a table or view; None where there is none, or this user may not see it."""
        full = tsql.quote(name)
        database = ""
        if schema is not None:
            *other, owner = tsql.split_name(schema) if schema.startswith("[") else [schema]
            full = f"{tsql.quote(owner)}.{full}"
            database = f"{tsql.quote(other[0])}." if other else ""
        columns = self._db.query(
            "SELECT c.name, COALESCE(t.name, u.name) AS type,"  # noqa: S608
            " CAST(c.max_length AS int) AS length, CAST(c.precision AS int) AS precision,"
            " CAST(c.scale AS int) AS scale, c.collation_name AS collation"
            f" FROM {database}sys.columns AS c JOIN {database}sys.types AS u ON u.user_type_id = c.user_type_id"
            f" LEFT JOIN {database}sys.types AS t ON t.user_type_id = c.system_type_id"  # of a type of the user's own
            f" WHERE c.object_id = OBJECT_ID({tsql.quote_text(database + full)}) AND c.is_column_set = 0"
            " ORDER BY c.column_id"
        ).to_pylist()
        if not columns:
            return None
        found = tuple(_make_column(**column) for column in columns)
        indexes = self._db.query(
            "SELECT CAST(i.index_id AS int) AS number, CAST(i.is_unique AS int) AS is_unique, c.name"  # noqa: S608
            f" FROM {database}sys.indexes AS i"
            f" JOIN {database}sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id"
            f" JOIN {database}sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id"
            f" WHERE i.object_id = OBJECT_ID({tsql.quote_text(database + full)}) AND i.type IN (1, 2)"
            " AND i.is_disabled = 0 AND i.has_filter = 0 AND ic.key_ordinal > 0"
            " ORDER BY i.index_id, ic.key_ordinal"
        ).to_pylist()
        members: dict[int, list[str]] = {}
        for row in indexes:
            members.setdefault(row["number"], []).append(row["name"])
        unique = {row["number"] for row in indexes if row["is_unique"]}
        return Relation(
            found,
            tuple(frozenset(members[index]) for index in sorted(unique)),
            tuple(tuple(names) for names in members.values()),
        )

    # The store's tables

    def has_index(self, table: sa.Table, column: str) -> bool:
        found = self._db.query(
            "SELECT TOP 1 1 AS one FROM sys.index_columns AS ic"  # noqa: S608
            " JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id"
            f" WHERE ic.object_id = OBJECT_ID({tsql.quote_text(tsql.quote_table(table))})"
            f" AND ic.key_ordinal = 1 AND c.name = {tsql.quote_text(column)}"
        )
        return bool(found.num_rows)

    def count_bytes(self, table: sa.Table) -> int:
        found = self._db.query(
            "SELECT COALESCE(SUM(a.total_pages), 0) * 8192 AS bytes FROM sys.partitions AS p"  # noqa: S608
            " JOIN sys.allocation_units AS a ON a.container_id = p.partition_id"
            f" WHERE p.object_id = OBJECT_ID({tsql.quote_text(tsql.quote_table(table))})"
        )
        return int(found.column(0)[0].as_py())

    def prepare_store(self, schema: str) -> None:
        for statement in self.schema_ddl(schema):
            self._db.run_sql(statement)

    def schema_ddl(self, schema: str) -> list[str]:
        create = f"CREATE SCHEMA {tsql.quote(schema)}"
        return [f"IF SCHEMA_ID({tsql.quote_text(schema)}) IS NULL EXEC ({tsql.quote_text(create)})"]

    def table_ddl(self, table: sa.Table) -> list[str]:
        if not table.info.get("many_rows"):
            return []
        # A batch's rows are locked one by one: the server must not lock the whole table instead.
        return [f"ALTER TABLE {tsql.quote_table(table)} SET (LOCK_ESCALATION = DISABLE)"]

    def reserve_numbers(self, table: sa.Table, count: int) -> int:
        [key] = table.primary_key.columns
        name = tsql.quote_table(table)
        # On a connection of its own: others wait for the lock, and what was reserved stays so in any case.
        with closing(self._db.clone()) as other, other.transaction("write"):
            sql = f"SELECT COALESCE(MAX({tsql.quote(key.name)}), 0) AS n FROM {name} WITH (TABLOCKX, HOLDLOCK)"  # noqa: S608
            last = int(other.query(sql).column(0)[0].as_py())
            if count:
                other.run_sql(f"DBCC CHECKIDENT ({tsql.quote_text(name)}, RESEED, {last + count}) WITH NO_INFOMSGS")
        return last

    @contextmanager
    def take_numbers(self, table: sa.Table) -> Iterator[None]:
        switch = f"SET IDENTITY_INSERT {tsql.quote_table(table)}"
        self._db.run_sql(f"{switch} ON")  # for this session, and one table at a time
        try:
            yield
        finally:
            with suppress(DatabaseError):  # the first error tells more, and a broken connection is made anew
                self._db.run_sql(f"{switch} OFF")

    def declare_staging(self, table: sa.Table, key: Sequence[Column]) -> sa.Table | None:
        """Declare the table for bulk copies into another; keys that cannot travel as they are come as text."""
        names = {column.name: column for column in key}
        stage = sa.Column("stage", sa.Unicode(40), nullable=False)
        columns: list[sa.Column[Any]] = [stage]
        for column in table.c:
            kind: Any = column.type
            if column.name in names:
                spelled = names[column.name].type
                column.info["travels_as_text"] = tsql.travels_as_text(spelled)
                kind = RawType(spelled if tsql.base(spelled) in tsql.INTEGERS else "NVARCHAR(450)")
            columns.append(sa.Column(column.name, kind, nullable=column.nullable))
        index = sa.Index(f"ix_{table.name}_staging", stage, mssql_clustered=True)
        made = sa.Table(f"{table.name}_staging", table.metadata, *columns, index, info=table.info.copy())
        table.info["staging"] = made
        return made

    # Rights and settings

    def user(self) -> str:
        return str(self._db.query("SELECT USER_NAME() AS me").column(0)[0].as_py())

    def list_creation_grants(self, schema: str) -> list[Grant]:
        here = str(self._db.query("SELECT DB_NAME() AS n").column(0)[0].as_py())
        if not self._has_schema(schema):
            return [Grant(("CREATE SCHEMA", "CREATE TABLE"), "database", here)]
        return [Grant(("CREATE TABLE",), "database", here), Grant(("ALTER",), "schema", schema)]

    def list_store_grants(self, schema: str, tables: Mapping[sa.Table, Sequence[str]]) -> list[Grant]:
        return [Grant(_ALL, "schema", schema)]  # tables of later jobs are in it as well

    def list_source_grants(self, tables: Sequence[str]) -> list[Grant]:
        named = [self.split_name(table) for table in tables]
        return [Grant(("SELECT",), "table", str(name), schema) for schema, name in named]

    def find_lacking(self, grant: Grant) -> tuple[str, ...]:
        if grant.on == "schema" and not self._has_schema(grant.name):
            return ()
        kind = {"database": "DATABASE", "schema": "SCHEMA", "table": "OBJECT"}[grant.on]
        name = "DB_NAME()" if grant.on == "database" else tsql.quote_text(_quote_object(grant))
        asked = ", ".join(
            f"HAS_PERMS_BY_NAME({name}, N'{kind}', {tsql.quote_text(right)}) AS right_{place}"
            for place, right in enumerate(grant.rights)
        )
        found = self._db.query(f"SELECT {asked}").to_pylist()[0]
        lacking = tuple(right for place, right in enumerate(grant.rights) if not found[f"right_{place}"])
        if lacking and grant.on == "schema" and set(lacking) <= set(_ALL):
            return self._find_lacking_in(grant, lacking)
        return lacking

    def _find_lacking_in(self, schema: Grant, rights: tuple[str, ...]) -> tuple[str, ...]:
        """Return which rights on a schema are not given on each of its tables either, as far as this user sees them."""
        full = "QUOTENAME(s.name) + N'.' + QUOTENAME(t.name)"
        asked = ", ".join(
            f"MIN(HAS_PERMS_BY_NAME({full}, N'OBJECT', {tsql.quote_text(right)})) AS right_{place}"
            for place, right in enumerate(rights)
        )
        found = self._db.query(
            f"SELECT {asked} FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id"  # noqa: S608
            f" WHERE s.name = {tsql.quote_text(schema.name)}"
        ).to_pylist()
        return tuple(right for place, right in enumerate(rights) if not found or not found[0][f"right_{place}"])

    def _has_schema(self, schema: str) -> bool:
        found = self._db.query(f"SELECT name FROM sys.schemas WHERE name = {tsql.quote_text(schema)}")  # noqa: S608
        return bool(found.num_rows)

    def may_alter(self, table: sa.Table) -> bool:
        return not self.find_lacking(Grant(("ALTER",), "table", table.name, table.schema))

    def name_denied(self, said: str) -> Grant | None:
        denied = r"The (\w+) permission was denied on the object '(.+?)', database '.+?', schema '(.+?)'"
        found = re.search(denied, said)
        return None if found is None else Grant((found[1],), "table", found[2], found[3])

    def write_grant(self, grant: Grant, user: str) -> str:
        on = {"database": "", "schema": f" ON SCHEMA::{tsql.quote(grant.name)}"}.get(
            grant.on, f" ON {_quote_object(grant)}"
        )
        return f"GRANT {', '.join(grant.rights)}{on} TO {tsql.quote(user)}"

    def version(self) -> str:
        found = self._db.query(
            "SELECT CAST(SERVERPROPERTY(N'ProductVersion') AS nvarchar(60)) AS number,"
            " CAST(SERVERPROPERTY(N'Edition') AS nvarchar(100)) AS edition"
        ).to_pylist()[0]
        state = self.isolation()
        reads = "row versions" if state["versions"] else "locks"
        return f"SQL Server {found['number']} {found['edition']}, READ COMMITTED by {reads}"

    def advice(self) -> list[tuple[str, str]]:
        state = self.isolation()
        found = []
        if not state["versions"]:
            found.append(
                (
                    "READ COMMITTED SNAPSHOT is off: rowcast and whoever writes the table wait for each other",
                    "ALTER DATABASE CURRENT SET READ_COMMITTED_SNAPSHOT ON",
                )
            )
        if not state["snapshot"]:
            found.append(("an audit cannot see one moment: snapshot isolation is not allowed", ALLOW_SNAPSHOT))
        try:
            self._db.query("SELECT value FROM OPENJSON(N'[1]')")
        except DatabaseError as error:
            if error.reason not in ("missing", "syntax", "other"):
                raise
            what = "OPENJSON, which rowcast needs, is not there: SQL Server 2016 or newer has it, at level 130 or more"
            found.append((what, "ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = 130"))
        return found

    def isolation(self) -> dict[str, int]:
        """Return whether the database allows snapshots, and whether READ COMMITTED reads row versions."""
        found = self._db.query(
            "SELECT CAST(CASE WHEN snapshot_isolation_state = 1 THEN 1 ELSE 0 END AS int) AS snapshot,"
            " CAST(is_read_committed_snapshot_on AS int) AS versions"
            " FROM sys.databases WHERE database_id = DB_ID()"
        ).to_pylist()
        return found[0] if found else {"snapshot": 0, "versions": 0}


def _quote_object(grant: Grant) -> str:
    """Return a schema, or a table with its schema, as a statement names it; that of another database is quoted."""
    schema = grant.schema or ""
    prefix = f"{schema if schema.startswith('[') else tsql.quote(schema)}." if schema else ""
    return prefix + tsql.quote(grant.name)


def _make_relation(described: pa.Table) -> Relation:
    """Return what sp_describe_first_result_set says of a query."""
    return Relation(
        tuple(
            _make_column(
                row["name"],
                row["system_type_name"],
                int(row["max_length"]),
                int(row["precision"]),
                int(row["scale"]),
                row["collation_name"],
            )
            for row in described.to_pylist()
            if not row["is_hidden"]
        )
    )


def _make_column(name: str, type: str, length: int, precision: int, scale: int, collation: str | None) -> Column:
    base = tsql.base(type)
    spelled = tsql.spell(base, length, precision, scale, collation)
    return Column(name, tsql.find_kind(base), spelled, base in tsql.INTEGERS)
