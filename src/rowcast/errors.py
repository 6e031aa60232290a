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


class RowcastError(Exception):
    """Base of all: `what` in one line, `hint` the way out. Both are shown to the user; neither holds a secret.

    `step` names the step in which it was raised, where that is known.
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.step = ""

    def __str__(self) -> str:
        return f"{self.what}\n  {self.hint}" if self.hint else self.what

    def __reduce__(self) -> tuple[object, ...]:  # keeps every part when an error crosses from a worker process
        return (_rebuild, (type(self), dict(vars(self))))


def _rebuild(kind: type["RowcastError"], parts: dict[str, str]) -> "RowcastError":
    error = kind.__new__(kind, parts["what"])
    vars(error).update(parts)
    return error


class UsageError(RowcastError):
    """An argument or option of a command is malformed, missing or contradicts another one: exit code 2."""


class ConfigError(RowcastError):
    """The config (file or environment) is missing, malformed or contradicts itself."""


class SourceError(RowcastError):
    """The source table or query is missing, lacks a column, or its key, time or label cannot be used."""


class StoreError(RowcastError):
    """The store's tables are missing, may not be created, or belong to another source or a newer rowcast."""


class DatabaseError(RowcastError):
    """A database did not answer, refused the login, or refused a statement.

    `reason` is one of: unreachable, login, missing, rights, duplicate, locked, conflict, full, mixed, other.
    """

    def __init__(self, what: str, *, hint: str = "", reason: str = "other") -> None:
        super().__init__(what, hint=hint)
        self.reason = reason

    @property
    def is_transient(self) -> bool:
        """Whether the same may well succeed a little later: a restart, a dropped connection, a lock, a deadlock."""
        return self.reason in ("unreachable", "locked", "conflict")


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
