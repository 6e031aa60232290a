"""One event, three renderings: console for people, JSON on one line elsewhere, and a rotating pipeline.log."""

import json
import logging
import logging.handlers
import math
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import structlog

from rowcast.errors import RowcastError, describe
from rowcast.formatting import ascii_only, on_one_line, printable

LEVELS = ("debug", "info", "warning", "error")
_BYTES, _FILES = 5_000_000, 5  # of pipeline.log before it is rotated, and how many are kept
_METRICS = 100  # that one line may hold
_SHORT, _LONG = 4, 8  # letters from which a secret is taken out where it is a word of its own, and everywhere
_IN_URL = re.compile(r"(?<=://)[^/@\s:]+:[^@\s]+(?=@)")  # user:password of any URL


@dataclass(frozen=True)
class LogFile:
    """A file that events are written to."""

    path: Path
    rotates: bool = True  # False where another process writes it too, and may move it away


@dataclass(frozen=True)
class Present:
    """How this process logs, for worker processes to log alike."""

    level: str
    file: Path | None
    secrets: tuple[str, ...]
    values: bool  # of rows may be shown wherever the stream goes


_present: list[Present] = []  # at most one


def present() -> Present | None:
    """Return what `configure` was last told; None where nobody has."""
    return _present[0] if _present else None


def configure(
    level: str = "info",
    *,
    file: LogFile | None = None,
    stream: TextIO | None = None,
    secrets: Iterable[str] = (),
    console: Any = None,
    cloudwatch: bool = False,
    values: bool = False,
) -> None:
    """Send events of `level` and above to the stream, as JSON unless it is a terminal, and to the file.

    `secrets` are taken out of every event. `console` is a rich console that owns the terminal while a bar is drawn.
    `cloudwatch` adds the lines of `figures` to the stream, unless it is a terminal.

    What may quote a value of a row goes to the file and to a terminal; to another stream only with `values`. Such are
    the entry `detail`, and what an exception says that is no RowcastError: exceptions are logged as objects.
    """
    stream = stream or sys.stderr
    hidden = tuple(secret for secret in secrets if secret)
    _present[:] = [Present(level, None if file is None else file.path, hidden, values)]
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _, __, event: _with_exception(event),
    ]

    def make_processors(render: Any, *, details: bool) -> list[Any]:
        def plain(_: Any, __: str, event: Any) -> Any:
            return {key: _clean(value, hidden) for key, value in _plain(event, details=details).items()}

        return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, plain, render]

    render_json = structlog.processors.JSONRenderer(ensure_ascii=False)

    def as_json(logger: Any, name: str, event: Any) -> str:
        return printable(str(render_json(logger, name, event)))

    is_terminal = stream.isatty()
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    if console is not None:
        handlers = [_Above(console)]
    renders = [make_processors(_for_people if is_terminal else as_json, details=is_terminal or values)]
    problem = ""
    if file is not None:
        try:
            handlers.append(_open_file(file))
            renders.append(make_processors(as_json, details=True))
        except OSError as error:
            problem = f"{file.path} cannot be written: {error.strerror}"
    root = logging.getLogger("rowcast")
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler, processors in zip(handlers, renders, strict=True):
        handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors, foreign_pre_chain=shared))
        root.addHandler(handler)
    root.setLevel(level.upper())
    root.propagate = False
    logging.raiseExceptions = False  # a full disk must not fill the terminal as well
    lines = logging.getLogger("rowcast.figures")
    lines.handlers[:] = [logging.StreamHandler(stream)] if cloudwatch and not is_terminal else []
    lines.setLevel("INFO")
    lines.propagate = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    if problem:
        structlog.get_logger("rowcast").warning(problem)


