"""Times in texts of the format that the config tells, as SQL that no text makes fail."""

import re
from functools import lru_cache

from rowcast.database.literals import quote_text
from rowcast.database.times import WIDTHS, split_format

_RANGES = {"Y": "(?!0000)[0-9]{4}", "m": "(0[1-9]|1[0-2])", "d": "(0[1-9]|[12][0-9]|3[01])", "H": "([01][0-9]|2[0-3])"}
_RANGES |= {"M": "[0-5][0-9]", "S": "[0-5][0-9]", "f": "[0-9]+", "z": "([Zz]|[+-](0[0-9]|1[0-4]):?([0-5][0-9])?)"}


@lru_cache(maxsize=256)
def read_time(value: str, time_format: str) -> str:
    """Return SQL for the time that a text in the column `value` tells, NULL where it tells none of this format.

    It is a timestamp with time zone where the format has a zone, else one without.
    """
    text = f"rtrim({value}::text)"
    pattern, places = "^", dict[str, str]()
    for sign, literal, at in split_format(time_format):
        pattern += _RANGES[sign] if sign else re.sub(r"(\W)", r"\\\1", literal)
        if sign:
            places[sign] = f"substr({text},{at},{WIDTHS[sign]})" if sign in WIDTHS else f"substr({text},{at})"
    year, month, day = (places[sign] for sign in "Ymd")
    clock = "||':'||".join(places.get(sign, "'00'") for sign in "HMS")
    fraction = "||'.'||" + places["f"] if "f" in places else ""
    zone = f"||{places['z']}" if "z" in places else ""
    kind = "timestamptz" if zone else "timestamp"
    leap = f"{year}::int % 4 = 0 AND ({year}::int % 100 <> 0 OR {year}::int % 400 = 0)"
    last = f"CASE WHEN {month} = '02' THEN CASE WHEN {leap} THEN '29' ELSE '28' END"
    last += f" WHEN {month} IN ('04','06','09','11') THEN '30' ELSE '31' END"
    iso = f"({year}||'-'||{month}||'-'||{day}||' '||{clock}{fraction}{zone})::{kind}"
    return f"CASE WHEN {text} ~ {quote_text(pattern + '$')} THEN CASE WHEN {day} <= {last} THEN {iso} END END"
