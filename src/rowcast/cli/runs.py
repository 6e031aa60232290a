"""Commands that work on the table: run, retrain, infer, step, resume, requeue, forget, watch."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from cyclopts import Parameter, validators

from rowcast import report
from rowcast.api import Job
from rowcast.cli.app import COMMON, AsOf, By, Common, app
from rowcast.cli.terminal import AGAIN, finish, log_to_file, stoppable
from rowcast.config import parse_duration
from rowcast.errors import RowcastError, UsageError
from rowcast.formatting import count

if TYPE_CHECKING:
    from rowcast.run_result import RunResult

log = structlog.get_logger("rowcast")

Workers = Annotated[
    int | None,
    Parameter(help="Processes to score with; default: [infer] workers.", validator=validators.Number(gte=1)),
]
Wanting = Annotated[str | None, Parameter(help="Who wants it, for the record.")]
Accept = Annotated[bool, Parameter(negative="", help="Set bad rows aside even where max_quarantine allows fewer.")]


@app.command
def run(
    *configs: Path,
    as_of: AsOf = None,
    workers: Workers = None,
    accept_quarantine: Accept = False,
    by: Wanting = None,
    common: Common = COMMON,
) -> int:
    """Retrain when due, then score every pending row once: the full pipeline.

    Example: rowcast run jobs/*.toml

    Parameters
    ----------
    configs
        Of several jobs, one after another: a line for each, and none stops the others. Exit code 1 where one failed.
    """
    if configs:
        from rowcast.cli.several import run_several

        given: dict[str, Any] = {"as_of": as_of, "accept_quarantine": accept_quarantine, "by": by}
        overrides: dict[str, Any] = {"infer": {"workers": workers}} if workers is not None else {}
        return run_several(configs, common, lambda job, progress: job.run(progress=progress, **given), **overrides)
    return _score(Job.run, common, workers, as_of=as_of, accept_quarantine=accept_quarantine, by=by)


@app.command
def retrain(*, as_of: AsOf = None, by: Wanting = None, common: Common = COMMON) -> int:
    """Train a challenger now, and let the gate decide."""
    job = Job(common.settings())
    with log_to_file(job.settings, common):
        return finish(job.retrain(as_of=as_of, by=by))


@app.command
def infer(
    *,
    as_of: AsOf = None,
    since: Annotated[str | None, Parameter(help="Look for rows older than late_arrival, back to this moment.")] = None,
    rescore: Annotated[
        bool, Parameter(negative="", help="Also score those once more whose values have changed since.")
    ] = False,
    workers: Workers = None,
    accept_quarantine: Accept = False,
    by: Wanting = None,
    common: Common = COMMON,
) -> int:
    """Score every pending row once with the champion."""
    given = {"as_of": as_of, "since": since, "rescore": rescore, "accept_quarantine": accept_quarantine}
    return _score(Job.infer, common, workers, by=by, **given)


@app.command
def step(
    name: Literal["data-fetch", "data-check", "data-process", "model-build", "gate", "inference"],
    *,
    as_of: AsOf = None,
    run_id: Annotated[
        int | None, Parameter(name="--run", help="The run to work on; default: the newest saved.")
    ] = None,
    accept_quarantine: Accept = False,
    common: Common = COMMON,
) -> int:
    """Trigger one step by hand, on what the step before it saved."""
    from rowcast.job.workdir import work_root

    job = Job(common.settings())
    with log_to_file(job.settings, common):
        result = job.step(name, as_of=as_of, run_id=run_id, accept_quarantine=accept_quarantine)
        saved = work_root(job.settings) / str(result.run_id)
        return finish(result, {"step": name, "saved_in": str(saved)})


@app.command
def resume(run_id: int | None = None, /, *, common: Common = COMMON) -> int:
    """Go on with a run that did not finish, from its first unfinished step, on the same inputs."""
    job = Job(common.settings())
    with log_to_file(job.settings, common) as progress:
        return finish(job.resume(run_id, progress=progress))


@app.command
def watch(*configs: Path, every: str = "5m", common: Common = COMMON) -> int:
    """Repeat 'run' until stopped.

    Parameters
    ----------
    configs
        Of several jobs, which are run one after another each time.
    every
        From the start of one run to the start of the next, such as 90s, 5m or 1h.
    """
    try:
        pause = parse_duration(every).total_seconds()
    except ValueError as error:
        raise UsageError(f"--every {every}: {error}") from None
    if not pause:
        raise UsageError(f"--every {every} leaves no time between two runs", hint="90s, 5m or 1h, for example")
    if configs:
        return _watch_several(configs, common, pause)
    job = Job(common.settings())
    with log_to_file(job.settings, common) as progress:
        log.info("watching", every=every)
        _repeat(lambda: finish(job.run(progress=progress)), pause)
        log.info("stopped watching")
    return 0


def _watch_several(configs: Sequence[Path], common: Common, pause: float) -> int:
    from rowcast.cli.several import run_several

    with stoppable():
        _repeat(lambda: run_several(configs, common, lambda job, progress: job.run(progress=progress)), pause)
    return 0


def _repeat(work: Callable[[], int], pause: float) -> None:
    """Repeat work, so many seconds from one start to the next, until stopped; what it raises is logged."""
    with contextlib.suppress(KeyboardInterrupt):  # SIGTERM too; the run under way has been put in order
        while True:
            due = time.monotonic() + pause
            try:
                work()
            except UsageError:
                raise
            except RowcastError as error:
                log.error(error.what, hint=error.hint or None, detail=error.detail)
            except Exception as error:
                log.error("unexpected error", error=error)  # watching goes on
            time.sleep(max(0.0, due - time.monotonic()))


@app.command
def requeue(
    *key: str,
    reason: Annotated[
        str | None, Parameter(help='A column, a rule or both, such as "s001", "max" or "s001: max".')
    ] = None,
    run_id: Annotated[int | None, Parameter(name="--run", help="The run that set them aside.")] = None,
    changed: Annotated[
        bool, Parameter(negative="", help="Those whose values at the source have changed since.")
    ] = False,
    every: Annotated[bool, Parameter(name="--all", negative="", help="All of them.")] = False,
    by: Wanting = None,
    common: Common = COMMON,
) -> int:
    """Make quarantined rows pending again; what is given narrows down which.

    Parameters
    ----------
    key
        Of one row: a value for each key column.
    """
    job = Job(common.settings())
    with log_to_file(job.settings, common, AGAIN):
        result = job.requeue(*key, reason=reason, run_id=run_id, changed=changed, all=every, by=by)
        return finish(result, {"note": _describe_requeued(result)})


def _describe_requeued(result: "RunResult") -> str:
    many = result.left_to_training
    if many:
        stay = f"{count(many, 'row')} {'stays' if many == 1 else 'stay'} in quarantine"
        return f"{stay}: the label is known by now, and the champion could learn from it"
    return "the next 'rowcast infer' scores them" if result.requeued else "no quarantined row is meant by that"


@app.command
def forget(
    *,
    before: Annotated[str, Parameter(help="A moment, such as 2026-05-01: results published before it are deleted.")],
    by: By = None,
    yes: Annotated[bool, Parameter(negative="", help="Delete them; without it nothing is deleted.")] = False,
    common: Common = COMMON,
) -> int:
    """Delete old results: predictions, quarantined rows, their history, shadow scores and profiles.

    The rows are not scored again, and 'rowcast audit' counts them as forgotten.
    """
    job = Job(common.settings())
    with log_to_file(job.settings, common, AGAIN) as progress:
        if not yes:
            rows = job.preview_forget(before=before).rows
            if not rows.batches:
                report.show(f"there are no results that were published before {before}")
                return 0
            set_aside = count(rows.quarantined, "quarantined row")
            raise UsageError(
                f"this deletes for ever {count(rows.scored, 'prediction')} and {set_aside}"
                f" of {count(rows.batches, 'batch', 'batches')}",
                hint="add --yes to delete them; export what you need before",
            )
        done = job.forget(before=before, by=by, progress=progress)
    about = {"run": done.run_id, "before": done.before, **vars(done.rows)}
    report.show(report.facts(about) if sys.stdout.isatty() else report.as_json(about))
    return 0


def _score(pipeline: "Callable[..., RunResult]", common: Common, workers: int | None, **given: Any) -> int:
    job = Job(common.settings(**({"infer": {"workers": workers}} if workers is not None else {})))
    with log_to_file(job.settings, common) as progress:
        return finish(pipeline(job, progress=progress, **given))
