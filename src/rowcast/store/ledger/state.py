"""A job's name and what the store keeps about it: where scoring begins, and how far it is complete."""

import json
from typing import Any

import sqlalchemy as sa

from rowcast.errors import DatabaseError, StoreError
from rowcast.source import Learned, Scope
from rowcast.store.ledger.part import LedgerPart
from rowcast.store.ledger.records import JobState
from rowcast.store.scope_record import ScopeRecord, ScopeState


class State(LedgerPart):
    """The job's row in the store."""

    def register(self, source: str) -> None:
        """Take the job's name for this source. Raise StoreError where another source has it."""
        table = self.tables.job
        owner = self.db.scalar(sa.select(table.c.source).where(table.c.job == self.job))
        alike = [row["job"] for row in self.db.rows(sa.select(table.c.job)) if row["job"].lower() == self.job.lower()]
        if owner is None and alike:
            raise StoreError(
                f"the job name '{self.job}' differs from '{alike[0]}' only in case: their tables would be the same",
                hint="give this job another 'name' in rowcast.toml",
            )
        if owner is None:
            self._insert(source)
            owner = self.db.scalar(sa.select(table.c.source).where(table.c.job == self.job))
        if owner != source:
            raise StoreError(
                f"the job name '{self.job}' is taken by another source: {owner} (this one is {source})",
                hint="give this job another 'name' in rowcast.toml",
            )

    def _insert(self, source: str) -> None:
        """Add the job's row. Raise StoreError where this user may not."""
        try:
            self.db.execute(self.tables.job.insert().values(job=self.job, source=source, created_at=self.db.now()))
        except DatabaseError as error:
            if error.reason == "rights":
                raise StoreError(
                    f"rowcast may not write to its tables: {error.what}",
                    hint="'rowcast doctor' names the missing right, and the statement that grants it",
                    detail=error.detail,
                ) from error
            if error.reason != "duplicate":  # another process has registered the same job just now
                raise

    def is_registered(self) -> bool:
        """Return whether the store knows the job."""
        table = self.tables.job
        return self.db.scalar(sa.select(table.c.job).where(table.c.job == self.job)) is not None

    def state(self) -> JobState:
        """Return what the store keeps about the job."""
        table = self.tables.job
        row = self.db.rows(sa.select(table).where(table.c.job == self.job))[0]
        after = row["scope_after"]
        began = tuple(json.loads(after)) if after is not None else None
        # A job that began before this was kept scores what it would have scored then.
        with_learned = row["with_learned"] is None or bool(row["with_learned"])
        learned = None if with_learned or row["champion"] is None else self._learned_by(row["champion"])
        return JobState(Scope(row["scope_from"], began, learned, with_learned), row["complete_to"], row["champion"])

    def _learned_by(self, version: int) -> Learned | None:
        """Return which rows a version could learn from; None where it is not known up to where it was trained."""
        table = self.tables.model
        this = sa.and_(table.c.job == self.job, table.c.version == version)
        found = self.db.rows(sa.select(table.c.created_at, table.c.trained_to, table.c.trained_to_key).where(this))
        if not found:
            return None
        key = found[0]["trained_to_key"]
        until = found[0]["trained_to"] or (tuple(json.loads(key)) if key else None)
        return None if until is None else Learned(until, found[0]["created_at"])

    def set_state(self, **values: Any) -> None:
        """Set columns of the job's row."""
        self.db.execute(self.tables.job.update().where(self.tables.job.c.job == self.job).values(**values))

    def fix_scope(self, scope: Scope) -> None:
        """Set where scoring begins, once and for all."""
        after = None if scope.after is None else json.dumps(scope.after, ensure_ascii=False)
        record = ScopeRecord(scope.since, after, int(scope.with_learned))
        self.set_state(
            scope_from=record.since,
            scope_after=record.after,
            with_learned=record.with_learned,
            scope_record=record.to_json(self.job, self.keys),
        )

    def compare_scope(self) -> tuple[ScopeState, ScopeRecord | None]:
        """Return whether scoring begins where it was fixed to begin, and where that was; None where it is not known."""
        table = self.tables.job
        columns = (table.c.scope_from, table.c.scope_after, table.c.with_learned, table.c.scope_record)
        [row] = self.db.rows(sa.select(*columns).where(table.c.job == self.job))
        text = row["scope_record"]
        present = ScopeRecord(row["scope_from"], row["scope_after"], row["with_learned"])
        return present.compare(text, self.job, self.keys), None if text is None else ScopeRecord.from_json(text)[0]
