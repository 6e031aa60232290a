"""Times in texts that are not quite ISO 8601: read where they leave no doubt, or the config tells their format."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rowcast.database.literals import quote_text
from rowcast.database.times import LAST_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGIT = "[0-9]"
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_DATED = _DIGIT * 4 + "-" + _DIGIT * 2 + "-" + _DIGIT * 2 + "*"
# A day that is followed by dots is never a month; with slashes the year must come first.
_DOTTED = ".".join((_DIGIT * 2, _DIGIT * 2, _DIGIT * 4)) + "*"
_ISO = "substr(t,7,4)||'-'||substr(t,4,2)||'-'||substr(t,1,2)||substr(t,11)"


def read_time(value: str, time_format: str | None, timezone: str) -> str:
    """Return SQL for the seconds since 1970 that a text in the column `value` tells, NULL where it tells none.

    Each step names its result for the next, so that nothing is worked out twice.
    """
    arranged = _arrange(time_format) if time_format and "%" in time_format else _arrange_unambiguous()
    offset = "0" if timezone == "UTC" else _search(find_transitions(timezone))
    zoned = f"u OR t GLOB '*[Zz]' OR t GLOB '*[+-]{_DIGIT * 2}:{_DIGIT * 2}'"
    digits = "t NOT GLOB '*[^0-9]*' AND length(t) BETWEEN 9 AND 19"
    last = str(LAST_SECOND)
    divisor = (
        f"CASE WHEN n <= {last} THEN 1.0 WHEN n <= {last}000 THEN 1e3 WHEN n <= {last}000000 THEN 1e6 ELSE 1e9 END"
    )
    found = f"SELECT rtrim({value}) AS t WHERE typeof({value}) = 'text'"
    for step in (
        "CASE WHEN t GLOB '*[UG][TM][CT]' THEN rtrim(substr(t,1,length(t)-3)) ELSE t END AS t,"
        " t GLOB '*UTC' OR t GLOB '*GMT' AS u",
        f"{arranged} AS t, u",
        f"CASE WHEN t GLOB '*:*[+-]{_DIGIT * 4}' THEN substr(t,1,length(t)-2)||':'||substr(t,-2)"
        f" WHEN t GLOB '*:*[+-]{_DIGIT * 2}' THEN t||':00' ELSE t END AS t, u",
        f"CASE WHEN t GLOB '{_DATED}' AND t BETWEEN '0001-01-02' AND '9999-12-31' THEN unixepoch(t,'subsec') END AS w,"
        f" CASE WHEN {digits} THEN CAST(t AS INTEGER) END AS n, {zoned} AS z",
        f"CASE WHEN n IS NOT NULL THEN n / {divisor} WHEN z THEN w ELSE w - {offset} END",
    ):
        found = f"SELECT {step} FROM ({found})"  # noqa: S608
    return f"({found})"


def _arrange_unambiguous() -> str:
    """Return SQL that puts the parts of a text `t` in the order of ISO 8601 where there is no doubt which is which."""
    dashed = "replace(replace(t,'/','-'),',','.')"
    return f"CASE WHEN t GLOB '{_DOTTED}' THEN replace({_ISO},',','.') ELSE {dashed} END"


def _arrange(time_format: str) -> str:
    """Return SQL that puts the parts of a text `t` of this format in the order of ISO 8601; of another, NULL."""
    places: dict[str, str] = {}
    pattern, at = "", 1
    for sign, literal in re.findall(r"%(.)|(.)", time_format, re.DOTALL):
        if literal:
            pattern, at = pattern + (f"[{literal}]" if literal in "*?[" else literal), at + 1
        elif sign in _WIDTHS:
            places[sign] = f"substr(t,{at},{_WIDTHS[sign]})"
            pattern, at = pattern + _DIGIT * _WIDTHS[sign], at + _WIDTHS[sign]
        else:  # f or z, the last one
            places[sign] = f"substr(t,{at})"
            pattern += f"{_DIGIT}*" if sign == "f" else "*"
    clock = "||':'||".join(places.get(sign, "'00'") for sign in "HMS")
    fraction = "||'.'||" + places["f"] if "f" in places else ""
    iso = f"{places['Y']}||'-'||{places['m']}||'-'||{places['d']}||' '||{clock}{fraction}" + (
        f"||{places['z']}" if "z" in places else ""
    )
    return f"CASE WHEN t GLOB {quote_text(pattern)} THEN {iso} END"


def _search(steps: tuple[tuple[int, int], ...]) -> str:
    """Return a binary search over (wall-clock second from which it holds, offset) for `w` as nested CASE."""
    if len(steps) == 1:
        return str(steps[0][1])
    middle = len(steps) // 2
    return f"CASE WHEN w < {steps[middle][0]} THEN {_search(steps[:middle])} ELSE {_search(steps[middle:])} END"


@lru_cache(maxsize=8)
def find_transitions(timezone: str) -> tuple[tuple[int, int], ...]:
    """Return the offsets of a zone by wall-clock time, 1970 to 2050, found by bisection since zoneinfo does not tell.

    As PostgreSQL reads them: a time that the clock skips is before the change, one that it shows twice is after it.
    """
    zone = ZoneInfo(timezone)

    def offset(wall: int) -> int:
        local = (_EPOCH + timedelta(seconds=wall)).replace(tzinfo=zone)
        found = [local.replace(fold=fold).utcoffset() for fold in (0, 1)]
        return min(int(each.total_seconds()) for each in found if each is not None)

    day = 86400
    steps = [(0, offset(0))]
    for start in range(0, 80 * 366 * day, day):
        if offset(start + day) != steps[-1][1]:
            low, high = start, start + day
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == steps[-1][1] else (low, middle)
            steps.append((high, offset(high)))
    return tuple(steps)
