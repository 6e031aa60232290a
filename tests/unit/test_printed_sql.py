"""Every SQL statement that is printed for a person is one: in messages, in hints and in the documentation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rowcast"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BEGINS = r"(?:GRANT|REVOKE|ALTER|CREATE|DROP|PRAGMA|INSERT INTO|UPDATE|DELETE FROM)\b"
# What ALTER DATABASE … SET can set; no parser knows.
OPTIONS = {"READ_COMMITTED_SNAPSHOT", "ALLOW_SNAPSHOT_ISOLATION", "COMPATIBILITY_LEVEL"}
RIGHTS = "(?:SELECT|INSERT|UPDATE|DELETE|USAGE|CONNECT|TEMPORARY|CREATE|CREATE TABLE|CREATE SCHEMA|ALTER)"
ON_OBJECT = r"(?: ON (?:SCHEMA::|SCHEMA |DATABASE |ALL TABLES IN SCHEMA )?[^\s:]+)?"
GRANT = re.compile(rf"(?:GRANT|REVOKE) {RIGHTS}(?:, {RIGHTS})*{ON_OBJECT} (?:TO|FROM) \S+")


def is_sql(statement: str, dialect: str) -> bool:
    """Whether a statement is one, as far as parsers tell."""
    statement = statement.strip().rstrip(";")
    if statement.startswith(("GRANT", "REVOKE")):
        return bool(GRANT.fullmatch(statement))
    if found := re.fullmatch(r"ALTER DATABASE \S+ SET (\w+)(?: = \d+| ON| OFF)", statement):
        return found[1] in OPTIONS
    if re.fullmatch(r"ALTER TABLE \S+ SET \(LOCK_ESCALATION = DISABLE\)", statement):
        return True
    try:
        parsed = sqlglot.parse(statement, dialect=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError:
        return False
    return all(part is not None and not isinstance(part, exp.Command) for part in parsed)


def texts(tree: ast.AST) -> Iterator[str]:
    """The texts of a module, docstrings aside; what is put into one is a name."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    apart = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    apart |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield node.value


def statements_of(path: Path) -> list[str]:
    """What a module may print that is a whole statement: other SQL is put together, and tested where it is run."""
    source = path.read_text(encoding="utf-8")
    if not re.search(BEGINS, source):  # which is most, and taking them apart lasts
        return []
    found = [text.strip() for text in texts(ast.parse(source))]
    return [text for text in found if re.match(rf"{BEGINS} .+ \S", text)]


MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if statements_of(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_what_a_module_writes_as_a_statement_is_one(path: Path) -> None:
    dialect = {"mssql": "tsql", "postgresql": "postgres"}.get(path.parent.name, "sqlite")
    wrong = [text for text in statements_of(path) if not is_sql(text, dialect) and not is_run(text)]
    assert wrong == []


def is_run(text: str) -> bool:
    """Whether a text is run, or made of parts: its tests are where it is made."""
    put_together = r"(UPDATE|INSERT INTO|DELETE FROM|DROP TABLE|GRANT x|ALTER TABLE x ADD x)"
    return text.endswith(("(", ",")) or bool(re.match(put_together, text))


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The statements of a page that stand in code, and what they are written for."""
    text = page.read_text(encoding="utf-8")
    code = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    code += ["\n".join(found) for found in _indented(text)]
    code += [found for found in re.findall(r"`([^`\n]+)`", text) if re.match(rf"{BEGINS} \S+ \S+ ", found)]
    dialect = "tsql" if page.stem == "sqlserver" else "postgres"
    for part in code:
        tsql = dialect == "tsql" or "SCHEMA::" in part or "ALTER DATABASE CURRENT" in part
        plain = re.sub(r"--[^\n]*", "", part)
        for statement in re.split(r";\s*(?:\n|$)", plain):
            if re.match(rf"{BEGINS} |SELECT |WITH ", statement.strip()):
                yield statement.strip(), "tsql" if tsql else dialect


def _indented(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("    "):
            block.append(line[4:])
        elif block:
            yield block
            block = []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_as_a_statement_is_one(page: Path) -> None:
    wrong = [statement for statement, dialect in blocks(page) if not is_sql(statement, dialect)]
    assert wrong == []


@pytest.mark.parametrize(
    ("statement", "right"),
    [
        ("ALTER DATABASE CURRENT SET READ_COMMITTEDSNAPSHOT ON", False),
        ("ALTER DATABASE CURRENT SET READ_COMMITTED_SNAPSHOT ON", True),
        ("GRANT SELECT ON the query to this user", False),
        ("GRANT SELECT ON mes.wafers to this user", False),
        ("GRANT SELECT, INSERT ON SCHEMA::rowcast TO rowcast", True),
        ("GRANT CREATE TABLE TO [rowcast]", True),
        ("CREATE INDEX t_ts ON t ts)", False),
    ],
)
def test_what_is_no_statement_is_found(statement: str, right: bool) -> None:
    assert is_sql(statement, "tsql") is right
