"""Looks at a table and writes a first rowcast.toml: each guess with its reason, every other setting explained."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from rowcast import config, fetch
from rowcast.database import Database, connect, list_ways_in
from rowcast.errors import ConfigError, DatabaseError, RowcastError, SourceError
from rowcast.fetch import ScopeCounts
from rowcast.init.guess import Guess, Pick, guess_settings
from rowcast.init.look import Look
from rowcast.init.toml import URL_VARIABLE, lines, quote, written_url
from rowcast.source import make_missing_table_error, open_source
from rowcast.store.tables import job_tables, tables

__all__ = ["URL_VARIABLE", "Guess", "Pick", "inspect", "quote", "write", "written_url"]

_STORE = "rowcast"  # the schema, or the prefix, of a store where the config names no other


def inspect(url: str, table: str | None = None, query: str | None = None) -> Guess:
    """Look at a table or query and guess the settings of a job.

    Samples of its rows are read, and its times and labels are counted.

    A relative SQLite path starts at the working directory. Raises ConfigError, DatabaseError, or SourceError where
    there is no such table.
    """
    if (table is None) == (query is None):
        raise ConfigError("name either a table or a query to look at", hint="rowcast init --url URL --table TABLE")
    query = query.strip().rstrip("; \n") if query is not None else None
    with closing(_let_in(url)) as db, _naming_grants(db):
        relation = db.admin.describe(table, query)
        if relation is None:
            raise make_missing_table_error(db, str(table))
        if table is not None and _is_own(db, table):
            raise SourceError(f"{table} is one of rowcast's own tables", hint="name the table that holds your rows")
        guess = guess_settings(Look(db, relation, table, query), url, table, query)
        return guess if guess.unknown else replace(guess, scope=_count_scope(db, guess))


def _let_in(url: str) -> Database:
    try:
        return connect(url)
    except DatabaseError as error:
        if error.reason != "rights" or not (ways := list_ways_in(url)):
            raise
        raise _name_statement(error, ways[0][1]) from None


@contextmanager
def _naming_grants(db: Database) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        denied = db.admin.name_denied(error.what) if error.reason == "rights" else None
        if denied is None:
            raise
        raise _name_statement(error, db.admin.write_grant(denied, db.admin.user())) from None


def _name_statement(error: DatabaseError, statement: str) -> DatabaseError:
    """Return the error with the statement as its way out: there is no rowcast.toml yet with which the doctor could."""
    hint = f"an administrator gives this user the right to it: {statement};"
    return DatabaseError(error.what, hint=hint, detail=error.detail, reason=error.reason)


def _is_own(db: Database, table: str) -> bool:
    """Return whether a table is one that rowcast made, in a store under its default name."""
    shared, place = tables(db, _STORE), db.admin.split_name(table)
    if place[0] not in (None, _STORE) or not db.admin.has_table(shared.version):
        return False
    own = {each.name: each.schema for each in shared.shared}
    with suppress(DatabaseError):  # this user may not look at them
        for row in db.rows(sa.select(shared.job.c.job)):
            own |= {each.name: each.schema for each in job_tables(db, shared, _STORE, row["job"], (), sa.Text).all}
    return place[1] in own and place[0] == own[place[1]]


def _count_scope(db: Database, guess: Guess) -> ScopeCounts | None:
    """Return which rows a first run would score by what was guessed; None where the database cannot tell."""
    columns = {"time": guess.time.column, "label": guess.label.column, "label_time": guess.label_time.column}
    named = {"url": guess.url, "table": guess.table, "query": guess.query, "key": guess.key.columns, **columns}
    try:
        source = open_source(db, config.Source.model_validate(named))
        now = db.now()
        return fetch.count_scope(source, now, fetch.find_initial_scope(source, now, None))
    except (RowcastError, ValueError):  # a guess may not fit; doctor says why
        return None


def write(guess: Guess, path: Path, force: bool = False, typed: str = "") -> list[str]:
    """Write rowcast.toml, and return what is left to the user, a sentence each.

    A URL that was `typed` with a ${VARIABLE} is written as it was typed.

    Raises ConfigError where the file exists, without `force`, or cannot be written.
    """
    if path.exists() and not force:
        raise ConfigError(f"{path} exists already", hint="--force writes over it; --config names another file")
    url, hidden = written_url(guess.url.get_secret_value(), path.resolve().parent)
    if "${" in typed:
        url, hidden = typed, False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines(guess, url)) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="name another with --config") from None
    left = [f"set [source] {name} in {path}: {getattr(guess, name).why}" for name in guess.unknown]
    left += [
        f"check {name}, which seems to name a person and is in [source] exclude: take it out only if you mean to use it"
        for name in guess.personal
    ]
    if hidden:
        left.insert(0, f"export {URL_VARIABLE}=… (the URL with its password, which is not written to {path})")
    return left
