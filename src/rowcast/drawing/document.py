"""A page as one file, readable in light, dark and on paper."""

from importlib.resources import files

import rowcast
from rowcast.drawing.markup import Markup, element


def document(title: str, *content: Markup | None, origin: str) -> str:
    """Return the whole file; `origin` is what it was written from."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style())),
    )
    footer = element("footer", f"Written by rowcast {rowcast.__version__} from {origin}.")
    body = element("body", element("main", *content, footer))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def style() -> str:
    """Return the style sheet of every page and picture."""
    return files("rowcast.drawing").joinpath("page.css").read_text(encoding="utf-8")
