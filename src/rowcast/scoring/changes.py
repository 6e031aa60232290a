"""Rows whose values at the source have changed since they were scored or set aside, found by their hashes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from rowcast import history
from rowcast.database import Column
from rowcast.errors import ConfigError, ModelError, SourceError
from rowcast.job.opening import Job
from rowcast.past import PastColumn
from rowcast.scoring.required_columns import also_checked
from rowcast.source import Fetched, RowHash, hash_rows, take_rows
from rowcast.store.reading.held_rows import Stored, WalkQuery, walk
from rowcast.store.records import BatchStatus


class Changes:
    """Compares stored hashes with those of the source's present values."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._names: dict[tuple[int, str | None], list[str] | None] = {}
        self._past: tuple[PastColumn, ...] = ()  # of all versions with hashes

    def hashed_columns(self, model_version: int, also_read: str | None) -> list[str] | None:
        """Return the columns that a batch's hashes are made of, in the source's order; None where one is gone."""
        if (model_version, also_read) not in self._names:
            features = self.job.registry.version(model_version).features
            # A batch of an older store does not say what else was read: what is checked today is the best guess.
            more = (
                json.loads(also_read)
                if also_read is not None
                else also_checked(self.job, self.job.registry.load(model_version))
            )
            wanted = {*features, *more}
            there = [name for name in self.job.source.relation.names if name in wanted]
            there += [column.name for column in self._list_past(model_version) if column.name in wanted]
            self._names[model_version, also_read] = there if len(there) == len(wanted) else None
        return self._names[model_version, also_read]

    def _list_past(self, model_version: int) -> tuple[PastColumn, ...]:
        """Return what a version computes from the past, as far as the source still has what it takes."""
        relation = self.job.source.relation.names
        if all(name in relation for name in self.job.registry.version(model_version).features):
            return ()  # which saves loading it
        try:
            past = self.job.registry.load(model_version).past
            history.require_columns(self.job.source, past)
        except (ConfigError, ModelError, SourceError):
            return ()
        return past

    def complete(self, fetched: Fetched) -> Fetched:
        """Return rows with what the versions of all hashes compute from the past."""
        return history.complete_rows(self.job.source, self._past, fetched)

    def walk(
        self,
        own: sa.Table,
        of_own: Sequence[sa.ColumnElement[bool]] = (),
        of_source: Sequence[sa.ColumnElement[bool]] = (),
        *,
        keys_alone: bool = False,
        to_score_again: bool = True,
        with_results: bool = False,
        most: int | None = None,
    ) -> Iterator[Stored]:
        """Yield rows of the prediction or quarantine table beside the source's values to compare, or its keys alone.

        Rows that the champion could learn from by now are left out where they are `to_score_again`; `with_results`
        reads what was predicted, too. Of `most` rows and no more the first in key order are read.
        """
        scope, columns = self.job.ledger.state().scope, [] if keys_alone else self._columns()
        past: tuple[PastColumn, ...] = () if keys_alone else self._past
        scope = scope if to_score_again else replace(scope, learned=None)
        columns = [*columns, *history.list_needed(past)]
        query = WalkQuery(own, self.job.tables.batch, scope, columns, of_own, of_source, with_results, most)
        for stored in walk(self.job.rows, query):
            is_whole = not past or not stored.is_read
            yield stored if is_whole else replace(stored, fetched=self.complete(stored.fetched))

    def compare(self, stored: Stored) -> tuple[npt.NDArray[np.bool_], int]:
        """Return which rows have changed, and how many cannot be compared: a column is gone, or a value fails."""
        changed, unknown = np.zeros(len(stored.held), dtype=bool), 0
        if not stored.is_read:
            return changed, len(stored.held)
        groups: dict[tuple[int, str | None, RowHash], list[int]] = {}
        for place, row in enumerate(stored.held):
            groups.setdefault((row.model_version, row.also_read, row.hashed_by), []).append(place)
        for (version, also_read, how), places in groups.items():
            names = self.hashed_columns(version, also_read)
            if names is None:
                unknown += len(places)
                continue
            rows = take_rows(stored.fetched, np.array(places))
            now = hash_rows(rows.rows, rows.misfits, names, how)
            changed[places] = now != np.array([stored.held[place].row_hash for place in places])
        return changed, unknown

    def count(self, own: sa.Table) -> tuple[int, int]:
        """Return how many rows of the prediction or quarantine table have changed, and how many cannot be compared."""
        counts = np.zeros(2, dtype=np.int64)
        for stored in self.walk(own, to_score_again=False):
            changed, unknown = self.compare(stored)
            counts += (changed.sum(), unknown)
        return int(counts[0]), int(counts[1])

    def _columns(self) -> list[Column]:
        """Every column that some batch's hashes are made of."""
        batch = self.job.tables.batch
        published = sa.and_(batch.c.job == self.job.settings.name, batch.c.status == BatchStatus.PUBLISHED)
        kinds = sa.select(batch.c.model_version, batch.c.also_read).where(published).distinct()
        groups = [(row["model_version"], row["also_read"]) for row in self.job.store.rows(kinds)]
        names = {name for group in groups for name in self.hashed_columns(*group) or ()}
        self._past = tuple({c.name: c for version, _ in groups for c in self._list_past(version)}.values())
        return [column for column in self.job.source.relation.columns if column.name in names]
