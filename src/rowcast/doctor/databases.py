"""The databases of source and store: whether they answer."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path

from rowcast.config import Settings
from rowcast.database import Database, connect, is_same_database, list_ways_in, parse_url
from rowcast.doctor.finding import Finding, to_problem
from rowcast.errors import ConfigError, DatabaseError, RowcastError


def find_systems(settings: Settings) -> list[str]:
    """Return which systems the two URLs name; a URL that is none is left to `connect` to refuse."""
    found = []
    for url in (settings.source_url, settings.store_url):
        with suppress(ConfigError):
            found.append(parse_url(url).get_backend_name())
    return found


def is_together(settings: Settings) -> bool:
    """Return whether source and store are one database."""
    return len(find_systems(settings)) == 2 and is_same_database(settings.source_url, settings.store_url)


def open_database(role: str, url: str, stack: ExitStack, findings: list[Finding]) -> Database | None:
    """Open a database and tell whether it answers; None where it does not. It is closed with the stack."""
    try:
        db = connect(url)
        stack.callback(db.close)
        findings.append(Finding("ok", f"the {role} answers: {db.safe_url}, {db.admin.version()}"))
    except RowcastError as error:
        is_new = role == "store" and isinstance(error, DatabaseError) and error.reason == "missing"
        findings.append(_check_new_file(url) if is_new else _tell_closed(url, error))
        return None
    return db


def _tell_closed(url: str, error: RowcastError) -> Finding:
    """Tell why a database did not let this user in, with the statement that does, where rights are why."""
    problem = to_problem(error)
    if not isinstance(error, DatabaseError) or error.reason not in ("rights", "unreachable"):
        return problem
    ways = [way for way in list_ways_in(url) if error.reason == "rights" or way[0].on in ("file", "folder")]
    if not ways:
        return problem
    grant, statement = ways[0]
    told = f"{problem.what}: this user lacks the right to {', '.join(grant.rights)} on {grant.where}"
    return Finding("problem", " ".join(told.split()), "", statement)


def _check_new_file(url: str) -> Finding:
    """Tell whether a store that is a SQLite file can be made by the first run, where the folder lets it."""
    path = Path(str(parse_url(url).database))
    folder = next(folder for folder in path.parents if folder.exists())
    if os.access(folder, os.W_OK):
        return Finding("ok", f"there is no store yet: the first run creates {path}")
    needed = list_ways_in(f"sqlite:///{folder}/x")[0]
    return Finding("problem", f"the store {path} may not be created", "", needed[1])
