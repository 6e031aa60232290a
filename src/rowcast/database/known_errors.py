"""Errors that a database is known to raise, and what they mean to rowcast."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownError:
    """How an error of a database is recognised, and what it means."""

    sign: str  # a part of its text or, where it begins with a digit, the beginning of its SQLSTATE
    reason: str  # of the DatabaseError
    hint: str = ""


def match_error(known: Sequence[KnownError], text: str, sqlstate: str = "") -> KnownError:
    """Return the first known error whose sign this one bears, or one of the reason `other`."""
    for each in known:
        if sqlstate.startswith(each.sign) if each.sign[0].isdigit() else each.sign in text:
            return each
    return KnownError("", "other")
