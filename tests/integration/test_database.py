"""Every promise of the database layer, on each system."""

import ctypes
import itertools
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import sqlalchemy as sa
from conftest import Place, literal, quoted
from pooler import Pooler
from postgres import PASSWORD
from sqlalchemy.sql import quoted_name

from rowcast.database import Column, RawType, after, at_least, at_most, connect, is_same_database
from rowcast.errors import ConfigError, DatabaseError
from rowcast.store.tables import Instant

pytestmark = pytest.mark.everywhere

HARD_NAMES = [
    "with space",
    'with "quotes"',
    "it's",
    "[bracket]",
    "Größe (µm)",
    "100% full",
    "a:b ::c",
    "why?",
    "semi;colon--",
    "x'); DROP TABLE t; --",
    "back\\slash",
    "`tick`",
    "select",
    "UPPER",
    "{brace}",
    "%s %(name)s $1",
]
HARD_TEXTS = [
    *HARD_NAMES,
    "",
    " ",
    "line\nbreak\ttab",
    "''",
    "'; DELETE FROM t; --",
    "\\'",
    "E'\\x41'",
    "日本語 🙂",
    "NULL",
    "%%",
    ":name",
    "?",
    "$$",
]
WORDS = """
abort action add after all alter always analyze and any array as asc asymmetric authorization before begin between
binary both by cascade case cast check collate column commit concurrently conflict constraint create cross current_date
current_user default deferrable desc distinct do drop each else end escape except exclusive exists explain false fetch
filter first following for foreign freeze from full generated glob grant group groups having if ignore ilike immediate
in index indexed initially inner insert intersect into is isnull join key lateral leading left like limit localtime
match materialized natural not nothing notnull null nulls of offset on only or order others outer over overlaps
partition placing plan pragma primary query raise range recursive references regexp reindex release rename replace
restrict returning right rollback row rows select session_user set similar some symmetric system_user table tablesample
temp then ties to trailing transaction trigger true unbounded union unique update user using vacuum values variadic
verbose view virtual when where window with within without
"""
BERLIN = "Europe/Berlin"
# Where Babelfish is not like SQL Server.
NUMBERS = "most of its errors have one and the same number"
CLOCKS = "AT TIME ZONE takes the offset of hours later around a change of the clocks"
JSON = "OPENJSON leaves the backslashes of a JSON text in it"


def table_of(relation, name, schema=None):
    return sa.table(name, *[sa.column(c.name) for c in relation.columns], schema=schema)


def read(db, name, order, most=100_000):
    """All columns of a table, as features are read."""
    relation = db.admin.describe(name, None)
    columns = [db.sql.feature(c).label(c.name) for c in relation.columns]
    statement = sa.select(*columns).select_from(table_of(relation, name)).order_by(sa.column(order))
    return db.read(statement, {c.name: c.kind for c in relation.columns}, most)


def values(db, name, column, order="id", most=100_000):
    return read(db, name, order, most)[0].column(column).to_pylist()


# ---- Arrow in, Arrow out


def test_what_is_ingested_is_read_and_streamed_back(db):
    table = sa.Table(
        "t", sa.MetaData(), sa.Column("id", sa.BigInteger), sa.Column("x", sa.Double), sa.Column("s", sa.Text)
    )
    db.execute(sa.schema.CreateTable(table))
    rows = pa.table({"id": [1, 2, 3], "x": [0.1, None, -1e300], "s": ["a", None, "ü"]})
    db.ingest(table, rows)
    assert read(db, "t", "id")[0].to_pylist() == rows.to_pylist()
    streamed = list(db.stream(sa.select(table).order_by(table.c.id), 2))
    assert [row for batch in streamed for row in batch.to_pylist()] == rows.to_pylist()
    assert all(batch.num_rows <= 2 for batch in streamed)


def test_the_values_of_an_in_are_bound_as_the_type_of_the_column_says(db):
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.BigInteger), sa.Column("at", Instant))
    db.execute(sa.schema.CreateTable(table))
    moments = [datetime(2026, 5, day, tzinfo=UTC) for day in (1, 2, 3)]
    for number, moment in enumerate(moments):
        db.execute(table.insert().values(id=number, at=moment))
    chosen = sa.select(table.c.id).where(table.c.at.in_(moments[1:])).order_by(table.c.id)
    assert [row["id"] for row in db.rows(chosen)] == [1, 2]


def test_columns_are_ingested_by_name_and_in_any_order(db):
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Text), sa.Column("b", sa.Text), sa.Column("c", sa.Text))
    db.execute(sa.schema.CreateTable(table))
    db.ingest(table, pa.table({"c": ["3"], "a": ["1"]}))
    assert db.rows(sa.select(table)) == [{"a": "1", "b": None, "c": "3"}]


def test_a_temporary_table_is_made_anew_and_seen_by_this_connection_only(database):
    db = database.connect()
    for numbers in ([1, 2], [3]):
        table = db.create_temporary("rowcast_staged", sa.Column("n", sa.BigInteger))
        db.ingest(table, pa.table({"n": numbers}))
    assert db.rows(sa.select(table)) == [{"n": 3}]
    database.deviates(NUMBERS)
    with pytest.raises(DatabaseError) as caught:
        database.connect().rows(sa.select(table))
    assert caught.value.reason == "missing"


def test_an_empty_table_is_read_as_no_rows_of_the_right_columns(database):
    db = database.connect()
    database.run("CREATE TABLE t (id integer, x real, s text)")
    rows, misfits = read(db, "t", "id")
    assert (rows.num_rows, rows.schema.names, misfits) == (0, ["id", "x", "s"], [])
    assert [batch.num_rows for batch in db.stream(sa.select(sa.column("id")).select_from(sa.table("t")), 10)] in (
        [],
        [0],
    )


def test_at_most_so_many_rows_are_read(database):
    db = database.connect()
    database.run("CREATE TABLE t (id integer)")
    database.fill("t", id=list(range(10)))
    assert values(db, "t", "id", most=4) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", HARD_NAMES)
def test_tables_and_columns_may_have_any_name(database, name):
    if re.search(r"""[\]"';\\`]|[A-Z].*[A-Z]|ö""", name):
        database.deviates("it reads such names otherwise, and some of them end it")
    db = database.connect()
    database.run(f"CREATE TABLE {quoted(name)} (id integer primary key, {quoted(name + '2')} text)")
    database.fill(quoted(name), **{"id": [1], name + "2": [name]})
    assert db.admin.describe(name, None).names == ("id", name + "2")
    assert values(db, name, name + "2") == [name]
    relation = db.admin.describe(name, None)
    statement = (
        sa.select(sa.column(name + "2")).select_from(table_of(relation, name)).where(sa.column(name + "2") == name)
    )
    assert db.rows(statement) == [{name + "2": name}]
    assert [batch.to_pylist() for batch in db.stream(statement, 5)] == [[{name + "2": name}]]
    copy = sa.Table(name + "3", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column(name + "2", sa.Text))
    db.execute(sa.schema.CreateTable(copy))
    assert db.admin.has_table(copy)
    db.ingest(copy, pa.table({"id": [1], name + "2": [name]}))
    assert db.rows(sa.select(copy)) == [{"id": 1, name + "2": name}]


def test_every_word_of_sql_may_be_a_column(database):
    words = [word for word in WORDS.split() if word != "primary" or not database.is_babelfish]
    database.run(f"CREATE TABLE t (id integer, {', '.join(f'{quoted(word)} integer' for word in words)})")
    database.run(f"INSERT INTO t VALUES (0, {', '.join(map(str, range(len(words))))})")
    rows, _ = read(database.connect(), "t", "id")
    assert rows.select(words).to_pylist() == [{word: place for place, word in enumerate(words)}]


def test_texts_come_back_as_they_are_and_are_found_by_value(database):
    database.deviates(JSON)
    db = database.connect()
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.BigInteger), sa.Column("s", sa.Text))
    db.execute(sa.schema.CreateTable(table))
    db.ingest(table, pa.table({"id": list(range(len(HARD_TEXTS))), "s": HARD_TEXTS}))
    assert values(db, "t", "s") == HARD_TEXTS
    blank = ("", " ") if database.is_mssql else ()  # alike to it
    for place, text in enumerate(HARD_TEXTS):
        if text in blank:
            continue
        found = sa.select(table.c.id).where(table.c.s == text)
        assert db.scalar(found) == place  # as a parameter
        assert [batch.to_pylist() for batch in db.stream(found, 5)] == [[{"id": place}]]  # as a literal
        db.execute(table.update().where(table.c.id == place).values(s=text + "!"))
    assert values(db, "t", "s") == [text + "!" for text in HARD_TEXTS]


