"""Whether a version still means what rowcast.toml says, and whether the source still has what it learned from."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rowcast.config import Task
from rowcast.database import ColumnKind
from rowcast.errors import ConfigError, RowcastError, RunError
from rowcast.models.artifact import Model
from rowcast.models.target import canonical_label
from rowcast.source import Source
from rowcast.store.meaning import Meaning
from rowcast.store.registry import Version

_OTHER_JOB = "restore it; or give this job another 'name' in rowcast.toml: then it begins anew beside this one"
_RESTORE = (
    "give it back its kind, in a view or 'query' that casts it;"
    " or 'rowcast retrain' learns it anew, and 'rowcast promote V' puts that in service"
)
_CALLED: dict[ColumnKind, str] = {
    "number": "a number",
    "category": "a text",
    "boolean": "a boolean",
    "time": "a time",
    "other": "of a type that no model can use",
}
# What data-check reads value by value: what it cannot read is set aside, each row with its reason.
_READ_ALIKE: set[tuple[ColumnKind, ColumnKind]] = {
    ("number", "category"),
    ("boolean", "category"),
    ("boolean", "number"),
}


class Aspect(StrEnum):
    """In what a version and the job of today can differ."""

    LABEL = "label"
    LABEL_KIND = "label kind"
    KIND = "kind"
    POSITIVE = "positive"
    NORMAL = "normal"
    FLAGS = "flags"
    COLUMN = "column"


@dataclass(frozen=True)
class Difference:
    """One thing that a version was trained by, and that is another today."""

    aspect: Aspect
    was: str
    now: str
    column: str = ""  # the feature, or the label, whose kind differs


def make_meaning(source: Source, task: Task, model: Model) -> Meaning:
    """Return what the predictions of a model mean that was just trained."""
    kinds = {column.name: column.kind for column in source.relation.columns}
    return Meaning(
        label=source.label.name,
        label_kind=source.label.kind,
        kind=task.kind,
        positive=canonical_label(task.positive) if task.kind == "binary" else None,
        normal=canonical_label(model.classes[0]) if task.kind == "multiclass" else None,
        flags=_flags(task),
        columns=tuple((name, kinds[name]) for name in model.features if name in kinds),
    )


def find_differences(version: Version, source: Source, task: Task) -> list[Difference]:
    """Return in what a version differs from the job of today, what it predicts first, columns last."""
    meaning = version.meaning
    if meaning is None:  # trained before this was kept
        kind = version.metrics.get("kind", "binary")
        return [Difference(Aspect.KIND, kind, task.kind)] if kind != task.kind else []
    return [*_in_task(meaning, source, task), *_in_columns(meaning, source)]


def _in_task(meaning: Meaning, source: Source, task: Task) -> Iterator[Difference]:
    label = source.label
    if meaning.label != label.name:
        yield Difference(Aspect.LABEL, meaning.label, label.name)
    elif label.type and label.kind != meaning.label_kind:  # without a type, the kind is what some values look like
        yield Difference(Aspect.LABEL_KIND, meaning.label_kind, label.kind, label.name)
    if meaning.kind != task.kind:
        yield Difference(Aspect.KIND, meaning.kind, task.kind)
        return
    if task.kind == "binary" and meaning.positive != canonical_label(task.positive):
        yield Difference(Aspect.POSITIVE, str(meaning.positive), canonical_label(task.positive))
    if task.normal is not None and meaning.normal != canonical_label(task.normal):
        yield Difference(Aspect.NORMAL, str(meaning.normal), canonical_label(task.normal))
    was, now = meaning.flags, _flags(task)
    if was and now and not set(was) & set(now):  # another bound beside the old one is learned by the next retrain
        yield Difference(Aspect.FLAGS, was[0], now[0])


def _in_columns(meaning: Meaning, source: Source) -> Iterator[Difference]:
    there = {column.name: column for column in source.relation.columns}
    for name, was in meaning.columns:
        column = there.get(name)
        if column is None or column.kind == was or (was, column.kind) in _READ_ALIKE:
            continue
        if column.type or "time" in (was, column.kind):
            yield Difference(Aspect.COLUMN, was, column.kind, name)


def _flags(task: Task) -> tuple[str, ...]:
    return tuple(end for end in ("low", "high") if task.kind == "regression" and getattr(task, end) is not None)


def require_same_meaning(version: Version, source: Source, task: Task) -> None:
    """Raise ConfigError where a version means something else, RunError where a column is of another kind by now."""
    for difference in find_differences(version, source, task):
        raise make_error(version.version, difference)


def require_same_task(version: Version, source: Source, task: Task) -> None:
    """Raise ConfigError where a version predicts something else; its columns may be others by now."""
    for difference in find_differences(version, source, task):
        if difference.aspect is not Aspect.COLUMN:
            raise make_error(version.version, difference)


def make_error(version: int, difference: Difference) -> RowcastError:
    """Return the error that says in what a version differs, with the way out. A class is told in the detail alone."""
    was, now, name = difference.was, difference.now, difference.column
    match difference.aspect:
        case Aspect.COLUMN:
            told = f"column '{name}' was {_called(was)} when v{version} learned from it, and is {_called(now)}"
            return RunError(told, hint=_RESTORE, about=name)
        case Aspect.LABEL:
            told = f"v{version} predicts '{was}', and [source] label is '{now}'"
        case Aspect.LABEL_KIND:
            told = f"the label '{name}' was {_called(was)} when v{version} learned it, and is {_called(now)}"
        case Aspect.KIND:
            told = f"v{version} is a {was} model, and [task] kind is '{now}'"
        case Aspect.POSITIVE:
            detail = f"v{version} looks for '{was}'"
            told = f"[task] positive is '{now}', and v{version} looks for another class"
            return ConfigError(told, hint=_OTHER_JOB, detail=detail)
        case Aspect.NORMAL:
            detail = f"v{version} takes '{was}' for it"
            told = f"[task] normal is '{now}', and v{version} takes another class for the one that needs no action"
            return ConfigError(told, hint=_OTHER_JOB, detail=detail)
        case Aspect.FLAGS:
            told = f"v{version} flags values that are too {was}, and [task] names a bound for those that are too {now}"
    return ConfigError(told, hint=_OTHER_JOB)


def _called(kind: str) -> str:
    return next((words for known, words in _CALLED.items() if known == kind), kind)
