"""The command that replays policies over the history: backtest."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from rowcast import report
from rowcast.backtest.policies import DEFAULT
from rowcast.cli.app import COMMON, Common, Json, Stopped, app, quiet_job, write_page
from rowcast.cli.terminal import stoppable
from rowcast.config import parse_duration
from rowcast.errors import UsageError

if TYPE_CHECKING:
    from rowcast.backtest.running import Progress

_APART = 30.0  # seconds between two lines that say how far it is
_Price = Annotated[float, Parameter(validator=validators.Number(gte=0))]


@app.command
def backtest(
    *,
    policies: str = DEFAULT,
    rules: str = "",
    windows: str = "",
    estimators: str = "",
    since: Annotated[str | None, Parameter(name="--from")] = None,
    until: Annotated[str | None, Parameter(name="--to")] = None,
    step: str = "1d",
    retrain_cost: _Price = 0.0,
    review_cost: _Price = 0.0,
    workers: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 2,
    fresh: Annotated[bool, Parameter(negative="")] = False,
    html: Path | None = None,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Show what other retraining policies would have cost on your own history: each is replayed in a store of its own.

    The same code decides as in production, on what was known at each moment. The source is only read, the job's own
    tables are not touched. Stopped, it goes on where it was when called again.

    Parameters
    ----------
    policies
        Which to compare. That of rowcast.toml, never, and always, which asks no gate, are among them in any case.
    rules
        Rules of [gate] with which each is tried too, such as better,proven,always.
    windows
        How far back training rows go, with which each is tried too, such as 90d,365d,all.
    estimators
        Estimators with which each is tried too, such as default,mine:forest.
    since
        The first moment; default: when a quarter of the labels were known.
    until
        No moment is later; default: the newest event.
    step
        From one run of the pipeline to the next.
    retrain_cost
        What building a model costs, in the units of [task].
    review_cost
        What it costs that a person looks at an alarm.
    workers
        Policies that are replayed at the same time.
    fresh
        Replay all anew, whatever earlier calls have done.
    html
        Write the report as one HTML file, with pictures.
    """
    from rowcast.backtest.words import describe

    job = quiet_job(common)
    try:
        with stoppable(), _bars() as progress:
            found = job.backtest(
                policies,
                rules=rules,
                windows=windows,
                estimators=estimators,
                since=since,
                until=until,
                step=_duration(step),
                retrain_cost=retrain_cost,
                review_cost=review_cost,
                workers=workers,
                fresh=fresh,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise Stopped("the same command goes on where it was") from None
    if html is not None:
        from rowcast.backtest.page import page

        write_page(html, page(found))
    report.show(report.as_json(found.to_dict()) if json else describe(found))
    return 0


def _duration(step: str) -> Any:
    try:
        return parse_duration(step)
    except ValueError as error:
        raise UsageError(f"--step {step}: {error}") from None


@contextmanager
def _bars() -> "Iterator[Progress | None]":
    """A bar for each policy, with the time left, on a terminal; elsewhere a line now and then."""
    if not sys.stderr.isatty():
        yield ProgressLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bars:

        def progress(policy: str, done: int, total: int) -> None:
            if policy not in tasks:
                tasks[policy] = bars.add_task(policy, total=total)
            bars.update(tasks[policy], completed=done)

        yield progress


class ProgressLines:
    """Says on standard error how far all policies are together, at most twice a minute."""

    def __init__(self) -> None:
        self._done: dict[str, tuple[int, int]] = {}
        self._begun = self._said = time.monotonic()
        self._before = -1  # moments that were done when it was looked at first: by an earlier call

    def __call__(self, policy: str, done: int, total: int) -> None:
        """Take note of how many moments of a policy are done."""
        self._done[policy] = (done, total)
        now = time.monotonic()
        if now < self._said + _APART:
            return
        self._said = now
        done, total = (sum(each[place] for each in self._done.values()) for place in (0, 1))
        if self._before < 0:
            self._before, self._begun = done, now
        parts = ", ".join(f"{name} {of[0]} of {of[1]}" for name, of in self._done.items())
        left = "" if done <= self._before else f"; {self._estimate(now, done, total)} left for these"
        report.show(f"replayed: {parts}{left}", file=sys.stderr, flush=True)

    def _estimate(self, now: float, done: int, total: int) -> str:
        minutes = (now - self._begun) / (done - self._before) * (total - done) / 60
        return f"about {max(1, round(minutes))} min"
