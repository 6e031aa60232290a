"""Numbers as people read them, texts that a terminal takes for nothing else, and names in plain letters alone."""

import math
import re
import unicodedata

# Whatever a terminal acts on in place of showing it: control characters, and those that turn the order of letters.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def number(value: float) -> str:
    """Four significant digits, in plain figures up to ten million."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:,.4g}"


def significant(value: float, digits: int) -> str:
    """Return so many significant digits in plain figures: 210, and not 2.1e+02; what is tiny keeps its exponent."""
    rounded = float(f"{value:.{digits}g}")
    if not 1e-4 <= abs(rounded) < 1e15:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """A share of 1 in whole percents, finer near 0 and near 1."""
    digits = 0 if share in (0, 1) or 0.0995 <= share < 0.99 else 1 if 0.00995 <= share < 0.999 else 2
    return f"{100 * share:.{digits}f} %"


def visible(text: str) -> str:
    """Return a text as a reader can see it: in quotes where it is empty, or has spaces at its ends."""
    return text if text and text == text.strip() else f"'{text}'"


def count(number: int, one: str, several: str | None = None) -> str:
    """Return how many of something there are: 1 row, 1,234 rows; `several` is a plural without s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def printable(text: str) -> str:
    """Return a text with each character that a terminal would act on spelled out, but for tabs and ends of lines."""
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def on_one_line(text: str) -> str:
    """Return a text as `printable` does, with its tabs and ends of lines spelled out as well."""
    return printable(text).replace("\t", "\\t").replace("\n", "\\n")


def ascii_only(text: str) -> str:
    """Text in plain letters: accents are left out, other signs become question marks."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).encode("ascii", "replace").decode()
