"""What SQL Server's errors mean, by the numbers that it gives them."""

import re
from collections.abc import Iterator

from rowcast.errors import DatabaseError, Reason

_REACH = "check host, port and database in the url, and that the server is up"
_CLOSED = "the server closed the connection, or is not ready"
_HINTS: dict[Reason, str] = {
    "login": "check user and password in the url, or the variable it names",
    "locked": "another session holds the lock; try again when it is done",
    "conflict": "another transaction was in the way; try again",
    "rights": "'rowcast doctor' names the right that is missing, and the statement that gives it",
    "syntax": "check [source] query and where",
    "full": "free some space; nothing of the unfinished batch was kept",
}
# learn.microsoft.com: database engine events and errors; transient faults of Azure SQL.
_NUMBERS: dict[Reason, tuple[int, ...]] = {
    "login": (18452, 18456, 18470, 18486, 18487, 18488),
    "locked": (1222,),
    "conflict": (1205, 3960, 3961, 41301, 41302, 41305, 41325, 41839),
    "rights": (229, 230, 262, 297, 300, 371, 916, 2557, 2760, 15151, 15247),
    "duplicate": (2601, 2627, 2714, 2759),
    "syntax": (102, 105, 156),
    "missing": (207, 208, 911, 1088, 3701, 4060, 4902),
    "full": (1101, 1105, 9002, 40544),
}
_AWAY = (64, 121, 233, 596, 615, 617, 669, 701, 802, 921, 922, 983, 1204, 3935, 4221, 6005, 6006, 8645, 8651)
_AWAY_ON_AZURE = (10928, 10929, 10936, 40143, 40166, 40197, 40501, 40540, 40613, 42108, 42109, 49918, 49919, 49920)
_ON_THE_WAY = (10053, 10054, 10060, 17142, 17809, 17888)
# What these say may quote the value: words in it mean nothing.
_OF_VALUES = (220, 232, 241, 242, 245, 248, 295, 515, 547, 2628, 8114, 8115, 8152)
_REASONS: dict[int, Reason] = {number: reason for reason, numbers in _NUMBERS.items() for number in numbers}
_REASONS |= dict.fromkeys((*_AWAY, *_AWAY_ON_AZURE, *_ON_THE_WAY), "unreachable")
# Where an error comes without its number: a login, and bulk copy.
_WORDS: tuple[tuple[str, Reason], ...] = (
    ("login failed", "login"),
    ("cannot open database", "missing"),
    ("deadlock", "conflict"),
    ("lock request time out", "locked"),
    ("duplicate key", "duplicate"),
    ("invalid object name", "missing"),
    ("invalid column name", "missing"),
    ("permission was denied", "rights"),
    ("communication link failure", "unreachable"),
    ("unable to establish connection", "unreachable"),
    ("connection not open", "unreachable"),
    ("connection is closed", "unreachable"),
    ("connection refused", "unreachable"),
    ("connection reset", "unreachable"),
    ("timeout expired", "unreachable"),
    ("timed out", "unreachable"),
)


def translate_error(place: str, error: Exception, number: int | None) -> DatabaseError:
    """Return the error as rowcast raises it; `number` is the server's, where it is known."""
    said = getattr(error, "ddbc_error", None) or str(error)
    if number is None and (found := re.search(r"\b(?:error|number|code)\W{0,3}(\d{3,5})\b", said, re.IGNORECASE)):
        number = int(found[1])
    reason, hint = _find_meaning(number, str(error).lower())
    told = f" (error {number})" if number else ""
    sentence = f"{_extract_sentence(said) or type(error).__name__}{told}"
    return DatabaseError.of_driver(place, sentence, hint=hint, reason=reason)


def _find_meaning(number: int | None, said: str) -> tuple[Reason, str]:
    if "failed to load the driver" in said:
        return "other", "the driver needs the system's libltdl: on Debian, apt-get install libltdl7"
    by_words: Iterator[Reason] = (means for words, means in _WORDS if words in said and number not in _OF_VALUES)
    reason: Reason = next(by_words, "other")
    if number is not None:
        reason = _REASONS.get(number, reason)
    away = _CLOSED if number in _REASONS else _REACH
    return reason, away if reason == "unreachable" else _HINTS.get(reason, "")


def _extract_sentence(said: str) -> str:
    """Return what the server said, without the driver's wrapping."""
    return (re.sub(r"^(\[[^\]]*\]\s*)+", "", said.strip()).splitlines() or [""])[0][:300]
