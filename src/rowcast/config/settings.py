"""The settings of one job."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from rowcast.config.database_url import find_passwords
from rowcast.config.sections import (
    Check,
    Features,
    Gate,
    Infer,
    Logs,
    Mlflow,
    Model,
    Monitor,
    Notify,
    Retrain,
    Serve,
    Source,
    Store,
    Task,
)
from rowcast.config.values import check_job_name, check_signing_key, split_keys

DEFAULT_PATH = Path("rowcast.toml")


class Settings(BaseSettings):
    """One job: one source, one task, one champion."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="ROWCAST_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    name: Annotated[str, AfterValidator(check_job_name)] = ""
    source: Source
    store: Store = Store()
    task: Task = Task()
    check: Check = Check()
    features: Features = Features()
    model: Model = Model()
    retrain: Retrain = Retrain()
    gate: Gate = Gate()
    infer: Infer = Infer()
    monitor: Monitor = Monitor()
    notify: Notify = Notify()
    logs: Logs = Logs()
    serve: Serve = Serve()
    mlflow: Mlflow = Mlflow()
    signing_key: Annotated[SecretStr, AfterValidator(check_signing_key)] | None = Field(default=None, exclude=True)
    path: Path = Field(default=DEFAULT_PATH, exclude=True)

    @model_validator(mode="after")
    def _window_needs_time(self) -> "Settings":
        if self.model.window is not None and self.source.time is None:
            raise ValueError("'model.window' needs 'source.time'")
        return self

    @model_validator(mode="after")
    def _past_needs_time(self) -> "Settings":
        if self.features.are_declared and self.source.time is None:
            raise ValueError("[features] needs 'source.time': what was known before a row depends on when it was")
        of_label = self.features.auto or any(each.of == self.source.label for each in self.features.history)
        if of_label and self.task.kind == "multiclass" and self.task.normal is None:
            raise ValueError("[features] of the label needs 'task.normal': the share of other classes is computed")
        return self

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("name"):
            source = values.get("source")
            table = source.get("table") if isinstance(source, dict) else None
            if isinstance(table, str):
                return {**values, "name": table.rpartition(".")[2].strip('"[]')}
            if isinstance(source, dict) and "query" in source:
                raise ValueError("a query has no name of its own: set 'name' at the top of the file")
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(init_settings, InitSettingsSource)
        given = dict(init_settings.init_kwargs)
        file = given.pop("_file", {})
        return (
            InitSettingsSource(settings_cls, init_kwargs=given),
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=file),
        )

    @property
    def folder(self) -> Path:
        """The folder of the config file; relative paths in it start here."""
        return self.path.resolve().parent

    @property
    def source_url(self) -> str:
        """The URL of the source, a SQLite path in it absolute."""
        return self._locate(self.source.url)

    @property
    def store_url(self) -> str:
        """The URL of the store, by default that of the source."""
        return self._locate(self.source.url if self.store.url is None else self.store.url)

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """The keys of model versions: the first signs, each verifies."""
        return () if self.signing_key is None else split_keys(self.signing_key)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody may be shown, the longest first: passwords, and what looks like one in the URLs of [notify]."""
        databases = [secret.get_secret_value() for secret in (self.source.url, self.store.url) if secret is not None]
        found = {password for url in databases for password in find_passwords(url)}
        sinks = [url.get_secret_value() for url in self.notify.urls]
        found |= {*self.signing_keys, *sinks, *(part for url in sinks for part in _find_tokens(url))}
        tracked = [self.mlflow.tracking_uri.get_secret_value()] if self.mlflow.tracking_uri else []
        found |= {match[1] for url in (*sinks, *tracked) if (match := re.match(r"[^:]+://[^:/@]*:([^@]+)@", url))}
        return tuple(sorted({*found, *map(unquote, found)}, key=len, reverse=True))

    def _locate(self, secret: SecretStr) -> str:
        """Return a URL whose relative SQLite path starts at the config's folder, wherever the command is run from."""
        url = secret.get_secret_value()
        found = re.fullmatch(r"sqlite:///(?!/)([^?]+)(\?.*)?", url)
        if found is None or found[1] == ":memory:":
            return url
        return f"sqlite:////{(self.folder / found[1]).as_posix().lstrip('/')}{found[2] or ''}"

    def sha256(self) -> str:
        """Return a digest of every setting but the secrets, which tells whether two runs had the same config."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _find_tokens(url: str) -> list[str]:
    """Return the parts of an Apprise URL that are no plain word: services carry tokens where others name a host."""
    parts = re.split(r"[/@:?&=#]+", url.partition("://")[2])
    plain = r"[a-z.-]{1,15}|[\d.]{1,15}|(?:[a-z0-9-]+\.)+[a-z]{2,}"  # a word, a port or address, a host
    return [part for part in parts if len(part) >= 6 and not re.fullmatch(plain, part)]
