"""The columns that rowcast.toml declares, each with all that it takes to compute it."""

from collections.abc import Iterator

from rowcast import config
from rowcast.config import Settings
from rowcast.errors import ConfigError
from rowcast.history.reading import find_event_columns, find_joined_table
from rowcast.models.target import canonical_label
from rowcast.past import HistoryColumn, JoinedColumn, LabelMeaning, PastColumn, SinceColumn, Window, to_microseconds
from rowcast.source import Source, find_column

_MOST_GROUPS = 3
_SETTING: dict[type, str] = {
    HistoryColumn: "features.history",
    SinceColumn: "features.since",
    JoinedColumn: "features.join",
}


def declare_columns(settings: Settings, source: Source) -> tuple[PastColumn, ...]:
    """Return the columns that [features] declares. Raise SourceError or ConfigError where one cannot be computed."""
    found: dict[str, PastColumn] = {}
    for history in settings.features.history:
        found |= {column.name: column for column in _list_history(settings, history)}
    for columns in list_auto(settings, source).values():
        found |= {column.name: column for column in columns if column.name not in found}
    for since in settings.features.since:
        found |= {column.name: column for column in _list_since(settings, since)}
    for join in settings.features.join:
        found |= {column.name: column for column in _list_joined(settings, join)}
    require_columns(source, tuple(found.values()))
    return tuple(found.values())


def list_auto(settings: Settings, source: Source) -> dict[str, tuple[HistoryColumn, ...]]:
    """Return the columns that `auto` tries, in sets that are kept or left out as one, by a name for each.

    The last outcomes of all rows, of [monitor] group_by, and of the first columns of texts, three at most.
    """
    if not settings.features.auto:
        return {}
    texts = [column.name for column in source.features if column.kind == "category"]
    grouped = [name for name in (settings.monitor.group_by,) if name is not None]
    names = list(dict.fromkeys([*grouped, *texts]))[:_MOST_GROUPS]
    own = {column.name for given in settings.features.history for column in _list_history(settings, given)}
    return {
        f"by {by[0]}" if by else "of all rows": tuple(
            column for column in _list_history(settings, _auto(settings, by)) if column.name not in own
        )
        for by in [(), *((name,) for name in names)]
    }


def _auto(settings: Settings, by: tuple[str, ...]) -> config.HistoryFeature:
    kinds: tuple[config.Statistic, ...] = ("mean", "age", *(("trend",) if settings.task.kind == "regression" else ()))
    return config.HistoryFeature(of=settings.source.label, by=by, last=(1, 5, 50), statistics=kinds)


def require_columns(source: Source, columns: tuple[PastColumn, ...]) -> None:
    """Raise SourceError where the source lacks what columns are computed from, ConfigError where one takes its name."""
    where = f"{source.settings.table or 'the query'} in {source.db.safe_url}"
    for column in columns:
        setting = _SETTING[type(column)]
        for name in column.by:
            find_column(source.relation, name, where, f"{setting}.by")
        if isinstance(column, SinceColumn):
            find_event_columns(source, column)
        elif isinstance(column, JoinedColumn):
            find_joined_table(source, [column])
        else:
            of = find_column(source.relation, column.of, where, f"{setting}.of")
            if column.label is None and of.kind not in ("number", "boolean"):
                raise ConfigError(
                    f"[[features.history]] of = '{of.name}': it is {of.type or of.kind}, and statistics need numbers",
                    hint="name the label or a column of numbers, or let a query make it one",
                )
        if column.name in source.relation.names:
            raise ConfigError(
                f"the source has a column '{column.name}', and [features] computes one of this name",
                hint="a query can give the source's another name",
            )


def _list_history(settings: Settings, given: config.HistoryFeature) -> Iterator[HistoryColumn]:
    label = _read_label(settings) if given.of == settings.source.label else None
    look_back = to_microseconds(settings.features.look_back)
    windows: list[tuple[Window, int]] = [("last", rows) for rows in given.last]
    windows += [("within", to_microseconds(time)) for time in given.within]
    windows += [("decay", to_microseconds(time)) for time in given.decay]
    for statistic in given.statistics:
        if statistic == "age":
            yield HistoryColumn(given.of, given.by, "ever", 0, "age", look_back, label)
            continue
        for window, size in windows:
            if window == "decay" and statistic not in ("mean", "count"):
                continue
            if (window, size) == ("last", 1) and statistic != "mean":  # of one value all say the same
                continue
            yield HistoryColumn(given.of, given.by, window, size, statistic, look_back, label)


def _list_joined(settings: Settings, given: config.JoinFeature) -> Iterator[JoinedColumn]:
    tolerance = to_microseconds(settings.features.look_back if given.tolerance is None else given.tolerance)
    keys = given.by if given.keys is None else given.keys
    for column in given.columns:
        yield JoinedColumn(given.table, given.time, keys, given.by, column, tolerance)


def _read_label(settings: Settings) -> LabelMeaning:
    task = settings.task
    if task.kind == "regression":
        return LabelMeaning()
    if task.kind == "multiclass":
        return LabelMeaning("is not", canonical_label(task.normal))
    return LabelMeaning("is", canonical_label(task.positive))


def _list_since(settings: Settings, given: config.SinceFeature) -> Iterator[SinceColumn]:
    monitor, time, group = settings.monitor, given.event_time, given.event_group
    if monitor.events == given.events:
        time = time or monitor.event_time
        if group is None and given.by == (monitor.group_by,) and monitor.event_group is not None:
            group = (monitor.event_group,)
    if time is None:
        raise ConfigError(
            f"[[features.since]] events = '{given.events}' needs 'event_time', the time column of that table"
        )
    look_back = to_microseconds(settings.features.look_back)
    for counts in given.counts:
        yield SinceColumn(given.events, time, given.by if group is None else group, given.by, counts, look_back)
