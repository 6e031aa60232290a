"""Reads rowcast.toml, and says in a line what is wrong with it."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from rowcast.config.settings import DEFAULT_PATH, Settings
from rowcast.config.wrong_settings import describe_wrong
from rowcast.errors import ConfigError


def load(path: Path = DEFAULT_PATH, **overrides: Mapping[str, Any]) -> Settings:
    """Read the settings of a job from `path`. Raise ConfigError.

    `overrides` are sections of flags, such as `infer={"workers": 4}`; they win over environment and file.
    """
    return make_settings(read_file(path), path, **overrides)


def read_file(path: Path) -> dict[str, Any]:
    """Return what the file at `path` says, its ${VAR} as they are written. Raise ConfigError."""
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
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} is not valid TOML: {error}", hint="strings need quotes, sections [brackets]"
        ) from None


def make_settings(written: Mapping[str, Any], path: Path, **overrides: Mapping[str, Any]) -> Settings:
    """Return the settings that a file says which was read from `path`. Raise ConfigError."""
    file = _expand(dict(written), path)
    try:
        return Settings(_file=file, path=path, **overrides)  # type: ignore[arg-type, call-arg]
    except SettingsError as error:  # it names the section, not the value
        raise ConfigError(
            f"a variable ROWCAST_… is malformed: {error}",
            hint='lists are written as JSON: ROWCAST_SOURCE__KEY=\'["lot", "wafer"]\'',
        ) from None
    except ValidationError as error:
        hint = "docs/configuration.md lists every key"
        if not file:
            hint = "it is empty: 'rowcast init --force --url URL --table TABLE' writes one"
        raise ConfigError(f"{path}: {'; '.join(describe_wrong(error))}", hint=hint) from None


def expand_variables(text: str, where: str) -> str:
    """Return a text with each ${VAR} replaced; `where` says who uses it.

    Raise ConfigError for a variable that is not set, or is empty: it was to be set, such as by a secret that is gone.
    """
    return re.sub(r"\$\{(\w+)\}", lambda found: _look_up_variable(found[1], where), text)


def _expand(value: Any, path: Path) -> Any:
    """Return a value with ${VAR} replaced in every string. Raise ConfigError for a variable without one."""
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if isinstance(value, str):
        return expand_variables(value, str(path))
    return value


def _look_up_variable(name: str, where: str) -> str:
    value = os.environ.get(name)
    if value is None or not value.strip():
        state = "is not set" if value is None else "is set, but empty"
        raise ConfigError(f"{where} uses ${{{name}}}, which {state}", hint=f"export {name}=… before the command")
    return value
