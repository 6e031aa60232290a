"""The message that a person gets of an alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from rowcast.formatting import ascii_only
from rowcast.store.alert_record import Alert, Severity

_WATCHED = {"next": "nothing now; the same is watched of the version that serves", "command": "rowcast quality"}
_LONGEST = 100  # signs of a subject that SNS takes


@dataclass(frozen=True)
class Message:
    """An alert as it is sent."""

    subject: str  # one line of plain letters
    text: str
    severity: Severity
    attributes: Mapping[str, str]  # for sinks that can choose by them


def message(alert: Alert) -> Message:
    """Short and plain: what, since when, what to do next, and the command for it."""
    run = f" (run {alert.run_id})" if alert.run_id is not None else ""
    mark = {"changed": "changed: ", "ended": "over: "}.get(alert.state, "")
    if alert.replaced_by is not None:
        mark = f"over, v{alert.replaced_by} serves: "
    subject = f"rowcast {alert.job}: {mark}{alert.title}{run}"
    time = {"once": "at", "ended": "began"}.get(alert.state, "since")
    facts = {time: f"{alert.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"}
    if alert.state == "ended":
        facts |= {"next": "nothing needs to be done"} if alert.replaced_by is None else _WATCHED
    else:
        facts |= {"next": alert.hint, "command": alert.command}
    width = max(map(len, facts))
    what = f"It is over: {alert.what}" if alert.state == "ended" else alert.what
    if alert.replaced_by is not None:
        what = f"v{alert.replaced_by} serves now in place of v{alert.version}, of which this was told: {alert.what}"
    lines = [what, "", *(f"{name:<{width}}  {value}" for name, value in facts.items() if value)]
    return Message(_subject(subject), "\n".join(lines), alert.severity, _attributes(alert, alert.topic))


def digest(alerts: Sequence[Alert]) -> Message:
    """Return one message of several alerts that need nothing, which have waited for it; of one alert, its own."""
    first, *others = alerts
    if not others:
        return message(first)
    subject = f"rowcast {first.job}: {len(alerts)} decisions that need nothing"
    parts = [f"{each.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC  {each.what}\n  {each.command}" for each in alerts]
    return Message(_subject(subject), "\n\n".join(parts), first.severity, _attributes(first, "digest"))


def _subject(text: str) -> str:
    """One line of signs that SNS takes."""
    return ascii_only(" ".join(text.split()))[:_LONGEST]


def _attributes(alert: Alert, topic: str) -> dict[str, str]:
    about = {"job": ascii_only(alert.job), "topic": ascii_only(topic), "severity": alert.severity}
    return {**about, "state": alert.state}
