"""The command line: thin. Exit codes: 0 done; 1 failed, partial or not proven; 2 wrong usage."""

import contextlib
import getpass
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from cyclopts import App, CycloptsError, Parameter

import rowcast
from rowcast import logs
from rowcast.config import DEFAULT_PATH, Settings, duration, load
from rowcast.errors import RowcastError

if TYPE_CHECKING:
    from rowcast.pipeline import Progress, Result

app = App(
    name="rowcast",
    help="Puts a model to work on a SQL table and keeps it working.",
    version=rowcast.__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # it would exit with 130 and say nothing
)
log = structlog.get_logger("rowcast")

Level = Literal["debug", "info", "warning", "error"]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
AsOf = Annotated[str | None, Parameter(help="A moment, such as 2026-05-01: later rows and labels are invisible.")]
By = Annotated[str | None, Parameter(help="Who decides; default: the user of this computer.")]


@Parameter(name="*")
@dataclass
class Common:
    """Options of every command that works on a job."""

    config: Annotated[Path, Parameter(name=["--config", "-c"], help="The job's rowcast.toml.")] = DEFAULT_PATH
    log_level: Annotated[Level, Parameter(help="debug also shows tracebacks.")] = "info"

    def settings(self, **overrides: Any) -> Settings:
        return load(self.config, **overrides)


_COMMON = Common()


# Beginning


@app.command
def init(
    *,
    url: Annotated[str, Parameter(help="sqlite:///fab.db or postgresql://user:password@host:5432/database")],
    table: str | None = None,
    query: str | None = None,
    force: Annotated[bool, Parameter(negative="", help="Write over an existing file.")] = False,
    common: Common = _COMMON,
) -> int:
    """Look at a table and write a commented rowcast.toml."""
    from rowcast import init as look

    guess = look.inspect(url, table, query)
    left = look.write(guess, common.config, force)
    print(f"wrote {common.config}: read it through, each guess says why")
    for number, sentence in enumerate([*left, "rowcast doctor", "rowcast run"], 1):
        print(f"  {number}. {sentence}")
    return 0


