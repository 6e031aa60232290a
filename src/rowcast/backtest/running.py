"""A whole backtest: replays in processes of their own, then what they came to."""

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np

import rowcast
from rowcast.backtest.comparison import compare
from rowcast.backtest.history import DAY, History, find_history
from rowcast.backtest.policies import DEFAULT, NEVER, Policy, Variations, find_own, parse_policies, vary_policies
from rowcast.backtest.realised import Outcome, read_realised
from rowcast.backtest.record import BacktestReport, PolicyResult, Prices, Verdict
from rowcast.backtest.replay import Replay, begin_with, count_done, is_done, make_replay, run_apart
from rowcast.config import Settings
from rowcast.engines.local import Local
from rowcast.errors import DeadWorkerError
from rowcast.job.opening import open_job
from rowcast.job.workdir import make_private, work_root

_LOOK = 0.5  # seconds between two looks at how far replays are

Progress = Callable[[str, int, int], None]  # of a policy: moments that are done, and moments in all


@dataclass(frozen=True)
class Request:
    """What is to be replayed."""

    policies: str = DEFAULT
    variations: Variations = field(default_factory=Variations)
    since: str | None = None  # the first moment; None: by which a quarter of the labels were known
    until: str | None = None  # no moment is later; None: the newest event
    step: timedelta = DAY
    prices: Prices = field(default_factory=Prices)


def backtest(
    settings: Settings, request: Request, *, workers: int, fresh: bool, progress: Progress | None
) -> BacktestReport:
    """Replay policies over a job's history, and compare what they cost. What is done already is not done again."""
    policies = vary_policies(parse_policies(request.policies, settings.retrain), request.variations, settings)
    history = _look(settings, request)
    folder = work_root(settings) / "backtest" / _digest(settings, history)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    replays = [make_replay(settings, each, history, folder / _folder_name(each)) for each in policies]
    waiting = _begin(settings, replays, folder, workers)
    leading = [replace(each, followers=tuple(waiting)) if each.policy == NEVER else each for each in replays]
    _run(sorted(leading, key=partial(_find_turn, waiting)), workers, progress)
    return _report(settings, request, replays, folder)


def _find_turn(waiting: Sequence[Replay], task: Replay) -> tuple[bool, bool, timedelta]:
    """First what others wait for, then the longest; last what reads most back from one of the others."""
    return task.policy.is_yardstick, task in waiting, task.policy.every


def _folder_name(policy: Policy) -> str:
    return re.sub(r"[^\w.]+", "-", policy.name)


def _begin(settings: Settings, replays: Sequence[Replay], folder: Path, workers: int) -> list[Replay]:
    """Build the first version once for all policies that would build the same: they part only after it.

    Return those that part later still: a policy that waits for drift or cost does as `never` until these come.
    """
    make_private(folder)
    for left in {*folder.glob("*.waits")} - {each.waits for each in replays}:
        left.unlink()  # `never` goes on without it
    for never in [each for each in replays if each.policy == NEVER and not each.is_begun]:
        for each in replays:
            waits = each.policy.kind in ("on-drift", "on-loss") and _first_build(each) == _first_build(never)
            if waits and not each.is_begun:
                each.waits.touch()
    waiting = [each for each in replays if each.waits.exists()]
    for never in [each for each in replays if each.policy == NEVER and waiting and is_done(each)]:
        for each in waiting:
            begin_with(each, never)  # it was killed at its very end: they have done as it did
    waiting = [each for each in waiting if each.waits.exists()]
    new = [each for each in replays if not each.is_begun and each not in waiting]
    first: dict[str, Replay] = {}
    for each in new:
        name = _first_build(each)
        if name not in first:
            begins = make_replay(settings, each.policy, each.history, folder / name)
            first[name] = replace(begins, is_prologue=True)
    _run(list(first.values()), workers, None)
    for each in new:
        begin_with(each, first[_first_build(each)])
    return waiting


def _first_build(task: Replay) -> str:
    """Return a name that policies share whose first version is the same."""
    model, gate = task.settings.model, task.settings.gate
    about = json.dumps([gate.refits, str(model.window), model.estimator])
    return f"first-{hashlib.sha256(about.encode()).hexdigest()[:6]}"


