"""rowcast.toml to typed, frozen settings: the file, overridden by the environment, overridden by flags.

`${VAR}` in a value of the file is replaced by the environment's VAR. Any key can be set from the environment as
ROWCAST_<SECTION>__<KEY>, for example ROWCAST_INFER__WORKERS=4.
"""

import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from rowcast.errors import ConfigError

DEFAULT_PATH = Path("rowcast.toml")
_LONGEST = 36500 * 86400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(value: object) -> timedelta:
    """Read '90s', '5m', '12h', '30d' or '2w'."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration is a number and a unit, such as '90s', '5m', '12h', '30d' or '2w'")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise ValueError("a duration is at most 36500d, a hundred years")
    return timedelta(seconds=seconds)


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no such time zone: {value!r} (use a name such as 'UTC' or 'Europe/Berlin')") from None
    return value


def _factory(value: str) -> str:
    if value != "default" and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        raise ValueError("an estimator is 'default' or 'package.module:factory'")
    return value


def _sns_topic(value: str) -> str:
    if not re.fullmatch(r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+", value):
        raise ValueError("an SNS topic is named by its ARN, such as 'arn:aws:sns:eu-central-1:123456789012:alarms'")
    return value


def _apprise_url(value: SecretStr) -> SecretStr:
    if not re.match(r"[A-Za-z][A-Za-z0-9]*://\S", value.get_secret_value()):
        raise ValueError("an Apprise URL begins with its service, such as 'mailto://' or 'slack://'")
    return value


def _job_name(value: str) -> str:
    # The longest table made from it must fit PostgreSQL's 63 bytes.
    if not value.strip(" .") or "/" in value or "\0" in value or len(value.encode()) > 48:
        raise ValueError("a job's name has 1 to 48 bytes and no slash: it becomes part of table and folder names")
    return value


Duration = Annotated[timedelta, BeforeValidator(duration)]
Scalar = bool | int | float | str


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: Any, info: ValidationInfo) -> Any:
        """To Python true is 1; who writes it for a number means something else."""
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and kind in (int, float, float | None):
            raise ValueError("a number is needed, not true or false")
        return value


class Source(_Section):
    """The user's table or query."""

    url: SecretStr
    table: str | None = Field(default=None, min_length=1)
    query: str | None = Field(default=None, min_length=1)
    where: str | None = None
    key: tuple[str, ...] = Field(min_length=1)
    time: str | None = None
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    label: str
    label_time: str | None = None
    label_delay: Duration = timedelta(0)
    group: str | None = None
    missing: tuple[float, ...] = ()
    exclude: tuple[str, ...] = ()
    late_arrival: Duration = timedelta(days=30)

    @model_validator(mode="after")
    def _one_of_each(self) -> "Source":
        if (self.table is None) == (self.query is None):
            raise ValueError("name either 'table' or 'query', not both and not neither")
        if self.time is None and (self.label_time is not None or self.label_delay):
            raise ValueError("'label_time' and 'label_delay' need 'time'")
        named = [*self.key, self.label, *filter(None, (self.time, self.label_time))]
        if len(set(named)) != len(named):
            raise ValueError("'key', 'time', 'label' and 'label_time' must be different columns")
        return self


class Store(_Section):
    """The database that holds rowcast's own tables."""

    url: SecretStr | None = None
    schema_: str = Field(default="rowcast", alias="schema", min_length=1)


class Task(_Section):
    """What the label means and what mistakes cost."""

    kind: Literal["binary", "multiclass", "regression"] = "binary"
    positive: Scalar = 1
    normal: Scalar | None = None  # of several classes, the one that needs no action; default: the most frequent
    cost_missed: float = Field(default=20.0, gt=0)
    cost_false_alarm: float = Field(default=1.0, gt=0)
    max_flagged: float | None = Field(default=None, gt=0, lt=1)
    min_recall: float | None = Field(default=None, gt=0, lt=1)
    low: float | None = None  # a predicted value below it is flagged …
    high: float | None = None  # … or above it

    @model_validator(mode="after")
    def _of_its_kind(self) -> "Task":
        if self.normal is not None and self.kind != "multiclass":
            raise ValueError("'normal' is for kind = \"multiclass\"")
        if (self.low, self.high) != (None, None) and self.kind != "regression":
            raise ValueError("'low' and 'high' are for kind = \"regression\"")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("'low' must be below 'high'")
        if (self.max_flagged, self.min_recall) != (None, None) and self.kind != "binary":
            raise ValueError("'max_flagged' and 'min_recall' are for kind = \"binary\"")
        if self.max_flagged is not None and self.min_recall is not None:
            raise ValueError("'max_flagged' and 'min_recall' each set the threshold: name one of them")
        return self


