"""The settings with which Sphinx builds the site: `make docs`."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.pycode import parser

import rowcast

# The comment behind a field of a record is its documentation, as `#:` is by default.
parser.comment_re = re.compile(r"^\s*#:? ?(.*)\r?\n?$")

project = "rowcast"
release = version = rowcast.__version__
project_copyright = "the rowcast authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

highlight_language = "none"  # of code blocks that name no language: output of commands
myst_heading_anchors = 4  # a link to a heading that does not exist is a warning, and a warning fails the build
default_role = "code"  # single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"  # fields are listed one by one, not in a signature
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"rowcast {release}"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5a8a", "color-brand-content": "#0b5a8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
html_static_path = ["static"]
html_css_files = ["rowcast.css"]

# What a browser loads by itself. A link that a reader may follow is none of it.
_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|embed|object|video|audio)\b[^>]*?\b(?:src|srcset|data)\s*=\s*["'](?:https?:)?//"""
    r"""|<link\b(?![^>]*\brel\s*=\s*["']?(?:canonical|author|license))[^>]*?\bhref\s*=\s*["'](?:https?:)?//"""
    r"""|url\(\s*["']?(?:https?:)?//|@import\s+["'](?:https?:)?//|\b(?:fetch|importScripts)\(\s*["'](?:https?:)?//""",
    re.IGNORECASE,
)


def refuse_outside_references(app: Sphinx, failure: Exception | None) -> None:
    """Raise SphinxError if a page, a stylesheet or a script of the site loads something over the network."""
    if failure:
        return
    found = [
        f"{path.relative_to(app.outdir)}: {match[0][:80]}"
        for path in sorted(Path(app.outdir).rglob("*"))
        if path.suffix in (".html", ".css", ".js")
        for match in _LOADS.finditer(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise SphinxError("the site must not load anything over the network:\n" + "\n".join(found))


_comments: dict[str, list[str]] = {}  # of fields, while napoleon looks for a type before their first colon


def keep_comment(_app: Sphinx, what: str, name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Remember the documentation of a field or property as it is written."""
    if what in ("attribute", "property"):
        _comments[name] = list(lines)


def restore_comment(_app: Sphinx, what: str, name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Put back the documentation of a field or property after napoleon changed it."""
    if what in ("attribute", "property"):
        lines[:] = _comments.pop(name)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", keep_comment, priority=400)
    app.connect("autodoc-process-docstring", restore_comment, priority=600)
    app.connect("build-finished", refuse_outside_references)
