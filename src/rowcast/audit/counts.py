"""Rows counted by where they are, each part by a query of its own."""

from itertools import combinations
from typing import Any

import sqlalchemy as sa

from rowcast.database import equal
from rowcast.job.opening import Job
from rowcast.store.records import BatchStatus


def count_rows(job: Job) -> dict[str, int]:
    """Return the counts of an `Audit`, by name; the snapshot is the caller's."""
    source, store = job.source, job.store
    total = source.db.scalar(source.select(sa.func.count()))
    table = source.table()
    usable = source.usable(table)
    unusable = source.db.scalar(source.select(sa.func.count(), table=table).where(sa.not_(usable)))
    rows = _rows(job)
    both_tables, forgotten = (job.own.prediction, job.own.quarantine), job.own.forgotten
    scored, quarantined = (store.scalar(_count_joined(job, rows, own)) for own in both_tables)
    # What is stored is counted too, not only what the source's rows find: two of them may find the same.
    stored = sum(store.scalar(sa.select(sa.func.count()).select_from(own)) for own in both_tables)
    deleted = stored - sum(store.scalar(_count_found(job, rows, own)) for own in both_tables)
    placed = [_exists(job, rows, own) for own in (*both_tables, forgotten)]
    in_scope = rows.c["rowcast.in_scope"] == 1
    nowhere = sa.select(sa.func.count()).select_from(rows).where(*[~there for there in placed])
    return {
        "source": total,
        "unusable": unusable,
        "out_of_scope": store.scalar(nowhere.where(~in_scope)),
        "left_to_training": store.scalar(nowhere.where(rows.c["rowcast.learned"] == 1)),
        "scored": scored,
        "quarantined": quarantined,
        "forgotten": store.scalar(_count_joined(job, rows, forgotten)),
        "pending": store.scalar(nowhere.where(in_scope)),
        "duplicates": store.scalar(_duplicates(job)),
        "both": sum(store.scalar(_both(job, *pair)) for pair in combinations((*both_tables, forgotten), 2)),
        "shared": scored + quarantined + deleted - stored,
        "deleted": deleted,
        "batches": store.scalar(_count_batches(job, BatchStatus.PUBLISHED)),
        "history": store.scalar(sa.select(sa.func.count()).select_from(job.own.history)),
        "shadow": store.scalar(sa.select(sa.func.count()).select_from(job.own.shadow)),
        **_batches(job),
    }


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


def _count_found(job: Job, rows: Any, own: sa.Table) -> sa.Select[Any]:
    """Count stored rows that some row of the source finds, each once.

    The source's rows look up the stored ones, by their primary key: the other way round is a search of the whole source
    for each stored row where no index serves.
    """
    keys = [own.c[column.name] for column in job.source.key]
    found = sa.select(*keys).distinct().select_from(rows.join(own, sa.and_(*_same(job, rows, own)))).subquery("found")
    return sa.select(sa.func.count()).select_from(found)


def _duplicates(job: Job) -> sa.Select[Any]:
    own = job.own.prediction
    keys = [own.c[column.name] for column in job.source.key]
    beyond = (sa.func.count() - 1).label("beyond")
    repeated = sa.select(beyond).select_from(own).group_by(*keys).having(sa.func.count() > 1).subquery()
    return sa.select(sa.cast(sa.func.coalesce(sa.func.sum(repeated.c.beyond), 0), sa.BigInteger))


def _both(job: Job, one: sa.Table, other: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(one.join(other, sa.and_(*_same(job, one, other))))


def _count_batches(job: Job, status: BatchStatus) -> sa.Select[Any]:
    batch = job.tables.batch
    return sa.select(sa.func.count()).where(batch.c.job == job.settings.name, batch.c.status == status)


def _batches(job: Job) -> dict[str, int]:
    """Published and forgotten batches against the rows that name them, those in the history included."""
    batch, own, history = job.tables.batch, job.own, job.own.history
    mine = [batch.c.job == job.settings.name]
    counted: dict[str, Any] = {}
    for table, was in ((own.prediction, "scored"), (own.quarantine, "quarantined")):
        moved = sa.select(history.c.batch_id).where(history.c.was == was)
        counted[was] = _count_by_batch(sa.union_all(sa.select(table.c.batch_id), moved).subquery())
    counted["forgotten"] = _count_by_batch(own.forgotten)
    joined: sa.FromClause = batch
    rows: dict[str, sa.ColumnElement[Any]] = {}
    for name, counts in counted.items():
        joined = joined.outerjoin(counts, counts.c.batch_id == batch.c.batch_id)
        rows[name] = sa.func.coalesce(counts.c.n, 0)
    told = {name: sa.func.coalesce(batch.c[name], -1) for name in ("scored", "quarantined", "forgotten")}
    published = _count_batches(job, BatchStatus.PUBLISHED).select_from(joined)
    wrong = published.where(sa.or_(*[told[name] != rows[name] for name in ("scored", "quarantined")]))
    forgotten = _count_batches(job, BatchStatus.FORGOTTEN).select_from(joined)
    left = forgotten.where(sa.or_(rows["scored"] + rows["quarantined"] != 0, told["forgotten"] != rows["forgotten"]))
    gone = [sa.case((told[name] > rows[name], told[name] - rows[name]), else_=0) for name in ("scored", "quarantined")]
    missing = sa.select(sa.cast(sa.func.coalesce(sa.func.sum(gone[0] + gone[1]), 0), sa.BigInteger))
    missing = missing.select_from(joined).where(*mine, batch.c.status == BatchStatus.PUBLISHED)
    unpublished = sum(
        job.store.scalar(sa.select(sa.func.count()).select_from(table).where(~_is_of_batch(job, table)))
        for table in (own.prediction, own.quarantine, history)
    )
    return {
        "batches_wrong": job.store.scalar(wrong) + job.store.scalar(left),
        "unpublished": unpublished,
        "rows_missing": job.store.scalar(missing),
    }


def _count_by_batch(rows: Any) -> Any:
    return sa.select(rows.c.batch_id, sa.func.count().label("n")).group_by(rows.c.batch_id).subquery()


def _is_of_batch(job: Job, own: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition of rows that a published batch of this job accounts for."""
    batch = job.tables.batch
    return sa.exists(
        sa.select(sa.literal(1)).where(
            batch.c.batch_id == own.c.batch_id,
            batch.c.job == job.settings.name,
            batch.c.status == BatchStatus.PUBLISHED,
        )
    )
