"""Every error that rowcast raises on purpose.

RowcastError            what happened, where, and the way out
├── UsageError          a command was given what it cannot mean
├── ConfigError         rowcast.toml or the environment is wrong
├── SourceError         the user's table cannot be used as the config says
├── StoreError          rowcast's own tables cannot be created or used
├── DatabaseError       the database refused or did not answer
├── TrainingError       no model can be trained from these rows
├── EstimatorError      a user's estimator raised or returned the wrong thing
├── ModelError          a stored model may not or cannot be loaded
├── QuarantineError     too large a share of rows breaks the contract
├── DeadWorkerError     a process that was scoring is gone
├── RunError            a run cannot start, go on or be found
├── NotifyError         a message could not be delivered
└── BusyError           another run, which is alive, does what this one was asked to do
"""

import errno
import re
import sys
import types
from typing import Literal, get_args

Reason = Literal[
    "unreachable", "login", "missing", "rights", "syntax", "duplicate", "locked", "conflict", "full", "mixed", "other"
]
"""Why a database did not do what it was asked to."""
REASONS: tuple[Reason, ...] = get_args(Reason)

MORE = "pipeline.log and 'rowcast runs' say more"
_LONGEST = 400  # characters that a driver may say
_NO_VALUE_BEHIND: tuple[Reason, ...] = (
    "unreachable",
    "login",
    "missing",
    "rights",
    "syntax",  # of [source] query or where: rowcast's own statements carry values apart, or quoted
    "locked",
    "full",
    "mixed",
)
_REFUSED: dict[Reason, str] = {
    "duplicate": "a key is there already",
    "conflict": "another transaction was in the way",
    "other": "the database refused a statement",
}


class RowcastError(Exception):
    """Base of all errors that rowcast raises on purpose.

    `what` says in one line what happened, `hint` what to do next. Neither quotes a value of a row, so that both may go
    anywhere: to a log collector, to a chat. `detail` holds what may quote one, such as a driver's own words or a list
    of labels; it is shown on a terminal, in the local log file and in the user's own database. None holds a secret.
    `about` names what the error concerns, such as a column or a model version: with the class and the place that made
    the error, it tells two troubles apart (`dedup_key`). `step` names the step in which it was raised, where known.
    """

    def __init__(self, what: str, *, hint: str = "", detail: str = "", about: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.detail = detail
        self.about = about
        self.origin = _maker()
        self.step = ""

    def __str__(self) -> str:
        more = f" ({MORE})" if self.quotes_values else ""
        return f"{self.what}{more}\n  {self.hint}" if self.hint else f"{self.what}{more}"

    @property
    def quotes_values(self) -> bool:
        """Whether there is a `detail`, which may quote a value of a row."""
        return bool(self.detail)

    @property
    def dedup_key(self) -> str:
        """Equal for two errors that are the same trouble, whatever their figures and their wording."""
        return f"{type(self).__name__}:{self.origin}:{self.about}"

    def __reduce__(self) -> tuple[object, ...]:  # keeps every part when an error crosses from a worker process
        return (_rebuild, (type(self), dict(vars(self))))


def _rebuild(kind: type["RowcastError"], parts: dict[str, str]) -> "RowcastError":
    error = kind.__new__(kind, parts["what"])
    vars(error).update(parts)
    return error


def _maker() -> str:
    """The module and the function that make an error just now."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"


class UsageError(RowcastError):
    """An argument or option of a command is malformed, missing or contradicts another one: exit code 2."""


class ConfigError(RowcastError):
    """The config (file or environment) is missing, malformed or contradicts itself."""


class SourceError(RowcastError):
    """The source table or query is missing, lacks a column, or its key, time or label cannot be used."""


class StoreError(RowcastError):
    """The store's tables are missing, may not be created, or belong to another source or a newer rowcast."""


class DatabaseError(RowcastError):
    """A database did not answer, refused the login, or refused a statement; `reason` says which."""

    def __init__(self, what: str, *, hint: str = "", detail: str = "", reason: Reason = "other") -> None:
        super().__init__(what, hint=hint, detail=detail)
        self.reason: Reason = reason

    @classmethod
    def of_driver(cls, place: str, said: str, *, hint: str = "", reason: Reason = "other") -> "DatabaseError":
        """Return the error of a database at `place` whose driver said `said`.

        What a driver says of a reason that concerns names, rights or the server alone is told whole. Of anything else
        it may quote the value that it refused.
        """
        said = shorten(said)
        if reason in _NO_VALUE_BEHIND:
            return cls(f"{place}: {said}", hint=hint, reason=reason)
        return cls(f"{place}: {_REFUSED.get(reason, _REFUSED['other'])}", hint=hint, detail=said, reason=reason)

    @property
    def is_transient(self) -> bool:
        """Whether the same may well succeed a little later: a restart, a dropped connection, a lock, a deadlock."""
        return self.reason in ("unreachable", "locked", "conflict")

    @property
    def dedup_key(self) -> str:
        """The reason tells one trouble with a database from another."""
        return f"{type(self).__name__}:{self.reason}:{self.about}"


class TrainingError(RowcastError):
    """The labelled rows do not allow a model: too few, one class only, or a label that is not of the task's kind."""


class EstimatorError(RowcastError):
    """The user's estimator could not be built, raised, or returned something of the wrong shape."""


class ModelError(RowcastError):
    """A stored model is missing, was changed, or holds a type that is not on the allow-list."""


class QuarantineError(RowcastError):
    """More rows break the contract than `max_quarantine` allows; nothing of the batch was published."""


class DeadWorkerError(RowcastError):
    """A worker process ended without a word: killed from outside, or by the rows that it was scoring."""


class RunError(RowcastError):
    """A run cannot start, be resumed or be found."""


class NotifyError(RowcastError):
    """A sink of messages is not installed, cannot be reached, or did not take a message; or none is configured."""


class BusyError(RowcastError):
    """Another run that is alive does what this one was asked to do."""


def describe(error: BaseException, *, details: bool) -> str:
    """Return an error in one line; with `details` also what may quote a value of a row."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, RowcastError):
        return f"{error.what}: {error.detail}" if details and error.detail else error.what
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if details and said else f"unexpected {type(error).__name__}"


def quotes_values(error: BaseException) -> bool:
    """Return whether what an error says in full may quote a value of a row; another library's may always."""
    return error.quotes_values if isinstance(error, RowcastError) else bool(str(error))


def shorten(said: str) -> str:
    """Return what a driver said with long numbers and texts cut in the middle: it may quote a value of any length."""
    said = re.sub(r"\d{40,}", lambda found: f"{found[0][:12]}…", said)
    half = _LONGEST // 2
    return said if len(said) <= _LONGEST else f"{said[:half]} … {said[-half:]}"


_DISK = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system can only be read",
}


def as_rowcast_error(error: Exception) -> RowcastError:
    """Return the error itself where rowcast raised it on purpose, else a RunError that carries what it says."""
    if isinstance(error, RowcastError):
        return error
    if isinstance(error, OSError) and (known_disk := _DISK.get(error.errno or 0)):
        return RunError(known_disk, hint="nothing is lost: make room or mend the rights, then 'rowcast resume'")
    known = RunError(describe(error, details=False), detail=" ".join(str(error).split()))
    known.origin = dedup_key(error)
    return known


def dedup_key(error: BaseException) -> str:
    """Return what two errors have in common that are the same trouble; of another library's, where it was raised."""
    if isinstance(error, RowcastError):
        return error.dedup_key
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}.{trace.tb_frame.f_code.co_qualname}"
    return f"{type(error).__name__}:{place}"
