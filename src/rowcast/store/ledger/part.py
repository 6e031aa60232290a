"""What each part of the ledger works on."""

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.store.signing import NO_KEYS, SigningKeys
from rowcast.store.tables import JobTables, Tables


class LedgerPart:
    """A part of the ledger of one job."""

    def __init__(self, db: Database, tables: Tables, own: JobTables, job: str, keys: SigningKeys = NO_KEYS) -> None:
        self.db = db
        self.tables = tables
        self.own = own
        self.job = job
        self.keys = keys

    def _index(self, keys: sa.Table) -> None:
        """Keep SQLite from looking through all of a temporary table's keys for each row."""
        self.db.execute(sa.schema.CreateIndex(sa.Index(f"ix_{keys.name}", *keys.c)))


def have_key_of(own: sa.Table, keys: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition for rows of a job's table that have one of these keys."""
    same = sa.and_(*[column == own.c[column.name] for column in keys.c])
    return sa.exists(sa.select(sa.literal(1)).select_from(keys).where(same))
