"""What PostgreSQL says of its tables and of this user's rights, and how a store is made in it."""

from collections.abc import Sequence

import sqlalchemy as sa

from rowcast.database.driver import DriverConnection
from rowcast.database.literals import in_parentheses, quote_text
from rowcast.database.relation import Column, ColumnKind, Relation

_KINDS: dict[str, ColumnKind] = {"N": "number", "S": "category", "E": "category", "B": "boolean", "D": "time"}


# The type that a domain, or a domain over one, is made of; a plain type is its own. The driver writes no domains.
_BASE = """
WITH RECURSIVE up AS (
    SELECT d.oid, d.typname, d.typcategory, d.typcollation, d.typtype, d.typbasetype, d.typtypmod, -1 AS mod
    UNION ALL
    SELECT b.oid, b.typname, b.typcategory, b.typcollation, b.typtype, b.typbasetype, b.typtypmod, up.typtypmod
    FROM up JOIN pg_type b ON b.oid = up.typbasetype WHERE up.typtype = 'd'
)
SELECT * FROM up WHERE typtype <> 'd'
"""


class PostgreSQLAdmin:
    """The tables of one PostgreSQL database; see `Admin`."""

    def __init__(self, db: DriverConnection) -> None:
        self._db = db

    def has_table(self, table: sa.Table) -> bool:
        return self._find_oid(table.schema, table.name) is not None

    def split_name(self, table: str) -> tuple[str | None, str]:
        schema, dot, name = table.rpartition(".")
        if dot and self._find_oid(None, table) is None:  # a dot may be part of a plain name
            return schema.strip('"'), name.strip('"')
        return None, table

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        if table is None:
            return Relation(self._describe_query(str(query)))
        oid = self._find_oid(*self.split_name(table))
        if oid is None:
            return None
        found = self._db.query(
            "SELECT a.attname::text AS name, t.typname::text AS typname, t.typcategory::text AS category,"  # noqa: S608
            " format_type(t.oid, CASE WHEN d.oid = t.oid THEN a.atttypmod ELSE t.mod END) AS type,"
            " CASE WHEN a.attcollation <> t.typcollation THEN c.collname::text END AS collation"
            f" FROM pg_attribute a JOIN pg_type d ON d.oid = a.atttypid CROSS JOIN LATERAL ({_BASE}) t"
            " LEFT JOIN pg_collation c ON c.oid = a.attcollation"
            f" WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )
        columns = tuple(_make_column(**row) for row in found.to_pylist())
        indexes = self._db.query(
            "SELECT i.indexrelid::bigint AS index, i.indisunique AND i.indpred IS NULL AS is_unique,"  # noqa: S608
            " a.attname::text AS name FROM pg_index i"
            " CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(attnum, place)"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
            f" WHERE i.indrelid = {oid} AND i.indisvalid AND i.indexprs IS NULL ORDER BY i.indexrelid, k.place"
        ).to_pylist()
        members: dict[int, list[str]] = {}
        for row in indexes:
            members.setdefault(row["index"], []).append(row["name"])
        unique = {row["index"] for row in indexes if row["is_unique"]}
        return Relation(
            columns,
            tuple(frozenset(members[index]) for index in sorted(unique)),
            tuple(tuple(names) for names in members.values()),
        )

    def _describe_query(self, query: str) -> tuple[Column, ...]:
        schema = self._db.query(f"SELECT * FROM {in_parentheses(query)} AS q LIMIT 0").schema  # noqa: S608
        typnames = [(field.metadata or {}).get(b"POSTGRESQL:type", b"text").decode() for field in schema]
        found = self._db.query(
            "SELECT typname::text AS typname, typcategory::text AS category, format_type(oid, NULL) AS type"  # noqa: S608
            f" FROM pg_type WHERE typname IN ({', '.join(quote_text(name) for name in typnames)})"
        )
        types = {row["typname"]: row for row in found.to_pylist()}
        return tuple(_make_column(name=field.name, **types[name]) for field, name in zip(schema, typnames, strict=True))

    def _find_oid(self, schema: str | None, table: str) -> int | None:
        name = f"{self._quote(schema)}.{self._quote(table)}" if schema else self._quote(table)
        found = self._db.query(f"SELECT to_regclass({quote_text(name)})::oid::bigint AS oid")
        value: int | None = found.column(0)[0].as_py()
        return value

    def _quote(self, name: str) -> str:
        return self._db.dialect.identifier_preparer.quote_identifier(name)

    def prepare_store(self, schema: str) -> None:
        if not self._db.query(f"SELECT 1 FROM pg_namespace WHERE nspname = {quote_text(schema)}").num_rows:  # noqa: S608
            for statement in self.schema_ddl(schema):
                self._db.run_sql(statement)

    def schema_ddl(self, schema: str) -> list[str]:
        return [f"CREATE SCHEMA IF NOT EXISTS {self._quote(schema)}"]

    def version(self) -> str:
        return f"PostgreSQL {self._db.scalar(sa.select(sa.func.current_setting('server_version').label('v')))}"

    def advice(self) -> list[tuple[str, str]]:
        return []

    def list_missing_grants(self, schema: str | None, table: str, rights: Sequence[str]) -> list[str]:
        full = f"{self._quote(schema)}.{self._quote(table)}" if schema else self._quote(table)
        asked = ", ".join(f"has_table_privilege({quote_text(full)}, '{right}') AS \"{right}\"" for right in rights)
        found = self._db.query(f"SELECT current_user::text AS me, {asked}").to_pylist()[0]
        missing = [right for right in rights if not found[right]]
        return [f"GRANT {', '.join(missing)} ON {full} TO {self._quote(found['me'])}"] if missing else []

    def list_missing_rights(self, schema: str) -> list[str]:
        found = self._db.query(
            f"SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = {quote_text(schema)}) AS there,"  # noqa: S608
            " has_database_privilege(current_database(), 'CREATE') AS create_schema,"
            " (SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace"
            f" WHERE nspname = {quote_text(schema)}) AS create_table,"
            " current_user::text AS me, current_database()::text AS here"
        ).to_pylist()[0]
        me, here = found["me"], found["here"]
        if not found["there"] and not found["create_schema"]:
            return [f"{me} may not create schema {schema}: GRANT CREATE ON DATABASE {here} TO {me}"]
        if found["there"] and not found["create_table"]:
            return [f"{me} may not create tables: GRANT CREATE, USAGE ON SCHEMA {schema} TO {me}"]
        return []

    def table_ddl(self, table: sa.Table) -> list[str]:
        return []

    def declare_staging(self, table: sa.Table, key: Sequence[Column]) -> sa.Table | None:
        return None  # a bulk write is part of the transaction


def _make_column(name: str, typname: str, category: str, type: str, collation: str | None = None) -> Column:
    kind = "category" if typname == "citext" else _KINDS.get(category, "other")
    if typname in ("oid", "time", "timetz") or (category == "N" and typname.startswith("reg")):
        kind = "other"  # neither an amount nor a moment
    spelled = f'{type} COLLATE "{collation}"' if collation else type
    return Column(name, kind, spelled, typname in ("int2", "int4", "int8"))
