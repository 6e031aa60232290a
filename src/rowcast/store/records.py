"""What the store holds about runs and their steps, as records and enums; enum values are the texts in the tables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class PipelineName(StrEnum):
    """What a run executes."""

    RETRAIN = "retrain"
    INFER = "infer"
    FULL = "full-pipeline"
    STEP = "step"  # single steps, triggered by hand
    REQUEUE = "requeue"
    IMPORT = "import"
    FORGET = "forget"

    @property
    def is_pipeline(self) -> bool:
        """Whether it has steps, so that one that did not finish can be resumed."""
        return self not in (PipelineName.REQUEUE, PipelineName.FORGET)


class RunStatus(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"  # it reached its end, but something in it failed
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class StepStatus(StrEnum):
    """How a step ended."""

    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class BatchStatus(StrEnum):
    """Where a batch stands."""

    PLANNED = "planned"  # in nobody's hands
    CLAIMED = "claimed"  # by a worker, under a lease
    PUBLISHED = "published"
    FORGOTTEN = "forgotten"  # it was published, and its results were deleted since
    HALVED = "halved"  # it failed, and smaller batches took its place


class VersionStatus(StrEnum):
    """Where a model version stands."""

    CHALLENGER = "challenger"  # waits for the champion's place
    CHAMPION = "champion"
    RETIRED = "retired"  # was champion
    REFUSED = "refused"
    REPLACED = "replaced"  # by a newer challenger


class DecisionOutcome(StrEnum):
    """What becomes of a version."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    KEPT = "kept"  # the champion stays
    UNDECIDED = "undecided"  # the rows do not suffice to tell

    @property
    def changes_champion(self) -> bool:
        """Whether another version serves from then on."""
        return self in (DecisionOutcome.PROMOTED, DecisionOutcome.ROLLED_BACK)


class EndCause(StrEnum):
    """Why a run is no longer under way."""

    COMPLETED = "completed"  # it reached its end
    ERROR = "error"  # an error ended it
    STOPPED = "stopped"  # a person or the system asked it to stop
    DIED = "died"  # its process is gone, and recorded no end
    UNRECORDED = "unrecorded"  # its process went on, and could not record how the run ended

    @property
    def is_known(self) -> bool:
        """Whether the run itself recorded how it ended."""
        return self not in (EndCause.DIED, EndCause.UNRECORDED)


class PeriodFault(StrEnum):
    """Why labelled rows of a period are not learned from."""

    LABELS_CONTRADICT = "labels contradict"  # what models from before predict
    LABELS_CONSTANT = "labels constant"  # where both outcomes must have come
    COLUMN_KNOWS = "column knows"  # the outcome, as if written after it
    SCALE_CHANGED = "scale changed"  # of a column, and was back afterwards


@dataclass(frozen=True)
class RunOptions:
    """What a run was asked for beside its pipeline, kept for whoever resumes it."""

    since: datetime | None = None  # back to which event time rows older than `late_arrival` are looked for
    rescore: bool = False  # whether rows are scored once more whose values at the source have changed
    before: datetime | None = None  # results that were published before it are forgotten
    by: str | None = None  # who wants it so

    def to_json(self) -> str | None:
        """Return the options as JSON; None where nothing was asked for."""
        asked: dict[str, Any] = {"since": self.since.isoformat()} if self.since else {}
        asked |= {"rescore": True} if self.rescore else {}
        asked |= {"before": self.before.isoformat()} if self.before else {}
        asked |= {"by": self.by} if self.by else {}
        return json.dumps(asked, ensure_ascii=False) if asked else None

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        asked = json.loads(text or "{}")
        moments = {name: datetime.fromisoformat(asked[name]) for name in ("since", "before") if name in asked}
        return cls(**{**asked, **moments})


@dataclass(frozen=True)
class RunRecord:
    """One execution of a pipeline, as the store records it."""

    run_id: int
    job: str
    pipeline: PipelineName
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None  # None while it is under way
    as_of: datetime  # rows and labels later than it are invisible
    error: str | None  # in a line, for a person
    end_cause: EndCause | None  # None while it is under way, and of runs before causes were recorded
    host: str | None  # the process that executes it
    rowcast_version: str | None
    config_sha256: str | None
    lease_until: datetime | None  # a running run whose lease has passed is dead
    options: RunOptions

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the record of a row of the table `run`."""
        return cls(**{**row, "options": RunOptions.from_json(row["options"])})

    @property
    def is_dead(self) -> bool:
        """Whether its process is gone, or no longer renews its lease, and it recorded no end."""
        return self.end_cause is EndCause.DIED

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is under way."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class StepRecord:
    """A step of a run, as the store records it."""

    run_id: int
    name: str
    row_set: str  # train, score, or - where the step has one set only
    status: StepStatus
    started_at: datetime
    duration_s: float | None = None  # of scoring steps the sum over all batches
    rows_in: int | None = None
    rows_out: int | None = None
    columns: int | None = None
    peak_rss_mb: float | None = None  # the most memory that its process had held by then
    error: str | None = None  # in a line, for a person


@dataclass(frozen=True)
class NewDecision:
    """What was decided about a version, before it is on record."""

    outcome: DecisionOutcome
    reason: str  # in words, without the outcome
    evidence: Mapping[str, Any]  # as JSON takes it
    decided_at: datetime  # as of
    decided_by: str  # gate, or who


@dataclass(frozen=True)
class DecisionRecord:
    """A decision about a version, as the store records it."""

    promotion_id: int
    job: str
    version: int
    previous: int | None  # the champion until then; None where there was none
    decided_at: datetime  # as of
    decided_by: str  # gate, or who
    outcome: DecisionOutcome
    reason: str  # in words, without the outcome
    evidence: Mapping[str, Any]  # the gate's figures; a later rowcast may have added some

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the record of a row of the table `promotion`."""
        about = {name: value for name, value in row.items() if name != "decision"}
        outcome = DecisionOutcome(row["decision"])
        return cls(**{**about, "outcome": outcome, "evidence": json.loads(row["evidence"]) or {}})

    @property
    def is_by_gate(self) -> bool:
        """Whether a gate decided, and not a person."""
        return self.decided_by == "gate"

    def to_dict(self) -> dict[str, Any]:
        """Return the record under the names that the table has for it, JSON-safe but for the moment."""
        return {"decision" if name == "outcome" else name: value for name, value in vars(self).items()}


@dataclass(frozen=True)
class DriftRecord:
    """Drift that began or ended in a version's rows, as the store records it."""

    run_id: int  # that showed it
    begun_run: int | None  # that showed its beginning; None in what was written before version 14 of the store
    model_version: int
    what: str  # started or ended; also changed, before version 14
    at: datetime
    size: float  # 1 is what matters
    sentence: str
    findings: tuple[Mapping[str, Any], ...]  # the columns, the largest shift first

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the record of a row of the table `drift`."""
        names = ("run_id", "begun_run", "model_version", "what", "at", "size")
        about = {name: row[name] for name in names}
        return cls(**about, sentence=row["told"], findings=tuple(json.loads(row["findings"])))


@dataclass(frozen=True)
class ScoringRun:
    """A run that scored, in figures; None where one is not known."""

    run_id: int
    as_of: datetime
    scored: int | None
    quarantined: int | None
    flagged: float | None
    age_h: float | None  # hours from the newest row to the run


@dataclass(frozen=True)
class Figure:
    """A named number that a step of a run kept."""

    step: str
    name: str
    value: float