def test_a_column_that_is_null_at_first_and_then_has_floats_is_read_whole(database):
    db = database.connect()
    database.run("CREATE TABLE t (id integer, x double precision, y integer, s text, w double precision)")
    n = 3000
    wanted = [None] * (n - 1) + [0.5]
    database.fill("t", id=list(range(n)), x=wanted, y=[None] * n, s=[None] * n, w=[1] * (n - 1) + [2.5])
    rows, misfits = read(db, "t", "id")
    assert rows.column("x").to_pylist() == wanted
    assert rows.column("y").null_count == rows.column("s").null_count == n
    assert rows.column("w").to_pylist()[-2:] == [1.0, 2.5]
    assert misfits == []


def test_columns_that_are_null_in_the_first_rows_are_streamed_whole(database):
    columns = {"x": sa.Double, "s": sa.Text, "b": sa.LargeBinary, "at": Instant, "n": sa.BigInteger}
    table = sa.Table(
        "t", sa.MetaData(), sa.Column("id", sa.BigInteger), *(sa.Column(*each) for each in columns.items())
    )
    db = database.connect()
    db.execute(sa.schema.CreateTable(table))
    last = {"id": 30, "x": 0.5, "s": "a", "b": b"0", "at": datetime(2026, 5, 1, tzinfo=UTC), "n": 2**60}
    for number in range(30):
        db.execute(table.insert().values(id=number))
    db.execute(table.insert().values(last))
    chosen = sa.select(table.c.id, *[table.c[name].label(name) for name in columns]).order_by(table.c.id)
    rows = [row for batch in db.stream(chosen, 10) for row in batch.to_pylist()]
    assert [row[name] for row in rows[:30] for name in columns] == [None] * 30 * len(columns)
    assert {name: rows[30][name] for name in ("id", "x", "s", "b", "n")} == {k: v for k, v in last.items() if k != "at"}


def test_numbers_that_are_reserved_are_given_to_nobody_else(database):
    name = sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), primary_key=True)
    table = sa.Table("t", sa.MetaData(), name, sa.Column("s", sa.Text))
    db = database.connect()
    db.execute(sa.schema.CreateTable(table))
    for first in (0, 5):
        with db.transaction("write"):
            assert db.admin.reserve_numbers(table, 3) == first
            with db.admin.take_numbers(table):
                db.ingest(table, pa.table({"n": [first + 1, first + 3], "s": ["a", "b"]}))
        for _ in range(2):
            db.execute(table.insert().values(s="c"))
    assert [row["n"] for row in db.rows(sa.select(table.c.n).order_by(table.c.n))] == [1, 3, 4, 5, 6, 8, 9, 10]


def test_huge_integers_survive_as_integers(database):
    db = database.connect()
    database.run("CREATE TABLE t (id integer, n bigint)")
    database.fill("t", id=[1, 2, 3], n=[2**63 - 1, -(2**63) + 1, 2**53 + 1])
    rows = db.rows(sa.select(sa.column("n")).select_from(sa.table("t")).order_by(sa.column("id")))
    assert [row["n"] for row in rows] == [2**63 - 1, -(2**63) + 1, 2**53 + 1]


def test_a_wide_table_is_read_and_described(database):
    names = [f"s{place:04d}" for place in range(1500)]
    database.run(f"CREATE TABLE t (id integer primary key, {', '.join(f'{name} real' for name in names)})")
    database.run(f"INSERT INTO t (id, {', '.join(names)}) VALUES (1, {', '.join(map(str, range(1500)))})")
    db = database.connect()
    rows, _ = read(db, "t", "id")
    assert [rows.column(name)[0].as_py() for name in names] == list(range(1500))


# ---- SQLite lets anything into any column


def test_texts_and_blobs_among_numbers_are_null_with_their_originals_kept(sqlite):
    db = sqlite.connect()
    sqlite.run(
        "CREATE TABLE t (id integer, x real, y real)",
        "INSERT INTO t VALUES (1, 1.5, 1), (2, 'it''s', 2), (3, x'00ff', 3), (4, NULL, 4), (5, '', 5), (6, 7, 'n/a')",
    )
    rows, misfits = read(db, "t", "id")
    assert rows.column("x").to_pylist() == [1.5, None, None, None, None, 7.0]
    assert rows.column("y").to_pylist() == [1, 2, 3, 4, 5, None]
    found = {(misfit.row, misfit.column): misfit.value for misfit in misfits}
    assert found == {(1, "x"): "it's", (2, "x"): "X'00FF'", (4, "x"): "", (5, "y"): "n/a"}


def test_a_text_in_the_last_of_many_rows_spoils_only_itself(sqlite):
    db = sqlite.connect()
    sqlite.run("CREATE TABLE t (id integer, x real)")
    n = 5000
    sqlite.fill("t", id=list(range(n)), x=[place / 2 for place in range(n - 1)] + ["broken"])
    rows, misfits = read(db, "t", "id")
    assert rows.column("x").to_pylist() == [place / 2 for place in range(n - 1)] + [None]
    assert [(misfit.row, misfit.value) for misfit in misfits] == [(n - 1, "broken")]


