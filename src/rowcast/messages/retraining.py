"""Whether a retrain is due, and why, or why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from rowcast.errors import RowcastError
from rowcast.formatting import count
from rowcast.messages.cost import describe_excess
from rowcast.messages.drift import describe_record
from rowcast.monitor.track_record import CostExcess
from rowcast.store.records import DriftRecord


class DueCause(Enum):
    """What decides whether a retrain is due."""

    ASKED = auto()  # a person did
    NO_MODEL = auto()
    ELAPSED = auto()  # time and labels since the last model
    DRIFT = auto()
    COST = auto()
    # … and what keeps it from being due:
    NEVER = auto()  # the policy
    FAILED_BEFORE = auto()  # the last try, too short a time ago
    TOO_EARLY = auto()
    FEW_LABELS = auto()
    NO_DRIFT = auto()
    NO_COST = auto()
    UNMEASURED = auto()  # quality, since measuring it failed


_DUE = (DueCause.ASKED, DueCause.NO_MODEL, DueCause.ELAPSED, DueCause.DRIFT, DueCause.COST)


@dataclass(frozen=True)
class Due:
    """Whether a retrain is due, with what its cause rests on."""

    cause: DueCause
    until: datetime | None = None  # FAILED_BEFORE, TOO_EARLY: not before
    run_id: int | None = None  # FAILED_BEFORE: the run that failed
    days: int = 0  # ELAPSED: since the last model
    labels: int = 0  # ELAPSED, FEW_LABELS: new ones since the last model
    labels_needed: int = 0  # FEW_LABELS
    version: int | None = None  # ELAPSED: the last model
    drift: Sequence[DriftRecord] = ()  # DRIFT: rows of the store's table
    excess: CostExcess | None = None  # COST
    error: RowcastError | None = None  # UNMEASURED

    @property
    def now(self) -> bool:
        """Whether the model is to be trained now."""
        return self.cause in _DUE


def describe_due(due: Due, *, values: bool) -> str:
    """Return in a line why a retrain is due, or why not; with `values` it may name a category that drifts."""
    until = f"{due.until:%Y-%m-%d %H:%M} UTC" if due.until else ""
    match due.cause:
        case DueCause.ASKED:
            return "asked for"
        case DueCause.NO_MODEL:
            return "there is no model yet"
        case DueCause.ELAPSED:
            return f"{count(due.days, 'day')} and {count(due.labels, 'label')} since v{due.version}"
        case DueCause.DRIFT:
            return describe_standing_drift(due.drift, values=values)
        case DueCause.COST:
            return "" if due.excess is None else f"v{due.version}: {describe_excess(due.excess)}"
        case DueCause.NEVER:
            return "not due: the policy is never"
        case DueCause.FAILED_BEFORE:
            return f"not tried again before {until}, since the last try failed: 'rowcast runs {due.run_id}' says why"
        case DueCause.TOO_EARLY:
            return f"not due before {until}"
        case DueCause.FEW_LABELS:
            return f"not due: {count(due.labels, 'new label')} of at least {due.labels_needed}"
        case DueCause.NO_DRIFT:
            return "not due: nothing drifts"
        case DueCause.NO_COST:
            return "not due: no figure shows that the champion costs more than it promised"
        case DueCause.UNMEASURED:
            return f"not due: quality could not be measured: {due.error.what if due.error else ''}"


def describe_standing_drift(drifts: Sequence[DriftRecord], *, values: bool) -> str:
    """Return the drifts that are not over, as they were reported, each with the run that showed it."""
    return "; ".join(f"drift, {describe_record(made, values=values)} (run {made.run_id})" for made in drifts)