def _open_file(file: LogFile) -> logging.Handler:
    if file.rotates:
        return _RotatingFile(file.path, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")
    return _WatchedFile(file.path, encoding="utf-8")


def _open_private(handler: logging.FileHandler) -> Any:
    """Open a log, which may hold values of rows: a new one for its owner alone, or as the one before it was opened."""
    before = Path(f"{handler.baseFilename}.1")
    mode = before.stat().st_mode & 0o777 if before.exists() else 0o600

    def make(path: str, flags: int) -> int:
        is_new = not Path(path).exists()
        opened = os.open(path, flags, mode)
        if is_new:
            os.fchmod(opened, mode)
        return opened

    return open(handler.baseFilename, handler.mode, encoding=handler.encoding, opener=make)


class _RotatingFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> Any:
        return _open_private(self)


class _WatchedFile(logging.handlers.WatchedFileHandler):
    def _open(self) -> Any:
        return _open_private(self)


def shows_details(stream: TextIO) -> bool:
    """Return whether what may quote a value of a row may be shown: on a terminal, or where the config allows it."""
    now = present()
    return stream.isatty() or (now is not None and now.values)


def trace_of(error: BaseException, *, details: bool) -> str:
    """Return the traceback of an error and of its causes; without `details` none of the messages of others' errors."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if details:
        chain = [error] if before is None else [before, error]
        quoting = [describe(each, details=True) for each in chain if isinstance(each, RowcastError) and each.detail]
        return "\n".join(["".join(traceback.format_exception(error)).rstrip(), *quoting])
    stack = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    text = f"Traceback (most recent call last):\n{stack}{type(error).__name__}: {describe(error, details=False)}"
    return text if before is None else f"{trace_of(before, details=False)}\n\nthen\n\n{text}"


def _with_exception(event: Any) -> Any:
    """Keep the exception that is under way, which each handler renders by its own rule."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()[1]
    return event


def _plain(event: Any, *, details: bool) -> dict[str, Any]:
    """Render exceptions, and leave out what may quote a value unless `details`."""
    found = dict(event)
    trace = found.pop("exc_info", None)
    detail = found.pop("detail", None)
    for key, value in found.items():
        if isinstance(value, BaseException):
            found[key] = describe(value, details=details)
    if detail and details:
        found["detail"] = detail
    if isinstance(trace, BaseException):
        found["exception"] = trace_of(trace, details=details)
    return found


def _clean(value: Any, secrets: tuple[str, ...]) -> Any:
    return without(secrets, value) if isinstance(value, str) else value


def without(secrets: Iterable[str], text: str) -> str:
    """Return the text with secrets, and user and password of any URL, taken out."""
    for secret in secrets:
        if len(secret) >= _LONG:
            text = text.replace(secret, "***")
        elif len(secret) >= _SHORT:  # elsewhere than as a word of its own it is a part of another one
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return _IN_URL.sub("***", text)


def figures(dimensions: Mapping[str, str], values: Mapping[str, tuple[float | None, str]], **beside: Any) -> None:
    """Write figures with their units as one line of CloudWatch's embedded metric format, where it was asked for."""
    lines = logging.getLogger("rowcast.figures")
    if lines.handlers and (line := render_figures(dimensions, values, **beside)):
        lines.info(line)


def render_figures(
    dimensions: Mapping[str, str], values: Mapping[str, tuple[float | None, str]], **beside: Any
) -> str | None:
    """Return figures with their units as one line of CloudWatch's embedded metric format; None where there are none.

    docs.aws.amazon.com, CloudWatch user guide: "Specification: Embedded metric format". CloudWatch takes dimensions in
    ASCII alone. What is no finite number is left out.
    """
    given = {name: value for name, (value, _) in values.items()}
    found = {name: value for name, value in given.items() if value is not None and math.isfinite(value)}
    if not found:
        return None
    directive = {
        "Namespace": "rowcast",
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": values[name][1]} for name in list(found)[:_METRICS]],
    }
    line = {
        "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]},
        **{name: ascii_only(value) for name, value in dimensions.items()},
        **beside,
        **found,
    }
    return json.dumps(line, ensure_ascii=False)


def _for_people(_: Any, __: str, event: Any) -> str:
    """Return time, what happened, and the figures; the level only where it matters."""
    clock = event.pop("timestamp", "")[11:19]
    level = event.pop("level", "info")
    text = on_one_line(str(event.pop("event", "")))
    trace = event.pop("exception", "")
    note = ": ".join(part for part in (event.pop("note", ""), event.pop("detail", "")) if part)
    figures = "  ".join(
        f"{key}={value:,}" if isinstance(value, int) else f"{key}={on_one_line(str(value))}"
        for key, value in event.items()
    )
    mark = "" if level in ("info", "debug") else f"{level.upper()}: "
    line = f"{clock}  {mark}{text:<24}  {figures}".rstrip()
    return printable("\n".join([line, *([f"          {note}"] if note else []), *([trace] if trace else [])]))


class _Above(logging.Handler):
    """Prints above a progress bar."""

    def __init__(self, console: Any) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)
