"""What a model version needs of the source, and a batch's rows held against its contract."""

from collections.abc import Iterable, Sequence

from rowcast import check, history
from rowcast.database import Column
from rowcast.errors import ConfigError, RunError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.nearest import find_nearest
from rowcast.source import Fetched


def columns_needed(job: Job, model: Model) -> list[Column]:
    """Return the columns to read: what the model uses or computes features from, and what the config's checks name."""
    check_columns(job, model)
    wanted = {*model.features, *also_checked(job, model)}
    own = [column for column in job.source.relation.columns if column.name in wanted]
    return [*own, *history.list_needed(model.past)]


def names_checked(job: Job, model: Model) -> list[str]:
    """Return the columns that are checked and hashed, once those of the past stand beside what was read."""
    wanted = {*model.features, *also_checked(job, model)}
    own = [name for name in job.source.relation.names if name in wanted]
    return [*own, *(column.name for column in model.past)]


def complete(job: Job, models: Iterable[Model], fetched: Fetched, reader: history.Reader | None = None) -> Fetched:
    """Return rows with what these models compute from the past, in place of what was read for it."""
    past = {column.name: column for model in models for column in model.past}
    return history.complete_rows(reader or job.source, tuple(past.values()), fetched)


def also_checked(job: Job, model: Model) -> list[str]:
    """Return the columns of the model's contract that only the config's checks name."""
    known = set(model.contract.names) - set(model.features)
    return [name for name in job.source.relation.names if name in job.settings.check.columns and name in known]


def check_columns(job: Job, model: Model) -> None:
    """Raise RunError where the source lacks a column that a model needs; SourceError where it is needed of the past."""
    computed = {column.name for column in model.past}
    missing = [name for name in model.features if name not in job.source.relation.names and name not in computed]
    if missing:
        raise RunError(
            f"the source no longer has column '{missing[0]}', which the model needs",
            hint="give it back; or 'rowcast retrain' trains without it, and 'rowcast promote V' puts that in service",
            about=missing[0],
        )
    history.require_columns(job.source, model.past)


def check_overrides(job: Job, version: int) -> None:
    """Raise ConfigError where what [check.columns] says cannot be applied to the rows that this version scores."""
    overrides = job.settings.check.columns
    for name in overrides:
        if name not in job.source.relation.names:
            near = find_nearest(name, job.source.relation.names, cutoff=0.0)
            raise ConfigError(
                f"the source has no column '{name}', which [check.columns] names", hint=f"the nearest is '{near}'"
            )
    if overrides:
        unreadable = job.registry.version(version).metrics.get("unreadable", ())
        check.require_applicable(job.registry.load(version).contract, overrides, unreadable)


def check_rows(job: Job, model: Model, fetched: Fetched, names: Sequence[str]) -> check.CheckResult:
    """Check rows in the named columns, by a model's contract and what the config says of it."""
    contract = check.apply_overrides(model.contract.select(names), job.settings.check.columns)
    return check.check(fetched.rows, contract, fetched.misfits, job.settings.source.reading)
