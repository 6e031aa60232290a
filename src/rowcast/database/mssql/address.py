"""A URL as the driver's connection string: TLS on, the server's certificate checked."""

import re

import sqlalchemy as sa

from rowcast.errors import ConfigError

HINT = "write mssql://user:password@host:1433/database?Encrypt=yes&TrustServerCertificate=no"
_OPTIONS = {"encrypt": "yes", "trustservercertificate": "no"}  # where the URL does not say otherwise


def make_connection_string(url: sa.URL) -> str:
    """Return the connection string. Raises ConfigError."""
    options = {**_OPTIONS, **{name.lower(): str(value) for name, value in url.query.items()}}
    named = {"server": f"{url.host or 'localhost'},{url.port or 1433}", "database": url.database}
    named |= {"uid": url.username, "pwd": url.password}
    if "server" in options or "pwd" in options or "uid" in options:
        raise ConfigError("server, user and password stand in the url's own places", hint=HINT)
    return ";".join(f"{name}={_brace(str(value))}" for name, value in (named | options).items() if value is not None)


def _brace(value: str) -> str:
    return "{" + value.replace("}", "}}") + "}" if re.search(r"[;{}=\s]|^$", value) else value
