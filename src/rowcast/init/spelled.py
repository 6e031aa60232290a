"""What texts spell: times of one format, and numbers with a decimal comma."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from rowcast.check.values import is_grouped

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y%m%d")  # of which no part can be taken for another
_CLOCKS = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S%z")
_NUMBER = re.compile(r"[+-]?\d+(,\d+)?")
_MOST_NUMBERS = 0.9  # share of a column's texts that must be numbers, where the others mean "not measured"
_FEW = 3  # different texts that may mean it


@dataclass(frozen=True)
class CommaNumbers:
    """A column of texts that are numbers with a decimal comma."""

    others: tuple[str, ...]  # what else it holds


def find_time_format(texts: Sequence[str]) -> str | None:
    """Return the format in which all these texts are times; None where there is none, or there are no texts."""
    return next((form for form in _list_formats() if texts and all(_is_time(text, form) for text in texts)), None)


def find_comma_numbers(texts: Sequence[str]) -> CommaNumbers | None:
    """Return what texts hold that are numbers with a decimal comma, but for a few that mean something else."""
    stripped = [text.strip() for text in texts]
    others = sorted({text for text in stripped if not _is_number(text)})
    numbers = [text for text in stripped if _is_number(text)]
    if not any("," in text for text in numbers) or len(numbers) < _MOST_NUMBERS * len(texts):
        return None
    alone = tuple(text for text in others if not re.search(r"\d", text))  # 1.234 is a number that is not read
    return CommaNumbers(alone) if len(alone) <= _FEW else None


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None or is_grouped(text)


def _list_formats() -> Iterator[str]:
    for day, clock in product(_DAYS, _CLOCKS):
        if day == "%Y%m%d" and not clock:  # a number, or a key
            continue
        yield from (f"{day}{between}{clock}" for between in ((" ", "T") if clock else ("",)))


def _is_time(text: str, form: str) -> bool:
    if form.endswith("%f") and not re.search(r"\.\d+$", text):
        return False
    try:
        made = datetime.strptime(text.rstrip(), form)
    except ValueError:
        return False
    # Python reads a day of one digit too, which the format does not mean.
    return form[-2:] in ("%f", "%z") or made.strftime(form) == text.rstrip()
