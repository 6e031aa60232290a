"""Commands to begin with: init, doctor, ddl, demo."""

import os
import shutil
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from rowcast import report
from rowcast.api import Job
from rowcast.cli.app import COMMON, Common, Json, app, quiet_job
from rowcast.cli.terminal import AGAIN, log_to_file
from rowcast.config import Settings, expand_variables, load
from rowcast.errors import UsageError

if TYPE_CHECKING:
    from rowcast.demo import Call
    from rowcast.notify import Message
    from rowcast.store.alert_record import Alert


@app.command
def init(
    *,
    url: Annotated[
        str | None,
        Parameter(help="sqlite:///fab.db, or '${VARIABLE}', which keeps a password out of the list of processes."),
    ] = None,
    table: Annotated[str | None, Parameter(help="The table to look at; or give --query.")] = None,
    query: Annotated[str | None, Parameter(help="A SELECT to look at, instead of a table.")] = None,
    force: Annotated[bool, Parameter(negative="", help="Write over an existing file.")] = False,
    common: Common = COMMON,
) -> int:
    """Look at a table and write a commented rowcast.toml.

    Without --url the variable ROWCAST_SOURCE_URL names the database.
    """
    from rowcast import init as look
    from rowcast.messages.scope import describe_scope

    typed, said_by = url, "--url"
    if typed is None and look.URL_VARIABLE in os.environ:
        typed, said_by = f"${{{look.URL_VARIABLE}}}", "'rowcast init' without --url"
    if typed is None:
        raise UsageError(
            "name the database: --url URL, or the variable ROWCAST_SOURCE_URL",
            hint="rowcast init --url '${ROWCAST_SOURCE_URL}' --table TABLE",
        )

    if (table is None) == (query is None):
        raise UsageError("name either a table or a query to look at", hint="rowcast init --url URL --table TABLE")
    guess = look.inspect(expand_variables(typed, said_by), table, query)
    left = look.write(guess, common.config, force, typed)
    report.show(f"wrote {common.config}: read it through, each guess says why")
    if guess.scope is not None:
        report.show(f"  {describe_scope(guess.scope, is_fixed=False)}")
    for number, sentence in enumerate([*left, "rowcast doctor", "rowcast run"], 1):
        report.show(f"  {number}. {sentence}")
    return 0


