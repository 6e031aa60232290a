"""Names, categories and keys may hold anything: nothing that a terminal would act on reaches it."""

import ast
import io
import json
from pathlib import Path

import pytest
import structlog

import rowcast
from rowcast import logs, report
from rowcast.cli import main
from rowcast.formatting import on_one_line, printable

HOSTILE = (
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31mred",
    "back\x08space",
    "over\rwritten",
    "\x7f",
    "turned \u202e round",
    "\u2066isolated",
    "line\u2028end",
    "two\nlines",
    "a\ttab",
)


def acts(text: str) -> bool:
    """Whether a terminal would do more than show the text."""
    return any(sign != "\n" and (not sign.isprintable()) for sign in text)


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_tables_facts_and_json_show_names_and_values_as_letters(
    hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = report.table([{hostile: hostile, "n": 1}], [hostile, "n"])
    facts = report.facts({hostile: hostile})
    assert not acts(table)
    assert not acts(facts)
    assert table.count("\n") == 2
    assert facts.count("\n") == 0
    shown = report.as_json({hostile: [hostile]})
    assert not acts(shown)
    assert json.loads(shown) == {hostile: [hostile]}
    report.show(f"said {hostile}")
    assert not acts(capsys.readouterr().out.replace("\t", ""))
    assert not acts(on_one_line(hostile))
    assert printable("plain – ü, 日本, 🙂") == "plain – ü, 日本, 🙂"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["people", "json"])
@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_logs_show_names_and_values_as_letters(hostile: str, stream: io.StringIO) -> None:
    logs.configure("info", stream=stream)
    structlog.get_logger("rowcast").warning(f"left out {hostile}", column=hostile, columns=[hostile], detail=hostile)
    said = stream.getvalue()
    assert said
    assert not acts(said.replace("\t", ""))


def test_everything_that_is_printed_goes_one_way() -> None:
    root = Path(rowcast.__file__).parent
    for path in root.rglob("*.py"):
        if path.name in ("report.py", "__main__.py"):  # the one way; a sentence without any name in it
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
        assert "print" not in names, path


@pytest.mark.parametrize(
    ("arguments", "traced"),
    [
        (["requeue", "--reason", "debug", "--config", "nowhere.toml"], False),
        (["requeue", "--config", "nowhere.toml", "--log-level", "debug"], True),
        (["requeue", "--config", "nowhere.toml", "--log-level=debug"], True),
    ],
)
def test_only_the_log_level_shows_tracebacks(
    arguments: list[str], traced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert ("Traceback" in capsys.readouterr().err) == traced
