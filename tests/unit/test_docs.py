"""The pages say what the program does: links lead somewhere, keys and commands are those that there are."""

import re
from pathlib import Path
from typing import get_args, get_origin
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from rowcast.cli import app
from rowcast.config import Settings
from studies import timeline

ROOT = Path(__file__).parents[2]
_PLACES = (".", "docs", "deploy", "deploy/*", "examples", "examples/*")
PAGES = sorted(path for folder in _PLACES for path in ROOT.glob(f"{folder}/*.md") if path.is_file())
FOLDERS = ("src", "tests", "examples", "studies", "benchmarks", "deploy")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    dead = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    there = [f"/{path.relative_to(ROOT)}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"[\w/]*\w\.py\b", page.read_text()))
    assert {name for name in named if not any(path.endswith(f"/{name.lstrip('/')}") for path in there)} == set()


def keys(model: type[BaseModel], section: str = "") -> list[tuple[str, str]]:
    """Each key of the config with its section, as a user writes them."""
    found = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        for part in get_args(kind) if get_origin(kind) is tuple else ():
            if isinstance(part, type) and issubclass(part, BaseModel):  # a list of sections
                found += keys(part, f"{section}.{name}")
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += keys(kind, name)
        else:
            found.append((section, field.alias or name))
    return found


def test_the_configuration_page_names_every_key_in_its_section() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    described = set()
    section = ""
    for line in page.splitlines():
        if heading := re.match(r"#+ `\[(?:\[([\w.]+)|(\w+)[\].])", line):
            section = heading[1] or heading[2]
        elif row := re.match(r"\| ((?:`\w+`(?:, | or )?)+) \|", line):
            described |= {(section, name) for name in re.findall(r"`(\w+)`", row[1])}
    assert set(keys(Settings)) - described == {("", "path"), ("check", "columns")}  # not a key; a section of its own
    assert described - set(keys(Settings)) == {("check", name) for name in ("type", "nullable", "min", "max", "values")}


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = {name for name in app.resolved_commands() if not name.startswith("-")}
    assert {name for name in commands if not re.search(rf"`{name}\b", readme)} == set()


def test_every_file_that_contributing_names_exists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page[page.index("## Which file to change") : page.index("## Layout")]
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", table))
    missing = {name for name in named if not (ROOT / "src" / "rowcast" / name).exists() and not (ROOT / name).exists()}
    assert len(named) > 10
    assert missing - {"connection.py", "expressions.py", "admin.py"} == set()


def test_the_layout_of_contributing_names_every_module_and_folder() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    layout = page[page.index("## Layout") : page.index("## What a change needs")]
    package = ROOT / "src" / "rowcast"
    there = {path.stem for path in package.glob("[a-z]*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    assert {name for name in there if not re.search(rf"\b{name}\b", layout)} == set()


def test_the_picture_of_what_was_known_before_is_the_one_that_is_drawn(tmp_path: Path) -> None:
    made = tmp_path / "history.svg"
    timeline.write(made)
    assert made.read_text() == timeline.PICTURE.read_text()
    ElementTree.fromstring(made.read_text())
