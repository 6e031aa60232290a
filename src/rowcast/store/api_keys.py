"""Keys of the HTTP service: who may ask it for what. The store holds digests; a key itself is shown once."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import UsageError
from rowcast.store.tables import Tables

_MARK = "rowcast"  # by which a key is recognised in a file or a log where it should not be
_NAMED = 8  # letters by which a key is found; they are no part of its secret


class KeyScope(StrEnum):
    """What a key is good for: each can do what the one before can, but that `score` and `read` stand side by side."""

    SCORE = "score"
    READ = "read"
    OPERATE = "operate"


@dataclass(frozen=True)
class ApiKey:
    """What the store keeps about a key."""

    key_id: int
    job: str
    name: str  # of whoever uses it; several keys may have it, so that one can follow another
    prefix: str
    sha256: str
    scope: KeyScope
    per_second: float | None  # requests that it may make; None: any number
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the record of a row of the table `api_key`."""
        return cls(**{**row, "scope": KeyScope(row["scope"])})

    def is_live(self, now: datetime) -> bool:
        """Return whether the key is good for anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def make_key() -> tuple[str, str]:
    """Return a new key of 256 random bits, and the prefix by which it is found."""
    prefix = secrets.token_hex(_NAMED // 2)
    return f"{_MARK}_{prefix}_{secrets.token_urlsafe(32)}", prefix


def find_prefix(key: str) -> str:
    """Return the prefix of a key as it was sent; empty where it is none."""
    mark, _, rest = key.partition("_")
    prefix, _, secret = rest.partition("_")
    return prefix if mark == _MARK and len(prefix) == _NAMED and secret else ""


def digest(key: str) -> str:
    """Return what the store keeps of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The keys of one job."""

    def __init__(self, db: Database, tables: Tables, job: str) -> None:
        self.db = db
        self.table = tables.api_key
        self.job = job

    def create(
        self, name: str, scope: KeyScope, *, by: str, expires_at: datetime | None, per_second: float | None
    ) -> str:
        """Make a key and return it: nobody can read it again."""
        key, prefix = make_key()
        values: dict[str, Any] = {
            "job": self.job,
            "name": name,
            "prefix": prefix,
            "sha256": digest(key),
            "scope": scope,
        }
        values |= {"per_second": per_second, "created_at": self.db.now(), "created_by": by}
        self.db.execute(self.table.insert().values(**values, expires_at=expires_at))
        return key

    def list(self) -> list[ApiKey]:
        """Return every key, the newest first."""
        mine = sa.select(self.table).where(self.table.c.job == self.job)
        return [ApiKey.from_row(row) for row in self.db.rows(mine.order_by(self.table.c.key_id.desc()))]

    def revoke(self, which: str, *, by: str) -> int:
        """Revoke the keys of this name, or the one of this prefix, and return how many. Raise UsageError for none."""
        table = self.table
        named = sa.and_(table.c.job == self.job, sa.or_(table.c.name == which, table.c.prefix == which))
        live = sa.and_(named, table.c.revoked_at.is_(None))
        revoked = table.update().where(live).values(revoked_at=self.db.now(), revoked_by=by).returning(table.c.key_id)
        count = len(self.db.rows(revoked))
        if not count:
            raise UsageError(f"no live key has the name or prefix '{which}'", hint="'rowcast keys list' shows them")
        return count

    def exists(self) -> bool:
        """Return whether the store has a table of keys: it may be older than they are."""
        return self.db.admin.has_table(self.table)
