"""What PostgreSQL says of its tables and of this user's rights, and how a store is made in it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext

import sqlalchemy as sa

from rowcast.database.driver import DriverConnection
from rowcast.database.literals import in_parentheses, quote_text
from rowcast.database.relation import MOST_TABLES, Column, ColumnKind, Relation
from rowcast.database.rights import Grant

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

    def list_tables(self) -> list[str]:
        found = self._db.query(
            "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END AS name"  # noqa: S608
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND has_schema_privilege(n.oid, 'USAGE')"
            " AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))"
            f" AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1 LIMIT {MOST_TABLES}"
        )
        names: list[str] = found.column(0).to_pylist()
        return names

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
        if schema:  # from the catalog, since to_regclass asks for a right on the schema
            found = self._db.query(
                "SELECT c.oid::bigint AS oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"  # noqa: S608
                f" WHERE n.nspname = {quote_text(schema)} AND c.relname = {quote_text(table)}"
            )
        else:
            found = self._db.query(f"SELECT to_regclass({quote_text(self._quote(table))})::oid::bigint AS oid")
        value: int | None = found.column(0)[0].as_py() if found.num_rows else None
        return value

    def _quote(self, name: str) -> str:
        return self._db.dialect.identifier_preparer.quote_identifier(name)

    def has_index(self, table: sa.Table, column: str) -> bool:
        found = self._db.query(
            "SELECT 1 AS one FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"  # noqa: S608
            f" WHERE i.indrelid = {self._find_oid(table.schema, table.name)} AND i.indisvalid"
            f" AND a.attname = {quote_text(column)} LIMIT 1"
        )
        return bool(found.num_rows)

    def count_bytes(self, table: sa.Table) -> int:
        oid = self._find_oid(table.schema, table.name)
        if oid is None:
            return 0
        return int(self._db.query(f"SELECT pg_total_relation_size({oid}::oid) AS bytes").column(0)[0].as_py() or 0)

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

    def user(self) -> str:
        return str(self._db.query("SELECT current_user::text AS me").column(0)[0].as_py())

    def list_creation_grants(self, schema: str) -> list[Grant]:
        there = f"SELECT 1 FROM pg_namespace WHERE nspname = {quote_text(schema)}"  # noqa: S608
        if self._db.query(there).num_rows:
            return [Grant(("CREATE", "USAGE"), "schema", schema)]
        return [Grant(("CREATE",), "database", self._database())]

    def list_store_grants(self, schema: str, tables: Mapping[sa.Table, Sequence[str]]) -> list[Grant]:
        here = self._database()
        whole = [Grant(("CONNECT",), "database", here), Grant(("TEMPORARY",), "database", here)]
        whole.append(Grant(("USAGE",), "schema", schema))
        return whole + [Grant(tuple(rights), "table", t.name, t.schema) for t, rights in tables.items()]

    def list_source_grants(self, tables: Sequence[str]) -> list[Grant]:
        found = [Grant(("CONNECT",), "database", self._database())]
        for table in tables:
            oid = self._find_oid(*self.split_name(table))
            if oid is not None:
                [named] = self._db.query(
                    "SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_class c"  # noqa: S608
                    f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}"
                ).to_pylist()
                found += [Grant(("USAGE",), "schema", named["schema"])]
                found += [Grant(("SELECT",), "table", named["name"], named["schema"])]
        return list(dict.fromkeys(found))

    def find_lacking(self, grant: Grant) -> tuple[str, ...]:
        oid = {
            "database": "(SELECT oid FROM pg_database WHERE datname = {0})",
            "schema": "(SELECT oid FROM pg_namespace WHERE nspname = {0})",
            "table": "(SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = {0} AND n.nspname = {1})",
        }[grant.on].format(quote_text(grant.name), quote_text(grant.schema or ""))
        asked = ", ".join(f"has_{grant.on}_privilege({oid}, '{right}') AS \"{right}\"" for right in grant.rights)
        [found] = self._db.query(f"SELECT {asked}").to_pylist()
        return tuple(right for right in grant.rights if found[right] is False)

    def may_alter(self, table: sa.Table) -> bool:
        owned = "SELECT pg_has_role(relowner, 'USAGE') AS owned FROM pg_class WHERE oid = "
        found = self._db.query(f"{owned}{self._find_oid(table.schema, table.name)}")
        return bool(found.column(0)[0].as_py())

    def name_denied(self, said: str) -> Grant | None:
        kinds = "schema|table|view|materialized view|foreign table"
        found = re.search(f'permission denied for ({kinds}) "?(.+?)"?$', said)
        if found is None:
            return None
        if found[1] == "schema":
            return Grant(("USAGE",), "schema", found[2])
        return Grant(("SELECT",), "table", found[2], self._find_unreadable(found[2]))

    def _find_unreadable(self, name: str) -> str | None:
        """Return the schema of the one table of this name that the user may not read; the server names no schema."""
        sql = (
            "SELECT n.nspname::text AS schema FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"  # noqa: S608
            f" WHERE c.relname = {quote_text(name)} AND c.relkind IN ('r', 'v', 'm', 'f', 'p')"
            " AND NOT has_table_privilege(c.oid, 'SELECT')"
        )
        schemas: list[str] = self._db.query(sql).column(0).to_pylist()
        return schemas[0] if len(schemas) == 1 else None

    def write_grant(self, grant: Grant, user: str) -> str:
        quote = self._db.dialect.identifier_preparer.quote
        on = quote(grant.name)
        if grant.on == "table":
            on = f"{quote(grant.schema)}.{on}" if grant.schema else on
        else:
            on = f"{grant.on.upper()} {on}"
        return f"GRANT {', '.join(grant.rights)} ON {on} TO {quote(user)}"

    def _database(self) -> str:
        return str(self._db.query("SELECT current_database()::text AS here").column(0)[0].as_py())

    def table_ddl(self, table: sa.Table) -> list[str]:
        return []

    def reserve_numbers(self, table: sa.Table, count: int) -> int:
        [key] = table.primary_key.columns
        name = self._db.dialect.identifier_preparer.format_table(table)
        sequence = f"pg_get_serial_sequence({quote_text(name)}, {quote_text(key.name)})"
        # On a connection of its own: others wait for the lock, and what was reserved stays so in any case.
        with closing(self._db.clone()) as other, other.transaction("write"):
            other.run_sql(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
            largest = int(other.scalar(sa.select(sa.func.max(key))) or 0)
            given = int(other.query(f"SELECT nextval({sequence}) AS n").column(0)[0].as_py()) - 1
            last = max(largest, given)
            other.query(f"SELECT setval({sequence}, {max(last + count, 1)}, {str(last + count > 0).lower()})")
        return last

    def take_numbers(self, table: sa.Table) -> AbstractContextManager[None]:
        return nullcontext()

    def declare_staging(self, table: sa.Table, key: Sequence[Column]) -> sa.Table | None:
        return None  # a bulk write is part of the transaction


def _make_column(name: str, typname: str, category: str, type: str, collation: str | None = None) -> Column:
    kind = "category" if typname == "citext" else _KINDS.get(category, "other")
    if typname in ("oid", "time", "timetz") or (category == "N" and typname.startswith("reg")):
        kind = "other"  # neither an amount nor a moment
    spelled = f'{type} COLLATE "{collation}"' if collation else type
    return Column(name, kind, spelled, typname in ("int2", "int4", "int8"))
