"""Processes that die at a chosen statement, within the one that runs the tests: no cleanup of theirs comes through."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import adbc_driver_manager.dbapi as dbapi
import mssql_python
import pytest

from rowcast.database.driver import DriverConnection
from rowcast.scoring.batch import close_worker
from rowcast.store import alerts, process, runs
from rowcast.store.ledger import claims

_PIDS = itertools.count(2**22 + 1)  # larger than any that Linux gives to a process
_BEGUN = "1"
# What the drivers execute statements by, and what they bring many rows to a table by.
_CURSORS = ((dbapi.Cursor, "adbc_ingest"), (mssql_python.Cursor, "bulkcopy_arrow"))
_FAULTS = (dbapi.Error, mssql_python.Error, RuntimeError)


class Dead(BaseException):
    """The process is dead. No `except Exception` stops it, and no cleanup reaches a database any more."""


@dataclass(frozen=True)
class Death:
    """At which of its statements a process dies, and whether the database still executes that one.

    Only those that write are counted: to die at one that reads leaves what dying at the next that writes does.
    """

    statement: int  # counted from 1; BEGIN and COMMIT are among them
    executed: bool


class _Process:
    """What one process does to databases."""

    def __init__(self, death: Death | None) -> None:
        self.death = death
        self.writes = 0
        self.is_dead = False
        self._all: list[DriverConnection] = []
        self._open = DriverConnection.open

    def open(self, db: DriverConnection) -> None:
        """In place of `DriverConnection.open`, by which connections are made and made anew."""
        if self.is_dead:
            raise Dead
        self._all.append(db)
        self._open(db)

    def executing(self, driver: Callable[..., Any]) -> Callable[..., Any]:
        """In place of a driver's own."""

        def execute(cursor: Any, sql: str, *values: Any, **options: Any) -> Any:
            reads = sql.startswith(("SELECT", "PRAGMA", "SET", "DECLARE")) or " TEMP" in sql.upper() or "[#" in sql
            return self._done(not reads, partial(driver, cursor, sql, *values, **options))

        return execute

    def ingesting(self, driver: Callable[..., Any]) -> Callable[..., Any]:
        """In place of a driver's own."""

        def ingest(cursor: Any, *values: Any, **options: Any) -> Any:
            return self._done(not options.get("temporary"), partial(driver, cursor, *values, **options))

        return ingest

    def _done(self, writes: bool, statement: Callable[[], Any]) -> Any:
        if self.is_dead:
            raise Dead
        self.writes += writes
        if not writes or self.death is None or self.writes != self.death.statement:
            return statement()
        self.is_dead = True
        if self.death.executed:
            with contextlib.suppress(*_FAULTS):  # nobody is left to hear of it
                statement()
        raise Dead

    def close(self) -> None:
        """What the system does for a process that has ended: open transactions are rolled back by that."""
        for db in self._all:
            with contextlib.suppress(Exception):  # most are closed, some were never open
                db.close()


@contextlib.contextmanager
def living(death: Death | None) -> Iterator[None]:
    """What happens within is a process of its own, which is gone afterwards; `Dead` comes out where it died.

    The ledger tells by their names which processes are there, so it has a name that no other one ever had.
    """
    pid, mortal, started = next(_PIDS), _Process(death), process._start_of
    name = f"{process.place_name()}:{pid}:{_BEGUN}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_start_of", lambda other: _BEGUN if other == pid else started(other))
        for module in (runs, claims, alerts):
            patch.setattr(module, "process_name", lambda: name)
        patch.setattr(DriverConnection, "open", lambda db: mortal.open(db))
        for cursor, ingest in _CURSORS:
            patch.setattr(cursor, "execute", mortal.executing(cursor.execute))
            patch.setattr(cursor, ingest, mortal.ingesting(getattr(cursor, ingest)))
        try:
            yield
        finally:
            with contextlib.suppress(Dead):
                close_worker()
            mortal.close()
    assert process.is_gone(name)
