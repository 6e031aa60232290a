"""What every command shares: the app itself, its options, and a job opened for looking."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter, Token

import rowcast
from rowcast import logs
from rowcast.api import Job
from rowcast.config import DEFAULT_PATH, Settings, load
from rowcast.errors import UsageError

app = App(
    name="rowcast",
    help="Puts a model to work on a SQL table and keeps it working.",
    version=rowcast.__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # it would exit with 130 and say nothing
)

Level = Literal["debug", "info", "warning", "error"]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
AsOf = Annotated[str | None, Parameter(help="A moment, such as 2026-05-01: later rows and labels are invisible.")]
By = Annotated[str | None, Parameter(help="Who decides; default: the user of this computer.")]


class Stopped(KeyboardInterrupt):
    """A command was stopped; `hint` says how it goes on."""

    def __init__(self, hint: str) -> None:
        super().__init__()
        self.hint = hint


def read_version(_: object, tokens: Sequence[Token]) -> int:
    """Return the number of a version, written as 9 or as v9."""
    text = tokens[0].value
    if not text.removeprefix("v").isdigit():
        raise ValueError(f"a version is a number such as 9, or v9, not '{text}'")
    return int(text.removeprefix("v"))


VersionNumber = Annotated[int, Parameter(converter=read_version)]


@Parameter(name="*")
@dataclass
class Common:
    """Options of every command that works on a job."""

    config: Annotated[Path, Parameter(name=["--config", "-c"], help="The job's rowcast.toml.")] = DEFAULT_PATH
    log_level: Annotated[Level, Parameter(help="debug also shows tracebacks.")] = "info"

    def settings(self, **overrides: Any) -> Settings:
        return load(self.config, **overrides)


COMMON = Common()


def quiet_job(common: Common) -> Job:
    """Return the job of a command that only looks: it logs nothing but warnings."""
    logs.configure("warning")
    settings = common.settings()
    logs.configure("warning", values=settings.notify.values)
    return Job(settings)


def write_page(path: Path, text: str) -> None:
    """Write a page to the file that --html names. Raise UsageError where it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name another with --html") from None


def describe_newest(as_of: datetime, days: int) -> str:
    """Return a line that says why a command looks at an earlier time than now."""
    return f"as of the newest rows, {as_of:%Y-%m-%d}: nothing was scored in the {days} days before now"