def _look(settings: Settings, request: Request) -> History:
    """Find the moments in the source; the job's own store is not even opened."""
    alone = settings.store.model_copy(update={"url": settings.source.url})
    with open_job(settings.model_copy(update={"store": alone}), prepare=False) as job:
        return find_history(job, request.since, request.until, request.step)


def _digest(settings: Settings, history: History) -> str:
    """Return a digest of all on which a replay depends, but for the policy and the end: a later end goes on with it."""
    about = settings.model_dump(
        mode="json", exclude={"retrain": {"policy", "every"}, "store": {"url"}, "notify": True, "logs": True}
    )
    about |= {"every": str(settings.retrain.every), "version": rowcast.__version__}
    about |= {"start": history.start.isoformat(), "step": str(history.step), "url": settings.source_url}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]


def _run(replays: Sequence[Replay], workers: int, progress: Progress | None) -> None:
    left = [each for each in replays if not is_done(each)]
    if not left:
        return
    try:
        engine = Local(workers, always_spawns=True)
        with _watched(left, progress), closing(engine.map(run_apart, left)) as results:
            for _ in results:
                pass
    except DeadWorkerError as error:
        raise DeadWorkerError(
            error.what, hint="often the memory limit: fewer --workers; the same command goes on where it was"
        ) from error


@contextmanager
def _watched(replays: Sequence[Replay], progress: Progress | None) -> Iterator[None]:
    """Tell how far each replay is, while they run."""
    over = threading.Event()

    def look() -> None:
        while progress is not None:
            is_last = over.wait(_LOOK)
            for each in replays:
                progress(each.policy.name, count_done(each), len(each.history.moments))
            if is_last:
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _report(settings: Settings, request: Request, replays: Sequence[Replay], folder: Path) -> BacktestReport:
    history, prices = replays[0].history, request.prices
    realised = read_realised(replays, history)
    cost = realised.cost + np.stack([_expenses(each, prices) for each in realised.outcomes])
    policies = [each.policy for each in replays]
    found = compare(realised.rows, cost, history.step / DAY, [not each.is_yardstick for each in policies])
    source = settings.source
    results = [
        PolicyResult(
            name=policy.name,
            lines=policy.lines,
            cost=found.per_thousand[place],
            difference=found.differences[place],
            is_yardstick=policy.is_yardstick,
            built=int(outcome.built.sum()),
            promoted=int(outcome.promoted.sum()),
            alarms=int(outcome.alarms.sum()),
            failed=outcome.failed,
            seconds=outcome.seconds,
            cumulative=tuple(np.cumsum(cost[place]).tolist()),
        )
        for place, (policy, outcome) in enumerate(zip(policies, realised.outcomes, strict=True))
    ]
    return BacktestReport(
        job=settings.name,
        start=history.start,
        end=history.moments[-1],
        step=history.step,
        moments=history.moments,
        rows=int(realised.rows.sum()),
        left_out=realised.left_out,
        block_days=found.block_days,
        prices=prices,
        labels_at_once=source.label_time is None and not source.label_delay,
        of_values=settings.task.kind == "regression",
        policies=tuple(results),
        hindsight=found.hindsight,
        verdict=_verdict(policies, found.tied, found.cheapest, find_own(settings.retrain)),
        folder=folder,
    )


def _expenses(outcome: Outcome, prices: Prices) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return prices.retrain * outcome.built + prices.review * outcome.alarms


def _verdict(policies: Sequence[Policy], tied: Sequence[int], cheapest: int, own: Policy) -> Verdict:
    chosen = policies[tied[0]]
    return Verdict(
        recommended=chosen.name,
        cheapest=policies[cheapest].name,
        tied=tuple(policies[place].name for place in tied),
        own=own.name,
        lines=chosen.lines,
        outcome="one is cheapest"
        if len(tied) == 1
        else "all are tied"
        if len(tied) == sum(not each.is_yardstick for each in policies)
        else "some are tied",
    )
