"""What is in service, what is pending and how the last run went: one record, for people and for programs."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from rowcast import health, report
from rowcast.job.opening import Job
from rowcast.messages.decisions import ShadowProgress
from rowcast.row_places import RowPlaces, count_places
from rowcast.source import Scope
from rowcast.store.records import DecisionOutcome, DecisionRecord, RunRecord
from rowcast.store.registry import Version
from rowcast.training import shadow_evaluation
from rowcast.watch import drift


@dataclass(frozen=True)
class Service:
    """Since when the champion serves, and by whose decision."""

    since: datetime
    outcome: DecisionOutcome
    decided_by: str

    @classmethod
    def of(cls, made: DecisionRecord) -> Self:
        """Return it as a decision made it."""
        return cls(made.decided_at, made.outcome, made.decided_by)

    def __str__(self) -> str:
        return f"since {self.since:%Y-%m-%d %H:%M}, {self.outcome} by {self.decided_by}"


@dataclass(frozen=True)
class Status:
    """How a job stands now."""

    job: str
    source: str  # which table or query, in which database; without a password
    champion: Version | None  # the version in service
    service: Service | None
    shadow: tuple[ShadowProgress, ...]  # versions that may take its place
    scope: Scope  # which rows are scored at all
    predictions: str  # the table that holds the scores, as a query of the store names it
    rows: RowPlaces
    last_run: RunRecord | None
    drift: str | None  # what is known of it, in a few words
    alerts_waiting: int  # that have not reached every sink
    needs_a_person: tuple[str, ...]  # what does not mend itself, in a sentence each; empty where all is well
    steps: tuple[health.Step, ...]  # of the newest run that ended, beside the runs before it

    @property
    def ok(self) -> bool:
        """Whether nothing needs a person."""
        return not self.needs_a_person

    def __str__(self) -> str:
        return report.facts(self.facts())

    def facts(self, *, details: bool = True) -> dict[str, Any]:
        """Return what `rowcast status` prints, by name; without `details` no error that may quote a value of a row."""
        run, champion = self.last_run, self.champion
        return {
            "job": self.job,
            "source": self.source,
            "champion": f"v{champion.version}" if champion else "none yet: 'rowcast retrain' trains the first",
            "in_service": None if self.service is None else str(self.service),
            "trained_to": _text(champion.trained_until) if champion else None,
            **{each.role: str(each) for each in self.shadow},
            "scoring_since": self.scope.since or (f"after {_text(self.scope.after)}" if self.scope.is_fixed else None),
            "predictions": self.predictions,
            "scored": self.rows.scored,
            "quarantined": self.rows.quarantined,
            "pending": self.rows.pending,
            "unusable": self.rows.unusable,
            "last_run": f"{run.run_id}: {run.pipeline} {run.status}" if run else "none",
            "last_run_at": run.started_at if run else None,
            "last_error": _error(run, details=details) if run else None,
            "drift": self.drift,
            "alerts_waiting": self.alerts_waiting,
            "needs_a_person": "; ".join(self.needs_a_person) or None,
        }

    def to_dict(self, *, details: bool = False) -> dict[str, Any]:
        """Return what `rowcast status --json` prints; with `details` also an error that may quote a value of a row."""
        return {**self.facts(details=details), "steps": [asdict(step) for step in self.steps]}


def read_status(job: Job) -> Status:
    """Read how a job stands; counting its rows reads the keys of the whole table."""
    champion = job.registry.champion()
    made = job.registry.find_promotion()
    runs = job.runs.newest(1)
    return Status(
        job=job.settings.name,
        source=f"{job.source.identity} in {job.source.db.safe_url}",
        champion=job.registry.version(champion) if champion is not None else None,
        service=None if made is None else Service.of(made),
        shadow=shadow_evaluation.measure_progress(job, job.store.now()),
        scope=job.ledger.state().scope,
        predictions=job.store.dialect.identifier_preparer.format_table(job.own.prediction),
        rows=count_places(job),
        last_run=runs[0] if runs else None,
        drift=drift.state(job, champion),
        alerts_waiting=job.alerts.count_waiting(),
        needs_a_person=tuple(health.needs_a_person(job)),
        steps=tuple(health.steps(job)),
    )


def _error(run: RunRecord, *, details: bool) -> str | None:
    """What went wrong in a run; where it may not be shown, where to look for it."""
    return run.error if details or run.error is None else f"'rowcast runs {run.run_id}' says what"


def _text(moment_or_key: Any) -> Any:
    """A training window's end: an event time, or a key where there is no time column."""
    return ", ".join(moment_or_key) if isinstance(moment_or_key, tuple) else moment_or_key
