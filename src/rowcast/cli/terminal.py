"""A running command: where it says what happens (terminal, JSON, pipeline.log), and how it is stopped."""

import _weakrefset
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from rowcast import logs, report, signals
from rowcast.cli.app import Common, Stopped
from rowcast.config import Settings

if TYPE_CHECKING:
    from rowcast.pipeline import Progress
    from rowcast.run_result import RunResult

_IMPORTING = "<frozen importlib._bootstrap>"
_OF_WEAK_REFERENCES = (weakref.__file__, _weakrefset.__file__)
RESUMED = "'rowcast resume' goes on with it"
AGAIN = "give the same command again"
_AGAIN = 0.02  # seconds after which what came at the wrong moment is tried again
_PATIENCE = 3.0  # seconds for the statement under way, once the command is told to stop
_LAST = 15.0  # seconds after which a statement that no driver can end is left alone, and the process ends


@contextlib.contextmanager
def log_to_file(
    settings: Settings, common: Common, goes_on: str = RESUMED, *, doing: str = "scoring", secrets: Iterable[str] = ()
) -> Iterator["Progress"]:
    """Logs on the terminal and in pipeline.log beside the config, a progress bar on a terminal; stopped in order.

    `goes_on` is what a person is told who stops it, `doing` what the bar says; `secrets` are shown to nobody, as those
    of the settings are.
    """
    try:
        with _logging(settings, common, doing, secrets) as progress:
            yield progress
    except KeyboardInterrupt as stopped:
        raise stopped if isinstance(stopped, Stopped) else Stopped(goes_on) from None


@contextlib.contextmanager
def _logging(settings: Settings, common: Common, doing: str, secrets: Iterable[str]) -> Iterator["Progress"]:
    how: dict[str, Any] = {"secrets": (*secrets, *settings.secrets), "values": settings.notify.values}
    how["file"] = logs.LogFile(settings.folder / "pipeline.log")
    with stoppable(), contextlib.ExitStack() as stack:
        if not sys.stderr.isatty():
            logs.configure(common.log_level, **how, cloudwatch=settings.logs.cloudwatch)
            yield lambda _done, _total: None
            return
        from rich.console import Console

        console = Console(stderr=True)
        logs.configure(common.log_level, **how, console=console)
        yield _bar(console, stack, doing)


def _bar(console: Any, stack: contextlib.ExitStack, doing: str) -> "Progress":
    """A progress bar that is there only while there are rows to go."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bars: list[Progress] = []

    def progress(done: int, total: int) -> None:
        if not bars and done < total:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]} rows/s"),
                TimeRemainingColumn(),
            )
            bar = Progress(doing, *columns, console=console, transient=True, redirect_stdout=False)
            bars.append(stack.enter_context(bar))
            bar.add_task("", total=total, completed=done, rate="-")
        if bars:
            elapsed = bars[0].tasks[0].elapsed or 0
            rate = f"{done / elapsed:,.0f}" if elapsed and done else "-"
            bars[0].update(bars[0].task_ids[0], completed=done, total=total, rate=rate)
            if done >= total:
                bars.pop().stop()

    return progress


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and Ctrl-C end what is under way in order: once, and without waiting long for a database.

    Python's handlers run when a call of the driver is over. Where one lasts, the database is asked to end it. SQLite's
    driver has no way to: then the process ends as if it were killed, from which the next run recovers.
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    handled, over = threading.Event(), threading.Event()
    deferred: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if _would_be_lost(frame):
            deferred.append(number)
            return
        for each in numbers:  # what is being put in order must not be interrupted
            signal.signal(each, signal.SIG_IGN)
        handled.set()
        signals.stop()

    def cancel(woken: socket.socket) -> None:
        from rowcast.database.driver import cancel_running

        woken.recv(1)
        stopped_at = asked_at = time.monotonic()
        while not handled.wait(_AGAIN) and not over.is_set():
            if deferred:
                signal.pthread_kill(threading.main_thread().ident or 0, deferred.pop())
            elif time.monotonic() > stopped_at + _LAST:
                _abandon()
            elif time.monotonic() > asked_at + _PATIENCE:
                cancel_running()
                asked_at = time.monotonic()

    signals.begin()
    waking, woken = socket.socketpair()
    waking.setblocking(False)
    handlers = {number: signal.signal(number, stop) for number in numbers}
    wakeup = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=cancel, args=[woken], daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        waking.close()  # wakes the thread
        handled.set()
        thread.join()
        woken.close()
        signals.begin()


def _abandon() -> None:
    """End the process at once, in the middle of a statement."""
    said = (
        "error: interrupted in a statement that the database does not end\n  the next run takes up what was under way"
    )
    report.show(said, file=sys.stderr, flush=True)
    os._exit(1)


def _would_be_lost(frame: FrameType | None) -> bool:
    """Whether what is raised here would be lost.

    Between a context manager and the work in it neither would put things in order; a callback of a weak reference and
    a finalizer swallow what is raised in them; and a module that is only half imported stays so.
    """
    if frame is not None and frame.f_code.co_filename in (contextlib.__file__, _IMPORTING):
        return True
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code.co_filename in _OF_WEAK_REFERENCES:
            return True
        frame = frame.f_back
    return False


def finish(result: "RunResult", more: dict[str, Any] | None = None) -> int:
    """Say what a run came to: a summary for people, one line of JSON elsewhere."""
    about = {**result.to_dict(details=logs.shows_details(sys.stdout)), **(more or {})}
    report.show(report.facts(about) if sys.stdout.isatty() else report.as_json(about))
    return 0 if result.ok else 1
