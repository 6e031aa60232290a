"""The frame of every page: its head, the bar at the top, and what all sections are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from urllib.parse import quote, urlencode

import rowcast
from rowcast.drawing.document import style as drawing_style
from rowcast.drawing.markup import Markup, element

ROOT = "/dashboard"
Crumb = tuple[str, str | None]  # text, and where it leads


@dataclass(frozen=True)
class Viewer:
    """Whoever looks at a page."""

    name: str = ""  # of the key; empty where none is asked for
    has_session: bool = False
    form_token: str = ""  # that forms carry
    may_act: bool = False  # on the job of the page


def page(title: str, viewer: Viewer, *content: Markup | None, crumbs: Sequence[Crumb] = ()) -> str:
    """Return a whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} – rowcast"),
        element("link", rel="stylesheet", href=f"{ROOT}/style.css"),
        element("link", rel="icon", href="data:,"),
        element("script", src=f"{ROOT}/local.js", defer="defer"),
    )
    body = element(
        "body",
        element("a", "Skip to content", href="#content", class_="skip"),
        _bar(viewer, crumbs),
        element("main", *content, id="content", tabindex="-1"),
        element(
            "footer",
            f"rowcast {rowcast.__version__}. Times: ",
            element("span", "UTC", class_="zone"),
            ".",
            class_="below",
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _bar(viewer: Viewer, crumbs: Sequence[Crumb]) -> Markup:
    trail = [("Jobs", ROOT if crumbs else None), *crumbs]
    items = [
        element("li", element("a", text, href=where) if where else element("span", text, aria_current="page"))
        for text, where in trail
    ]
    leave = element(
        "form",
        element("span", viewer.name, class_="soft"),
        element("button", "Log out", type="submit", class_="plain"),
        method="post",
        action=f"{ROOT}/logout",
    )
    return element(
        "header",
        element("span", "rowcast", class_="brand"),
        element("nav", element("ol", *items), aria_label="Breadcrumb", class_="crumbs"),
        leave if viewer.has_session else None,
        class_="bar-top",
    )


def style() -> str:
    """Return the style sheet of all pages."""
    return drawing_style() + files("rowcast.dashboard").joinpath("dashboard.css").read_text(encoding="utf-8")


def script() -> str:
    """Return the script of all pages, which none needs."""
    return files("rowcast.dashboard").joinpath("local.js").read_text(encoding="utf-8")


def link(job: str, *parts: object, **query: str | Sequence[str]) -> str:
    """Return the path of a job's page, or of one below it."""
    path = "/".join([ROOT, "jobs", *(quote(str(part), safe="") for part in (job, *parts))])
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def moment(at: datetime) -> Markup:
    """Return a point in time as people and programs read it."""
    at = at.astimezone(UTC)
    return element("time", f"{at:%Y-%m-%d %H:%M}", datetime=at.isoformat(timespec="seconds"))


def section(name: str, heading: str, *content: object) -> Markup:
    """Return a section that links can lead to."""
    return element("section", element("h2", heading, id=f"{name}-h"), *content, id=name, aria_labelledby=f"{name}-h")


def link_version(job: str, version: int) -> Markup:
    """Return the number of a version as a link to its card."""
    return element("a", f"v{version}", href=link(job, "versions", version))


def tile(name: str, value: object, *about: object, state: str = "") -> Markup:
    """Return a figure with what it is of."""
    return element(
        "div",
        element("p", name, class_="tile-name"),
        element("p", value, class_="tile-value"),
        *(element("p", each, class_="soft") for each in about if each is not None and each != ""),
        class_=f"tile {state}".strip(),
    )


def badge(text: str, state: str) -> Markup:
    """Return a small mark; `state` is good, warn, bad or quiet."""
    return element("span", text, class_=f"badge {state}")
