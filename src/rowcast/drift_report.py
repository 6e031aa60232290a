"""Whether the champion's rows have changed, in which columns, since when and by how much."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rowcast.job.opening import Job
from rowcast.messages.drift import describe_alarm, describe_learning
from rowcast.monitor import DriftResult, State
from rowcast.store.records import DriftRecord
from rowcast.watch import drift


@dataclass(frozen=True)
class DriftReport:
    """What is known of drift in the champion's rows."""

    job: str
    champion: int | None
    looked: DriftResult | None  # all that its runs say; None where rows are counted only from the next retrain on
    unused: tuple[State, ...]  # the same of columns that it does not use
    newest: datetime | None  # as of when rows were scored last
    history: tuple[DriftRecord, ...]  # drifts that began, changed and ended, the newest first

    @property
    def is_drifting(self) -> bool:
        """Whether an alarm goes on."""
        return self.looked is not None and self.looked.alarm is not None

    @property
    def shifted(self) -> tuple[State, ...]:
        """Series that have shifted, the largest first."""
        return tuple(state for state in self.series if state.since is not None)

    @property
    def series(self) -> tuple[State, ...]:
        """Every series of every column, the largest shift first."""
        found = () if self.looked is None else (*self.looked.table, *self.unused)
        return tuple(sorted(found, key=lambda state: (-state.size, -state.weight)))

    def of(self, column: str) -> list[State]:
        """Return the series of a column, the largest shift first."""
        return [state for state in self.series if state.series.column == column]

    def facts(self) -> dict[str, Any]:
        """Return the result in a few words, by name."""
        about: dict[str, Any] = {"job": self.job, "champion": None if self.champion is None else f"v{self.champion}"}
        looked = self.looked
        if looked is None:
            return about | {"drift": "unknown: rows are counted from the next retrain on"}
        until = "" if self.newest is None else f", the newest as of {self.newest:%Y-%m-%d}"
        words = "none" if looked.alarm is None else describe_alarm(looked.alarm, values=True)
        if looked.provisional:
            words += f" (provisional: {describe_learning(looked.runs, looked.needed)})"
        return about | {"drift": words, "looked_at": f"{looked.runs} blocks of training rows and runs{until}"}

    def to_dict(self, *, every: bool = False) -> dict[str, Any]:
        """Return what `rowcast drift --json` prints: series that have shifted or, with `every`, all."""
        columns = [describe_series(state) for state in (self.series if every else self.shifted)]
        return {
            **self.facts(),
            "columns": columns,
            "history": [{**vars(made), "version": f"v{made.model_version}"} for made in self.history],
        }


def report_drift(job: Job) -> DriftReport:
    """Look at all runs of the champion, and at what was reported of them before."""
    champion = job.registry.champion()
    return DriftReport(
        job.settings.name,
        champion,
        None if champion is None else drift.look(job, champion),
        () if champion is None else drift.measure_unused(job, champion),
        job.runs.newest_that_scored(),
        tuple(job.profiles.list_drift()),
    )


def describe_series(state: State) -> dict[str, Any]:
    """Return a series as a row of a table."""
    series = state.series
    return {
        "column": series.column or "(all)",
        "what": series.kind if series.category is None else f"{series.kind} {series.category}",
        "trained": state.trained,
        "baseline": state.was,
        "now": state.now,
        "since_run": state.since or None,
        "size": state.size,
        "weight": state.weight,
    }
