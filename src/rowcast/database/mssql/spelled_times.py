"""Times in texts of the format that the config tells, as SQL that no text makes fail."""

from functools import lru_cache

from rowcast.database.mssql.tsql import quote_text
from rowcast.database.times import WIDTHS, split_format


@lru_cache(maxsize=256)
def read_time(value: str, time_format: str) -> str:
    """Return SQL for the time that a text in the column `value` tells, NULL where it tells none of this format.

    It is a datetime2: UTC where the format has a zone, else the wall clock's.
    """
    text = f"RTRIM({value})"
    pattern, places = "", dict[str, str]()
    for sign, literal, at in split_format(time_format):
        if sign in WIDTHS:
            pattern += "[0-9]" * WIDTHS[sign]
            places[sign] = f"SUBSTRING({text}, {at}, {WIDTHS[sign]})"
        elif sign:  # f or z, the last one
            pattern += "[0-9]%" if sign == "f" else "[Zz+-]%"
            places[sign] = f"SUBSTRING({text}, {at}, 30)"
        else:
            pattern += f"[{literal}]" if literal in "[%_" else literal
    clock = " + N':' + ".join(places.get(sign, "N'00'") for sign in "HMS")
    iso = f"{places['Y']} + N'-' + {places['m']} + N'-' + {places['d']} + N'T' + {clock}"
    if "f" in places:  # seven digits are the most that the server takes
        iso += f" + N'.' + CASE WHEN {places['f']} NOT LIKE N'%[^0-9]%' THEN LEFT({places['f']}, 7) END"
    made = f"TRY_CONVERT(datetime2(6), {iso}, 126)"
    if "z" in places:
        zone = places["z"]
        colon = f"CASE WHEN {zone} LIKE N'[+-][0-9][0-9][0-9][0-9]' THEN STUFF({zone}, 4, 0, N':')"
        colon += f" WHEN {zone} LIKE N'[+-][0-9][0-9]' THEN {zone} + N':00' ELSE UPPER({zone}) END"
        zoned = f"TRY_CONVERT(datetimeoffset(6), {iso} + {colon}, 127)"
        made = f"CAST(SWITCHOFFSET({zoned}, 0) AS datetime2(6))"
    return f"CASE WHEN {text} LIKE {quote_text(pattern)} THEN {made} END"
