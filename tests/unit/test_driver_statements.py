"""Statements as a dialect writes them: compiled once, whatever their values."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from rowcast.database import connect
from rowcast.store.tables import Instant

TABLE = sa.table("t", sa.column("n", sa.Integer), sa.column("at", Instant))


def test_a_statement_with_other_values_is_compiled_once_and_gets_its_own(tmp_path: Path) -> None:
    with closing(connect(f"sqlite:///{tmp_path / 'fab.db'}", create=True)) as db:
        found = [
            db.compile(
                sa.select(TABLE.c.n).where(TABLE.c.n.in_(numbers), TABLE.c.at > datetime(year, 1, 1, tzinfo=UTC))
            )
            for numbers, year in (([1, 2], 2025), ([3], 2026))
        ]
        assert len(db._compiled) == 1
    assert [sql.count("?") for sql, _ in found] == [3, 2]
    assert [values for _, values in found] == [
        [1, 2, "2025-01-01 00:00:00.000000Z"],
        [3, "2026-01-01 00:00:00.000000Z"],
    ]
