"""What is wrong with settings, in plain words: each names the setting, what it takes, and an example."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from rowcast.config.sections import ColumnCheck
from rowcast.config.settings import Settings
from rowcast.nearest import find_nearest

Location = tuple[int | str, ...]  # of a setting, by the names of its sections

_NEEDED = {
    "tuple_type": "a list in brackets is needed",
    "string_type": "a text in quotes is needed",
    "int_type": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing_size": "a smaller number is needed",
    "float_type": "a number is needed",
    "float_parsing": "a number is needed",
    "finite_number": "a finite number is needed",
    "bool_type": "true or false is needed",
    "bool_parsing": "true or false is needed",
    "dict_type": "a section is needed",
    "model_type": "a section is needed",
    "string_too_short": "it must not be empty",
    "too_short": "it must not be empty",
    "literal_error": "one of {expected} is needed",
    "greater_than": "more than {gt:g} is needed",
    "greater_than_equal": "at least {ge:g} is needed",
    "less_than": "less than {lt:g} is needed",
    "less_than_equal": "at most {le:g} is needed",
}
_EITHER = "a text, a number, true or false is needed"
_LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "literal_error")
_EXAMPLES: Mapping[str, Any] = {
    "source.url": "sqlite:///fab.db",
    "source.table": "wafers",
    "source.query": "SELECT * FROM wafers",
    "source.where": "line = 3",
    "source.key": ["lot", "wafer"],
    "source.time": "measured_at",
    "source.label": "failed",
    "source.label_missing": ["N/A"],
    "source.label_time": "tested_at",
    "source.group": "lot",
    "source.missing": [-999],
    "source.exclude": ["comment"],
    "notify.urls": ["mailto://…"],
    "monitor.group_by": "tool",
}


def describe_wrong(error: ValidationError) -> list[str]:
    """Return one short sentence for each setting that is wrong; no value of the config is in it."""
    found: dict[str, str] = {}
    items = error.errors(include_url=False)
    settings = [_find_setting(item["loc"]) for item in items]
    missing = {item["loc"] for item in items if item["type"] == "missing"}
    for item, (name, annotation) in zip(items, settings, strict=True):
        is_default = name == "name" and item["input"] == "" and any(each.startswith("source") for each, _ in settings)
        if is_default:  # it comes from the source, which is what is wrong
            continue
        found.setdefault(name, _describe(item, name, annotation, missing))
    return list(found.values())


def _describe(item: Any, name: str, annotation: Any, missing: Collection[Location]) -> str:
    if item["type"] == "extra_forbidden":
        where = ".".join(str(part) for part in item["loc"])
        return f"unknown key '{where}'{_find_nearest(item['loc'], missing)}"
    if item["type"] == "missing":
        return f"'{name}' is missing" + ("" if name == "source" else _give_example(name))
    if item["type"] not in _NEEDED:
        said, where = item["msg"].removeprefix("Value error, "), ".".join(str(part) for part in item["loc"])
        return f"'{where}': {said}" if where else str(said)
    needed = _NEEDED[item["type"]].format(**item.get("ctx", {}))
    if len(item["loc"]) > len(name.split(".")) and item["loc"][-1] in ("bool", "int", "float", "str"):
        needed = _EITHER
    if item["type"] in ("dict_type", "model_type"):
        return f"'{name}': {needed}: [{name}]"
    return f"'{name}': {needed}" + ("" if item["type"] in _LIMITS else _give_example(name, annotation))


def _give_example(name: str, field: Any = None) -> str:
    """Return how a setting is written, by an example or by its default."""
    default = getattr(field, "default", PydanticUndefined)
    plain = isinstance(default, bool | int | float | str) and not isinstance(default, type(None))
    value = _EXAMPLES.get(name, default if plain else None)
    if value is None:
        return ""
    return f", such as {name.rpartition('.')[2]} = {json.dumps(value, ensure_ascii=False)}"


def _find_setting(location: Location) -> tuple[str, Any]:
    """Return the name of the setting that a place is in, and its field where the config declares it."""
    section: Any = Settings
    parts: list[str] = []
    field: Any = None
    for part in location:
        fields = getattr(section, "model_fields", None)
        if isinstance(part, int) and fields is not None:  # a place in a list of sections
            parts.append(str(part))
            continue
        if fields is None:
            break
        field = next((f for name, f in fields.items() if part in (name, f.alias)), None)
        parts.append(str(part))
        if field is None:
            break
        section = _find_section(field.annotation)
        if parts == ["check", "columns"] and len(location) > 2:  # named by the user
            more = location[2:4]
            return ".".join([*parts, *map(str, more)]), ColumnCheck.model_fields.get(str(location[-1]))
    return ".".join(parts), field


def _find_section(kind: Any) -> Any:
    """Return a section, of which a setting may be a list."""
    return next((part for part in get_args(kind) if hasattr(part, "model_fields")), kind)


def _find_nearest(location: Location, missing: Collection[Location]) -> str:
    """Return the known key of the same section that looks most like the last part of `location`."""
    names = list(_list_known(location[:-1]))
    wanted = [name for name in names if (*location[:-1], name) in missing]
    near = find_nearest(str(location[-1]), names, wanted=wanted)
    return f" (did you mean '{near}'?)" if near else f" (known here: {', '.join(names)})"


def _list_known(location: Location) -> Iterator[str]:
    section: Any = Settings
    for part in location:
        if isinstance(part, int):
            continue
        field = getattr(section, "model_fields", {}).get(part)
        section = ColumnCheck if field is None else _find_section(field.annotation)
    yield from (field.alias or name for name, field in section.model_fields.items() if name != "path")
