"""What the doctor finds, a line each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rowcast.errors import RowcastError, describe


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, in one line; none holds a secret."""

    level: Literal["ok", "warning", "problem"]
    what: str
    hint: str = ""
    statement: str = ""  # that an administrator runs to mend it, where there is one


def guard(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield findings; an error on the way becomes a problem, and the last of them."""
    try:
        yield from findings
    except RowcastError as error:
        yield to_problem(error)


def to_problem(error: RowcastError) -> Finding:
    """Return an error as a problem, with its way out."""
    return Finding("problem", describe_whole(error), " ".join(error.hint.split()))


def describe_whole(error: RowcastError) -> str:
    """Return an error in one line, whatever it quotes: whoever runs the doctor may read the source."""
    return " ".join(describe(error, details=True).split())
