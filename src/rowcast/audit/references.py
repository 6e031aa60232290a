"""References between the store's tables: each row that another one names must be there."""

from collections.abc import Iterator

import sqlalchemy as sa

from rowcast.audit.records import BrokenReference
from rowcast.job.opening import Job
from rowcast.store.records import BatchStatus
from rowcast.store.tables import Tables


def find_broken(job: Job) -> tuple[BrokenReference, ...]:
    """Return each column with values that name rows that are not there, and how many rows have such a value."""
    found = []
    for name, child, is_broken in (*_list_shared(job.tables, job.settings.name), *_list_own(job)):
        rows = job.store.scalar(sa.select(sa.func.count()).select_from(child).where(is_broken))
        if rows:
            found.append(BrokenReference(name, rows))
    return tuple(found)


Check = tuple[str, sa.Table, sa.ColumnElement[bool]]


def _list_shared(tables: Tables, job: str) -> Iterator[Check]:
    """Yield what the tables that jobs share say of runs, batches and versions."""
    run, model, batch = tables.run.c.run_id, tables.model.c.version, tables.batch.c.batch_id
    named: dict[str, tuple[sa.Table, dict[str, sa.Column[int]]]] = {
        "batch": (tables.batch, {"run_id": run, "model_version": model, "forgotten_run": run}),
        "step": (tables.step, {"run_id": run}),
        "metric": (tables.metric, {"run_id": run}),
        "model": (tables.model, {"run_id": run}),
        "profile": (tables.profile, {"run_id": run, "batch_id": batch, "model_version": model}),
        "drift": (tables.drift, {"run_id": run, "begun_run": run, "model_version": model}),
        "shadow_batch": (tables.shadow_batch, {"batch_id": batch, "model_version": model}),
        "promotion": (tables.promotion, {"version": model, "previous": model}),
        "alert": (tables.alert, {"run_id": run}),
        "job": (tables.job, {"champion": model, "training_run": run}),
    }
    for name, (child, columns) in named.items():
        for column, parent in columns.items():
            parents = parent.table.alias("parent")
            same = [parents.c[parent.name] == child.c[column], parents.c.job == job]
            there = sa.exists(sa.select(sa.literal(1)).select_from(parents).where(*same))
            yield f"{name}.{column}", child, sa.and_(child.c.job == job, child.c[column].is_not(None), ~there)


def _list_own(job: Job) -> Iterator[Check]:
    """Yield what a job's own tables say of their batches: such a one is there, and says the same of run and version."""
    own, batch = job.own, job.tables.batch
    published = {"run_id": batch.c.run_id, "model_version": batch.c.model_version}
    for name, child in (("prediction", own.prediction), ("quarantine", own.quarantine), ("history", own.history)):
        yield f"{name}.batch_id", child, ~_there(job, child, {}, BatchStatus.PUBLISHED)
        for column in ("run_id", *(["model_version"] if "model_version" in child.c else [])):
            same = _there(job, child, {column: published[column]}, BatchStatus.PUBLISHED)
            yield f"{name}.{column}", child, sa.and_(child.c[column].is_not(None), ~same)
    yield (
        "shadow.batch_id",
        own.shadow,
        ~_there(job, own.shadow, {"run_id": published["run_id"]}, BatchStatus.PUBLISHED),
    )
    version = job.tables.model
    known = [version.c.job == job.settings.name, version.c.version == own.shadow.c.model_version]
    yield "shadow.model_version", own.shadow, ~sa.exists(sa.select(sa.literal(1)).select_from(version).where(*known))
    yield "forgotten.batch_id", own.forgotten, ~_there(job, own.forgotten, {}, BatchStatus.FORGOTTEN)


def _there(job: Job, child: sa.Table, same: dict[str, sa.Column[int]], status: BatchStatus) -> sa.ColumnElement[bool]:
    """Return the condition of rows whose batch is there in this status, with the same values in some columns."""
    batch = job.tables.batch
    parts = [batch.c.batch_id == child.c.batch_id, batch.c.job == job.settings.name, batch.c.status == status]
    parts += [column == child.c[name] for name, column in same.items()]
    return sa.exists(sa.select(sa.literal(1)).select_from(batch).where(*parts))
