"""Where a running command says what happens: the terminal with a progress bar, or JSON, and pipeline.log."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rowcast import logs
from rowcast.cli.app import Common
from rowcast.config import Settings

if TYPE_CHECKING:
    from rowcast.pipeline import Progress


@contextlib.contextmanager
def logging_to_file(settings: Settings, common: Common) -> Iterator["Progress"]:
    """Logs on the terminal and in pipeline.log beside the config, and a progress bar on a terminal."""
    secrets = [password for url in (settings.source_url, settings.store_url) if (password := _password(url))]
    file = settings.folder / "pipeline.log"
    signal.signal(signal.SIGTERM, _interrupted)
    if not sys.stderr.isatty():
        logs.configure(common.log_level, file=file, secrets=secrets)
        yield lambda _done, _total: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    logs.configure(common.log_level, file=file, secrets=secrets, console=console)
    with contextlib.ExitStack() as stack:
        yield _bar(console, stack)


def _bar(console: Any, stack: contextlib.ExitStack) -> "Progress":
    """A progress bar that is there only while rows are scored."""
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
            bar = Progress("scoring", *columns, console=console, transient=True, redirect_stdout=False)
            bars.append(stack.enter_context(bar))
            bar.add_task("", total=total, completed=done, rate="-")
        if bars:
            elapsed = bars[0].tasks[0].elapsed or 0
            rate = f"{done / elapsed:,.0f}" if elapsed and done else "-"
            bars[0].update(bars[0].task_ids[0], completed=done, total=total, rate=rate)
            if done >= total:
                bars.pop().stop()

    return progress


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def _password(url: str) -> str | None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).password
    except (ArgumentError, ValueError):
        return None
