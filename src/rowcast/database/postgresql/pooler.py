"""Whether a pooler stands between, and hands a session from one client to another between two transactions.

What rowcast sets for a session (its time zone, temporary tables, a statement that was parsed) would then be another
client's, and another client's would be its own.
"""

import contextlib
import ipaddress
import socket
from typing import Any

import sqlalchemy as sa

from rowcast.database.driver import DriverConnection
from rowcast.errors import ConfigError, DatabaseError

# What is said where statements of two clients meet, or by PgBouncer where each statement has a session of its own.
_MIXED = (
    *("bind message supplies", 'prepared statement ""', "unnamed prepared statement", "Expected field with"),
    "not allowed in statement pooling mode",
)


def refuse_pooler(db: DriverConnection, url: sa.URL) -> None:
    """Raise ConfigError where sessions of this database are shared by transactions or statements.

    The server itself is known by its address. Where another address answers, a second connection shows whether the two
    are given the same session.
    """
    try:
        if _is_direct(db, url) or not _is_shared(db):
            return
    except DatabaseError as error:
        if not any(said in f"{error.what} {error.detail}" for said in _MIXED):
            raise
    raise ConfigError(
        f"{db.safe_url}: a pooler that changes the session between transactions stands in between",
        hint="name the server itself, or a pool in session mode (PgBouncer: pool_mode = session)",
    )


def _is_direct(db: DriverConnection, url: sa.URL) -> bool:
    sql = "SELECT host(inet_server_addr()) AS address, inet_server_port() AS port"
    found = db.query(sql).to_pylist()[0]
    if found["address"] is None or not url.host or "host" in url.query or (url.port or 5432) != found["port"]:
        return False
    with contextlib.suppress(OSError, ValueError):
        known = {_address(place[4][0]) for place in socket.getaddrinfo(url.host, None, proto=socket.IPPROTO_TCP)}
        return _address(found["address"]) in known
    return False


def _address(text: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(text).partition("%")[0])


def _is_shared(db: DriverConnection) -> bool:
    """Return whether another connection is given this one's session, or this one another session."""
    mine = _session(db)
    with contextlib.closing(db.clone()) as other:
        with other.transaction("write"):  # for so long a session is its own in any case
            theirs = _session(other)
        return theirs == mine or _session(db) != mine


def _session(db: DriverConnection) -> int:
    found: int = db.query("SELECT pg_backend_pid() AS pid").column(0)[0].as_py()
    return found
