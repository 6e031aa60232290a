"""Times in texts that are not quite ISO 8601: read where they leave no doubt, or the config tells their format."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rowcast.database.literals import quote_text
from rowcast.database.times import LAST_SECOND, WIDTHS, is_of_texts, split_format

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGIT = "[0-9]"
_DATED = _DIGIT * 4 + "-" + _DIGIT * 2 + "-" + _DIGIT * 2 + "*"
# A day that is followed by dots is never a month; with slashes the year must come first.
_DOTTED = ".".join((_DIGIT * 2, _DIGIT * 2, _DIGIT * 4)) + "*"


@lru_cache(maxsize=256)
def read_time(value: str, time_format: str | None, timezone: str) -> str:
    """Return SQL for the seconds since 1970 that a text in the column `value` tells, NULL where it tells none.

    A subquery that names the parts would be shorter, and hundreds of times slower.
    """
    text = f"rtrim({value})"
    formatted = time_format if is_of_texts(time_format) else None
    iso = _arrange_unambiguous(text) if formatted is None else _arrange(text, formatted)
    offset = "0" if timezone == "UTC" else _search(iso, find_transitions(timezone))
    count = f"CAST({text} AS INTEGER)"
    last = str(LAST_SECOND)
    unit = f"WHEN {count} <= {last} THEN 1.0 WHEN {count} <= {last}000 THEN 1e3 WHEN {count} <= {last}000000 THEN 1e6"
    digits = f"{text} NOT GLOB '*[^0-9]*' AND length({text}) BETWEEN 9 AND 19"
    ways = (
        f"WHEN typeof({value}) <> 'text' THEN NULL",
        f"WHEN {iso} NOT GLOB '{_DATED}' OR {iso} NOT BETWEEN '0001-01-02' AND '9999-12-31' THEN"
        f" CASE WHEN {digits} THEN {count} / CASE {unit} ELSE 1e9 END END",
        f"WHEN {text} GLOB '*UTC' OR {text} GLOB '*GMT' THEN unixepoch(rtrim({iso},'UTCGM '),'subsec')",
        f"WHEN {iso} GLOB '*:*[+-]{_DIGIT * 4}' THEN"
        f" unixepoch(substr({iso},1,length({iso})-2)||':'||substr({iso},-2),'subsec')",
        f"WHEN {iso} GLOB '*:*[+-]{_DIGIT * 2}' THEN unixepoch({iso}||':00','subsec')",
        f"WHEN {iso} GLOB '*[Zz]' OR {iso} GLOB '*[+-]{_DIGIT * 2}:{_DIGIT * 2}' THEN unixepoch({iso},'subsec')",
    )
    if formatted is not None:  # which digits alone may be, of another meaning
        day = f"substr({iso},1,10)"  # SQLite takes the 30th of February for the 2nd of March, and knows an hour 24
        no_time = f"{iso} NOT BETWEEN '0001-01-02' AND '9999-12-31' OR date({day}) IS NOT {day}"
        no_time += f" OR substr({iso},12,2) > '23'"
        ways = (ways[0], f"WHEN {iso} IS NULL OR {no_time} THEN NULL", *(ways[2:] if "%z" in formatted else ()))
    return f"CASE {' '.join(ways)} ELSE unixepoch({iso},'subsec') - {offset} END"


def _arrange_unambiguous(text: str) -> str:
    """Return SQL that puts the parts of a text in the order of ISO 8601 where there is no doubt which is which."""
    dotted = f"substr({text},7,4)||'-'||substr({text},4,2)||'-'||substr({text},1,2)||substr({text},11)"
    ordered = f"CASE WHEN {text} GLOB '{_DOTTED}' THEN {dotted} ELSE replace({text},'/','-') END"
    return f"replace(replace({ordered},',','.'),'T',' ')"


def _arrange(text: str, time_format: str) -> str:
    """Return SQL that puts the parts of a text of this format in the order of ISO 8601; of another, NULL."""
    places: dict[str, str] = {}
    pattern = ""
    for sign, literal, at in split_format(time_format):
        if literal:
            pattern += f"[{literal}]" if literal in "*?[" else literal
        elif sign in WIDTHS:
            places[sign] = f"substr({text},{at},{WIDTHS[sign]})"
            pattern += _DIGIT * WIDTHS[sign]
        else:  # f or z, the last one
            places[sign] = f"substr({text},{at})"
            pattern += f"{_DIGIT}*" if sign == "f" else "*"
    clock = "||':'||".join(places.get(sign, "'00'") for sign in "HMS")
    fraction = "||'.'||" + places["f"] if "f" in places else ""
    zone = f"||{places['z']}" if "z" in places else ""
    iso = f"{places['Y']}||'-'||{places['m']}||'-'||{places['d']}||' '||{clock}{fraction}{zone}"
    return f"CASE WHEN {text} GLOB {quote_text(pattern)} THEN {iso} END"


def _search(iso: str, steps: tuple[tuple[int, int], ...]) -> str:
    """Return a binary search over (wall-clock second from which it holds, offset) as nested CASE."""
    if len(steps) == 1:
        return str(steps[0][1])
    middle = len(steps) // 2
    wall = _EPOCH + timedelta(seconds=steps[middle][0])
    earlier, later = _search(iso, steps[:middle]), _search(iso, steps[middle:])
    return f"CASE WHEN {iso} < '{wall:%Y-%m-%d %H:%M:%S}' THEN {earlier} ELSE {later} END"


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
