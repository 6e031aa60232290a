"""The proof of promise 1, in SQL: every source row is in just one place, and every published batch says so itself.

source = unusable + out_of_scope + scored + quarantined + pending, each counted by a query of its own in one snapshot.
"""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from rowcast.database import equal
from rowcast.job.opening import Job
from rowcast.scoring.changes import Changes
from rowcast.store.records import BatchStatus


@dataclass(frozen=True)
class Audit:
    """Rows by where they are."""

    source: int
    unusable: int  # key NULL or repeated, or time NULL
    out_of_scope: int
    left_to_training: int  # of those out of scope, the ones that the version in service could learn from
    scored: int
    quarantined: int
    pending: int
    duplicates: int  # predictions beyond the first for one key
    both: int  # keys both scored and quarantined
    shared: int  # source rows beyond the first that have one prediction or quarantined row together
    deleted: int  # predictions and quarantined rows whose source row is gone or no longer usable
    batches: int  # published
    batches_wrong: int  # published with other counts than rows
    unpublished: int  # predictions and quarantined rows that no published batch accounts for
    history: int  # earlier predictions and quarantined rows that were replaced
    shadow: int  # rows scored by versions that are not in service, each version's for itself
    changed: int | None = None  # scored rows whose values at the source have changed since; only by a full audit
    changed_quarantined: int | None = None  # quarantined ones
    not_comparable: int | None = None  # both, where the source lacks a column or cannot compute it

    @property
    def holds(self) -> bool:
        parts = self.unusable + self.out_of_scope + self.scored + self.quarantined + self.pending
        faults = self.duplicates + self.both + self.shared + self.batches_wrong + self.unpublished
        return self.source == parts and not faults

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None} | {"holds": self.holds}


def audit(job: Job, *, full: bool = False) -> Audit:
    """Count everything in one snapshot; where source and store are two databases, the store's is taken first.

    A full audit also reads every scored and quarantined row again and compares its hash.
    """
    source, store = job.source, job.store
    with ExitStack() as stack:
        stack.enter_context(store.transaction("snapshot"))
        if store is not source.db:
            store.scalar(sa.select(sa.func.count()).select_from(job.own.prediction))  # the snapshot begins here
            stack.enter_context(source.db.transaction("snapshot"))
        total = source.db.scalar(source.select(sa.func.count()))
        table = source.table()
        usable = source.usable(table)
        unusable = source.db.scalar(source.select(sa.func.count(), table=table).where(sa.not_(usable)))
        rows = _rows(job)
        both_tables = (job.own.prediction, job.own.quarantine)
        scored, quarantined = (store.scalar(_count_joined(job, rows, own)) for own in both_tables)
        # What is stored is counted too, not only what the source's rows find: two of them may find the same.
        deleted = sum(store.scalar(_orphans(job, rows, own)) for own in both_tables)
        stored = sum(store.scalar(sa.select(sa.func.count()).select_from(own)) for own in both_tables)
        placed = [_exists(job, rows, own) for own in both_tables]
        in_scope = rows.c["rowcast.in_scope"] == 1
        nowhere = sa.select(sa.func.count()).select_from(rows).where(*[~there for there in placed])
        counts: dict[str, int] = {}
        if full:
            changes = Changes(job)
            (changed, gone), (set_aside, gone_too) = (changes.count(own) for own in both_tables)
            counts = {"changed": changed, "changed_quarantined": set_aside, "not_comparable": gone + gone_too}
        return Audit(
            source=total,
            unusable=unusable,
            out_of_scope=store.scalar(nowhere.where(~in_scope)),
            left_to_training=store.scalar(nowhere.where(rows.c["rowcast.learned"] == 1)),
            scored=scored,
            quarantined=quarantined,
            pending=store.scalar(nowhere.where(in_scope)),
            duplicates=store.scalar(_duplicates(job)),
            both=store.scalar(_both(job)),
            shared=scored + quarantined + deleted - stored,
            deleted=deleted,
            batches=store.scalar(_count_published(job)),
            history=store.scalar(sa.select(sa.func.count()).select_from(job.own.history)),
            shadow=store.scalar(sa.select(sa.func.count()).select_from(job.own.shadow)),
            **_batches(job),
            **counts,
        )


