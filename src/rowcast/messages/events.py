"""What may happen that a person should know: one record for each kind, without a word of text."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from rowcast.errors import dedup_key
from rowcast.gate import HeldBack
from rowcast.monitor import Event as DriftAlarm
from rowcast.monitor.skew import Skew
from rowcast.monitor.track_record import CostExcess
from rowcast.store.alert_record import Severity, State, join_topic
from rowcast.store.records import DecisionOutcome, EndCause, PeriodFault

BY_HAND = ("step", "requeue", "import")  # pipelines that a person triggers, and that do not come again by themselves

DRIFT_TOPIC = "drift"
COST_TOPIC = "cost"
UNUSABLE_TOPIC = "unusable"
OVERDUE_TOPIC = "overdue"
GONE_TOPIC = "gone"
LOOKS = 30  # back to which it is known how many rows there were
CHANGED_TOPIC = "changed"
SKEW_TOPIC = "skew"
SET_ASIDE_TOPIC = "set aside"
HELD_BACK_TOPIC = "held back"


@dataclass(frozen=True)
class RunFailed:
    """Something that a run tried has failed."""

    topic: str  # what of the run: run, retrain, infer, gate, shadow, quality, monitor, import
    pipeline: str
    run_id: int | None  # None where the run could not begin
    is_done: bool  # the run itself: there is nothing to resume
    error: BaseException
    batches_left: int  # that could not be scored and stay pending; 0 where the whole topic failed
    at: datetime
    severity: Severity

    @property
    def state(self) -> State:
        """What a person triggered does not come again by itself, and so does not last."""
        return "once" if self.pipeline in BY_HAND else "begins"

    @property
    def dedup_key(self) -> str:
        """Two failures of one topic are the same trouble where their errors are."""
        return f"{'partial' if self.batches_left else 'failed'}:{dedup_key(self.error)}"


@dataclass(frozen=True)
class RunDied:
    """The process of the run before is gone, and nobody knows how it ended."""

    pipeline: str
    run_id: int
    cause: EndCause  # one that the run itself did not record
    at: datetime

    topic: str = "process"
    severity: Severity = "error"
    state: State = "begins"
    dedup_key: str = "died"


@dataclass(frozen=True)
class VersionDecided:
    """A gate or a person decided on a version, as it is on record."""

    promotion_id: int
    version: int
    champion_before: int | None  # that served until then, and does still if this version does not
    outcome: DecisionOutcome
    by: str  # gate, or who
    reason: str  # in words, without the outcome
    role: str | None  # in which it scored in the shadow: watched, waiting; None where it did not
    at: datetime

    state: State = "once"
    run_id: None = None

    @property
    def topic(self) -> str:
        """Each decision is a topic of its own."""
        return join_topic("decision", str(self.promotion_id))

    @property
    def severity(self) -> Severity:
        """That a champion was taken back is what somebody should look at."""
        return "warning" if self.outcome is DecisionOutcome.ROLLED_BACK else "info"

    @property
    def needs_nothing(self) -> bool:
        """Whether the same version serves as before, as expected: a challenger was refused, or waits."""
        return self.outcome in (DecisionOutcome.KEPT, DecisionOutcome.UNDECIDED)

    @property
    def dedup_key(self) -> str:
        """No decision is told twice."""
        return str(self.promotion_id)


@dataclass(frozen=True)
class RowsDrifted:
    """The champion's rows have changed."""

    alarm: DriftAlarm
    version: int

    severity: Severity = "warning"
    state: State = "begins"

    @property
    def topic(self) -> str:
        """Each drift is a topic of its own: it begins and ends whatever others do."""
        return join_topic(DRIFT_TOPIC, self.alarm.begun)

    @property
    def run_id(self) -> int:
        """The run that showed it."""
        return int(self.alarm.run_id)

    @property
    def at(self) -> datetime:
        """Since when the first of the series has shifted."""
        return min(one.since_at for one in self.alarm.findings)

    @property
    def dedup_key(self) -> str:
        """The same alarm while it stands."""
        return self.topic


@dataclass(frozen=True)
class CostExceeded:
    """The champion costs more than was expected of it."""

    version: int
    excess: CostExcess
    run_id: int

    topic: str = COST_TOPIC
    severity: Severity = "warning"
    state: State = "begins"

    @property
    def at(self) -> datetime:
        """From which day on, as far as can be told."""
        since: Any = self.excess.since.astype("datetime64[D]").item()
        return datetime.combine(since, datetime.min.time(), UTC)

    @property
    def dedup_key(self) -> str:
        """The same trouble while it is the same version, and the same figure that shows it."""
        return cost_key(self.version, self.excess.kind)


