"""How a running command is told to stop."""

import contextlib
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rowcast.__main__ import entry
from rowcast.cli import main
from rowcast.cli.terminal import stoppable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_a_context_manager_and_the_work_in_it_stops_the_work(number: signal.Signals) -> None:
    """There the work would never begin, and what was entered would be left behind without being put in order."""
    kill: Callable[..., Any] = signal.pthread_kill

    @contextlib.contextmanager
    def entered() -> Iterator[None]:
        return map(kill, [threading.get_ident()], [number])  # without a frame of its own: the signal comes in theirs

    begun = False
    with stoppable(), entered():
        begun = True
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)
    assert begun


class Finalized:
    def __del__(self) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


class Referred:
    pass


def test_a_signal_in_a_finalizer_stops_the_work_after_it() -> None:
    """What is raised there is discarded, and the signals that follow would be ignored."""
    with stoppable():
        finalized = Finalized()
        del finalized
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)


def test_a_signal_in_a_callback_of_a_weak_reference_stops_the_work_after_it() -> None:
    with stoppable():
        referred = Referred()
        weakref.finalize(referred, signal.pthread_kill, threading.get_ident(), signal.SIGTERM)
        del referred
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)


def test_ctrl_c_while_rowcast_is_still_being_imported_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Importing:
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "rowcast.cli", Importing())
    with pytest.raises(SystemExit) as ended:
        entry()
    assert (ended.value.code, capsys.readouterr().err) == (1, "error: interrupted\n")


@pytest.mark.parametrize(
    ("command", "call", "hint"),
    [
        (["audit"], "audit", ""),
        (["status"], "status", ""),
        (["infer"], "infer", "  'rowcast resume' goes on with it\n"),
        (["requeue", "--all"], "requeue", "  give the same command again\n"),
        (["forget", "--before", "2026-01-01", "--yes"], "forget", "  give the same command again\n"),
    ],
)
def test_who_stops_a_command_is_led_to_resume_only_where_there_is_a_run_to_resume(
    command: list[str],
    call: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    config = tmp_path / "rowcast.toml"
    config.write_text('[source]\nurl = "sqlite:///x.db"\ntable = "t"\nkey = ["id"]\nlabel = "y"\n')
    monkeypatch.setattr(f"rowcast.api.Job.{call}", interrupt)
    assert main([*command, "--config", str(config)]) == 1
    assert capsys.readouterr().err == f"error: interrupted\n{hint}"
