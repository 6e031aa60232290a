"""The alert about an event: its title, what happened, what to do next, and the command for it."""

import re
from collections.abc import Iterable
from dataclasses import replace

from rowcast.errors import RowcastError, describe, quotes_values
from rowcast.formatting import count, percent
from rowcast.logs import without
from rowcast.messages import drift
from rowcast.messages.cost import describe_excess
from rowcast.messages.events import (
    BY_HAND,
    LOOKS,
    CostExceeded,
    Event,
    RowsChanged,
    RowsDrifted,
    RowsGone,
    RowsOverdue,
    RowsSetAside,
    RowsSkewed,
    RowsUnusable,
    RunDied,
    RunFailed,
    SinkTested,
    VersionDecided,
    VersionHeldBack,
)
from rowcast.messages.held_back import describe_held_back
from rowcast.store.alert_record import Alert
from rowcast.store.records import DecisionOutcome, EndCause, PeriodFault

_COMMANDS = {"full-pipeline": "run"}  # where it is not the pipeline's name
_ADDRESS = re.compile(r"\b(?:sqlite|postgresql|mssql)[+\w]*://[^\s,;'\"]*[^\s,;:.'\"]")
_NOTHING = "nothing needs to be done"


def render_alert(event: Event, job: str, *, values: bool) -> Alert:
    """Return the alert about an event of a job; with `values` it may quote values of rows."""
    title, what, hint, command = _text(event, values=values)
    return Alert(
        job=job,
        topic=event.topic,
        title=title,
        what=what,
        severity=event.severity,
        since=event.at,
        hint=hint,
        command=f"rowcast {command}",
        dedup_key=event.dedup_key,
        run_id=event.run_id,
        state=event.state,
        digest=isinstance(event, VersionDecided) and event.needs_nothing,
        version=event.version if isinstance(event, RowsDrifted | CostExceeded) else None,
    )


def _text(event: Event, *, values: bool) -> tuple[str, str, str, str]:
    """Title, what, hint, and the command without its `rowcast`."""
    match event:
        case RunFailed():
            return _describe_failure(event, values=values)
        case RunDied():
            is_unrecorded = event.cause is EndCause.UNRECORDED
            how = "its process could not say how it ended" if is_unrecorded else "the process ended without a word"
            what = f"Run {event.run_id} ({event.pipeline}) did not end in order: {how}."
            hint = "was it killed, did memory run out, did the machine restart? Its rows are taken up by the next run"
            return "a run died", what, hint, f"runs {event.run_id}"
        case VersionDecided():
            return _describe_decision(event)
        case RowsDrifted():
            title = f"drift in {drift.list_columns(event.alarm)}"
            hint = (
                "was something serviced, recalibrated or changed in the recipe? If it stays, 'rowcast retrain' learns"
                " it once enough labels are known"
            )
            return title, _as_sentence(drift.describe_alarm(event.alarm, values=values)), hint, "drift"
        case CostExceeded():
            than = "it promised" if event.excess.kind == "realised" else "its scores say"
            hint = (
                "'rowcast drift' says whether the rows have changed with it. 'rowcast retrain' learns what is different"
                " once labels of enough days since then are known: the newest labels are kept for the gate"
            )
            title = f"v{event.version} costs more than {than}"
            return title, _as_sentence(describe_excess(event.excess)), hint, "quality"
        case RowsUnusable():
            what = (
                f"{event.unusable:,} of {event.rows:,} new rows cannot be scored: their key is NULL or repeated, or"
                f" their event time is NULL. More than {event.most:.0%} of the new rows is too many."
            )
            hint = "did the export, a unit of time or a key change? 'rowcast doctor' counts them by reason"
            return "new rows are unusable", what, hint, "doctor"
        case RowsGone():
            what = (
                f"The source has {count(event.rows, 'row')}, and had {event.before:,} within the last"
                f" {LOOKS} days on which it was looked at. What was scored is kept."
            )
            hint = "did a load fail, or a view, a query or [source] where change? It ends when rows are back"
            return "rows of the source are gone", what, hint, "audit"
        case RowsOverdue():
            since = "" if event.oldest is None else f"{event.oldest:%Y-%m-%d}"
            what = (
                f"{count(event.rows, 'pending row')} {'is' if event.rows == 1 else 'are'} older than late arrivals may"
                f" be ([source] late_arrival), the oldest of {since}. No run looks for them by itself."
            )
            return "pending rows are overdue", what, "score them once with --since", f"infer --since {since}".strip()
        case RowsChanged():
            what = (
                f"{event.changed:,} of {event.rows:,} scored rows that were looked at hold other values at the source"
                f" than those that were scored; {event.usual:.0%} of them is usual. Their scores are of the old values."
            )
            hint = (
                "was the source loaded again, or a unit or a query changed? If the new values are right,"
                " --rescore scores these rows again; if not, mend the source"
            )
            return "scored rows have changed at the source", what, hint, "infer --rescore"
        case RowsSkewed():
            return _describe_skew(event)
        case RowsSetAside():
            return _describe_set_aside(event)
        case VersionHeldBack():
            what = f"v{event.version} would serve, but {describe_held_back(event.held, values=values)}."
            hint = (
                f"v{event.champion} goes on. Is the source whole, and are its units as before? If so,"
                f" 'rowcast promote {event.version}' puts it in service; the next 'rowcast retrain' looks again"
            )
            return f"v{event.version} was held back", what, hint, f"models show {event.version}"
        case SinkTested():
            what = "This is a test: whoever reads it gets messages about trouble and about decisions."
            return "test message", what, _NOTHING, "notify --test"


