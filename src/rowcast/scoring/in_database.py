"""A batch that the database scores itself: its rows stay there, but for those that SQL cannot decide.

One statement checks, scores, hashes and counts what is pending of a batch, into a temporary table. What breaks the
contract, and the flagged rows that carry contributions, are read and go the way of all rows. The ledger publishes both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast import predict
from rowcast.database import Column, RawType
from rowcast.errors import ConfigError, ModelError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.scoring import shadow
from rowcast.scoring.as_sql import ROWS, VALUE, list_scored, write_scoring
from rowcast.scoring.publish import BatchRows, ScoredRows
from rowcast.scoring.request import ScoringRequest
from rowcast.scoring.required_columns import columns_needed
from rowcast.scoring.scorer import Scorer
from rowcast.scoring.shadow import Shadow
from rowcast.source import RENDERED, RowHash
from rowcast.store import Batch, StagedRows
from rowcast.translate import DECIDED, FLAGGED, KEPT, SLOT

_CHUNK = 50_000  # rows that travel together
_LOCAL = 'use [infer] engine = "local"'


def require_able(job: Job, model: Model) -> None:
    """Raise ConfigError or ModelError where the database cannot score this version's rows."""
    if not job.rows.together:
        raise ConfigError(
            '[infer] engine = "database" needs source and store in one database',
            hint=f"leave out [store] url, or {_LOCAL}",
        )
    name = job.store.dialect.name
    if name != "postgresql":
        raise ConfigError(
            f'[infer] engine = "database" is for PostgreSQL, and this is {name}',
            hint=_LOCAL
            + (": SQLite works in this process anyway, and the model is faster" if name == "sqlite" else ""),
        )
    try:
        write_scoring(job, model, None, model)
    except ModelError as error:
        if _LOCAL not in error.hint:
            error.hint += f"; or {_LOCAL}"
        raise


def read_undecided(scorer: Scorer, request: ScoringRequest, batch: Batch) -> BatchRows:
    """Let the database score what is pending of a batch, and read what it cannot decide."""
    job, model = scorer.job, scorer.model(batch.model_version)
    profiler = scorer.profiler(batch.model_version)
    staged = _Staged(scorer, batch, 0 if profiler is None else len(profiler.edges.columns))
    staged.fill(request)
    staged.leave_flagged(predict.MOST_EXPLAINED)
    undecided, left = staged.select_undecided(), staged.count_undecided()
    fetched, shadows = shadow.read_rows(
        lambda chosen: job.pending.read_these(undecided, batch.keys, chosen, left),
        columns_needed(job, model),
        scorer.shadows.load([version for version in request.shadows if version != batch.model_version]),
    )
    return BatchRows(
        fetched, shadows, staged=staged.read_decided() if staged.decided else None, hashed_by=RowHash.SHA256
    )