class ColumnCheck(_Section):
    """What the config says of one column, over what was learned."""

    type: Literal["number", "category", "boolean"] | None = None
    nullable: bool | None = None
    min: float | None = None
    max: float | None = None
    values: tuple[Scalar, ...] | None = None


class Check(_Section):
    """When a row is bad, and how many may be."""

    max_quarantine: float = Field(default=0.10, ge=0, le=1)
    columns: dict[str, ColumnCheck] = {}


class Model(_Section):
    """What is trained, on how much."""

    estimator: Annotated[str, AfterValidator(_factory)] = "default"
    max_features: int = Field(default=60, ge=1)
    min_train_rows: int = Field(default=100, ge=20)
    max_train_rows: int = Field(default=100_000, ge=100)
    budget: Duration | None = None  # time after which no further candidate is tried
    window: Duration | None = None  # how far back training rows go; default: to the first


class Retrain(_Section):
    """When a new model is built."""

    policy: Literal["never", "every", "on-drift", "on-loss"] = "every"
    every: Duration = timedelta(days=7)
    min_new_labels: int = Field(default=50, ge=1)


class Gate(_Section):
    """When a challenger takes the champion's place."""

    yearly_error: float = Field(default=0.05, gt=0, lt=1)
    min_gain: float = Field(default=0.0, ge=0)
    watch_days: int = Field(default=28, ge=0, le=3650)  # 0: nobody is watched


class Infer(_Section):
    """How rows are scored."""

    batch_rows: int = Field(default=50_000, ge=1)
    workers: int = Field(default=2, ge=1)
    engine: Literal["local"] = "local"
    since: str | None = None
    confidence: float = Field(default=0.9, gt=0, lt=1)


class Monitor(_Section):
    """Whether the rows change, and when a person is told so."""

    false_alarms_per_month: float = Field(default=1.0, gt=0, le=1000)
    group_by: str | None = None  # a column of the source: each of its values has charts of its own
    events: str | None = None  # a table or view of maintenance in the source's database, and its columns:
    event_time: str | None = None
    event_group: str | None = None  # which group an event is of; NULL: of all
    event_what: str | None = None

    @model_validator(mode="after")
    def _of_events(self) -> "Monitor":
        if (self.events is None) != (self.event_time is None):
            raise ValueError("'events' names a table and 'event_time' its time column: both or neither")
        if self.events is None and (self.event_group, self.event_what) != (None, None):
            raise ValueError("'event_group' and 'event_what' are columns of 'events', which is not named")
        if self.event_group is not None and self.group_by is None:
            raise ValueError("'event_group' needs 'group_by': what charts are grouped by")
        return self


class Notify(_Section):
    """Who is told of trouble and of decisions."""

    sns_topic: Annotated[str, AfterValidator(_sns_topic)] | None = None
    urls: tuple[Annotated[SecretStr, AfterValidator(_apprise_url)], ...] = ()  # of Apprise
    min_severity: Literal["info", "warning", "error"] = "info"
    values: bool = False  # whether a message may show values of rows


class Logs(_Section):
    """What the log holds beside events."""

    cloudwatch: bool = False


