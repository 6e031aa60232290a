"""A driver written in Rust that gives up raises what is no Exception: it comes out as an error like any other."""

from collections.abc import Callable

import pytest
from recording import Cursor, recorded

from rowcast.database.mssql.connection import MSSQLConnection
from rowcast.errors import DatabaseError


class PanicException(BaseException):
    """As pyo3 names and derives it."""


CALLS: dict[str, Callable[[MSSQLConnection], object]] = {
    "query": lambda db: db.query("SELECT 1 AS one"),
    "statement": lambda db: db.run_sql("SET NOCOUNT ON"),
    "connecting": lambda db: db.reconnect(),
    "clock": lambda db: db.now(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_driver_that_gives_up_is_an_error_like_any_other(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded() as (_, db):

        def panic(*_: object) -> None:
            raise PanicException("index out of bounds: the len is 0, wafer P0199 \n")

        monkeypatch.setattr(Cursor, "execute", panic)
        with pytest.raises(DatabaseError, match="the driver gave up") as caught:
            CALLS[call](db)
        assert "P0199" not in caught.value.what
        assert "P0199" in caught.value.detail
        assert not caught.value.is_transient
        assert "newer version" in caught.value.hint


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_what_else_is_no_exception_stays_what_it_is(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded() as (_, db):

        def stop(*_: object) -> None:
            raise error

        monkeypatch.setattr(Cursor, "execute", stop)
        with pytest.raises(type(error)):
            db.run_sql("SET NOCOUNT ON")
