"""Databases by their URL."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from rowcast.config.database_url import WAY_OUT, find_fault
from rowcast.database.postgresql.address import read_address
from rowcast.database.protocols import Database
from rowcast.database.rights import Grant
from rowcast.database.sqlite.access import find_lacking_access, list_file_grants, user_name, write_access
from rowcast.errors import ConfigError

_MSSQL_PORT = 1433  # where a URL names none


def connect(url: str, *, create: bool = False) -> Database:
    """Open a database by its SQLAlchemy URL; `create` lets a missing SQLite file be made.

    Raises ConfigError for a URL that is not one or a driver that is not installed, DatabaseError for a connection.
    """
    parsed = parse_url(url)
    systems: dict[str, Callable[[], Database]] = {
        "sqlite": lambda: _connect_sqlite(parsed, create),
        "postgresql": lambda: _connect_postgresql(parsed),
        "mssql": lambda: _connect_mssql(parsed),
    }
    return systems[parsed.get_backend_name()]()


def parse_url(url: str) -> sa.URL:
    """Take a database URL apart. Raise ConfigError, which quotes none of it, where it is not one."""
    fault = find_fault(url)
    if not fault:
        try:
            return make_url(url)
        except (ArgumentError, ValueError):
            fault = "the database URL cannot be read"
    raise ConfigError(fault, hint=WAY_OUT)


def list_ways_in(url: str) -> list[tuple[Grant, str]]:
    """Return which rights a user may lack who cannot connect at all, each with the statement that gives it."""
    parsed = parse_url(url)
    system = parsed.get_backend_name()
    if system == "sqlite":
        path = Path(parsed.database or "")
        grants = [*list_file_grants(path, write=False), *list_file_grants(path, write=True)]
        lacking = [replace(grant, rights=find_lacking_access(grant)) for grant in grants]
        return [(grant, write_access(grant, user_name())) for grant in dict.fromkeys(lacking) if grant.rights]
    if system != "postgresql" or not parsed.username:
        return []
    quote = PGDialect().identifier_preparer.quote  # type: ignore[no-untyped-call]
    name = parsed.database or parsed.username
    statement = f"GRANT CONNECT ON DATABASE {quote(name)} TO {quote(parsed.username)}"
    return [(Grant(("CONNECT",), "database", name), statement)]


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
    return _target(parse_url(one)) == _target(parse_url(other))


def _target(url: sa.URL) -> tuple[object, ...]:
    system = url.get_backend_name()
    if system == "sqlite":
        return system, Path(url.database or "").resolve()
    if system == "postgresql":
        return system, read_address(url)
    return system, url.host, url.port or _MSSQL_PORT, url.database
