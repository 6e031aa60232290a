"""Commands by which people and other systems are told: notify, metrics."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from rowcast import logs, report
from rowcast.cli.app import COMMON, Common, Json, app, quiet_job
from rowcast.errors import NotifyError


@app.command
def notify(
    *,
    test: Annotated[bool, Parameter(negative="", help="Send a test message to every sink instead.")] = False,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Deliver what waits, also what failed a short while ago; exit 1 where a sink does not take it."""
    from rowcast import notify as telling
    from rowcast.alerts.delivery import deliver
    from rowcast.messages.alerts import render_alert
    from rowcast.messages.events import SinkTested

    settings = common.settings()
    sinks = telling.open_sinks(settings.notify)
    if not sinks:
        raise NotifyError("nobody is told anything yet", hint="name [notify] sns_topic or urls in rowcast.toml")
    logs.configure("error", secrets=settings.secrets, values=settings.notify.values)
    if test:
        text = telling.message(render_alert(SinkTested(datetime.now(UTC)), settings.name, values=False))
        said = {sink.name: telling.send(sink, text, settings.secrets) for sink in sinks}
        if json:
            found = [{"sink": name, "taken": not why, "error": why or None} for name, why in said.items()]
            report.show(report.as_json(found))
        else:
            for name, why in said.items():
                report.show(f"failed   {name}: {why}" if why else f"ok       {name}")
        return 1 if any(said.values()) else 0
    with quiet_job(common).connection() as job:
        logs.configure("error", secrets=settings.secrets, values=settings.notify.values)
        delivered = deliver(job.alerts, sinks, settings.secrets, at_once=True)
        about = {"delivered": delivered.alerts, "waiting": job.alerts.count_waiting(), **delivered.failed}
    report.show(report.as_json(about) if json else report.facts(about))
    return 1 if delivered.failed else 0


@app.command
def metrics(*, common: Common = COMMON) -> int:
    """Print the newest runs' figures in Prometheus' text format, for its textfile collector for example."""
    from rowcast.metrics import exposition

    with quiet_job(common).connection() as job:
        report.show(exposition(job), end="")
    return 0
