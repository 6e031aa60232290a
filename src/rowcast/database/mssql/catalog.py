"""What the server's own catalog says: tables and their columns, rights, and how the database is set up."""

from collections.abc import Callable, Sequence

import pyarrow as pa

from rowcast.database import Column, Relation
from rowcast.database.mssql import tsql
from rowcast.errors import DatabaseError

Arrow = Callable[[str], pa.Table]  # executes a statement without parameters

SNAPSHOT = "ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON"


def table(arrow: Arrow, schema: str | None, name: str) -> Relation | None:
    """A table or view; None where there is none, or this user may not see it."""
    full = tsql.quoted(name)
    database = ""
    if schema is not None:
        *other, owner = tsql.parts(schema) if schema.startswith("[") else [schema]
        full = f"{tsql.quoted(owner)}.{full}"
        database = f"{tsql.quoted(other[0])}." if other else ""
    columns = arrow(
        "SELECT c.name, COALESCE(t.name, u.name) AS type,"  # noqa: S608
        " CAST(c.max_length AS int) AS length, CAST(c.precision AS int) AS precision,"
        " CAST(c.scale AS int) AS scale, c.collation_name AS collation"
        f" FROM {database}sys.columns AS c JOIN {database}sys.types AS u ON u.user_type_id = c.user_type_id"
        f" LEFT JOIN {database}sys.types AS t ON t.user_type_id = c.system_type_id"  # of a type of the user's own
        f" WHERE c.object_id = OBJECT_ID({tsql.text(database + full)}) AND c.is_column_set = 0"
        " ORDER BY c.column_id"
    ).to_pylist()
    if not columns:
        return None
    found = tuple(_column(**column) for column in columns)
    indexes = arrow(
        "SELECT CAST(i.index_id AS int) AS number, CAST(i.is_unique AS int) AS is_unique, c.name"  # noqa: S608
        f" FROM {database}sys.indexes AS i"
        f" JOIN {database}sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id"
        f" JOIN {database}sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id"
        f" WHERE i.object_id = OBJECT_ID({tsql.text(database + full)}) AND i.type IN (1, 2)"
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


def query(described: pa.Table) -> Relation:
    """What sp_describe_first_result_set says of a query."""
    return Relation(
        tuple(
            _column(
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


def _column(name: str, type: str, length: int, precision: int, scale: int, collation: str | None) -> Column:
    base = tsql.base(type)
    spelled = tsql.spelled(base, length, precision, scale, collation)
    return Column(name, tsql.kind(base), spelled, base in tsql.INTEGERS)


def isolation(arrow: Arrow) -> dict[str, int]:
    """Whether the database allows snapshots, and whether READ COMMITTED reads row versions."""
    found = arrow(
        "SELECT CAST(CASE WHEN snapshot_isolation_state = 1 THEN 1 ELSE 0 END AS int) AS snapshot,"
        " CAST(is_read_committed_snapshot_on AS int) AS versions"
        " FROM sys.databases WHERE database_id = DB_ID()"
    ).to_pylist()
    return found[0] if found else {"snapshot": 0, "versions": 0}


def rights(arrow: Arrow, schema: str) -> list[str]:
    found = arrow(
        f"SELECT SCHEMA_ID({tsql.text(schema)}) AS there, USER_NAME() AS me, DB_NAME() AS here,"
        " HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE SCHEMA') AS create_schema,"
        " HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE') AS create_table,"
        f" HAS_PERMS_BY_NAME({tsql.text(tsql.quoted(schema))}, N'SCHEMA', N'ALTER') AS alter_schema"
    ).to_pylist()[0]
    me, here = tsql.quoted(found["me"]), tsql.quoted(found["here"])
    missing = []
    if found["there"] is None and not found["create_schema"]:
        missing.append(f"{me} may not create schema {schema}: GRANT CREATE SCHEMA TO {me} in {here}")
    if not found["create_table"]:
        missing.append(f"{me} may not create tables: GRANT CREATE TABLE TO {me} in {here}")
    if found["there"] is not None and not found["alter_schema"]:
        missing.append(f"{me} may not alter schema {schema}: GRANT ALTER ON SCHEMA::{tsql.quoted(schema)} TO {me}")
    return missing


def ungranted(arrow: Arrow, schema: str | None, table: str, rights: Sequence[str]) -> list[str]:
    full = f"{schema if schema and schema.startswith('[') else tsql.quoted(schema)}." if schema else ""
    full += tsql.quoted(table)
    asked = ", ".join(
        f"HAS_PERMS_BY_NAME({tsql.text(full)}, N'OBJECT', {tsql.text(right)}) AS {right.lower()}_right"
        for right in rights
    )
    found = arrow(f"SELECT USER_NAME() AS me, {asked}").to_pylist()[0]
    missing = [right for right in rights if not found[f"{right.lower()}_right"]]
    return [f"GRANT {', '.join(missing)} ON {full} TO {tsql.quoted(found['me'])}"] if missing else []


def version(arrow: Arrow) -> str:
    found = arrow(
        "SELECT CAST(SERVERPROPERTY(N'ProductVersion') AS nvarchar(60)) AS number,"
        " CAST(SERVERPROPERTY(N'Edition') AS nvarchar(100)) AS edition"
    ).to_pylist()[0]
    state = isolation(arrow)
    reads = "row versions" if state["versions"] else "locks"
    return f"SQL Server {found['number']} {found['edition']}, READ COMMITTED by {reads}"


def advice(arrow: Arrow) -> list[tuple[str, str]]:
    state, here = isolation(arrow), tsql.quoted(arrow("SELECT DB_NAME() AS n").column(0)[0].as_py())
    found = []
    if not state["versions"]:
        found.append(
            (
                "READ COMMITTED SNAPSHOT is off: rowcast and whoever writes the table wait for each other",
                f"ALTER DATABASE {here} SET READ_COMMITTEDSNAPSHOT ON",
            )
        )
    if not state["snapshot"]:
        found.append(("an audit cannot see one moment: snapshot isolation is not allowed", SNAPSHOT))
    try:
        arrow("SELECT value FROM OPENJSON(N'[1]')")
    except DatabaseError:
        what = "OPENJSON, which rowcast needs, is not there: SQL Server 2016 or newer has it, at level 130 or more"
        found.append((what, f"ALTER DATABASE {here} SET COMPATIBILITY_LEVEL = 130"))
    return found