def _describe_skew(event: RowsSkewed) -> tuple[str, str, str, str]:
    skew = event.skew
    scored = f"{count(skew.rows, 'row')} whose answers are recorded"
    what = (
        f"Since {skew.since:%Y-%m-%d %H:%M} UTC the batch has scored {scored}. In {percent(skew.differing / skew.rows)}"
        " of them it read other values than the service was sent, or the same version gave another score;"
        f" {percent(event.most)} may be ([serve] max_skew)."
    )
    hint = (
        "does a client send another unit, other digits, or a default where a value is missing? 'rowcast quality' counts"
        " such rows; the alert ends once the rows that follow are alike"
    )
    return "the HTTP service is sent other values than the batch reads", what, hint, "quality"


def _describe_set_aside(event: RowsSetAside) -> tuple[str, str, str, str]:
    when = f"{event.begin:%Y-%m-%d} to {event.end:%Y-%m-%d}"
    rows = f"{event.rows:,} labelled rows of {when}"
    hint = (
        "were they joined to the wrong rows, or filled in afterwards? Mend the source: the next 'rowcast retrain' looks"
        " again. If they are right, later rows will show it"
    )
    match event.fault:
        case PeriodFault.LABELS_CONSTANT:
            why = "hold one outcome alone, where every model says that both must have come"
        case PeriodFault.LABELS_CONTRADICT:
            why = (
                f"contradict what every model from before predicts (AUC {event.auc:.2f}, {event.usual_auc:.2f} is"
                " usual), and cannot be predicted from one another either"
            )
        case PeriodFault.COLUMN_KNOWS:
            why = (
                f"hold values of '{event.column}' that tell the outcome by themselves (AUC {event.auc:.2f},"
                f" {event.usual_auc:.2f} is usual), as if written after it"
            )
        case PeriodFault.SCALE_CHANGED:
            why = f"hold values of '{event.column}' on another scale than the rows before and after"
            hint = "did its unit change for a while? Mend the source: the next 'rowcast retrain' looks again"
    if event.column is None:
        what, title = f"{rows} {why}. v{event.version} was trained and judged without them.", f"rows of {when}"
    else:
        what = f"{rows} {why}. v{event.version} was trained without these values, and judged without these rows."
        title = f"values of '{event.column}' of {when}"
    return f"{title} were set aside", what, hint, f"models show {event.version}"


def _as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _describe_failure(event: RunFailed, *, values: bool) -> tuple[str, str, str, str]:
    what = describe(event.error, details=values)
    if n := event.batches_left:
        what = f"{n} batch{'es' if n > 1 else ''} could not be scored and stay pending: {what}"
    if quotes_values(event.error) and not values:
        what += f"; 'rowcast runs {event.run_id}' says more" if event.run_id else "; pipeline.log says more"
    command = _COMMANDS.get(event.pipeline, event.pipeline)
    if event.run_id:
        is_over = event.pipeline in BY_HAND or event.is_done
        command = f"{'runs' if is_over else 'resume'} {event.run_id}"
    name = event.pipeline if event.topic == "run" else event.topic
    hint = " ".join(event.error.hint.split()) if isinstance(event.error, RowcastError) else ""
    title = f"{name} {'partial' if event.batches_left else 'failed'}"
    return title, what, hint or "mend what it names; the log has the rest", command


def _describe_decision(event: VersionDecided) -> tuple[str, str, str, str]:
    title, hint, card = _interpret(event)
    by = "the gate" if event.by == "gate" else event.by
    return title, f"{title} (decided by {by}): {event.reason}", hint, f"models show {card}"


def _interpret(event: VersionDecided) -> tuple[str, str, int]:
    """A decision for those who use the scores: title, what to do, whose card to look at."""
    version, champion = event.version, event.champion_before
    if event.outcome is DecisionOutcome.ROLLED_BACK and champion is not None:
        hint = f"nothing for the scores, v{version} serves again; find out what v{champion} does worse"
        return f"v{champion} rolled back to v{version}", hint, champion
    if event.outcome is DecisionOutcome.UNDECIDED:
        hint = f"nothing: later labels decide, or a newer version takes its place; 'rowcast promote {version}' decides"
        return f"v{version} waits for more labels", hint, version
    if event.outcome is DecisionOutcome.KEPT:
        if event.role == "watched" and champion is not None:  # the version that served before this champion
            return f"v{champion} stays in service, v{version} before it is not proven better", _NOTHING, champion
        stays = "" if champion is None else f", v{champion} stays in service"
        return f"v{version} not promoted{stays}", _NOTHING, version
    if champion is None:
        return f"v{version} promoted", _NOTHING, version
    hint = "if it does harm: 'rowcast rollback' puts the champion before it back in service"
    return f"v{version} promoted in place of v{champion}", hint, version


def redact(alert: Alert, secrets: Iterable[str]) -> Alert:
    """Return the alert without any of the secrets, and without the address of any database."""
    known = tuple(secrets)
    texts = (_ADDRESS.sub("the database", without(known, text)) for text in (alert.title, alert.what, alert.hint))
    title, what, hint = texts
    return replace(alert, title=title, what=what, hint=hint)
