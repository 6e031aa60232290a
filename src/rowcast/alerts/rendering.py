"""What people are told: a trouble or a decision in words, without what must not leave."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from rowcast.config import Settings
from rowcast.errors import dedup_key, describe, quotes_values
from rowcast.logs import without
from rowcast.scoring.request import Outcome
from rowcast.store.event import Event, Severity
from rowcast.store.records import PipelineName, RunStatus

Troubles = dict[str, Exception | None]  # by topic, what a run tried: why it failed, None where it did not

BY_HAND = (
    PipelineName.STEP,
    PipelineName.REQUEUE,
    PipelineName.IMPORT,
)  # what a person triggers, and does not come again by itself
_COMMANDS = {PipelineName.FULL: "run"}  # where it is not the pipeline's name
_ADDRESS = re.compile(r"\b(?:sqlite|postgresql|mssql)[+\w]*://[^\s,;'\"]*[^\s,;:.'\"]")


class Told(Protocol):
    """Of a run, what is told."""

    pipeline: PipelineName
    run_id: int
    status: RunStatus
    troubles: Troubles
    outcome: Outcome | None


def trouble(settings: Settings, result: Told, topic: str, error: Exception, now: datetime, severity: Severity) -> Event:
    """What went wrong in a run, and how to go on; `topic` is what of the run did."""
    what = describe(error, details=settings.notify.values)
    partial = result.outcome is not None and any(error is one for one in result.outcome.failed.values())
    if partial and result.outcome is not None:
        n = len(result.outcome.failed)
        what = f"{n} batch{'es' if n > 1 else ''} could not be scored and stay pending: {what}"
    command = _COMMANDS.get(result.pipeline, result.pipeline)
    if result.run_id:
        over = result.pipeline in BY_HAND or result.status is RunStatus.DONE
        command = f"{'runs' if over else 'resume'} {result.run_id}"
    if quotes_values(error) and not settings.notify.values:
        what += f"; 'rowcast runs {result.run_id}' says more" if result.run_id else "; pipeline.log says more"
    name = result.pipeline if topic == "run" else topic
    return Event(
        job=settings.name,
        topic=topic,
        title=f"{name} {'partial' if partial else 'failed'}",
        what=what,
        severity=severity,
        since=now,
        alike=dedup_key(error),
        todo=" ".join(getattr(error, "hint", "").split()) or "mend what it names; the log has the rest",
        command=f"rowcast {command}",
        run_id=result.run_id or None,
        state="once" if result.pipeline in BY_HAND else "begins",
    )


def decision(settings: Settings, made: dict[str, Any]) -> Event:
    """What was decided about a version, by whom, and why; `made` is the decision on record."""
    title, how, todo, about = _meant(made)
    reason = made["reason"].removeprefix(f"{made['decision']}: ")
    by = "the gate" if made["decided_by"] == "gate" else made["decided_by"]
    return Event(
        job=settings.name,
        topic=f"decision {made['promotion_id']}",
        title=title,
        what=f"{title}{how} by {by}: {reason}",
        severity="warning" if made["decision"] == "rolled back" else "info",
        since=made["decided_at"],
        todo=todo,
        command=f"rowcast models show {about}",
        state="once",
    )


def _meant(made: dict[str, Any]) -> tuple[str, str, str, int]:
    """A decision for those who use the scores: title, how it was decided, what to do, whose card to look at."""
    version, champion = made["version"], made["previous"]  # who served until then, and does still if this one does not
    if made["decision"] == "rolled back":
        todo = f"nothing for the scores, v{version} serves again; find out what v{champion} does worse"
        return f"v{champion} rolled back to v{version}", "", todo, champion
    if made["decision"] == "undecided":
        todo = f"nothing: later labels decide, or a newer version takes its place; 'rowcast promote {version}' decides"
        return f"v{version} waits", ", undecided", todo, version
    if made["decision"] == "kept":
        if made["evidence"].get("shadow") == "watched":  # the version that served before this champion
            return f"v{champion} stays", ", decided", "nothing needs to be done", champion
        return f"v{version} refused", "", "nothing needs to be done", version
    todo = "nothing needs to be done"
    if champion is not None:
        todo = "if it does harm: 'rowcast rollback' puts the champion before it back in service"
    return f"v{version} promoted", "", todo, version


def clean(settings: Settings, event: Event) -> Event:
    """Without a secret, and without any database's address."""

    def cleaned(text: str) -> str:
        return _ADDRESS.sub("the database", without(settings.secrets, text))

    title, what, todo, alike = (cleaned(text) for text in (event.title, event.what, event.todo, event.alike))
    return replace(event, title=title, what=what, todo=todo, alike=alike)