@app.command
def doctor(*, json: Json = False, common: Common = COMMON) -> int:
    """Check connections, rights, columns, indexes and drivers; exit 1 where something stands in the way."""
    from rowcast.doctor import examine

    findings = examine(common.settings())
    if json:
        report.show(report.as_json([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            report.show(f"{finding.level:<8} {finding.what}")
            for line in filter(None, (finding.statement and f"{finding.statement};", finding.hint)):
                report.show(f"{'':<9}{line}")
    return 1 if any(finding.level == "problem" for finding in findings) else 0


@app.command
def ddl(
    *,
    role: Annotated[
        str | None,
        Parameter(help="Who will run rowcast; default: the user of the url, as the database knows it."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Print the statements that create rowcast's tables and grant what it needs, for an administrator to run."""
    from rowcast.job.rights import write_grants
    from rowcast.store.migrations import ddl as statements

    with quiet_job(common).connection(prepare=False) as job:
        blocks = write_grants(job, role)
        for block in (block for block in blocks if block.commands):
            report.show("".join(f"-- {line}\n" for line in (block.told, *block.commands)))
        for statement in statements(job.store, job.tables, job.own, job.settings.store.schema_):
            report.show(statement.rstrip().rstrip(";") + ";\n")
        for block in (block for block in blocks if block.statements):
            report.show("\n".join([f"-- {block.told}", *(f"{statement};" for statement in block.statements)]))
    return 0


@app.command
def demo(
    *,
    directory: Annotated[Path, Parameter(name="--dir", help="Where to build it.")] = Path("demo"),
    rows: Annotated[int, Parameter(help="Wafers of the simulated fab.", validator=validators.Number(gte=1))] = 10_000,
    sensors: Annotated[
        int, Parameter(help="Sensors of the simulated fab, at least 20.", validator=validators.Number(gte=20))
    ] = 100,
    secom: Annotated[
        Path | None, Parameter(help="UCI SECOM as a CSV, plain or .gz, instead of a simulated fab.")
    ] = None,
    url: Annotated[
        str | None,
        Parameter(help="A database to build it in, or '${VARIABLE}'; default: a SQLite file in --dir."),
    ] = None,
    daily: Annotated[
        bool, Parameter(negative="", help="Run each day of the simulated history; retrain when the rows drift.")
    ] = False,
    memory: Annotated[
        bool,
        Parameter(negative="", help="A defect can damage its tool until maintenance; the model looks at its past."),
    ] = False,
) -> int:
    """Build a fab with a history, train, promote and score on it, and say what happened."""
    import sqlalchemy as sa

    from rowcast import demo as fab
    from rowcast.audit import audit
    from rowcast.job.opening import open_job

    if memory and secom is not None:
        raise UsageError("--memory is of the simulated fab: it cannot be combined with --secom")
    if daily and secom is not None:
        raise UsageError("--daily runs the simulated history: it cannot be combined with --secom")
    url = None if url is None else expand_variables(url, "--url")
    if secom is None:
        built = fab.build(directory, rows, sensors, url, daily=daily, memory=memory)
    else:
        built = fab.build_secom(directory, secom, url)
    report.show(
        f"{built.config.parent}: {built.rows:,} wafers x {built.sensors} sensors in {built.place}, table {built.table}"
    )
    report.show(f"  {built.labelled:,} are labelled, {built.failures:,} of them failures", end="")
    report.show(f"; {built.bad_rows} rows are bad on purpose" if built.bad_rows else "")
    if url is not None:
        os.environ["ROWCAST_SOURCE_URL"] = url
    settings = load(built.config)
    if daily:
        _day_by_day(settings, built.calls)
    else:
        with log_to_file(settings, Common(log_level="warning"), AGAIN) as progress:
            for call in built.calls:
                moment = f" --as-of {call.as_of:%Y-%m-%d}" if call.as_of else ""
                report.show(f"\n$ rowcast {call.command}{moment}", flush=True)
                execute = Job(settings).run if call.command == "run" else Job(settings).infer
                done = execute(as_of=call.as_of, progress=progress)
                report.show(report.facts(done.to_dict()))
    report.show("\n$ rowcast audit")
    with open_job(settings) as job:
        report.show(report.equation(audit(job).to_dict()))
        highest = job.own.prediction
        wafer = job.store.scalar(sa.select(highest.c[built.key]).order_by(highest.c.score.desc()).limit(1))
    shown = [f"cd {built.config.parent}"]
    if built.export:
        shown.append("export ROWCAST_SOURCE_URL=…")
    if shutil.which("rowcast") is None:
        shown.append(f'export PATH="{Path(sys.executable).parent}:$PATH"')
    report.show(f"\nNext: {' && '.join(shown)}")
    for command, what in _NEXT:
        report.show(f"  rowcast {command.format(wafer):<18} {what}")
    return 0


def _day_by_day(settings: Settings, calls: "Iterable[Call]") -> None:
    """Run as of each day, and say what a person would have been sent that day."""
    from rowcast.job.opening import open_job
    from rowcast.notify import digest, message

    report.show("\nrowcast run, as of each day; what a person would be sent:")
    told, runs, scored = 0, 0, 0
    held: list[Alert] = []  # what needs nothing waits for others, as [notify] digest says
    with log_to_file(settings, Common(log_level="error"), AGAIN):
        for moment in [call.as_of for call in calls if call.as_of]:
            done = Job(settings).run(as_of=moment)
            runs, scored = runs + 1, scored + done.scored
            with open_job(settings, prepare=False) as job:
                events = job.alerts.all()
            for event in events[told:]:
                if event.digest:
                    held.append(event)
                else:
                    _show_message(moment, message(event))
            if held and moment - held[0].since >= settings.notify.digest:
                _show_message(moment, digest(held))
                held = []
            told = len(events)
    if held:
        _show_message(held[0].since + settings.notify.digest, digest(held))
    report.show(f"\n{runs} runs scored {scored:,} wafers")


def _show_message(day: datetime, sent: "Message") -> None:
    report.show(f"\n{day:%Y-%m-%d}  {sent.subject}\n{indent(sent.text, ' ' * 12)}", flush=True)


_NEXT = (
    ("status", "what is in service, and what is pending"),
    ("models", "each version, and why the gate let it in or not"),
    ("models show", "how good the champion is, and its caveats; with --html a page"),
    ("runs", "what ran, step by step, with rows, seconds and memory"),
    ("explain {}", "why this wafer got the highest score"),
    ("run", "again: nothing is new, nothing is scored twice"),
)
