"""Databases by their URL."""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from rowcast.database.protocols import Database
from rowcast.errors import ConfigError

_PORTS = {"postgresql": 5432, "mssql": 1433}  # where a URL names none


def connect(url: str, *, create: bool = False) -> Database:
    """Open a database by its SQLAlchemy URL; `create` lets a missing SQLite file be made.

    Raises ConfigError for a URL that is not one or a driver that is not installed, DatabaseError for a connection.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "the database URL is not one",
            hint="write sqlite:///fab.db, postgresql://user:password@host:5432/database or mssql://user:password@host/database",
        ) from None
    systems: dict[str, Callable[[], Database]] = {
        "sqlite": lambda: _connect_sqlite(parsed, create),
        "postgresql": lambda: _connect_postgresql(parsed),
        "mssql": lambda: _connect_mssql(parsed),
    }
    system = parsed.get_backend_name()
    if system not in systems:
        raise ConfigError(f"'{system}' is not a database that rowcast knows", hint=f"known: {', '.join(systems)}")
    return systems[system]()


def _connect_sqlite(url: sa.URL, create: bool) -> Database:
    from rowcast.database.sqlite.connection import SQLiteConnection

    return SQLiteConnection(url, create=create)


def _connect_postgresql(url: sa.URL) -> Database:
    try:
        from rowcast.database.postgresql.connection import PostgreSQLConnection
    except ModuleNotFoundError:
        raise ConfigError(
            "PostgreSQL needs a driver that is not installed", hint="pip install 'rowcast[postgresql]'"
        ) from None
    return PostgreSQLConnection(url)


def _connect_mssql(url: sa.URL) -> Database:
    try:
        from rowcast.database.mssql.connection import MSSQLConnection
    except ModuleNotFoundError:
        raise ConfigError(
            "SQL Server needs a driver that is not installed", hint="pip install 'rowcast[mssql]'"
        ) from None
    return MSSQLConnection(url)


def is_same_database(one: str, other: str) -> bool:
    """Return whether two URLs lead to the same database, where one statement can see both source and store."""
    return _target(make_url(one)) == _target(make_url(other))


def _target(url: sa.URL) -> tuple[object, ...]:
    system = url.get_backend_name()
    if system == "sqlite":
        return system, Path(url.database or "").resolve()
    return system, url.host, url.port or _PORTS.get(system), url.database
