"""What needs a person, and what was unusual about a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from rowcast.formatting import count
from rowcast.store.alert_record import Alert
from rowcast.store.records import RunRecord


@dataclass(frozen=True)
class TroubleStands:
    """Something that went wrong, or drifts, and is not over."""

    alert: Alert


@dataclass(frozen=True)
class RunNotDone:
    """The newest run did not end well, and no alert says so."""

    run: RunRecord


@dataclass(frozen=True)
class NothingInService:
    """No version was promoted yet."""


@dataclass(frozen=True)
class AlertsUndelivered:
    """Alerts that sinks have refused again and again."""

    count: int
    sinks: tuple[str, ...]


Need = TroubleStands | RunNotDone | NothingInService | AlertsUndelivered


def describe_need(need: Need) -> str:
    """Return in a sentence what does not mend itself; no value of a row is in it."""
    match need:
        case TroubleStands():
            seen = "" if need.alert.acknowledged is None else f" (acknowledged by {need.alert.acknowledged.by})"
            return f"{need.alert.title} since {need.alert.since:%Y-%m-%d %H:%M}{seen}: {need.alert.hint}"
        case RunNotDone():
            run = need.run
            if run.is_dead:
                way_out = "'rowcast resume' goes on with it"
                if not run.pipeline.is_pipeline:
                    way_out = f"repeat the 'rowcast {run.pipeline}' that it was"
                return f"run {run.run_id} ({run.pipeline}) died: {run.error}; {way_out}"
            return f"run {run.run_id} ({run.pipeline}) is {run.status}: 'rowcast runs {run.run_id}' says why"
        case NothingInService():
            return "nothing is scored yet: 'rowcast retrain' trains the first model"
        case AlertsUndelivered():
            verb = "does" if need.count == 1 else "do"
            return (
                f"{count(need.count, 'alert')} {verb} not reach {', '.join(need.sinks)}: 'rowcast notify' tries again"
            )


class Unusual(Enum):
    """In what a step differs from the same step of the runs before; the value is the word for it."""

    SLOWER = "slower"
    MORE_ROWS = "more rows"
    FEWER_ROWS = "fewer rows"
    MORE_MEMORY = "more memory"


def describe_unusual(found: Sequence[Unusual]) -> str:
    """Return what is unusual in a few words; empty where nothing is."""
    return f"{' and '.join(one.value for one in found)} than usual" if found else ""
