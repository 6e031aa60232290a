"""Errors that a database is known to raise, and what they mean to rowcast."""

from collections.abc import Sequence
from dataclasses import dataclass

from rowcast.errors import Reason

CHECK_QUERY = "check [source] where and query: is each quote and parenthesis closed, and each text in 'single quotes'?"


@dataclass(frozen=True)
class KnownError:
    """How an error of a database is recognised, and what it means."""

    sign: str  # a part of its text or, where it begins with a digit, the beginning of its SQLSTATE
    reason: Reason  # of the DatabaseError
    hint: str = ""


def match_error(known: Sequence[KnownError], text: str, sqlstate: str = "") -> KnownError:
    """Return the first known error whose sign this one bears, or one of the reason `other`.

    What is said of a value (SQLSTATE classes 22 and 23) may quote it: words in it mean nothing.
    """
    is_of_value = sqlstate.startswith(("22", "23"))
    for each in known:
        if each.sign[0].isdigit():
            if sqlstate.startswith(each.sign):
                return each
        elif each.sign in text and not is_of_value:
            return each
    return KnownError("", "other")