@dataclass(frozen=True)
class RowsUnusable:
    """Too many new rows have no key, a repeated key or no event time, and cannot be scored."""

    unusable: int  # new since the last look
    rows: int  # new since then
    most: float  # share that may be
    at: datetime
    run_id: int

    topic: str = UNUSABLE_TOPIC
    severity: Severity = "error"
    state: State = "begins"
    dedup_key: str = "unusable"


@dataclass(frozen=True)
class RowsGone:
    """The source has lost more than half of its rows."""

    rows: int
    before: int  # the most within the last looks
    at: datetime
    run_id: int

    topic: str = GONE_TOPIC
    severity: Severity = "error"
    state: State = "begins"
    dedup_key: str = "gone"


@dataclass(frozen=True)
class RowsOverdue:
    """Rows are pending that no run looks for, since they are older than late arrivals may be."""

    rows: int
    oldest: datetime | None
    at: datetime
    run_id: int

    topic: str = OVERDUE_TOPIC
    severity: Severity = "warning"
    state: State = "begins"
    dedup_key: str = "overdue"


@dataclass(frozen=True)
class RowsChanged:
    """Many more scored rows than is usual hold other values at the source than those that were scored."""

    changed: int  # of those that were looked at
    rows: int
    usual: float  # share
    at: datetime
    run_id: int

    topic: str = CHANGED_TOPIC
    severity: Severity = "warning"
    state: State = "begins"
    dedup_key: str = "changed"


@dataclass(frozen=True)
class RowsSkewed:
    """The HTTP service was sent other values than the batch reads of the same rows, in more of them than may be."""

    skew: Skew
    most: float  # share that may be
    run_id: int

    topic: str = SKEW_TOPIC
    severity: Severity = "warning"
    state: State = "begins"
    dedup_key: str = "skew"

    @property
    def at(self) -> datetime:
        """From when on, as far as can be told."""
        return self.skew.since


@dataclass(frozen=True)
class RowsSetAside:
    """Labelled rows of a period contradict all others, or a column of theirs does: not learned from."""

    fault: PeriodFault
    column: str | None  # that knows the outcome, or whose scale changed
    rows: int
    begin: datetime  # event times
    end: datetime
    auc: float | None  # in the period; None where it does not tell
    usual_auc: float | None
    version: int  # that was trained without them, or without these values
    at: datetime
    run_id: int

    severity: Severity = "warning"
    state: State = "begins"

    @property
    def topic(self) -> str:
        """Each period is a topic of its own; its ends move a little as rows come in, its month hardly ever."""
        middle = self.begin + (self.end - self.begin) / 2
        return join_topic(SET_ASIDE_TOPIC, f"{self.fault} {self.column or ''} {middle:%Y-%m}")

    @property
    def dedup_key(self) -> str:
        """The same period as long as it is set aside."""
        return self.topic


@dataclass(frozen=True)
class VersionHeldBack:
    """A version would serve, but what it learned from, or does, is suspect: a person decides."""

    version: int
    champion: int
    held: HeldBack
    at: datetime
    run_id: int

    topic: str = HELD_BACK_TOPIC
    severity: Severity = "warning"
    state: State = "begins"

    @property
    def dedup_key(self) -> str:
        """The same trouble, whichever version shows it."""
        return f"{self.held.guard} {self.held.column or ''}".strip()


def cost_key(version: int, kind: str) -> str:
    """Return the `dedup_key` of a version that costs too much by one kind of figure."""
    return f"v{version}:{kind}"


@dataclass(frozen=True)
class SinkTested:
    """A person wants to know whether the sinks take messages."""

    at: datetime

    topic: Literal["test"] = "test"
    severity: Severity = "info"
    state: State = "once"
    run_id: None = None
    dedup_key: str = "test"


Event = (
    RunFailed
    | RunDied
    | VersionDecided
    | RowsDrifted
    | CostExceeded
    | RowsUnusable
    | RowsGone
    | RowsOverdue
    | RowsChanged
    | RowsSkewed
    | RowsSetAside
    | VersionHeldBack
    | SinkTested
)
EVENT_TYPES: tuple[type, ...] = get_args(Event)
