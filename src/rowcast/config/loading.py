"""Reads rowcast.toml, and says in a line what is wrong with it."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_settings import SettingsError

from rowcast.config.sections import ColumnCheck
from rowcast.config.settings import DEFAULT_PATH, Settings
from rowcast.errors import ConfigError


def load(path: Path = DEFAULT_PATH, **overrides: Mapping[str, Any]) -> Settings:
    """Read the settings of a job from `path`. Raise ConfigError.

    `overrides` are sections of flags, such as `infer={"workers": 4}`; they win over environment and file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors begin a file with a mark
    except FileNotFoundError:
        raise ConfigError(
            f"no config at {path}",
            hint="write one with 'rowcast init --url URL --table TABLE', or name it with --config",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="it must be a readable UTF-8 text file") from None
    try:
        file = _expand(tomllib.loads(text), path)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} is not valid TOML: {error}", hint="strings need quotes, sections [brackets]"
        ) from None
    try:
        return Settings(_file=file, path=path, **overrides)  # type: ignore[arg-type, call-arg]
    except SettingsError as error:  # it names the section, not the value
        raise ConfigError(
            f"a variable ROWCAST_… is malformed: {error}",
            hint='lists are written as JSON: ROWCAST_SOURCE__KEY=\'["lot", "wafer"]\'',
        ) from None
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {'; '.join(_describe_errors(error))}", hint="docs/configuration.md lists every key"
        ) from None


def expand_variables(text: str, where: str) -> str:
    """Return a text with each ${VAR} replaced. Raise ConfigError for one that is not set; `where` says who uses it."""
    return re.sub(r"\$\{(\w+)\}", lambda found: _look_up_variable(found[1], where), text)


def _expand(value: Any, path: Path) -> Any:
    """Return a value with ${VAR} replaced in every string. Raise ConfigError for a variable that is not set."""
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if isinstance(value, str):
        return expand_variables(value, str(path))
    return value


def _look_up_variable(name: str, where: str) -> str:
    if name not in os.environ:
        raise ConfigError(f"{where} uses ${{{name}}}, which is not set", hint=f"export {name}=… before the command")
    return os.environ[name]


def _describe_errors(error: ValidationError) -> Iterator[str]:
    """Yield one short sentence for each thing that is wrong, naming the key."""
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            yield f"unknown key '{where}'{_find_nearest(item['loc'])}"
        elif item["type"] == "missing":
            yield f"'{where}' is missing"
        else:
            message = item["msg"].removeprefix("Value error, ")
            yield f"'{where}': {message}" if where else message


def _find_section(kind: Any) -> Any:
    """Return a section, of which a setting may be a list."""
    return next((part for part in get_args(kind) if hasattr(part, "model_fields")), kind)


def _find_nearest(location: tuple[int | str, ...]) -> str:
    """Return the known key of the same section that looks most like the last part of `location`."""
    section: Any = Settings
    for part in location[:-1]:
        if isinstance(part, int):  # a place in a list of sections
            continue
        field = getattr(section, "model_fields", {}).get(part)
        section = ColumnCheck if field is None else _find_section(field.annotation)
    names = [field.alias or name for name, field in section.model_fields.items() if name != "path"]
    near = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else f" (known here: {', '.join(names)})"
