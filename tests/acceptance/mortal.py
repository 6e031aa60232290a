"""Processes that die at a chosen statement, within the one that runs the tests: no cleanup of theirs comes through."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import adbc_driver_manager.dbapi as dbapi
import pytest

from rowcast.database.adbc import Adbc
from rowcast.ledger import batches, process, runs
from rowcast.pipeline.batch import close_worker

_PIDS = itertools.count(2**22 + 1)  # larger than any that Linux gives to a process
_BEGUN = "1"


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
        self._all: list[Adbc] = []
        self._open, self._execute, self._ingest = Adbc.open, dbapi.Cursor.execute, dbapi.Cursor.adbc_ingest

    def open(self, db: Adbc) -> None:
        """In place of `Adbc.open`, by which connections are made and made anew."""
        if self.is_dead:
            raise Dead
        self._all.append(db)
        self._open(db)

    def execute(self, cursor: dbapi.Cursor, sql: str, *values: Any) -> Any:
        """In place of the driver's own."""
        writes = not sql.startswith(("SELECT", "PRAGMA", "SET")) and " TEMP" not in sql.upper()
        return self._done(writes, partial(self._execute, cursor, sql, *values))

    def ingest(self, cursor: dbapi.Cursor, *values: Any, **options: Any) -> Any:
        """In place of the driver's own."""
        return self._done(not options["temporary"], partial(self._ingest, cursor, *values, **options))

    def _done(self, writes: bool, statement: Callable[[], Any]) -> Any:
        if self.is_dead:
            raise Dead
        self.writes += writes
        if not writes or self.death is None or self.writes != self.death.statement:
            return statement()
        self.is_dead = True
        if self.death.executed:
            with contextlib.suppress(dbapi.Error):  # nobody is left to hear of it
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
    pid, mortal, started = next(_PIDS), _Process(death), process._started
    name = f"{process._place()}:{pid}:{_BEGUN}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_started", lambda other: _BEGUN if other == pid else started(other))
        for module in (runs, batches):
            patch.setattr(module, "process_name", lambda: name)
        patch.setattr(Adbc, "open", lambda db: mortal.open(db))
        patch.setattr(dbapi.Cursor, "execute", lambda cursor, *values: mortal.execute(cursor, *values))
        patch.setattr(dbapi.Cursor, "adbc_ingest", lambda *values, **options: mortal.ingest(*values, **options))
        try:
            yield
        finally:
            with contextlib.suppress(Dead):
                close_worker()
            mortal.close()
    assert process.is_gone(name)
