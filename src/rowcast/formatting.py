"""Numbers as people read them, and names where only plain letters are allowed."""

import unicodedata


def number(value: float) -> str:
    """Four significant digits, in plain figures up to ten million."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:,.4g}"


def percent(share: float) -> str:
    """A share of 1 in whole percents, finer near 0 and near 1."""
    digits = 0 if share in (0, 1) or 0.0995 <= share < 0.99 else 1 if 0.00995 <= share < 0.999 else 2
    return f"{100 * share:.{digits}f} %"


def ascii_only(text: str) -> str:
    """Text in plain letters: accents are left out, other signs become question marks."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).encode("ascii", "replace").decode()
