"""HTML and SVG from elements. Text is escaped unless it is markup already, so that no column's name can be more than a
name."""

import html
import re
from collections.abc import Iterable

# What no XML may hold, and what turns the order of the letters round.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_VOID = {"meta", "br", "input", "link"}


class Markup(str):
    """Text that is markup."""

    __slots__ = ()


def element(name: str, /, *content: object, **attributes: object) -> Markup:
    """Return `<name attributes>content</name>`, well-formed as XML.

    Content that is None or an attribute that is None or False is left out; an underscore in an attribute's name is a
    hyphen, one at its end is not there (`class_`). Coordinates are written to a hundredth.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{written}/>" if name in _VOID else f"<{name}{written}>{join(content)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """Return parts one after another, each escaped unless it is markup."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts if part is not None))


def escape(value: object) -> str:
    """Return a value as text that is safe in HTML and XML."""
    return html.escape(_FORBIDDEN.sub("\ufffd", str(value)))


def _attribute(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escape(value)