def _rows(job: Job) -> Any:
    """Usable source rows with their keys and whether they are in scope, where the store can join them."""
    scope, table = job.ledger.state().scope, job.source.table()
    in_scope = job.source.in_scope(scope) if scope.is_fixed else sa.false()
    learned: sa.ColumnElement[bool] = sa.false()
    if scope.is_fixed and scope.learned is not None:
        learned = sa.and_(job.source.has_begun(scope), job.source.could_be_learned(scope.learned))
    flags = {"rowcast.in_scope": in_scope, "rowcast.learned": learned}
    beside = [sa.case((condition, 1), else_=0).label(name) for name, condition in flags.items()]
    return job.rows.select_keys([job.source.usable(table)], table, *beside)


def _same(job: Job, one: Any, other: Any) -> list[sa.ColumnElement[bool]]:
    return [equal(one.c[column.name], other.c[column.name]) for column in job.source.key]


def _count_joined(job: Job, rows: Any, own: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(rows.join(own, sa.and_(*_same(job, rows, own))))


def _exists(job: Job, rows: Any, own: sa.Table) -> sa.ColumnElement[bool]:
    return sa.exists(sa.select(sa.literal(1)).select_from(own).where(*_same(job, rows, own)))


def _orphans(job: Job, rows: Any, own: sa.Table) -> sa.Select[Any]:
    there = sa.exists(sa.select(sa.literal(1)).select_from(rows).where(*_same(job, rows, own)))
    return sa.select(sa.func.count()).select_from(own).where(~there)


def _duplicates(job: Job) -> sa.Select[Any]:
    own = job.own.prediction
    keys = [own.c[column.name] for column in job.source.key]
    beyond = (sa.func.count() - 1).label("beyond")
    repeated = sa.select(beyond).select_from(own).group_by(*keys).having(sa.func.count() > 1).subquery()
    return sa.select(sa.cast(sa.func.coalesce(sa.func.sum(repeated.c.beyond), 0), sa.BigInteger))


def _both(job: Job) -> sa.Select[Any]:
    prediction, quarantine = job.own.prediction, job.own.quarantine
    return sa.select(sa.func.count()).select_from(
        prediction.join(quarantine, sa.and_(*_same(job, prediction, quarantine)))
    )


def _count_published(job: Job) -> sa.Select[Any]:
    batch = job.tables.batch
    return sa.select(sa.func.count()).where(batch.c.job == job.settings.name, batch.c.status == BatchStatus.PUBLISHED)


def _batches(job: Job) -> dict[str, int]:
    """Published batches against the rows that name them, those in the history included."""
    batch = job.tables.batch
    counts, unpublished = [], 0
    history = job.own.history
    for own, was in ((job.own.prediction, "scored"), (job.own.quarantine, "quarantined"), (history, None)):
        if was is not None:
            moved = sa.select(history.c.batch_id).where(history.c.was == was)
            each = sa.union_all(sa.select(own.c.batch_id), moved).subquery()
            counts.append(sa.select(each.c.batch_id, sa.func.count().label("n")).group_by(each.c.batch_id).subquery())
        mine = sa.exists(
            sa.select(sa.literal(1)).where(
                batch.c.batch_id == own.c.batch_id,
                batch.c.job == job.settings.name,
                batch.c.status == BatchStatus.PUBLISHED,
            )
        )
        unpublished += job.store.scalar(sa.select(sa.func.count()).select_from(own).where(~mine))
    scored, quarantined = counts
    joined = batch.outerjoin(scored, scored.c.batch_id == batch.c.batch_id)
    joined = joined.outerjoin(quarantined, quarantined.c.batch_id == batch.c.batch_id)
    differs = sa.or_(
        sa.func.coalesce(batch.c.scored, -1) != sa.func.coalesce(scored.c.n, 0),
        sa.func.coalesce(batch.c.quarantined, -1) != sa.func.coalesce(quarantined.c.n, 0),
    )
    wrong = _count_published(job).select_from(joined).where(differs)
    return {"batches_wrong": job.store.scalar(wrong), "unpublished": unpublished}
