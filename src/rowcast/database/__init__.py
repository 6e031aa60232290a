"""Databases: statements in SQLAlchemy Core go in, Arrow comes out.

SQLAlchemy only writes the SQL here; Arrow drivers execute it. A `Database` is what three small protocols say:

    protocols.py     Connection     `db.read(…)`               executes statements, in transactions
                     Expressions    `db.sql.event_time(…)`     how this system writes what rowcast needs in SQL
                     Admin          `db.admin.describe(…)`     what there is in the database, and what the store needs
    url.py           which class opens which URL
    relation.py      what a table or query consists of
    rights.py        what a user must be allowed to do
    comparison.py    comparisons of composite keys, the same on every system

To add a database, make a folder beside `sqlite/`, `postgresql/` and `mssql/` with a class for each protocol in
`connection.py`, `expressions.py` and `admin.py`, and name it in `url.connect`. What every connection does alike stands
in `driver.py`, and in `adbc.py` for drivers of ADBC; tests/integration/test_database.py says what must hold.
"""

from rowcast.database.comparison import after, at_least, at_most, equal
from rowcast.database.literals import in_parentheses
from rowcast.database.protocols import Admin, Connection, Database, Expressions
from rowcast.database.relation import Column, ColumnKind, RawType, Relation
from rowcast.database.rights import Grant
from rowcast.database.times import OrderedPart, is_of_texts
from rowcast.database.url import connect, is_same_database, list_ways_in, parse_url

__all__ = [
    "Admin",
    "Column",
    "ColumnKind",
    "Connection",
    "Database",
    "Expressions",
    "Grant",
    "OrderedPart",
    "RawType",
    "Relation",
    "after",
    "at_least",
    "at_most",
    "connect",
    "equal",
    "in_parentheses",
    "is_of_texts",
    "is_same_database",
    "list_ways_in",
    "parse_url",
]
