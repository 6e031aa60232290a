"""The columns of the past in a training run: which are computed, how they are checked, and what a version keeps."""

from dataclasses import replace

from rowcast import fit, history, past
from rowcast.contract import ColumnRule, Contract
from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.past import JoinedColumn, PastColumn

_SAVED = "train/past.json"


def list_past(job: Job, champion: int | None) -> tuple[PastColumn, ...]:
    """Return what rowcast.toml declares, then what the champion needs besides, so that the gate can let it score."""
    found = {column.name: column for column in history.declare_columns(job.settings, job.source)}
    if champion is not None and any(
        name not in job.source.relation.names for name in job.registry.version(champion).features
    ):
        found = {column.name: column for column in job.registry.load(champion).past} | found
    return tuple(found.values())


def save_past(run: Run, columns: tuple[PastColumn, ...]) -> None:
    """Keep which columns were computed, and which of them rowcast.toml declares."""
    declared = {column.name for column in history.declare_columns(run.job.settings, run.job.source)}
    run.work.save_json(_SAVED, [past.to_dict(column) for column in columns if column.name in declared])


def read_past(run: Run) -> tuple[PastColumn, ...]:
    """Return the declared columns that data-fetch computed."""
    return tuple(map(past.from_dict, run.work.json(_SAVED))) if run.work.has(_SAVED) else ()


def add_rules(run: Run, contract: Contract) -> Contract:
    """Return the contract with rules for what is computed of earlier rows and events.

    They have no bounds: what is rare in a tool's history is no fault of the row.
    """
    computed = [column for column in read_past(run) if not isinstance(column, JoinedColumn)]
    return Contract((*contract.rules, *(ColumnRule(column.name, "number") for column in computed)))


def list_learned(run: Run) -> list[str]:
    """Return the declared columns whose rules are learned, as those of the source are: they are of another table."""
    return [column.name for column in read_past(run) if isinstance(column, JoinedColumn)]


def try_auto(run: Run, training: fit.TrainingData) -> tuple[fit.TrainingData, tuple[fit.SetTrial, ...]]:
    """Return training rows without the columns that `auto` tried in vain, and what it found."""
    sets = {
        name: [column.name for column in columns if column.name in training.matrix.names]
        for name, columns in history.list_auto(run.job.settings, run.job.source).items()
    }
    trials = fit.try_column_sets(training, {name: names for name, names in sets.items() if names})
    useless = {column for trial in trials if not trial.is_kept for column in sets[trial.name]}
    kept = tuple(name for name in training.matrix.names if name not in useless)
    if not kept:
        return training, trials
    newest = None if training.newest is None else training.newest.select(kept)
    return replace(training, matrix=training.matrix.select(kept), newest=newest), trials


def with_past(run: Run, model: Model) -> Model:
    """Return a model that was just fitted, with what it computes from the past."""
    return replace(model, past=tuple(column for column in read_past(run) if column.name in model.features))


def watch_past(run: Run, model: Model, matrix: Matrix) -> Matrix:
    """Return training rows without columns of the past that the model does not use: nobody computes them later."""
    unused = {column.name for column in read_past(run)} - set(model.features)
    return matrix.select(tuple(name for name in matrix.names if name not in unused))