@app.command
def doctor(*, json: Json = False, common: Common = _COMMON) -> int:
    """Check connections, rights, columns, indexes and drivers; exit 1 where something stands in the way."""
    from rowcast import report
    from rowcast.doctor import examine

    findings = examine(common.settings())
    if json:
        print(report.as_json([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"{finding.level:<8} {finding.what}" + (f"\n{'':<9}{finding.way_out}" if finding.way_out else ""))
    return 1 if any(finding.level == "problem" for finding in findings) else 0


@app.command
def ddl(*, common: Common = _COMMON) -> int:
    """Print the statements that create rowcast's tables, for a database administrator to run."""
    from rowcast.migrations import ddl as statements

    with _opened(common, prepare=False) as job:
        for statement in statements(job.store, job.tables, job.own, job.settings.store.schema_):
            print(statement.rstrip().rstrip(";") + ";\n")
    return 0


@app.command
def demo(
    *,
    directory: Annotated[Path, Parameter(name="--dir", help="Where to build it.")] = Path("demo"),
    rows: int = 10_000,
    sensors: int = 100,
    secom: Annotated[
        Path | None, Parameter(help="UCI SECOM as a CSV, plain or .gz, instead of a simulated fab.")
    ] = None,
    url: Annotated[str | None, Parameter(help="A database to build it in; default: a SQLite file in --dir.")] = None,
) -> int:
    """Build a fab with a history, train, promote and score on it, and say what happened."""
    import sqlalchemy as sa

    from rowcast import demo as fab
    from rowcast import pipeline, report
    from rowcast.audit import audit
    from rowcast.pipeline.job import opened

    built = fab.build(directory, rows, sensors, url) if secom is None else fab.build_secom(directory, secom, url)
    print(
        f"{built.config.parent}: {built.rows:,} wafers x {built.sensors} sensors in {built.place}, table {built.table}"
    )
    print(f"  {built.labelled:,} are labelled, {built.failures:,} of them failures", end="")
    print(f"; {built.bad_rows} rows are bad on purpose" if built.bad_rows else "")
    if url is not None:
        os.environ["ROWCAST_SOURCE_URL"] = url
    settings = load(built.config)
    with _logging(settings, Common(log_level="warning")) as progress:
        for moment in built.moments:
            print(f"\n$ rowcast run --as-of {moment:%Y-%m-%d}" if moment else "\n$ rowcast run", flush=True)
            as_of = moment.isoformat() if moment else None
            print(report.facts(report.summary(pipeline.run(settings, "full-pipeline", as_of=as_of, progress=progress))))
    print("\n$ rowcast audit")
    with opened(settings) as job:
        print(report.equation(audit(job).to_dict()))
        highest = job.own.prediction
        wafer = job.store.scalar(sa.select(highest.c[built.key]).order_by(highest.c.score.desc()).limit(1))
    shown = f"cd {built.config.parent}" + (" && export ROWCAST_SOURCE_URL=…" if built.export else "")
    print(f"\nNext: {shown}, then")
    for command, what in _NEXT:
        print(f"  rowcast {command.format(wafer):<18} {what}")
    return 0


_NEXT = (
    ("status", "what is in service, and what is pending"),
    ("models", "each version, and why the gate let it in or not"),
    ("runs", "what ran, step by step, with rows, seconds and memory"),
    ("explain {}", "why this wafer got the highest score"),
    ("run", "again: nothing is new, nothing is scored twice"),
)


# Running


@app.command
def run(
    *,
    as_of: AsOf = None,
    workers: int | None = None,
    accept_quarantine: Annotated[bool, Parameter(negative="")] = False,
    common: Common = _COMMON,
) -> int:
    """Retrain when due, then score every pending row once: the full pipeline."""
    return _pipeline("full-pipeline", common, as_of, workers, accept_quarantine)


@app.command
def retrain(*, as_of: AsOf = None, common: Common = _COMMON) -> int:
    """Train a challenger now, and let the gate decide."""
    return _pipeline("retrain", common, as_of, None, False)


@app.command
def infer(
    *,
    as_of: AsOf = None,
    workers: int | None = None,
    accept_quarantine: Annotated[bool, Parameter(negative="")] = False,
    common: Common = _COMMON,
) -> int:
    """Score every pending row once with the champion.

    Parameters
    ----------
    workers
        Processes to score with, over [infer] workers.
    accept_quarantine
        Set rows aside even where they are more than max_quarantine allows.
    """
    return _pipeline("infer", common, as_of, workers, accept_quarantine)


@app.command
def step(
    name: Literal["data-fetch", "data-check", "data-process", "model-build", "gate", "inference"],
    *,
    as_of: AsOf = None,
    run_id: Annotated[
        int | None, Parameter(name="--run", help="The run to work on; default: the newest saved.")
    ] = None,
    common: Common = _COMMON,
) -> int:
    """Trigger one step by hand, on what the step before it saved."""
    from rowcast import pipeline

    settings = common.settings()
    with _logging(settings, common):
        result = pipeline.step(settings, name, as_of=as_of, run_id=run_id)
        saved = pipeline.work_root(settings) / str(result.run_id)
        return _finish(result, {"step": name, "saved_in": str(saved)})


@app.command
def resume(run_id: int | None = None, /, *, common: Common = _COMMON) -> int:
    """Go on with a run that did not finish, from its first unfinished step, on the same inputs."""
    from rowcast import pipeline

    settings = common.settings()
    with _logging(settings, common) as progress:
        return _finish(pipeline.resume(settings, run_id, progress=progress))


@app.command
def watch(*, every: str = "5m", common: Common = _COMMON) -> int:
    """Repeat 'run' until stopped.

    Parameters
    ----------
    every
        From the start of one run to the start of the next, such as 90s, 5m or 1h.
    """
    from rowcast import pipeline

    try:
        pause = duration(every).total_seconds()
    except ValueError as error:
        raise RowcastError(f"--every {every}: {error}") from None
    settings = common.settings()
    stopped = threading.Event()
    with _logging(settings, common) as progress:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        log.info("watching", every=every)
        while not stopped.is_set():
            timer = threading.Timer(pause, lambda: None)
            timer.daemon = True
            timer.start()
            try:
                _finish(pipeline.run(settings, "full-pipeline", progress=progress))
            except RowcastError as error:
                log.error(error.what, hint=error.hint or None)
            while timer.is_alive() and not stopped.is_set():
                stopped.wait(0.2)
            timer.cancel()
        log.info("stopped watching")
    return 0


def _pipeline(name: Any, common: Common, as_of: str | None, workers: int | None, accept: bool) -> int:
    from rowcast import pipeline

    settings = common.settings(**({"infer": {"workers": workers}} if workers is not None else {}))
    with _logging(settings, common) as progress:
        return _finish(pipeline.run(settings, name, as_of=as_of, accept_quarantine=accept, progress=progress))


def _finish(result: "Result", more: dict[str, Any] | None = None) -> int:
    """Say what a run came to: a summary for people, one line of JSON elsewhere."""
    from rowcast import report

    about = {**report.summary(result), **(more or {})}
    print(report.facts(about) if sys.stdout.isatty() else report.as_json(about))
    return 0 if result.status == "done" else 1


@contextlib.contextmanager
def _logging(settings: Settings, common: Common) -> Iterator["Progress"]:
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


# Looking


@app.command
def status(*, json: Json = False, common: Common = _COMMON) -> int:
    """What is in service, what is pending, and how the last run ended."""
    from rowcast import report

    with _opened(common) as job:
        from rowcast.audit import audit

        champion = job.registry.champion()
        counts = audit(job)
        runs = job.ledger.runs(1)
        state = job.ledger.state()
        version = job.registry.version(champion) if champion is not None else None
        about: dict[str, Any] = {
            "job": job.settings.name,
            "source": f"{job.source.identity} in {job.source.db.shown}",
            "champion": f"v{champion}" if champion is not None else "none yet: 'rowcast retrain' trains the first",
            "trained_to": _text(version.trained_until) if version else None,
            "scoring_since": state.scope_from or (f"after {_text(state.scope_after)}" if state.has_scope else None),
            "scored": counts.scored,
            "quarantined": counts.quarantined,
            "pending": counts.pending,
            "unusable": counts.unusable,
            "last_run": f"{runs[0]['run_id']}: {runs[0]['pipeline']} {runs[0]['status']}" if runs else "none",
            "last_run_at": runs[0]["started_at"] if runs else None,
            "last_error": runs[0]["error"] if runs else None,
        }
        print(report.as_json(about) if json else report.facts(about))
    return 0


def _text(moment_or_key: Any) -> Any:
    """A training window's end: an event time, or a key where there is no time column."""
    return ", ".join(moment_or_key) if isinstance(moment_or_key, tuple) else moment_or_key


@app.command
def runs(*, last: int = 20, json: Json = False, common: Common = _COMMON) -> int:
    """The latest runs and their steps."""
    from rowcast import report

    with _opened(common) as job:
        found = job.ledger.runs(last)
        if json:
            print(report.as_json([{**row, "steps": job.ledger.steps(row["run_id"])} for row in found]))
            return 0
        columns = ["run_id", "pipeline", "status", "started_at", "seconds", "error"]
        rows = [
            {**row, "seconds": (row["finished_at"] - row["started_at"]).total_seconds() if row["finished_at"] else None}
            for row in found
        ]
        print(report.table(rows, columns))
        if found:
            print(f"\nsteps of run {found[0]['run_id']}")
            step_columns = [
                "name",
                "row_set",
                "status",
                "duration_s",
                "rows_in",
                "rows_out",
                "columns",
                "peak_rss_mb",
                "error",
            ]
            print(report.table(job.ledger.steps(found[0]["run_id"]), step_columns))
    return 0


@app.command
def audit(*, json: Json = False, common: Common = _COMMON) -> int:
    """Prove with SQL that every source row is in just one place; exit 1 where it does not hold."""
    from rowcast import report

    with _opened(common) as job:
        from rowcast.audit import audit as proof

        found = proof(job)
        if json:
            print(report.as_json(found.to_dict()))
        else:
            print(f"{report.facts(found.to_dict())}\n\n{report.equation(found.to_dict())}")
    return 0 if found.holds else 1


@app.command
def explain(*key: str, json: Json = False, common: Common = _COMMON) -> int:
    """Why the row with this key got its score, and the score computed again; one value for each key column."""
    from rowcast import report

    with _opened(common) as job:
        from rowcast.explain import explain as why

        found = why(job, key)
        if json:
            print(report.as_json(found))
        else:
            values, contributions = found.pop("values", None), found.pop("contributions", None)
            shown = {
                name: ", ".join(map(str, v.values())) if isinstance(v, dict) and name == "key" else v
                for name, v in found.items()
            }
            print(report.facts(shown))
            if contributions:
                print("\ncontributions to the score, on the log-odds scale (the first 15)")
                top = [
                    {"column": c, "value": values[c], "contribution": v} for c, v in list(contributions.items())[:15]
                ]
                print(report.table(top, ["column", "value", "contribution"]))
            if found.get("changed"):
                print("\nThe row has changed at the source since it was scored.")
    proven = found.get("reproduced", True) or found["changed"]
    return 0 if found["state"] != "absent" and proven else 1


@app.command
def models(*, json: Json = False, common: Common = _COMMON) -> int:
    """Model versions, and who decided what about them."""
    from rowcast import report

    with _opened(common) as job:
        versions, promotions = job.registry.versions(), job.registry.promotions()
        if json:
            print(report.as_json({"models": [vars(version) for version in versions], "promotions": promotions}))
            return 0
        if not versions:
            print("no model yet: 'rowcast retrain' trains the first")
            return 0
        rows = [
            {
                **vars(version),
                "version": f"v{version.version}",
                "kind": version.metrics.get("candidate", version.estimator),
                "features": len(version.features),
                "auc": version.metrics.get("auc"),
                "95 %": _interval(version.metrics),
                "cost/row": version.metrics.get("cost_per_row"),
            }
            for version in versions
        ]
        print(
            report.table(
                rows,
                [
                    "version",
                    "status",
                    "kind",
                    "created_at",
                    "trained_to",
                    "rows",
                    "features",
                    "auc",
                    "95 %",
                    "cost/row",
                ],
            )
        )
        print()
        decisions = [{**p, "version": f"v{p['version']}"} for p in promotions]
        print(report.table(decisions, ["version", "decision", "decided_at", "decided_by", "reason"]))
    return 0


def _interval(metrics: dict[str, Any]) -> str:
    low, high = metrics.get("auc_low"), metrics.get("auc_high")
    return f"{low:.3f} to {high:.3f}" if low is not None and high is not None else "-"


# Deciding


@app.command
def promote(version: int, /, *, by: By = None, reason: str = "by hand", common: Common = _COMMON) -> int:
    """Put a model version in service; who and why is recorded."""
    from rowcast import pipeline

    settings = common.settings()
    pipeline.promote(settings, version, by=by or getpass.getuser(), reason=reason)
    print(f"v{version} is champion")
    return 0


@app.command
def rollback(*, by: By = None, reason: str = "rolled back by hand", common: Common = _COMMON) -> int:
    """Put the champion before this one back in service."""
    from rowcast import pipeline

    version = pipeline.rollback(common.settings(), by=by or getpass.getuser(), reason=reason)
    print(f"v{version} is champion")
    return 0


@contextlib.contextmanager
def _opened(common: Common, *, prepare: bool = True) -> Iterator[Any]:
    from rowcast.pipeline.job import opened

    logs.configure("warning")
    with opened(common.settings(), prepare=prepare) as job:
        yield job


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors end in one or two lines and an exit code, never in a traceback unless debugging."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "debug" in given or "--log-level=debug" in given
    try:
        code = app(given, exit_on_error=False, result_action="return_value")
        return code if isinstance(code, int) else 0
    except CycloptsError:
        return 2  # the message has been printed
    except RowcastError as error:
        if debug:
            raise
        _say(error.what, error.hint)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        _say("interrupted", "'rowcast resume' goes on with what is left")
    except Exception as error:
        if debug:
            raise
        _say(f"{type(error).__name__}: {error}", "a fault in rowcast itself: '--log-level debug' shows where")
    return 1


def _say(what: str, hint: str) -> None:
    secrets = {value for name, value in os.environ.items() if name.startswith("ROWCAST_") and "://" in value}
    for secret in secrets:
        what = what.replace(secret, "***")
    print(f"error: {what}" + (f"\n  {hint}" if hint else ""), file=sys.stderr)


def entry() -> None:
    sys.exit(main())