def test_a_numeric_column_of_texts_only_has_no_numbers(sqlite):
    db = sqlite.connect()
    sqlite.run("CREATE TABLE t (id integer, x real)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    rows, misfits = read(db, "t", "id")
    assert rows.schema.field("x").type == pa.float64()
    assert rows.column("x").null_count == 2
    assert [misfit.value for misfit in misfits] == ["a", "b"]


def test_misfits_of_misnamed_columns_are_found_too(sqlite):
    db = sqlite.connect()
    sqlite.run('CREATE TABLE t (id integer, "a ""b"" :c? %s" real)', "INSERT INTO t VALUES (1, 'x'), (2, 3)")
    rows, misfits = read(db, "t", "id")
    assert rows.column(1).to_pylist() == [None, 3.0]
    assert [(misfit.column, misfit.value) for misfit in misfits] == [('a "b" :c? %s', "x")]


def test_numbers_among_texts_are_texts_and_blobs_are_misfits(sqlite):
    db = sqlite.connect()
    sqlite.run(
        "CREATE TABLE t (id integer, s text, n text, b text)",
        "INSERT INTO t VALUES (1, 'a', NULL, x'41'), (2, 5, 5, x'42'), (3, x'41', 2.5, NULL)",
    )
    rows, misfits = read(db, "t", "id")
    assert all(rows.schema.field(name).type == pa.string() for name in ("s", "n", "b"))
    assert rows.select(["s", "n", "b"]).to_pylist() == [
        {"s": "a", "n": None, "b": None},
        {"s": "5", "n": "5", "b": None},
        {"s": None, "n": "2.5", "b": None},
    ]
    assert {(misfit.row, misfit.column): misfit.value for misfit in misfits} == {
        (0, "b"): "X'41'",
        (1, "b"): "X'42'",
        (2, "s"): "X'41'",
    }


def test_text_that_is_not_utf8_is_a_misfit(sqlite):
    """As a program that writes Latin-1 leaves it."""
    db = sqlite.connect()
    sqlite.run(
        "CREATE TABLE t (id integer, s text)",
        "INSERT INTO t VALUES (1, 'gut'), (2, CAST(x'4772f6dfe5' AS text)), (3, NULL)",
    )
    rows, misfits = read(db, "t", "id")
    assert rows.column("s").to_pylist() == ["gut", None, None]
    assert [(misfit.row, misfit.value) for misfit in misfits] == [(1, r"Gr\xf6\xdf\xe5")]


def test_infinity_and_the_lack_of_nan_in_sqlite(sqlite):
    db = sqlite.connect()
    sqlite.run(
        "CREATE TABLE t (id integer, x real)", "INSERT INTO t VALUES (1, 9e999), (2, -9e999), (3, 9e999 - 9e999)"
    )
    assert values(db, "t", "x") == [math.inf, -math.inf, None]


def test_columns_without_a_type_are_judged_by_their_values(sqlite):
    db = sqlite.connect()
    sqlite.run("CREATE TABLE t (id, x, s, b)", "INSERT INTO t VALUES (1, 1.5, 'a', x'00'), (2, 2, NULL, NULL)")
    relation = db.admin.describe("t", None)
    assert [(c.kind, c.integer) for c in relation.columns] == [
        ("number", True),
        ("number", False),
        ("category", False),
        ("other", False),
    ]


# ---- PostgreSQL has many types

ODD_TYPES = {
    "numeric": ("1234567890.0123456789", 1234567890.0123456789),
    "numeric(12,3)": ("1.125", 1.125),
    "money": ("12.50", 12.5),
    "smallint": ("-7", -7),
    "real": ("0.5", 0.5),
    "boolean": ("true", True),
    "mood": ("fine", "fine"),
    "uuid": ("6f1b3c1e-0000-4000-8000-000000000001", "6f1b3c1e-0000-4000-8000-000000000001"),
    "character(5)": ("ab", "ab   "),
    "character varying(9)": ("ab ", "ab "),
    "posint": ("5", 5),
    "inet": ("10.0.0.1", "10.0.0.1/32"),
    "text[]": ("{a,b}", "{a,b}"),
    "jsonb": ('{"a": 1}', '{"a": 1}'),
    "name": ("n", "n"),
    '"char"': ("c", "c"),
    "oid": ("7", "7"),
    "interval": ("1 day", "1 day"),
    "xid": ("9", "9"),
}


@pytest.mark.parametrize("spelled", ODD_TYPES)
def test_every_type_of_postgresql_is_read_as_a_number_or_text(postgresql, spelled):
    text, wanted = ODD_TYPES[spelled]
    postgresql.run(
        "CREATE TYPE mood AS ENUM ('bad', 'fine')",
        "CREATE DOMAIN posint AS integer CHECK (VALUE > 0)",
        f"CREATE TABLE t (id integer, x {spelled})",
        f"INSERT INTO t VALUES (1, CAST({literal(text)} AS text)::{spelled}), (2, NULL)",
    )
    db = postgresql.connect()
    assert values(db, "t", "x") == [wanted, None]


def test_nan_and_infinity_are_read_from_floats_and_numerics(postgresql):
    db = postgresql.connect()
    postgresql.run(
        "CREATE TABLE t (id integer, x double precision, n numeric)",
        "INSERT INTO t VALUES (1, 'NaN', 'NaN'), (2, 'Infinity', 'Infinity'), (3, '-Infinity', '-Infinity')",
    )
    for name in ("x", "n"):
        nan, high, low = values(db, "t", name)
        assert math.isnan(nan)
        assert (high, low) == (math.inf, -math.inf)


def test_integers_and_floats_are_narrowed_to_the_columns_they_go_to(postgresql):
    db = postgresql.connect()
    types = {"a": sa.SmallInteger, "b": sa.Integer, "c": sa.REAL, "d": sa.Double, "e": sa.Numeric, "f": sa.Text}
    table = sa.Table("t", sa.MetaData(), *[sa.Column(name, kind) for name, kind in types.items()])
    db.execute(sa.schema.CreateTable(table))
    db.ingest(table, pa.table({"a": [1], "b": [2], "c": [0.5], "d": [3], "e": ["12.50"], "f": ["x"]}))
    assert postgresql.run("SELECT a, b, c, d, e::text AS e, f FROM t") == [
        {"a": 1, "b": 2, "c": 0.5, "d": 3.0, "e": "12.5", "f": "x"}
    ]


# ---- describing


def test_a_missing_table_is_none(db):
    assert db.admin.describe("nothing here", None) is None
    assert not db.admin.has_table(sa.Table("nothing here", sa.MetaData()))


def test_kinds_keys_and_indexes_are_described(database):
    database.run(
        "CREATE TABLE t (a integer, b varchar(8), x real, at timestamp, u integer, v text, w integer,"
        " PRIMARY KEY (b, a), UNIQUE (u))",
        "CREATE INDEX plain ON t (x, v)",
        "CREATE UNIQUE INDEX partly ON t (w) WHERE x > 0",
    )
    if not database.is_mssql:  # there it would be an index on a computed column
        database.run("CREATE UNIQUE INDEX computed ON t (lower(v))")
    relation = database.connect().admin.describe("t", None)
    assert {c.name: c.kind for c in relation.columns} == {
        "a": "number",
        "b": "category",
        "x": "number",
        "at": "time",
        "u": "number",
        "v": "category",
        "w": "number",
    }
    assert relation["a"].integer
    assert not relation["x"].integer
    assert relation.is_unique(["a", "b"])
    assert relation.is_unique(["u"])
    assert relation.is_unique(["x", "u"])  # more columns than needed
    assert not relation.is_unique(["a"])
    assert not relation.is_unique(["w"]) or database.is_babelfish  # only some rows; it does not tell
    assert not relation.is_unique(["v"])  # only in lower case
    assert ("x", "v") in relation.indexed
    assert ("b", "a") in relation.indexed


def test_an_integer_primary_key_is_unique(database):
    database.run("CREATE TABLE t (id integer primary key, x real)")
    assert database.connect().admin.describe("t", None).is_unique(["id"])


def test_a_view_is_described_and_has_no_unique_key(database):
    database.run(
        "CREATE TABLE t (id integer primary key, x real, s text)",
        "INSERT INTO t VALUES (1, 0.5, 'a')",
        "CREATE VIEW v AS SELECT id, x * 2 AS y, s FROM t",
    )
    db = database.connect()
    relation = db.admin.describe("v", None)
    assert [(c.name, c.kind) for c in relation.columns] == [("id", "number"), ("y", "number"), ("s", "category")]
    assert not relation.is_unique(["id"])
    assert values(db, "v", "y") == [1.0]


def test_a_query_is_described_by_its_result(database):
    database.run(
        "CREATE TABLE t (id integer primary key, x real, s text)",
        "INSERT INTO t VALUES (1, 0.5, 'a:b'), (2, NULL, NULL)",
    )
    relation = database.connect().admin.describe(None, "SELECT id, x AS \"x %\", s FROM t WHERE s <> ':c' OR s IS NULL")
    assert [(c.name, c.kind, c.integer) for c in relation.columns] == [
        ("id", "number", True),
        ("x %", "number", False),
        ("s", "category", False),
    ]
    assert not relation.is_unique(["id"])


def test_a_query_with_a_trailing_semicolon_or_comment_is_described(database):
    database.run("CREATE TABLE t (id integer)")
    db = database.connect()
    assert db.admin.describe(None, "SELECT id FROM t;\n").names == ("id",)
    assert db.admin.describe(None, "SELECT id FROM t -- all of them").names == ("id",)


def test_a_broken_query_is_refused_with_what_the_database_said(database):
    db = database.connect()
    with pytest.raises(DatabaseError, match="nowhere") as caught:
        db.admin.describe(None, "SELECT * FROM nowhere")
    database.deviates(NUMBERS)
    assert caught.value.reason == "missing"


def test_a_table_of_a_schema_is_found_by_its_name(postgresql):
    postgresql.run('CREATE SCHEMA "Fab 1"', 'CREATE TABLE "Fab 1".lots (id integer)', 'CREATE TABLE "a.b" (n integer)')
    db = postgresql.connect()
    assert db.admin.describe("Fab 1.lots", None).names == ("id",)
    assert db.admin.describe('"Fab 1".lots', None).names == ("id",)
    assert db.admin.split_name("Fab 1.lots") == ("Fab 1", "lots")
    assert db.admin.describe("a.b", None).names == ("n",)  # a dot may be part of a name
    assert db.admin.describe("Fab 1.nothing", None) is None
    assert db.admin.describe("nowhere.lots", None) is None


def test_a_table_of_a_schema_of_sql_server_is_found_by_its_name(mssql):
    mssql.run(
        "CREATE SCHEMA [Messwerte Anlage 3]",
        "CREATE TABLE [Messwerte Anlage 3].[wafer ä] (id integer)",
        "CREATE TABLE [a.b] (n integer)",
        "CREATE TABLE lots (lot integer)",
        "CREATE VIEW [select from] AS SELECT lot FROM lots",
    )
    db = mssql.connect()
    for name in ("[Messwerte Anlage 3].[wafer ä]", "Messwerte Anlage 3.wafer ä", '"Messwerte Anlage 3"."wafer ä"'):
        assert db.admin.describe(name, None).names == ("id",)
        assert db.admin.split_name(name) == ("Messwerte Anlage 3", "wafer ä")
    for name in ("lots", "dbo.lots", "[dbo].[lots]", "select from", "dbo.[select from]"):
        assert db.admin.describe(name, None).names == ("lot",)
    assert db.admin.describe("a.b", None).names == ("n",)  # a dot may be part of a name
    assert db.admin.describe("dbo.[a.b]", None).names == ("n",)
    assert db.admin.describe("dbo.nothing", None) is None
    assert db.admin.describe("nowhere.lots", None) is None


def test_a_table_of_another_database_on_the_server_is_read(mssql, make_place):
    here, there = mssql, make_place("mssql")
    there.run("CREATE TABLE lots (id integer primary key, x real)", "INSERT INTO lots VALUES (1, 0.5)")
    db = here.connect()
    name = f"{there.url.rpartition('/')[2].partition('?')[0]}.dbo.lots"
    relation = db.admin.describe(name, None)
    assert relation.names == ("id", "x")
    assert relation.is_unique(["id"])
    schema, table = db.admin.split_name(name)
    found = sa.select(sa.column("x")).select_from(sa.table(table, schema=quoted_name(schema, False)))
    assert db.rows(found) == [{"x": 0.5}]


def test_sparse_and_computed_columns_of_sql_server_are_read(mssql):
    mssql.run("CREATE TABLE t (id integer, rare real SPARSE NULL, more AS id + 1 PERSISTED, [a b] bit)")
    mssql.run("INSERT INTO t (id, rare, [a b]) VALUES (1, NULL, 1), (2, 0.5, NULL)")
    rows, _ = read(mssql.connect(), "t", "id")
    assert rows.to_pylist() == [
        {"id": 1, "rare": None, "more": 2, "a b": True},
        {"id": 2, "rare": 0.5, "more": 3, "a b": None},
    ]


FEATURES = {
    "tinyint": ("255", 255),
    "bigint": ("9223372036854775807", 2**63 - 1),
    "decimal(20,5)": ("1234567890.12345", 1234567890.12345),
    "numeric(38,30)": ("0.1", 0.1),
    "money": ("12.3456", 12.3456),
    "smallmoney": ("-0.5", -0.5),
    "float": ("1.7976931348623157e308", 1.7976931348623157e308),
    "real": ("0.5", 0.5),
    "bit": ("1", True),
    "char(5)": ("'ab'", "ab   "),
    "varchar(9)": ("'ab '", "ab "),
    "nchar(3)": ("N'ä'", "ä  "),
    "nvarchar(max)": ("N'日本語 🙂'", "日本語 🙂"),
}


@pytest.mark.parametrize("spelled", FEATURES)
def test_every_type_of_sql_server_that_can_be_a_feature_is_read_as_a_number_or_text(mssql, spelled):
    value, wanted = FEATURES[spelled]
    mssql.run(f"CREATE TABLE t (id integer, x {spelled})", f"INSERT INTO t VALUES (1, {value}), (2, NULL)")
    assert values(mssql.connect(), "t", "x") == [wanted, None]


@pytest.mark.parametrize(
    ("spelled", "kind"),
    [
        ("xml", "other"),
        ("varbinary(9)", "other"),
        ("uniqueidentifier", "other"),
        ("datetime2(7)", "time"),
        ("bit", "boolean"),
    ],
)
def test_types_of_sql_server_have_their_kind(mssql, spelled, kind):
    mssql.run(f"CREATE TABLE t (id integer, x {spelled})")
    assert mssql.connect().admin.describe("t", None)["x"].kind == kind


def test_conditions_that_hold_always_or_never_are_written_anywhere(db):
    one = sa.select(sa.literal_column("1").label("one"))
    assert db.rows(one.where(sa.true())) == db.rows(one.where(sa.not_(sa.false()))) == [{"one": 1}]
    assert db.rows(one.where(sa.false())) == db.rows(one.where(sa.not_(sa.true()))) == []
    assert db.scalar(sa.select(sa.case((sa.true(), 1), else_=0))) == 1


def test_generated_and_dropped_columns_are_told_apart(database):
    twice = "AS id * 2 PERSISTED" if database.is_mssql else "integer GENERATED ALWAYS AS (id * 2) STORED"
    database.run(f"CREATE TABLE t (id integer, gone real, twice {twice})")
    database.run("ALTER TABLE t DROP COLUMN gone", "INSERT INTO t (id) VALUES (4)")
    db = database.connect()
    assert db.admin.describe("t", None).names == ("id", "twice")
    assert values(db, "t", "twice") == [8]


# ---- time


def instants(db, table, timezone):
    """Each row's event time as microseconds since 1970, None where there is none."""
    column = db.admin.describe(table, None)["at"]
    time = sa.case((db.sql.has_event_time(column), db.sql.event_time(column, timezone)))
    found = db.rows(sa.select(time.label("t")).select_from(sa.table(table)).order_by(sa.column("id")))
    return [row["t"] if row["t"] is None or isinstance(row["t"], int) else micros(row["t"]) for row in found]


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def at(text: str) -> int:
    return micros(datetime.fromisoformat(text))


ZONED = [
    "2026-03-29T00:59:59.125+00:00",
    "2026-03-29T03:00:00+02:00",
    "1899-12-31T23:59:59+00:00",
    "2026-01-01T00:00:00Z",
]
LOCAL = {  # Berlin's wall clock, and the instant
    "2026-01-15 12:00:00": "2026-01-15T11:00:00Z",
    "2026-03-29 01:59:59": "2026-03-29T00:59:59Z",
    "2026-03-29 02:30:00": "2026-03-29T01:30:00Z",  # does not exist: as if the clock had not been moved yet
    "2026-03-29 03:00:00": "2026-03-29T01:00:00Z",
    "2026-07-01 12:00:00": "2026-07-01T10:00:00Z",
    "2026-10-25 01:59:59": "2026-10-24T23:59:59Z",
    "2026-10-25 02:30:00": "2026-10-25T01:30:00Z",  # exists twice: the later one
    "2026-10-25 03:00:00": "2026-10-25T02:00:00Z",
    "1899-12-31 23:00:00": "1899-12-31T22:00:00Z",
}


def test_zoned_times_are_the_instant_they_name(database):
    database.run(f"CREATE TABLE t (id integer, at {'text' if database.is_sqlite else 'timestamptz'})")
    database.fill("t", id=list(range(5)), at=[*ZONED, None])
    for timezone in ("UTC", BERLIN):
        assert instants(database.connect(), "t", timezone) == [*map(at, ZONED), None]


def test_zoneless_times_are_in_the_named_zone(database):
    database.run("CREATE TABLE t (id integer, at timestamp)")
    database.fill("t", id=list(range(len(LOCAL))), at=list(LOCAL))
    db = database.connect()
    assert instants(db, "t", "UTC") == [at(text + "Z") for text in LOCAL]
    database.deviates(CLOCKS)
    assert instants(db, "t", BERLIN) == [at(text) for text in LOCAL.values()]


@pytest.mark.parametrize(
    "timezone", [BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca"]
)
def test_zoneless_times_agree_with_the_zone_database_all_year(database, timezone):
    database.run("CREATE TABLE t (id integer, at timestamp)")
    walls = [datetime(2025, 1, 1) + timedelta(hours=7 * step) for step in range(1300)]
    database.fill("t", id=list(range(len(walls))), at=walls)
    if timezone != "Asia/Kolkata":
        database.deviates(CLOCKS)
    zone = ZoneInfo(timezone)
    wanted = []
    for wall in walls:
        first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
        wanted.append(micros((wall - min(first, second)).replace(tzinfo=UTC)))
    assert instants(database.connect(), "t", timezone) == wanted


def test_dates_begin_at_midnight_of_the_zone(database):
    database.run("CREATE TABLE t (id integer, at date)")
    database.fill("t", id=[1, 2, 3], at=["2026-07-01", "1895-05-05", None])
    assert instants(database.connect(), "t", BERLIN) == [at("2026-06-30T22:00:00Z"), at("1895-05-04T23:00:00Z"), None]


@pytest.mark.parametrize("spelled", ["integer", "double precision", "bigint", "numeric"])
def test_numbers_are_unix_seconds(database, spelled):
    database.run(f"CREATE TABLE t (id integer, at {spelled})")
    database.fill("t", id=[1, 2, 3], at=[1_750_000_000, -5, None])
    for timezone in ("UTC", BERLIN):
        assert instants(database.connect(), "t", timezone) == [1_750_000_000_000_000, -5_000_000, None]


@pytest.mark.parametrize("spelled", ["bigint", "double precision"])
def test_numbers_are_seconds_to_nanoseconds_by_their_size_or_no_time(database, spelled):
    database.run(f"CREATE TABLE t (id integer, at {spelled})")
    database.fill("t", id=[1, 2, 3, 4], at=[1_750_000_000_000, -(10**17), 9_000_000_000_000_000_000, 5])
    from_milliseconds, from_nanoseconds = 1_750_000_000_000_000, 9_000_000_000_000_000
    assert instants(database.connect(), "t", "UTC") == [from_milliseconds, None, from_nanoseconds, 5_000_000]


def test_infinity_and_nan_are_no_time(postgresql):
    postgresql.run(
        "CREATE TABLE t (id integer, at timestamptz)",
        "INSERT INTO t VALUES (1, 'infinity'), (2, '-infinity'), (3, '2026-01-01Z')",
        "INSERT INTO t VALUES (4, '4713-01-01 BC'), (5, '20000-01-01')",
        "CREATE TABLE f (id integer, at double precision)",
        "INSERT INTO f VALUES (1, 'NaN'), (2, 'Infinity'), (3, '-Infinity'), (4, 1e300), (5, 1)",
        "CREATE TABLE d (id integer, at date)",
        "INSERT INTO d VALUES (1, 'infinity'), (2, '-infinity'), (3, '2026-01-01'), (4, '4713-01-01 BC')",
    )
    db = postgresql.connect()
    assert instants(db, "t", BERLIN) == [None, None, at("2026-01-01T00:00:00Z"), None, None]
    assert instants(db, "f", BERLIN) == [None, None, None, None, 1_000_000]
    assert instants(db, "d", "UTC") == [None, None, at("2026-01-01T00:00:00Z"), None]


def test_text_that_is_no_time_is_none(sqlite):
    bad = ["yesterday", "", "12:00", "2026-13-01", "2026-02-30 25:00", "now", "2460000.5", "05/01/2026", "0000-01-01"]
    good = [
        "2026-05-01",
        "2026-05-01T06:00",
        "2026-05-01 06:00:00.5",
        "2026-05-01T06:00:00.123456Z",
        "2026-05-01 06:00:00z ",
    ]
    sqlite.run("CREATE TABLE t (id integer, at text)")
    sqlite.fill("t", id=list(range(len(bad + good))), at=bad + good)
    found = instants(sqlite.connect(), "t", BERLIN)
    assert found == [
        *[None] * len(bad),
        at("2026-04-30T22:00:00Z"),
        at("2026-05-01T04:00:00Z"),
        at("2026-05-01T04:00:00.5Z"),
        at("2026-05-01T06:00:00.123Z"),
        at("2026-05-01T06:00:00Z"),
    ]


def test_a_blob_is_no_time(sqlite):
    sqlite.run("CREATE TABLE t (id integer, at text)", "INSERT INTO t VALUES (1, x'323032362d30352d3031'), (2, 9e999)")
    assert instants(sqlite.connect(), "t", "UTC")[1] is None


TIME_COLUMNS = [
    ("timestamp", "UTC"),
    ("timestamp", BERLIN),
    ("timestamptz", BERLIN),
    ("date", BERLIN),
    ("bigint", "UTC"),
    ("double precision", "UTC"),
]


@pytest.mark.parametrize(("spelled", "timezone"), TIME_COLUMNS)
def test_not_before_is_the_event_time_compared(database, spelled, timezone):
    """Around both clock changes, where the wall clock is not in order."""
    declared = "text" if database.is_sqlite and spelled == "timestamptz" else spelled
    database.run(f"CREATE TABLE t (id integer, at {declared})")
    days = [datetime(2026, 3, 28, 23), datetime(2026, 10, 24, 23)]
    moments = [day + timedelta(minutes=20 * step) for day in days for step in range(18)]
    stored = {
        "timestamptz": lambda m: m.replace(tzinfo=UTC).isoformat(),
        "date": lambda m: m.date(),
        "bigint": lambda m: micros(m.replace(tzinfo=UTC)) // 1_000_000,
        "double precision": lambda m: micros(m.replace(tzinfo=UTC)) / 1e6,
    }.get(spelled, str)
    database.fill("t", id=list(range(len(moments) + 1)), at=[None, *map(stored, moments)])
    db = database.connect()
    column = db.admin.describe("t", None)["at"]
    for moment in moments[::2]:
        bound = moment.replace(tzinfo=UTC) + timedelta(minutes=7)
        ids = sa.select(sa.column("id")).select_from(sa.table("t")).order_by(sa.column("id"))
        found = db.rows(ids.where(db.sql.event_time_between(column, timezone, bound)))
        assert found == db.rows(ids.where(db.sql.event_time(column, timezone) >= db.sql.instant(bound)))


def test_later_adds_a_duration_to_an_instant(database):
    database.run("CREATE TABLE t (id integer, at timestamp)")
    database.fill("t", id=[1], at=["2026-03-28 12:00:00"])
    db = database.connect()
    column = db.admin.describe("t", None)["at"]
    later = db.sql.add_duration(db.sql.event_time(column, BERLIN), timedelta(days=1, seconds=1.5))
    for moment, wanted in (("2026-03-29T11:00:01.500+00:00", 1), ("2026-03-29T11:00:01.499+00:00", 0)):
        found = sa.case((later <= db.sql.instant(datetime.fromisoformat(moment)), 1), else_=0)
        assert db.scalar(sa.select(found).select_from(sa.table("t"))) == wanted


def test_now_is_the_databases_clock_with_a_zone(db):
    assert abs(db.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert db.now() <= db.now()


# ---- keys

KEYS = {
    "sqlite": {
        "integer": [-5, 0, 7, 2**62, 2**63 - 1],
        "real": [-1.5, 0.1, 1 / 3, 2.5e-300, 1.7976931348623157e308],
        "text": HARD_TEXTS,
        "clob": ["a\0b", "a\0c", "\0", "a"],  # texts that hold NUL
        "varchar(9)": ["a", "A", "a ", "ä"],
        "text COLLATE NOCASE": ["a", "B"],
        "blob": [b"\x00\xff", b"'"],
        "": [1, 2.5, 2**53 + 1, "1", "2.5", b"1", "", b""],
        "timestamp": ["2026-01-01 00:00:00", "2026-01-01T00:00:00Z"],
    },
    "postgresql": {
        "integer": [-5, 0, 7],
        "smallint": [-5, 0, 7],
        "bigint": [-(2**63), 2**63 - 1],
        "double precision": [-1.5, 0.1, 1 / 3, 2.5e-300],
        "real": [0.5, 0.1],
        "numeric": [Decimal("1.10"), Decimal("12345678901234567890.5"), Decimal("9" * 45), Decimal(7)],
        "numeric(12,3)": [Decimal("1.100"), Decimal("-7.125")],
        "text": HARD_TEXTS,
        "character varying(40)": HARD_TEXTS,
        "character(40)": ["a", "A", "ä'\\"],
        'text COLLATE "POSIX"': ["a", "B", "ä"],
        "uuid": [UUID(int=1), UUID(int=2**127)],
        "date": [date(1895, 1, 1), date(2026, 5, 1)],
        "timestamp without time zone": [datetime(1895, 1, 1), datetime(2026, 5, 1, 1, 2, 3, 456789)],
        "timestamp with time zone": [datetime(2026, 5, 1, 1, 2, 3, 456789, tzinfo=UTC)],
        "boolean": [False, True],
        "mood": ["bad", "fine"],
        "bytea": [b"\x00\xff\\'"],
        "inet": ["10.0.0.1"],
        "posint": [1, 2],
        "price": [Decimal("1.10"), Decimal("12345678901234567890.50")],
        "name": ["n"],
    },
    "mssql": {  # to which blanks at the end of a text are none
        "tinyint": [0, 7, 255],
        "smallint": [-5, 0, 7],
        "int": [-5, 0, 7],
        "bigint": [-(2**63), 2**53 + 1, 2**63 - 1],
        "decimal(20,5)": [Decimal("-1.10000"), Decimal("123456789012345.54321"), Decimal(7)],
        "numeric(38,0)": [Decimal("9" * 38), Decimal(-1)],
        "money": [Decimal("-922337203685477.5808"), Decimal("0.0001"), Decimal("12.5")],
        "smallmoney": [Decimal("-0.0001"), Decimal("214748.3647")],
        "float": [-1.5, 0.1, 1 / 3, 2.5e-300, 1.7976931348623157e308],
        "real": [0.5, 0.1, -3.4e38],
        "bit": [False, True],
        "char(8)": ["a", "B", "it's"],
        "varchar(40)": ["a", "B", "", "it's", "100% {x} ? :y"],
        "nchar(8)": ["a", "ä", "日本"],
        "nvarchar(40)": ["a", "ä", "日本語 🙂", "it's", "[x]; --", "Straße"],
        "nvarchar(40) COLLATE Latin1_General_CS_AS": ["a", "A", "ä", "Ä"],
        "varchar(40) COLLATE Latin1_General_BIN2": ["a", "A", "B", "Z"],
        "nvarchar(40) COLLATE Latin1_General_100_BIN2": HARD_TEXTS,
        "date": [date(1, 1, 1), date(1895, 1, 1), date(2026, 5, 1), date(9999, 12, 31)],
        "datetime": ["1753-01-01T00:00:00.000", "2026-05-01T01:02:03.003", "2026-05-01T01:02:03.007"],
        "smalldatetime": ["1900-01-01T00:00:00", "2026-05-01T01:02:00"],
        "datetime2(7)": ["0001-01-01T00:00:00.0000001", "2026-05-01T01:02:03.1234567", "9999-12-31T23:59:59.9999999"],
        "datetime2(3)": ["2026-05-01T01:02:03.123", "2026-05-01T01:02:03.124"],
        "datetimeoffset(7)": ["2026-05-01T01:02:03.1234567+02:00", "2026-05-01T01:02:03.1234567-11:30"],
        "time(7)": ["00:00:00.0000001", "23:59:59.9999999"],
        "uniqueidentifier": [UUID(int=1), UUID(int=2**127), UUID(int=2**64 + 5)],
        "binary(8)": [b"\x00\xff\\'\0\0\0\0", b"\xff" * 8],
        "varbinary(20)": [b"\x00\xff\\'", b"\x00", b"\x00\xff"],
    },
}
# What Babelfish does not keep or compare as SQL Server does.
KEYS_THAT_DEVIATE = {
    "money": "CONVERT knows no styles of money, and rounds it to cents",
    "smallmoney": "CONVERT knows no styles of money, and rounds it to cents",
    "datetime": "CONVERT reads no datetime with milliseconds",
    "binary(8)": "CONVERT knows no styles of bytes",
    "varbinary(20)": "CONVERT knows no styles of bytes",
}


def told_apart(texts: list[str], *places: Place) -> list[str]:
    """Those texts of which each database takes no two for one."""
    if any(place.is_babelfish for place in places):  # JSON, see there
        texts = [text for text in texts if not re.search(r'["\\\n\t]', text)]
    if any(place.is_mssql for place in places):
        texts = list({text.rstrip(" "): text for text in texts}.values())
    return texts


def filled_with_keys(place: Place, spelled: str):
    keys = KEYS[place.system][spelled]
    if "BIN2" in spelled:
        keys = told_apart(keys, place)
    if place.system == "postgresql":
        place.run("CREATE TYPE mood AS ENUM ('bad', 'fine')", "CREATE DOMAIN posint AS integer CHECK (VALUE > 0)")
        place.run("CREATE DOMAIN amount AS numeric(22,2)", "CREATE DOMAIN price AS amount")
    if place.is_mssql and spelled in KEYS_THAT_DEVIATE:
        place.deviates(KEYS_THAT_DEVIATE[spelled])
    blob = {"sqlite": "X'{}'", "postgresql": "'\\x{}'", "mssql": "0x{}"}[place.system]
    texts = [blob.format(key.hex()) if isinstance(key, bytes) else literal(key) for key in keys]
    for number, key in enumerate(keys):
        if isinstance(key, str) and "\0" in key:  # it would end the statement
            texts[number] = f"CAST(X'{key.encode().hex()}' AS TEXT)"
    place.run(f"CREATE TABLE t (k {spelled})", *[f"INSERT INTO t VALUES ({text})" for text in texts])
    return len(keys)


def key_cases():
    return [pytest.param(system, spelled, id=f"{system}-{spelled}") for system in KEYS for spelled in KEYS[system]]


@pytest.mark.parametrize(("system", "spelled"), key_cases())
def test_a_key_that_was_rendered_is_parsed_to_the_same_value(make_place, system, spelled):
    place = make_place(system)
    count = filled_with_keys(place, spelled)
    db = place.connect()
    column = db.admin.describe("t", None)["k"]
    table = sa.table("t", sa.column("k"))
    texts = [
        row["r"] for row in db.rows(sa.select(db.sql.render_key(table.c.k, column).label("r")).order_by(table.c.k))
    ]
    assert len(set(texts)) == count
    for rank, text in enumerate(texts):
        for compared, wanted in (
            (table.c.k < db.sql.parse_key(text, column), rank),
            (table.c.k == db.sql.parse_key(text, column), 1),
        ):
            assert db.scalar(sa.select(sa.func.count()).select_from(table).where(compared)) == wanted
            literally = next(db.stream(sa.select(sa.func.count().label("n")).select_from(table).where(compared), 5))
            assert literally.to_pylist() == [{"n": wanted}]


@pytest.mark.parametrize(("system", "spelled"), key_cases())
def test_a_key_copied_to_a_column_of_its_type_is_found_again(make_place, system, spelled):
    """As predictions are found by the anti-join."""
    place = make_place(system)
    count = filled_with_keys(place, spelled)
    db = place.connect()
    column = db.admin.describe("t", None)["k"]
    source = sa.table("t", sa.column("k"))
    own = sa.Table("own", sa.MetaData(), sa.Column("k", RawType(column.type), primary_key=True, autoincrement=False))
    db.execute(sa.schema.CreateTable(own))
    rows, _ = db.read(sa.select(db.sql.key_value(column).label("k")).select_from(source), {}, 1000)
    db.ingest(own, rows)
    joined = sa.select(sa.func.count()).select_from(source.join(own, source.c.k == own.c.k))
    assert db.scalar(joined) == count
    staged = db.create_temporary("staged", sa.Column("k", RawType(column.type)))
    statement = sa.select(db.sql.key_value(column).label("k")).select_from(source)
    for batch in list(db.stream(statement, 2, exact=spelled == "")):
        db.ingest(staged, batch)
    assert db.scalar(sa.select(sa.func.count()).select_from(staged.join(own, staged.c.k == own.c.k))) == count


@pytest.mark.parametrize(("system", "spelled"), [case for case in key_cases() if case.values[0] != "sqlite"])
def test_a_key_that_came_as_text_is_written_as_what_it_was(make_place, system, spelled):
    """As a store comes back from a database that does not know the type."""
    place = make_place(system)
    count = filled_with_keys(place, spelled)
    db = place.connect()
    column = db.admin.describe("t", None)["k"]
    source = sa.table("t", sa.column("k"))
    own = sa.Table("own", sa.MetaData(), sa.Column("k", RawType(column.type), primary_key=True, autoincrement=False))
    db.execute(sa.schema.CreateTable(own))
    texts, _ = db.read(sa.select(db.sql.key_text(column).label("k")).select_from(source), {}, 1000)
    with db.transaction("write"):
        db.ingest(own, texts)
    joined = sa.select(sa.func.count()).select_from(source.join(own, source.c.k == own.c.k))
    assert db.scalar(joined) == count


def test_a_stream_of_keys_of_several_types_is_refused_unless_it_is_to_be_exact(sqlite):
    for mixture in ("(1), ('a')", "('a'), (1)", "('a'), (X'61')", "(X'61'), ('a')", "(1.5), (1)"):
        sqlite.run("DROP TABLE IF EXISTS t", "CREATE TABLE t (k)", f"INSERT INTO t VALUES {mixture}")
        db = sqlite.connect()
        for integer in (False, True):
            key = db.sql.key_value(Column("k", "number", "", integer)).label("k")
            statement = sa.select(key).select_from(sa.table("t"))
            for chunk in (1, 10):
                with pytest.raises(DatabaseError, match="the key column 'k' holds values of several types"):
                    list(db.stream(statement, chunk))
                assert sum(rows.num_rows for rows in db.stream(statement, chunk, exact=True)) == 2


def test_a_typed_key_may_mean_a_number_a_text_or_a_blob(sqlite):
    db, column = sqlite.connect(), Column("k", "number", "")
    assert db.sql.interpret_key("5", column) == ["5", "'5'"]
    assert db.sql.interpret_key("007", column) == ["'007'"]
    assert db.sql.interpret_key("1.5", column) == ["'1.5'", "1.5"]
    assert db.sql.interpret_key("1.50", column) == ["'1.50'"]
    assert db.sql.interpret_key("X'35'", column) == ["'X''35'''", "X'35'"]
    assert db.sql.interpret_key("'5'", column) == ["'''5'''", "'5'"]
    assert db.sql.interpret_key("CAST(X'00' AS TEXT)", column)[1] == "CAST(X'00' AS TEXT)"
    assert db.sql.interpret_key("5", Column("k", "number", "INTEGER", True)) == ["5"]


def test_a_damaged_key_bound_never_becomes_sql(sqlite):
    db = sqlite.connect()
    for text in ("1; DROP TABLE t", "'a' OR 1=1", "x", "", "(SELECT 1)", "'a''", "1e", "X'GG'"):
        with pytest.raises(DatabaseError, match="damaged"):
            db.sql.parse_key(text, Column("k", "number", "integer"))


def test_composite_keys_compare_as_rows_do(database):
    """Against every pair of a small grid, as Python orders tuples."""
    database.run("CREATE TABLE t (a integer, b text, c integer)")
    grid = list(itertools.product([1, 2, 3], ["A", "a", "ä"], [-1, 0]))
    database.fill("t", **{name: [row[place] for row in grid] for place, name in enumerate("abc")})
    db = database.connect()
    table = sa.table("t", *map(sa.column, "abc"))
    for width in (1, 2, 3):
        keys = [table.c[name] for name in "abc"[:width]]
        for bound in sorted({row[:width] for row in grid}):
            counted = [
                sa.func.sum(sa.case((compared(keys, [sa.literal(v) for v in bound]), 1), else_=0)).label(
                    compared.__name__
                )
                for compared in (at_least, at_most, after)
            ]
            wanted = {
                "at_least": sum(row[:width] >= bound for row in grid),
                "at_most": sum(row[:width] <= bound for row in grid),
                "after": sum(row[:width] > bound for row in grid),
            }
            assert db.rows(sa.select(*counted).select_from(table)) == [wanted]


# ---- transactions


def numbered(db):
    table = sa.Table("t", sa.MetaData(), sa.Column("n", sa.BigInteger))
    db.execute(sa.schema.CreateTable(table))
    return table


def test_a_write_that_fails_leaves_nothing_behind(database):
    db = database.connect()
    table = numbered(db)

    def write(*batches, then):
        with db.transaction("write"):
            for batch in batches:
                db.ingest(table, pa.table({"n": batch}))
            db.execute(table.insert().values(n=3))
            then()

    with pytest.raises(ZeroDivisionError):
        write([1, 2], then=lambda: 1 / 0)
    assert database.run("SELECT n FROM t") == []
    with db.transaction("write"):
        db.ingest(table, pa.table({"n": [1]}))
        db.execute(table.insert().values(n=2))
    assert database.run("SELECT n FROM t ORDER BY n") == [{"n": 1}, {"n": 2}]


def test_a_refused_statement_rolls_the_whole_write_back_and_the_connection_goes_on(database):
    db = database.connect()
    table = numbered(db)
    database.run("CREATE UNIQUE INDEX one ON t (n)")

    def write():
        with db.transaction("write"):
            db.ingest(table, pa.table({"n": [1]}))
            db.ingest(table, pa.table({"n": [2, 1]}))

    assert refused(write).reason == "duplicate"
    assert db.rows(sa.select(table)) == []


def test_a_refused_statement_with_values_rolls_the_whole_write_back_too(database):
    db = database.connect()
    table = sa.Table("t", sa.MetaData(), sa.Column("n", sa.BigInteger), sa.Column("s", sa.Text, nullable=False))
    db.execute(sa.schema.CreateTable(table))

    def write():
        with db.transaction("write"):
            db.execute(table.insert().values(n=1, s="one"))
            db.execute(table.insert().values(n=2, s=None))

    refused(write)
    assert db.rows(sa.select(table)) == []
    with db.transaction("write"):
        db.execute(table.insert().values(n=3, s="three"))
    assert database.run("SELECT n FROM t") == [{"n": 3}]


@pytest.mark.parametrize("value", ["a value", None])
@pytest.mark.parametrize("name", ["n", "x", "s", "flag", "at", "wall", "day", "bytes"])
def test_no_parameter_ends_the_transaction_that_it_is_in(database, name, value):
    """The driver for PostgreSQL commits at a zoned time."""
    values = {
        "n": (sa.BigInteger, 5),
        "x": (sa.Double, 0.5),
        "s": (sa.Text, "it's"),
        "flag": (sa.Boolean, True),
        "at": (Instant, datetime(2026, 5, 1, 1, 2, 3, 456000, tzinfo=UTC)),
        "wall": (sa.DateTime, datetime(2026, 5, 1, 1, 2, 3)),
        "day": (sa.Date, date(2026, 5, 1)),
        "bytes": (sa.LargeBinary, b"\x00'\xff"),
    }
    table = sa.Table("t", sa.MetaData(), *[sa.Column(column, kind) for column, (kind, _) in values.items()])
    db = database.connect()
    db.execute(sa.schema.CreateTable(table))
    db.execute(table.insert().values(n=0))
    given = {name: None if value is None else values[name][1]}
    utc = UTC if database.is_mssql and name == "wall" and value else None  # a time without a zone is read as UTC

    def write(then):
        with db.transaction("write"):
            db.execute(table.update().values(n=1))
            db.execute(table.insert().values(given))
            db.rows(table.update().values(given).returning(table.c.n))
            db.rows(sa.select(table).where(table.c[name] == given[name]))
            then()

    with pytest.raises(ZeroDivisionError):
        write(lambda: 1 / 0)
    assert database.run("SELECT n FROM t") == [{"n": 0}]
    write(lambda: None)
    wanted = given[name].replace(tzinfo=utc) if utc else given[name]
    assert [row[name] for row in db.rows(sa.select(table))] == [wanted] * 2


def test_what_is_not_committed_is_seen_by_nobody_else(database):
    db, other = database.connect(), database.connect()
    table = numbered(db)
    db.admin.prepare_store("rowcast")
    with db.transaction("write"):
        db.ingest(table, pa.table({"n": [1]}))
        assert other.rows(sa.select(table)) == []
    assert other.rows(sa.select(table)) == [{"n": 1}]


def test_a_snapshot_sees_one_moment_while_others_commit(database):
    db, other = database.connect(), database.connect()
    table = numbered(db)
    db.admin.prepare_store("rowcast")
    with db.transaction("snapshot"):
        assert db.rows(sa.select(table)) == []
        other.execute(table.insert().values(n=1))
        assert db.rows(sa.select(table)) == []
    assert db.rows(sa.select(table)) == [{"n": 1}]


def test_an_abandoned_stream_does_not_hold_the_connection(database):
    db = database.connect()
    table = numbered(db)
    db.ingest(table, pa.table({"n": list(range(1000))}))
    stream = db.stream(sa.select(table), 10)
    next(stream)
    stream.close()
    with db.transaction("write"):
        db.execute(table.delete())
    assert db.rows(sa.select(table)) == []


def test_returning_gives_python_values(db):
    table = sa.Table("t", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True), sa.Column("s", sa.Text))
    db.execute(sa.schema.CreateTable(table))
    assert db.scalar(table.insert().values(s="a").returning(table.c.n)) == 1
    assert db.rows(table.update().values(s="b").returning(table.c.n, table.c.s)) == [{"n": 1, "s": "b"}]
    assert db.rows(table.update().where(table.c.n == 5).values(s="b").returning(table.c.n)) == []
    assert db.scalar(sa.select(table.c.n).where(table.c.n == 5)) is None


# ---- refusals, each with its reason


def is_short_and_secretless(error):
    assert len(str(error).splitlines()) <= 2
    for secret in (PASSWORD, "s3cret", "s3cret%2F%40%3A%25word"):
        assert secret not in str(error)
        assert secret not in repr(error)
        assert secret not in repr(error.__cause__)


def refused(call) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        call()
    is_short_and_secretless(caught.value)
    return caught.value


def test_a_missing_table_or_column_is_named(database):
    db = database.connect()
    numbered(db)
    error = refused(lambda: db.rows(sa.select(sa.column("n")).select_from(sa.table("nowhere"))))
    assert "nowhere" in error.what
    database.deviates(NUMBERS)
    assert error.reason == "missing"
    error = refused(lambda: db.rows(sa.select(sa.column("no_such")).select_from(sa.table("t"))))
    assert (error.reason, "no_such" in error.what) == ("missing", True)
    error = refused(lambda: list(db.stream(sa.select(sa.column("no_such")).select_from(sa.table("t")), 5)))
    assert error.reason == "missing"
    error = refused(
        lambda: db.ingest(sa.Table("nowhere", sa.MetaData(), sa.Column("n", sa.Text)), pa.table({"n": ["1"]}))
    )
    assert error.reason == "missing"


def test_a_statement_that_fails_late_is_explained_too(database):
    db = database.connect()
    database.run("CREATE TABLE t (n integer)")
    database.fill("t", n=[*range(2000), 0])
    broken = sa.literal_column("json_extract('{', '$')" if database.is_sqlite else "1 / (n - 1999)").label("broken")
    statement = sa.select(broken).select_from(sa.table("t"))
    assert refused(lambda: db.rows(statement)).reason == "other"
    assert refused(lambda: list(db.stream(statement, 10))).reason == "other"
    assert refused(lambda: db.read(statement, {}, 5000)).reason == "other"


def test_a_wrong_password_is_a_refused_login(server):
    for password in ("wr%2Fong", ""):
        error = refused(lambda password=password: connect(server.url("postgres", password=password)))
        assert error.reason == "login"
        assert "wr/ong" not in str(error)
    assert refused(lambda: connect(server.url("postgres", user="nobody_here"))).reason == "login"


def test_a_missing_database_is_named(server):
    error = refused(lambda: connect(server.url("no_such_database")))
    assert "no_such_database" in error.what
    assert error.reason == "missing"


def test_nobody_listening_is_unreachable():
    error = refused(lambda: connect("postgresql://user:s3cret%2F@127.0.0.1:1/x"))
    assert error.reason == "unreachable"
    assert "127.0.0.1:1" in error.what


def test_an_unknown_host_is_unreachable():
    assert refused(lambda: connect("postgresql://user:s3cret@no-such-host.invalid/x")).reason == "unreachable"


def test_a_connection_that_the_server_closed_is_unreachable(postgresql):
    db = postgresql.connect()
    numbered(db)
    postgresql.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    error = refused(lambda: db.rows(sa.select(sa.column("n")).select_from(sa.table("t"))))
    assert error.reason == "unreachable"


def test_a_transaction_whose_server_went_away_is_unreachable(postgresql):
    db = postgresql.connect()
    table = numbered(db)

    def write():
        with db.transaction("write"):
            db.execute(table.insert().values(n=1))
            postgresql.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            db.execute(table.insert().values(n=2))

    assert refused(write).reason == "unreachable"
    assert postgresql.run("SELECT n FROM t") == []


def test_special_characters_in_a_password_are_carried(server):
    db = connect(server.url("postgres"))
    assert db.scalar(sa.select(sa.literal(1))) == 1
    db.close()
    assert db.safe_url == f"postgresql://127.0.0.1:{server.port}/postgres"


def lacking_to_create(db):
    """The statements that give what is missing to create the store's tables."""
    grants = db.admin.list_creation_grants("rowcast")
    lacking = [replace(grant, rights=db.admin.find_lacking(grant)) for grant in grants]
    return {db.admin.write_grant(grant, db.admin.user()) for grant in lacking if grant.rights}


def test_a_user_without_rights_is_told_so(postgresql):
    postgresql.run("CREATE TABLE t (n integer)", "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN PASSWORD 'r'")
    postgresql.run("GRANT SELECT ON t TO reader")
    name = postgresql.url.rpartition("/")[2]
    db = postgresql.connect(postgresql.server.url(name, user="reader", password="r"))
    assert db.rows(sa.select(sa.column("n")).select_from(sa.table("t"))) == []
    table = sa.Table("t", sa.MetaData(), sa.Column("n", sa.Integer))
    assert refused(lambda: db.execute(table.insert().values(n=1))).reason == "rights"
    assert refused(lambda: db.ingest(table, pa.table({"n": [1]}))).reason == "rights"
    assert refused(lambda: db.admin.prepare_store("rowcast")).reason == "rights"
    assert lacking_to_create(db) == {f"GRANT CREATE ON DATABASE {name} TO reader"}
    postgresql.run("CREATE SCHEMA rowcast")
    assert lacking_to_create(db) == {"GRANT CREATE, USAGE ON SCHEMA rowcast TO reader"}
    db.close()
    postgresql.run("DROP OWNED BY reader", "DROP ROLE reader")


def test_an_owner_lacks_no_rights(database):
    db = database.connect()
    assert lacking_to_create(db) == set()
    assert database.run("SELECT 1 AS one") == [{"one": 1}]


def test_a_file_that_is_not_sqlite_is_refused(tmp_path):
    path = tmp_path / "x.db"
    path.write_text("this is not a database, " * 100)
    error = refused(lambda: connect(f"sqlite:///{path}"))
    assert str(path) in error.what
    assert "not SQLite" in error.hint


def test_a_missing_file_is_refused_and_not_made(tmp_path):
    path = tmp_path / "x.db"
    assert refused(lambda: connect(f"sqlite:///{path}")).reason == "missing"
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert refused(lambda: connect(f"sqlite:///{tmp_path}/file/x.db", create=True)).reason == "unreachable"


def test_a_sqlite_path_may_hold_signs_that_mean_something_in_a_url(tmp_path):
    for name in ("a b.db", "100%.db", "what?.db", "hash#.db", "ü.db", "%41.db"):
        db = connect(f"sqlite:///{tmp_path}/".replace("%", "%25") + name.replace("?", "%3F"), create=True)
        db.query("CREATE TABLE t (n)")
        db.close()
    assert len(list(tmp_path.glob("*.db"))) == 6


def test_two_writers_wait_for_one_another(sqlite, monkeypatch):
    """A second writer that gives up says that the file is locked."""
    monkeypatch.setattr("rowcast.database.sqlite.connection._PATIENCE", 0.1)
    db, other = sqlite.connect(), sqlite.connect()
    table = numbered(db)
    other.query("PRAGMA busy_timeout = 1")
    with db.transaction("write"):
        db.execute(table.insert().values(n=1))
        assert refused(lambda: other.execute(table.insert().values(n=2))).reason == "locked"


READ_AND_WRITE = """
import sys
import sqlalchemy as sa
from rowcast.database import connect
from rowcast.errors import DatabaseError
table = sa.Table("t", sa.MetaData(), sa.Column("n", sa.Integer))
db = None
try:
    db = connect(sys.argv[1])
    print(db.rows(sa.select(table)), db.admin.find_lacking(db.admin.list_creation_grants("rowcast")[1]))
    db.execute(table.insert().values(n=1))
except DatabaseError as error:
    print(error.reason, str(error).count("\\n"))
if db:
    db.close()
"""


def bound_by_file_modes() -> None:
    """Give up root's right to pass over them."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP


def read_and_write(url: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-c", READ_AND_WRITE, url]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=bound_by_file_modes)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


def test_a_read_only_file_is_read_and_never_written(tmp_path):
    path = tmp_path / "x.db"
    db = connect(f"sqlite:///{path}", create=True)
    db.query("CREATE TABLE t (n)")
    db.close()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    first, second = read_and_write(f"sqlite:///{path}")
    assert first == "[] ('write',)"
    assert second == "rights 1"
    tmp_path.chmod(0o700)


def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = tmp_path / "x.db"
    connect(f"sqlite:///{path}", create=True).close()
    path.chmod(0o000)
    assert read_and_write(f"sqlite:///{path}") == ["unreachable 1"]


def test_a_full_disk_is_named(sqlite):
    db = sqlite.connect()
    table = sa.Table("t", sa.MetaData(), sa.Column("s", sa.Text))
    db.execute(sa.schema.CreateTable(table))
    db.query("PRAGMA max_page_count = 20")  # as SQLite itself reports a full disk
    rows = pa.table({"s": ["x" * 1000] * 1000})

    def write():
        with db.transaction("write"):
            db.ingest(table, rows)

    error = refused(write)
    assert error.reason == "full"
    assert db.rows(sa.select(table)) == []


# ---- URLs


@pytest.mark.parametrize("url", ["", "nonsense", "://", "postgresql://u:s3cret@h:port/x", "oracle://u:s3cret@h/x"])
def test_a_url_that_is_not_one_is_refused_without_being_shown(url):
    with pytest.raises(ConfigError) as caught:
        connect(url)
    is_short_and_secretless(caught.value)


def test_a_password_with_spaces_and_an_option_with_spaces_are_used(postgresql: Place) -> None:
    postgresql.run("CREATE ROLE spaced LOGIN PASSWORD 'p4 ss+w/rd@%'")
    server, name = postgresql.server, postgresql.url.rpartition("/")[2]
    assert server is not None
    try:
        url = server.url(name, "spaced", "p4%20ss%2Bw%2Frd%40%25") + "?options=-c%20search_path%3Dmes"
        with closing(connect(url)) as db:
            assert db.query("SELECT current_setting('search_path') AS path").to_pylist() == [{"path": "mes"}]
        with pytest.raises(DatabaseError) as caught:
            connect(server.url(name, "spaced", "p4%20ss%2Bw%2Frd%40"))
        assert "ss" not in f"{caught.value.what}{caught.value.detail}".replace("password", "")
    finally:
        postgresql.run("DROP ROLE spaced")


def test_a_pooler_that_changes_sessions_between_transactions_is_refused_at_once(postgresql: Place) -> None:
    server = postgresql.server
    assert server is not None
    pooler = Pooler(server.port)
    url = postgresql.url.replace(f":{server.port}/", f":{pooler.port}/")
    try:
        for _ in range(3):
            with pytest.raises(ConfigError, match="changes the session between transactions") as caught:
                connect(url)
            assert "pool_mode = session" in caught.value.hint
    finally:
        pooler.close()


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="PgBouncer is not installed")
@pytest.mark.parametrize("mode", ["transaction", "statement", "session"])
def test_pgbouncer_is_refused_but_in_session_mode(postgresql: Place, tmp_path: Path, mode: str) -> None:
    server, name = postgresql.server, postgresql.url.rpartition("/")[2]
    assert server is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "pgbouncer.ini"
    given = f"host=127.0.0.1 port={server.port} user=postgres password='{PASSWORD}'"
    config.write_text(
        f"[databases]\n{name} = {given}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
        f"pool_mode = {mode}\nunix_socket_dir =\nignore_startup_parameters = application_name,extra_float_digits\n"
    )
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        with suppress(OSError):
            folder.chmod(folder.stat().st_mode | 0o011)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(["pgbouncer", "-q", *user, str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        url = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        if mode == "session":
            with closing(connect(url)) as db:
                assert db.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
        else:
            with pytest.raises(ConfigError, match="changes the session"):
                connect(url)
        with pytest.raises(DatabaseError, match="unsupported startup parameter: options") as caught:
            connect(f"{url}?options=-c%20search_path%3Dmes")
        assert "a pooler stands in between" in caught.value.hint
    finally:
        process.terminate()
        process.wait()


def test_an_in_memory_database_is_refused():
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ConfigError, match="in-memory"):
            connect(url)


def test_urls_of_one_database_are_the_same_whoever_logs_in():
    assert is_same_database("postgresql://a:b@h/x", "postgresql://c:d@h:5432/x")
    assert is_same_database("sqlite:////tmp/a.db", "sqlite:////tmp/../tmp/a.db")
    assert not is_same_database("postgresql://a@h/x", "postgresql://a@h/y")
    assert not is_same_database("postgresql://a@h/x", "postgresql://a@g/x")
    assert not is_same_database("sqlite:////tmp/a.db", "sqlite:////tmp/b.db")


def test_a_column_that_begins_with_thousands_of_nulls_is_read(database):
    database.run("CREATE TABLE t (id INTEGER, word TEXT)")
    database.fill("t", id=list(range(3000)), word=[None] * 2999 + ["late"])
    table = sa.table("t", sa.column("id", sa.Integer), sa.column("word", sa.Text))
    rows = database.connect().rows(sa.select(table).order_by(table.c.id))
    assert [row["word"] for row in rows[-2:]] == [None, "late"]
