"""What a run asks of its workers, and what became of the batches."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from rowcast import logs
from rowcast.config import Settings
from rowcast.errors import RowcastError


@dataclass(frozen=True)
class ScoringRequest:
    """What a worker must know to score a batch; it travels to worker processes."""

    settings: Settings
    run_id: int
    now: datetime
    champion: int = 0
    shadows: tuple[int, ...] = ()  # versions that score in the champion's shadow
    accept_quarantine: bool = False
    sampled: float = 0.0  # the share of rows that are looked at in columns which the model does not use
    since: datetime | None = None  # rows older than late_arrival are looked for back to here
    is_replay: bool = False  # of the past: what scores is kept for the next run, and only drift and cost are watched
    logging: logs.Present | None = field(default_factory=logs.present)

    @property
    def is_in_database(self) -> bool:
        """Whether the database scores the rows."""
        return self.settings.infer.engine == "database" and not self.is_replay

    @property
    def max_quarantine(self) -> float | None:
        """The largest share of bad rows that is published; None for any."""
        return None if self.accept_quarantine else self.settings.check.max_quarantine


@dataclass
class Outcome:
    """What became of one batch, or of several added up."""

    batches: int = 0
    fetched: int = 0
    scored: int = 0
    flagged: int = 0
    quarantined: int = 0
    columns: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # by step
    broken: Counter[str] = field(default_factory=Counter)  # by column and rule
    peak_rss_mb: float = 0.0
    retries: int = 0  # after a transient error of a database
    shadow_scored: int = 0  # rows that versions scored in the shadow, and that they failed over; each version counts
    shadow_failed: int = 0
    age_h: float | None = None  # hours from the newest row to the run
    failed: dict[int, RowcastError] = field(default_factory=dict)  # batches, given back, whose rows raise this

    def add(self, other: "Outcome") -> None:
        """Add up the figures; which batches failed is for the caller to keep."""
        self.batches += other.batches
        self.fetched += other.fetched
        self.scored += other.scored
        self.flagged += other.flagged
        self.quarantined += other.quarantined
        self.columns = max(self.columns, other.columns)
        for step, seconds in other.seconds.items():
            self.seconds[step] += seconds
        self.broken.update(other.broken)
        self.peak_rss_mb = max(self.peak_rss_mb, other.peak_rss_mb)
        self.retries += other.retries
        self.shadow_scored += other.shadow_scored
        self.shadow_failed += other.shadow_failed

    def count_retry(self) -> None:
        """Count one more try after a transient error."""
        self.retries += 1

    def most_broken(self) -> str:
        """Return the rules that were broken most often, as "column: rule (rows), ..."; empty where none was."""
        return ", ".join(f"{what} ({rows})" for what, rows in self.broken.most_common(3))

    def figures(self) -> dict[str, float]:
        """Return what is kept of it with the step `inference`, by name."""
        found: dict[str, float] = {"scored": self.scored, "flagged": self.flagged, "batches": self.batches}
        found |= {"retries": self.retries, "batches_left": len(self.failed)}
        if self.shadow_scored or self.shadow_failed:
            found |= {"shadow_scored": self.shadow_scored, "shadow_failed": self.shadow_failed}
            found["shadow_s"] = round(self.seconds["shadow"], 3)
        if self.age_h is not None:
            found["age_h"] = round(self.age_h, 4)
        return found
