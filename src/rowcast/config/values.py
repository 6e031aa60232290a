"""Values of the config that are more than a number or a text."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, SecretStr


@dataclass(frozen=True)
class Reading:
    """How the source writes its values."""

    missing: tuple[float | str, ...] = ()  # what means "not measured"
    decimal: str = "."  # of numbers in texts

    @cached_property
    def texts(self) -> frozenset[str]:
        """The texts that mean "not measured", without spaces around them."""
        return frozenset(value.strip() for value in self.missing if isinstance(value, str))

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The numbers that mean "not measured"."""
        return tuple(value for value in self.missing if not isinstance(value, str))


_SHORTEST_KEY = 32
_LONGEST = 36500 * 86400  # seconds
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(value: object) -> timedelta:
    """Return the duration that a text such as '90s', '5m', '12h', '30d' or '2w' names. Raise ValueError."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration is a number and a unit, such as '90s', '5m', '12h', '30d' or '2w'")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise ValueError("a duration is at most 36500d, a hundred years")
    return timedelta(seconds=seconds)


def check_moment(value: object) -> object:
    """Return a moment as text; a date or time that TOML writes bare becomes one. Raise ValueError."""
    if isinstance(value, date):  # a datetime is one too
        value = value.isoformat()
    if isinstance(value, str):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("a moment is written 2026-05-01 or 2026-05-01T06:00:00+02:00") from None
    return value


def check_timezone(value: str) -> str:
    """Return the name of a time zone. Raise ValueError where there is none of this name."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no such time zone: {value!r} (use a name such as 'UTC' or 'Europe/Berlin')") from None
    return value


def check_factory(value: str) -> str:
    """Return 'default' or the name of a factory of estimators. Raise ValueError."""
    if value != "default" and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
        raise ValueError("an estimator is 'default' or 'package.module:factory'")
    return value


def check_sns_topic(value: str) -> str:
    """Return the ARN of an SNS topic. Raise ValueError."""
    if not re.fullmatch(r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+", value):
        raise ValueError("an SNS topic is named by its ARN, such as 'arn:aws:sns:eu-central-1:123456789012:alarms'")
    return value


def check_apprise_url(value: SecretStr) -> SecretStr:
    """Return a URL of Apprise. Raise ValueError, which does not show it."""
    if not re.match(r"[A-Za-z][A-Za-z0-9]*://\S", value.get_secret_value()):
        raise ValueError("an Apprise URL begins with its service, such as 'mailto://' or 'slack://'")
    return value


def check_tracking_uri(value: SecretStr) -> SecretStr:
    """Return the address of an MLflow tracking server. Raise ValueError, which does not show it."""
    if not re.fullmatch(r"https?://[^\s/]\S*|databricks(://\S+)?", value.get_secret_value()):
        raise ValueError("an MLflow tracking server is named by http:// or https://, or is 'databricks'")
    return value


def check_signing_key(value: SecretStr) -> SecretStr:
    """Return keys that sign model versions, parted by commas. Raise ValueError, which does not show them."""
    keys = split_keys(value)
    if not keys or min(map(len, keys)) < _SHORTEST_KEY or len(set(keys)) < len(keys):
        raise ValueError(
            f"each key has at least {_SHORTEST_KEY} characters: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
        )
    return value


def split_keys(value: SecretStr) -> tuple[str, ...]:
    """Return the keys of a list that is parted by commas."""
    return tuple(key.strip() for key in value.get_secret_value().split(","))


def check_job_name(value: str) -> str:
    """Return the name of a job. Raise ValueError where tables and folders cannot bear it."""
    if value.strip(" ") and (value != value.strip() or not value.isprintable()):
        raise ValueError("a job's name has no space at its ends and no character that is not printed")
    # The longest table made from it must fit PostgreSQL's 63 bytes.
    if not value.strip(" .") or "/" in value or "\0" in value or len(value.encode()) > 48:
        raise ValueError("a job's name has 1 to 48 bytes and no slash: it becomes part of table and folder names")
    return value


def check_time_format(value: str) -> str:
    """Return how times are written. Raise ValueError where it cannot be read."""
    if value in ("excel", "seconds"):
        return value
    signs = re.findall(r"%(.?)", value, re.DOTALL)
    known = set(signs) <= set("YmdHMSfz") and len(set(signs)) == len(signs) and {"Y", "m", "d"} <= set(signs)
    if not known or not re.fullmatch(r"[^%]*(%[YmdHMS][^%]*)*(%[fz])?", value, re.DOTALL):
        raise ValueError(
            "write 'excel', 'seconds', or a format of %Y %m %d %H %M %S, once each, at the end %f or %z,"
            " such as '%d.%m.%Y %H:%M'"
        )
    return value


def require_time(value: timedelta | None) -> timedelta | None:
    """Return a duration that is longer than none. Raise ValueError."""
    if value is not None and not value:
        raise ValueError("it must be longer than 0")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Scalar = bool | int | float | str
