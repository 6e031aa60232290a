"""Commands by which people and other systems hear of a job: notify, acknowledge, mlflow, metrics."""

import sys
from typing import Annotated

from cyclopts import Parameter

from rowcast import logs, report
from rowcast.api import Job
from rowcast.cli.app import COMMON, By, Common, Json, app, quiet_job
from rowcast.errors import UsageError, describe


@app.command
def notify(
    *,
    test: Annotated[bool, Parameter(negative="", help="Send a test message to every sink instead.")] = False,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Deliver what waits, also what failed a short while ago; exit 1 where a sink does not take it."""
    job = Job(common.settings())
    logs.configure("error", secrets=job.settings.secrets, values=job.settings.notify.values)
    if test:
        answers = job.test_sinks()
        if json:
            found = [{"sink": each.sink, "taken": each.ok, "error": each.error or None} for each in answers]
            report.show(report.as_json(found))
        else:
            for each in answers:
                report.show(f"ok       {each.sink}" if each.ok else f"failed   {each.sink}: {each.error}")
        return 0 if all(each.ok for each in answers) else 1
    result = job.notify()
    about: dict[str, int | str] = {"delivered": result.delivered, "waiting": result.waiting}
    about |= {each.sink: each.error for each in result.failed}
    report.show(report.as_json(about) if json else report.facts(about))
    return 0 if result.ok else 1


@app.command
def acknowledge(
    alert: int | None = None,
    /,
    *,
    note: Annotated[str | None, Parameter(help="What is done about it, in a sentence or two.")] = None,
    by: By = None,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Write down that somebody has seen an alert that stands; without its number list those that do."""
    job = quiet_job(common)
    if alert is None:
        found = [
            {"alert": each.alert_id, "since": each.since, "severity": each.severity, "title": each.title}
            | ({"acknowledged_by": each.acknowledged.by, "note": each.acknowledged.note} if each.acknowledged else {})
            for each in job.alerts()
        ]
        columns = ["alert", "since", "severity", "title", "acknowledged_by", "note"]
        report.show(report.as_json(found) if json else report.table(found, columns))
        return 0
    if note is None or not note.strip():
        raise UsageError("an acknowledgement needs a note", hint='--note "the tool is stopped until Friday"')
    made = job.acknowledge(alert, note=note.strip(), by=by)
    about = {"alert": alert, "acknowledged_by": made.by, "at": made.at, "note": made.note}
    report.show(report.as_json(about) if json else report.facts(about))
    return 0


@app.command
def mlflow(*, json: Json = False, common: Common = COMMON) -> int:
    """Send runs, figures and versions that wait to the MLflow server; exit 1 where it does not take them."""
    job = Job(common.settings())
    logs.configure("error", secrets=job.settings.secrets, values=job.settings.notify.values)
    result = job.mirror()
    about: dict[str, int | str] = {"sent": result.sent, "waiting": result.waiting}
    if result.error is not None:
        about["error"] = describe(result.error, details=logs.shows_details(sys.stdout))
    report.show(report.as_json(about) if json else report.facts(about))
    return 0 if result.ok else 1


@app.command
def metrics(
    *,
    cloudwatch: Annotated[
        bool, Parameter(negative="", help="One line of CloudWatch's embedded metric format: what waits, how old it is.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """Print the newest runs' figures in Prometheus' text format, for its textfile collector for example."""
    report.show(quiet_job(common).metrics(cloudwatch=cloudwatch), end="")
    return 0
