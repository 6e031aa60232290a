"""A version as one SELECT over the job's source: what the stage that translates it needs, gathered from the job."""

from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa

from rowcast import check, monitor
from rowcast.database import Column, in_parentheses
from rowcast.errors import ModelError, UsageError
from rowcast.job.meaning import require_same_meaning
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.scoring.required_columns import check_overrides, columns_needed, names_checked
from rowcast.translate import (
    DIALECTS,
    Counted,
    DialectName,
    HashedColumn,
    SourceColumns,
    translate_model,
    translate_scoring,
)

ROWS = "\1"  # stands for rows in a statement
VALUE = "rowcast.value_"  # and the place of a column: its value as it is read


def write_sql(job: Job, version: int, dialect: DialectName | None = None) -> str:
    """Return a version as one SELECT in a dialect, by default that of the source's database.

    Raise ModelError where it cannot be told in it, ConfigError or RunError where it does not fit the source.
    """
    own = cast(DialectName, job.source.db.dialect.name)
    name: DialectName = dialect or own
    if name not in DIALECTS:
        raise UsageError(f"there is no dialect '{name}'", hint=f"it is one of {', '.join(DIALECTS)}")
    check_overrides(job, version)
    require_same_meaning(job.registry.version(version), job.source, job.settings.task)
    model = job.registry.load(version)
    if model.past:
        raise ModelError(
            f"v{version} computes '{model.past[0].name}' from earlier rows, which one SELECT cannot",
            hint="'rowcast infer' scores its rows; [features] in rowcast.toml declares such columns",
        )
    needed = columns_needed(job, model)
    contract = check.apply_overrides(
        model.contract.select(column.name for column in needed), job.settings.check.columns
    )
    source = SourceColumns(
        key=tuple(column.name for column in job.source.key),
        columns={column.name: column for column in needed},
        rows=_from_and_where(job, name),
        is_own=name == own,
        hours=_hours(job, needed, name),
    )
    return translate_model(model, contract, source, job.settings.source.reading, DIALECTS[name])


def list_scored(job: Job, *models: Model) -> list[Column]:
    """Return the columns that these models need, in the source's order."""
    wanted = {column.name for model in models for column in columns_needed(job, model)}
    return [column for column in job.source.relation.columns if column.name in wanted]


def write_scoring(job: Job, model: Model, edges: monitor.Edges | None, hashed_for: Model) -> str:
    """Return the SELECT by which the store's own database scores rows, for which `ROWS` stands.

    They have the key, the columns of `list_scored`, and `VALUE` with the place of each of those as it is read. Values
    are counted by the edges of the version's profiles, where they are given; the hash is that of the rows which
    `hashed_for` scores. Raise ModelError for what cannot be told.
    """
    if model.past:
        raise ModelError(
            f"the model computes '{model.past[0].name}' from earlier rows, which one SELECT cannot",
            hint='use [infer] engine = "local"',
            about=model.past[0].name,
        )
    columns = list_scored(job, model, hashed_for)
    contract = check.apply_overrides(model.contract.select(names_checked(job, model)), job.settings.check.columns)
    dialect = DIALECTS[cast(DialectName, job.store.dialect.name)]
    values = {column.name: f"{VALUE}{place}" for place, column in enumerate(columns)}
    source = SourceColumns(
        key=tuple(column.name for column in job.source.key),
        columns={column.name: column for column in columns},
        rows=f"FROM ({ROWS}) AS s",
        is_own=True,
        hours={c.name: dialect.quote(values[c.name]) for c in columns if c.kind == "time" and job.source.time},
    )
    hashed = [_hash(values[c.name], c) for c in columns_needed(job, hashed_for)]
    counted = [] if edges is None else list(map(_count, edges.columns))
    return translate_scoring(model, contract, source, job.settings.source.reading, dialect, hashed, counted)


def _hash(name: str, column: Column) -> HashedColumn:
    if column.kind == "boolean":
        return HashedColumn(name, "boolean")
    return HashedColumn(name, "text" if column.kind in ("category", "other") else "number")


def _count(column: monitor.Numbers | monitor.Categories) -> Counted:
    return Counted(tuple(column.bounds.tolist()) if isinstance(column, monitor.Numbers) else None)


def _from_and_where(job: Job, dialect: DialectName) -> str:
    settings, quote = job.settings.source, DIALECTS[dialect].quote
    if settings.query is not None:
        rows = f"{in_parentheses(settings.query)} AS s"
    else:
        schema, table = job.source.db.admin.split_name(str(settings.table))
        rows = f"{f'{quote(schema)}.' if schema else ''}{quote(table)} AS s"
    return f"FROM {rows}" + (f"\nWHERE ({settings.where}\n)" if settings.where else "")


def _hours(job: Job, needed: Sequence[Column], dialect: DialectName) -> dict[str, str]:
    """The SQL of time columns, as hours before the event: each system writes that in a way of its own."""
    times = [column for column in needed if column.kind == "time"]
    if times and dialect != job.source.db.dialect.name:
        raise ModelError(
            f"the model uses the time column '{times[0].name}', which is told in {job.source.db.dialect.name} alone",
            hint=f"list it under [source] exclude and retrain, or leave out --dialect {dialect}",
            about=times[0].name,
        )
    return {column.name: _compile(job, value) for column, value in zip(times, job.source.values(times), strict=True)}


def _compile(job: Job, value: sa.ColumnElement[Any]) -> str:
    element = value.element if isinstance(value, sa.Label) else value
    return str(element.compile(dialect=job.source.db.dialect, compile_kwargs={"literal_binds": True}))
