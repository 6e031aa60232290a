"""Database URLs: what one looks like, and what in it is a secret.

A URL whose password has an `@` or a `/` as it is would be taken apart in the wrong place, and half of the password
would stand where a host or a database is told to people. So a URL is read strictly, and none of a wrong one is quoted.
"""

import re
from urllib.parse import unquote

from pydantic import SecretStr

WAY_OUT = (
    "write postgresql://user:password@host:5432/database, mssql://user:password@host/database or sqlite:///fab.db. In "
    "user and password @ is %40, / is %2F, : is %3A, ? is %3F, # is %23, % is %25 and a space is %20; this prints a "
    "password so: python3 -c \"import getpass, urllib.parse as u; print(u.quote(getpass.getpass(), safe=''))\""
)
_OTHERS = (
    "mysql",
    "mariadb",
    "oracle",
    "snowflake",
    "redshift",
    "bigquery",
    "duckdb",
    "clickhouse",
    "databricks",
)
_PART = r"(?:[^\s:/?#@\[\]%]|%[0-9A-Fa-f]{2})*"
_AFTER_COLON = r"(?:[^\s/?#@\[\]%]|%[0-9A-Fa-f]{2})*"  # which may have a colon: a user's name may not
_SERVER = re.compile(
    rf"(?:postgresql|mssql)(?:\+\w+)?://(?:{_PART}(?::(?P<password>{_AFTER_COLON}))?@)?"
    r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]%]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/[^?#@:/]*)?(?:\?(?P<query>[^#@]*))?"
)
_FILE = re.compile(r"sqlite(?:\+\w+)?://(?:/.*)?", re.DOTALL)


def find_fault(url: str) -> str:
    """Return what is wrong with a database URL, in words that quote none of it; empty where nothing is."""
    if not url.strip():
        return "the database URL is empty"
    system = url.partition("://")[0].partition("+")[0]
    if system in _OTHERS and "://" in url:
        return f"'{system}' is not a database that rowcast knows: PostgreSQL, SQL Server and SQLite are"
    if system == "postgres":
        return "a PostgreSQL URL begins with postgresql://, not postgres://"
    found = _SERVER.fullmatch(url)
    if found is not None and int(found["port"] or 0) < 1 << 16:
        return ""
    return "" if _FILE.fullmatch(url) else "the database URL cannot be read"


def check_database_url(value: SecretStr) -> SecretStr:
    """Return a database URL. Raise ValueError, which does not show it."""
    fault = find_fault(value.get_secret_value())
    if fault:
        raise ValueError(f"{fault}: {WAY_OUT}")
    return value


def find_passwords(url: str) -> set[str]:
    """Return what nobody may be shown of a URL: passwords as written and as meant; all of a URL that is wrong."""
    if find_fault(url):
        return {url} - {""}
    found = _SERVER.fullmatch(url)
    if found is None:
        return set()
    pairs = (pair.partition("=") for pair in (found["query"] or "").split("&"))
    written = {value for name, _, value in pairs if re.search("pass|pwd|secret|token", name, re.IGNORECASE)}
    written |= {found["password"] or ""}
    meant = {unquote(each) for each in written} | {unquote(each.replace("+", " ")) for each in written}
    return {each for each in written | meant if each}
