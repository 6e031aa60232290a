"""What the HTTP service answered and was asked to record: each request's rows once, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import DatabaseError
from rowcast.store.tables import JobTables, with_constants

LONGEST_ID = 128  # characters of a request's id


@dataclass(frozen=True)
class RequestId:
    """What makes two requests the same: the id that the client gave, and the client."""

    request_id: str
    client: str = ""  # the name of its key


class Online:
    """The recorded requests of one job."""

    def __init__(self, db: Database, own: JobTables) -> None:
        self.db = db
        self.table = own.online

    def record(self, request: RequestId, model_version: int, rows: pa.Table) -> bool:
        """Write the rows of a request, all or none. Return False where it was recorded before.

        `rows` carry the job's key columns, `place`, `row_hash` and what was answered.
        """
        about: dict[str, int | str] = {
            "online_request": request.request_id,
            "online_client": request.client,
            "model_version": model_version,
        }
        try:
            with self.db.transaction("write"):
                self.db.ingest(self.table, with_constants(rows, **about, online_at=self.db.now()))
        except DatabaseError as error:
            if error.reason == "duplicate":
                return False
            raise
        return True

    def find(self, request: RequestId) -> list[dict[str, Any]]:
        """Return the rows of a request in their order; none where it was not recorded."""
        table = self.table
        same = sa.and_(table.c.online_request == request.request_id, table.c.online_client == request.client)
        return self.db.rows(sa.select(table).where(same).order_by(table.c.place))

    def is_used(self) -> bool:
        """Return whether any answer is recorded."""
        return bool(self.db.rows(sa.select(self.table.c.place).limit(1)))

    def forget(self, before: datetime) -> None:
        """Delete what was recorded before a moment."""
        self.db.execute(self.table.delete().where(self.table.c.online_at < before))

    def key_names(self) -> Sequence[str]:
        """Return the names of the job's key columns, which come first in the table."""
        return [column.name for column in self.table.c][: list(self.table.c).index(self.table.c.online_request)]
