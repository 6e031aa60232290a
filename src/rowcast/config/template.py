"""A config as it travels to other machines: as it is written, ${VAR} and all: each fills it in its own environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowcast.config.loading import make_settings, read_file
from rowcast.config.settings import Settings
from rowcast.errors import ConfigError

_STAY = ("notify", "logs", "serve")  # sections that scoring does not need


@dataclass(frozen=True)
class Template:
    """What rowcast.toml says about scoring, and nothing that is secret."""

    written: Mapping[str, Any]  # sections as they are written
    path: Path  # of the file; relative paths in it start at its folder

    def fill(self) -> Settings:
        """Return the settings in this process's environment. Raise ConfigError for a variable that is not set."""
        return make_settings(self.written, self.path)


def make_template(settings: Settings) -> Template:
    """Return the file that settings were read from as it may travel.

    Raise ConfigError where it holds a secret as plain text, or says something else by now.
    """
    path = settings.path.resolve()
    written = {name: section for name, section in read_file(path).items() if name not in _STAY}
    written["infer"] = {**written.get("infer", {}), "workers": settings.infer.workers}
    text = json.dumps(written, default=str)
    if any(secret in text for secret in settings.secrets):
        raise ConfigError(
            f"{path.name} holds a password as plain text, and is sent to the workers of another machine",
            hint="write it as ${VARIABLE}, and set that for this command and for each worker",
        )
    template = Template(written, path)
    if fingerprint(template.fill()) != fingerprint(settings):
        raise ConfigError(f"{path.name} was changed since the run began", hint="run it again")
    return template


def fingerprint(settings: Settings) -> str:
    """Return what tells whether two processes score in the same way; secrets and addresses are left out."""
    about = settings.model_dump(mode="json", exclude={*_STAY, "model", "retrain", "gate", "monitor"})
    return json.dumps([about, bool(settings.signing_keys)], sort_keys=True)