class _Staged:
    """What the database has made of a batch's rows, in a temporary table."""

    def __init__(self, scorer: Scorer, batch: Batch, slots: int) -> None:
        self.scorer, self.job, self.batch = scorer, scorer.job, batch
        self.decided = 0
        self._key = [column.name for column in self.job.own.key]
        self._slots = [f"{SLOT}{place}" for place in range(slots)]
        self.table = self.job.store.create_temporary("rowcast_scored", *self._columns(self._slots))

    def _columns(self, slots: Sequence[str]) -> list[sa.Column[Any]]:
        """What `translate_scoring` gives, in its order."""
        own = self.job.own.prediction
        kinds = {name: own.c[name].type for name in DECIDED if name != FLAGGED}
        columns: list[sa.Column[Any]] = [sa.Column(c.name, RawType(c.type)) for c in self.job.own.key]
        columns += [sa.Column("row_hash", sa.BigInteger), sa.Column(KEPT, sa.SmallInteger)]
        columns += [sa.Column(name, kinds.get(name, sa.SmallInteger())) for name in DECIDED]
        return [*columns, *[sa.Column(name, sa.Integer) for name in slots]]

    def fill(self, request: ScoringRequest) -> None:
        """Score what is pending of the batch."""
        job = self.job
        columns = list_scored(job, self.scorer.model(self.batch.model_version))
        # One row more tells whether others, which the plan did not count, have taken its rows' room.
        rows = job.pending.select(self.batch.keys, self._choose(columns), job.ledger.state().scope, request.now)
        told = self._tell(
            self.scorer.statement(self.batch.model_version), rows.limit(job.settings.infer.batch_rows + 1)
        )
        job.store.execute(sa.text("SET jit = off"))  # it compiles large expressions for longer than they run
        names = [column.name for column in self.table.c]
        job.store.execute(self.table.insert().from_select(names, told.columns(*self._columns(self._slots))))

    def _choose(self, columns: Sequence[Column]) -> list[sa.ColumnElement[Any]]:
        """Return what a statement needs of the rows that it scores."""
        plain: list[sa.ColumnElement[Any]] = [sa.column(c.name) for c in (*self.job.source.key, *columns)]
        values = self.job.source.values(columns)
        return [*plain, *[getattr(v, "element", v).label(f"{VALUE}{place}") for place, v in enumerate(values)]]

    def _tell(self, statement: str, rows: sa.Select[Any]) -> sa.TextClause:
        compiled = rows.compile(dialect=self.job.store.dialect, compile_kwargs={"literal_binds": True})
        return sa.text(statement.replace(ROWS, str(compiled)).replace(":", r"\:"))  # a colon would begin a parameter

    def score(self, beside: Shadow) -> Iterator[pa.RecordBatch]:
        """Return a version's scores of the rows that are decided, as far as they are still the same."""
        job, champion = self.job, self.scorer.model(self.batch.model_version)
        decided = sa.select(self.table).where(self.table.c[KEPT] == 1).subquery("decided")
        rows = job.pending.select_these(
            decided, self.batch.keys, self._choose(list_scored(job, beside.model, champion))
        )
        told = self._tell(self.scorer.statement(beside.version, self.batch.model_version), rows)
        found = told.columns(*self._columns(())).subquery("shadowed")
        same = sa.and_(*[decided.c[name] == found.c[name] for name in (*self._key, "row_hash")])
        names = (*self._key, "row_hash", "score", "predicted")
        joined = sa.select(*[found.c[name] for name in names]).select_from(found.join(decided, same))
        scored = joined.where(found.c[KEPT] == 1).subquery("scored")
        values: dict[str, sa.ColumnElement[Any]] = {name: scored.c[name] for name in names}
        values |= {"threshold": sa.literal(beside.model.threshold, sa.Double)}
        yield from job.store.stream(sa.select(*self._label(values)).select_from(scored), _CHUNK)

    def _label(self, values: Mapping[str, sa.ColumnElement[Any]]) -> list[sa.Label[Any]]:
        """Return columns as they are read, by their names."""
        as_read = {column.name: self.job.store.sql.key_value(column) for column in self.job.own.key}
        return [as_read.get(name, value).label(name) for name, value in values.items()]

    def leave_flagged(self, most: int) -> None:
        """Leave the flagged rows with the highest scores undecided: they are read for their contributions."""
        table, key = self.table, [self.table.c[name] for name in self._key]
        first = sa.select(*key).where(table.c[KEPT] == 1, table.c[FLAGGED] == 1)
        first = first.order_by(table.c.score.desc(), *key).limit(most)
        chosen = first.subquery("first")
        same = sa.and_(*[one == chosen.c[one.name] for one in key])
        these = sa.exists(sa.select(sa.literal(1)).select_from(chosen).where(same))
        self.job.store.execute(table.update().where(these).values({KEPT: sa.literal_column("0")}))

    def select_undecided(self) -> sa.FromClause:
        """Return the keys of the rows that are to be read."""
        key = [self.table.c[name] for name in self._key]
        return sa.select(*key).where(self.table.c[KEPT] == 0).subquery("undecided")

    def count_undecided(self) -> int:
        """Count the rows that are `decided`, and return how many are not."""
        decided = sa.cast(sa.func.coalesce(sa.func.sum(self.table.c[KEPT]), 0), sa.BigInteger)
        figures: list[sa.ColumnElement[Any]] = [sa.func.count().label("n"), decided.label("decided")]
        [row] = self.job.store.rows(sa.select(*figures).select_from(self.table))
        self.decided = int(row["decided"])
        return int(row["n"]) - self.decided

    def read_decided(self) -> ScoredRows:
        """Return the rows that are decided, as they are published."""
        store, source, table = self.job.store, self.job.source, self.table
        threshold = sa.literal(self.scorer.model(self.batch.model_version).threshold, sa.Double)
        stored: dict[str, sa.ColumnElement[Any]] = {name: table.c[name] for name in self._key}
        stored |= {"row_hash": table.c.row_hash, "threshold": threshold}
        stored |= {name: table.c[name] for name in DECIDED if name != FLAGGED}
        kept = table.c[KEPT] == 1
        rendered = [
            store.sql.render_key(table.c[c.name], c).label(f"{RENDERED}{place}") for place, c in enumerate(source.key)
        ]
        read = pa.Table.from_batches(
            store.stream(sa.select(*self._label(stored), *rendered, table.c[FLAGGED]).where(kept), _CHUNK)
        )
        rows = StagedRows(
            sa.select(*[value.label(name) for name, value in stored.items()]).where(kept), read.select(list(stored))
        )
        keys = read.select([each.name for each in rendered])
        whole = pa.RecordBatch.from_arrays([column.combine_chunks() for column in keys.columns], schema=keys.schema)
        flagged = pc.sum(read.column(FLAGGED)).as_py() or 0
        return ScoredRows(rows, whole, flagged, self._count_slots(kept), self)

    def _count_slots(self, kept: sa.ColumnElement[bool]) -> Sequence[tuple[int, int, int]]:
        if not self._slots:
            return ()
        slots = [self.table.c[name] for name in self._slots]
        place = sa.case(*[(slot.is_not(None), number) for number, slot in enumerate(slots)])
        counted = sa.select(place.label("place"), sa.func.coalesce(*slots).label("slot"), sa.func.count().label("n"))
        grouped = counted.where(kept).group_by(sa.func.grouping_sets(*[sa.tuple_(slot) for slot in slots]))
        return [(row["place"], row["slot"], row["n"]) for row in self.job.store.rows(grouped)]
