"""rowcast in a process that ends at a chosen statement, says in which phase it is, or lacks a safeguard.

    python killed.py LOG [--phase publish --nth 3] [--by SIGKILL] [--without transaction] -- infer --workers 1

This exists for the tests alone: the ledger and the database layer are patched from outside. Every change of phase adds
the line "<process id> <phase>" to LOG, which a process that is killed cannot take back. The phases of a batch:

    planned     planning, or planned and the claim has not committed
    claimed     the claim has committed, and there are no predictions yet
    scored      the predictions are computed, and publishing has not begun
    publish     between publish's BEGIN and its COMMIT
    committed   after that COMMIT, until the next claim or the end
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from rowcast.cli import main
from rowcast.database.driver import DriverConnection
from rowcast.database.mssql.connection import MSSQLConnection
from rowcast.database.postgresql.connection import PostgreSQLConnection
from rowcast.database.sqlite.connection import SQLiteConnection
from rowcast.scoring import infer, record, required_columns
from rowcast.scoring import publish as publishing
from rowcast.store import Batch, Ledger

PHASES = ("planned", "claimed", "scored", "publish", "committed")
ELSEWHERE = "elsewhere"

# The phase that begins once a statement of one of the ledger's methods is executed.
_BEGINS = {("claim", "COMMIT"): "claimed", ("publish", "BEGIN"): "publish", ("publish", "COMMIT"): "committed"}


class Trap:
    """The phase that this process is in; at the nth point of the wanted phase it springs.

    A point lies right before and right after every statement that writes, and around checking and predicting.
    """

    def __init__(self, log: str, phase: str | None, nth: int, by: signal.Signals) -> None:
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.wanted, self.left, self.by = phase, nth, by
        self.phase = ELSEWHERE
        self.inside = ""  # the ledger's method under way

    def enter(self, phase: str) -> None:
        if phase != self.phase:
            self.phase = phase
            os.write(self.log, f"{os.getpid()} {phase}\n".encode())

    def point(self) -> None:
        if self.phase == self.wanted:
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(self.by)

    @contextlib.contextmanager
    def within(self, method: str) -> Iterator[None]:
        self.inside = method
        try:
            yield
        except BaseException:
            self.enter(ELSEWHERE)
            raise
        finally:
            self.inside = ""


def around(trap: Trap, call: Callable[..., Any], writes: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
    """The call with a point on each side of it where it writes."""

    def watched(*arguments: Any, **options: Any) -> Any:
        if not writes(*arguments):
            return call(*arguments, **options)
        trap.point()
        found = call(*arguments, **options)
        trap.point()
        return found

    return watched


def replace(owner: object, **attributes: object) -> None:
    """Put these in place of the attributes of a class or module."""
    for name, value in attributes.items():
        setattr(owner, name, value)


def watch(trap: Trap, without: str | None) -> None:
    """Let the trap see each statement that writes, and what the ledger and the scoring steps do."""

    def writes(_db: DriverConnection, statement: sa.Executable) -> bool:
        return isinstance(statement, sa.UpdateBase | sa.sql.ddl.ExecutableDDLElement)

    execute, rows, statement = DriverConnection.execute, DriverConnection.rows, DriverConnection.run_sql
    planning, claim, publish = Ledger.planning, Ledger.claim, Ledger.publish
    make_results, record_steps = publishing.make_results, record.record_steps

    def watched_statement(db: DriverConnection, sql: str) -> None:
        trap.point()
        if (trap.inside, without) != ("publish", "transaction"):
            statement(db, sql)
        trap.enter(_BEGINS.get((trap.inside, sql.split()[0]), trap.phase))
        trap.point()

    @contextlib.contextmanager
    def watched_planning(ledger: Ledger) -> Iterator[None]:
        trap.enter("planned")
        with planning(ledger):
            yield

    def watched_claim(ledger: Ledger, *arguments: Any) -> Batch | None:
        trap.enter("planned")
        with trap.within("claim"):
            found = claim(ledger, *arguments)
        if found is None:
            trap.enter(ELSEWHERE)
        return found

    def watched_publish(ledger: Ledger, *arguments: Any) -> bool:
        with trap.within("publish"):
            return publish(ledger, *arguments)

    def watched_results(*arguments: Any) -> Any:
        trap.point()
        found = make_results(*arguments)
        trap.enter("scored")
        trap.point()
        return found

    def watched_record(*arguments: Any) -> None:
        trap.enter(ELSEWHERE)
        record_steps(*arguments)

    def whosever_it_is(ledger: Ledger, batch_id: int, _worker: str) -> sa.ColumnElement[bool]:
        found: sa.ColumnElement[bool] = ledger.tables.batch.c.batch_id == batch_id
        return found

    replace(
        DriverConnection,
        execute=around(trap, execute, writes),
        rows=around(trap, rows, writes),
        run_sql=watched_statement,
    )
    replace(SQLiteConnection, ingest=around(trap, SQLiteConnection.ingest))
    replace(PostgreSQLConnection, ingest=around(trap, PostgreSQLConnection.ingest))
    replace(
        MSSQLConnection,
        ingest=around(trap, MSSQLConnection.ingest),
        _copy_in_bulk=around(trap, MSSQLConnection._copy_in_bulk),
    )
    replace(Ledger, planning=watched_planning, claim=watched_claim, publish=watched_publish)
    replace(publishing, check_rows=around(trap, required_columns.check_rows), make_results=watched_results)
    replace(infer, record_steps=watched_record)
    if without == "claim":
        replace(Ledger, _is_mine=whosever_it_is)


def begin() -> list[str]:
    """Set the trap; the rest of the arguments is rowcast's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--phase", choices=PHASES)
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--by", type=signal.Signals.__getitem__, default=signal.SIGKILL)
    parser.add_argument("--without", choices=("transaction", "claim"))
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    watch(Trap(given.log, given.phase, given.nth, given.by), given.without)
    command: list[str] = given.command
    return command


if __name__ == "__main__":
    sys.exit(main(begin()))
elif __name__ == "__mp_main__":  # a worker process, which imports the script that began its parent
    begin()