class Settings(BaseSettings):
    """One job: one source, one task, one champion."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="ROWCAST_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    name: Annotated[str, AfterValidator(_job_name)] = ""
    source: Source
    store: Store = Store()
    task: Task = Task()
    check: Check = Check()
    model: Model = Model()
    retrain: Retrain = Retrain()
    gate: Gate = Gate()
    infer: Infer = Infer()
    monitor: Monitor = Monitor()
    notify: Notify = Notify()
    logs: Logs = Logs()
    path: Path = Field(default=DEFAULT_PATH, exclude=True)

    @model_validator(mode="after")
    def _window_needs_time(self) -> "Settings":
        if self.model.window is not None and self.source.time is None:
            raise ValueError("'model.window' needs 'source.time'")
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
        """Where the config lies; relative paths in it start here."""
        return self.path.resolve().parent

    @property
    def source_url(self) -> str:
        return self._located(self.source.url)

    @property
    def store_url(self) -> str:
        return self._located(self.store.url or self.source.url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nobody may be shown, the longest first: passwords, and what looks like one in the URLs of [notify]."""
        databases = [secret.get_secret_value() for secret in (self.source.url, self.store.url) if secret is not None]
        sinks = [url.get_secret_value() for url in self.notify.urls]
        found = {*sinks, *(part for url in sinks for part in _tokens(url))}
        found |= {match[1] for url in (*databases, *sinks) if (match := re.match(r"[^:]+://[^:/@]*:([^@]+)@", url))}
        return tuple(sorted({*found, *map(unquote, found)}, key=len, reverse=True))

    def _located(self, secret: SecretStr) -> str:
        """A relative SQLite path starts at the config's folder, wherever the command is run from."""
        url = secret.get_secret_value()
        found = re.fullmatch(r"sqlite:///(?!/)([^?]+)(\?.*)?", url)
        if found is None or found[1] == ":memory:":
            return url
        return f"sqlite:////{(self.folder / found[1]).as_posix().lstrip('/')}{found[2] or ''}"

    def sha256(self) -> str:
        """Of every setting but the secrets, so that two runs can be told to have had the same config."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _tokens(url: str) -> list[str]:
    """Parts of an Apprise URL that are no plain word: many services carry their tokens where others name a host."""
    parts = re.split(r"[/@:?&=#]+", url.partition("://")[2])
    plain = r"[a-z.-]{1,15}|[\d.]{1,15}|(?:[a-z0-9-]+\.)+[a-z]{2,}"  # a word, a port or address, a host
    return [part for part in parts if len(part) >= 6 and not re.fullmatch(plain, part)]


def load(path: Path = DEFAULT_PATH, **overrides: Mapping[str, Any]) -> Settings:
    """Read `path`; `overrides` are sections of flags, such as `infer={"workers": 4}`. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"no config at {path}",
            hint="write one with 'rowcast init --url URL --table TABLE', or name it with --config",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="it must be a readable UTF-8 text file") from None
    try:
        file = _expanded(tomllib.loads(text), path)
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
            f"{path}: {'; '.join(_messages(error))}", hint="docs/configuration.md lists every key"
        ) from None


def _expanded(value: Any, path: Path) -> Any:
    """Replace ${VAR} in every string."""
    if isinstance(value, dict):
        return {key: _expanded(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, path) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda found: _environment(found[1], path), value)
    return value


def _environment(name: str, path: Path) -> str:
    if name not in os.environ:
        raise ConfigError(f"{path} uses ${{{name}}}, which is not set", hint=f"export {name}=… before the command")
    return os.environ[name]


def _messages(error: ValidationError) -> Iterator[str]:
    """One short sentence for each thing that is wrong, naming the key."""
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            yield f"unknown key '{where}'{_nearest(item['loc'])}"
        elif item["type"] == "missing":
            yield f"'{where}' is missing"
        else:
            message = item["msg"].removeprefix("Value error, ")
            yield f"'{where}': {message}" if where else message


def _nearest(location: tuple[int | str, ...]) -> str:
    """The known key of the same section that looks most like the last part of `location`."""
    section: Any = Settings
    for part in location[:-1]:
        field = getattr(section, "model_fields", {}).get(part)
        section = ColumnCheck if field is None else field.annotation
    names = [field.alias or name for name, field in section.model_fields.items() if name != "path"]
    near = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else f" (known here: {', '.join(names)})"
