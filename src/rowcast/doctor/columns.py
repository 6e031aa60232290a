"""The columns: which may become features, and whether their values can be read."""

from collections.abc import Iterator

from rowcast import check, fetch
from rowcast.config import Settings
from rowcast.doctor.finding import Finding, describe_whole, guard
from rowcast.formatting import count
from rowcast.source import Source, is_reserved

_MUCH = 2e9  # bytes
_SAMPLE = 1_000  # labelled rows, the newest, whose values are read


def check_columns(source: Source, settings: Settings) -> Iterator[Finding]:
    """Yield how many columns may become features, and which cannot."""
    features = source.features
    named = {*settings.source.key, *settings.source.exclude, settings.source.group}
    ignored = [c.name for c in source.relation.columns if c.kind == "other" and c.name not in named]
    kinds = [column.kind for column in features]
    if not features:
        yield Finding("problem", "no column is left as a feature", "name fewer columns in [source] exclude")
        return
    shown = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    yield Finding("ok", f"{count(len(features), 'column')} may become features ({shown})")
    if ignored:
        yield Finding(
            "warning",
            f"{len(ignored)} columns have a type that no model can use: {', '.join(ignored[:5])}",
            "a query can cast them; or name them in [source] exclude to say that it is meant so",
        )
    reserved = [name for name in source.relation.names if is_reserved(name) and name not in named]
    if reserved:
        shown = ", ".join(repr(name) for name in reserved[:5])
        told = f"columns that cannot be features, since their names are empty or begin with rowcast.: {shown}"
        yield Finding("warning", told, "a query can give them other names: … AS …")
    unknown = sorted(set(settings.check.columns) - set(source.relation.names))
    if unknown:
        yield Finding("problem", f"[check.columns] names no column of the source: {', '.join(unknown)}", "remove it")
    size = settings.model.max_train_rows * len(features) * 8
    if size > _MUCH:
        yield Finding(
            "warning",
            f"the table is wide: {settings.model.max_train_rows:,} training rows of {len(features):,} columns take"
            f" {size / 1e9:.1f} GB and more",
            "lower [model] max_train_rows, or name columns in [source] exclude, if memory is short",
        )
    yield from guard(_check_values(source, settings))


def _check_values(source: Source, settings: Settings) -> Iterator[Finding]:
    """Yield the columns that training would leave out, since too many of their values cannot be read."""
    found = fetch.fetch_training_rows(source, source.db.now(), _SAMPLE, None)
    fetched, failing = found.fetched, found.failing
    if failing.error is not None:
        what = f"columns {', '.join(failing.columns)}" if failing.columns else f"rows: {len(failing.keys):,}"
        told = f"of the {_SAMPLE:,} newest labelled rows the database cannot compute {what}"
        yield Finding("warning", f"{told} ({describe_whole(failing.error)})", "mend them at the source")
    checks = {name: rule for name, rule in settings.check.columns.items() if name in fetched.rows.schema.names}
    features = [column.name for column in source.features]
    names, reading = [name for name in features if name in fetched.rows.schema.names], settings.source.reading
    learned = check.learn(fetched.rows, names, checks, reading, fetched.misfits)
    learned = check.leave_out_unreadable(learned, fetched.rows, fetched.misfits, reading)
    for name in learned.unreadable:
        told = f"column {name} would be left out of training: {learned.dropped[name]}"
        hint = "mend it at the source, name its kind by [check.columns] type, or what means NULL by [source] missing"
        yield Finding("warning", told, hint)
