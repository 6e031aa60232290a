"""What the gate decides, and on what: facts alone, which `rowcast.messages.decisions` puts into words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Literal, Self

from rowcast.errors import RowcastError
from rowcast.gate.guards import HeldBack
from rowcast.store.records import DecisionOutcome

_LATER = ("judged_to", "auc_champion", "auc_challenger", "shadow")  # are added by whoever knows them
_WEIGHED = ("relative_gain", "relative_error", "prior_gain", "prior_error", "expected_gain", "needed_gain", "max_harm")
_EXPECTED = (*_WEIGHED, "growth", "growth_judged")
_SOME = (*_LATER, *_EXPECTED, "harm", "regret", "held_back")  # are left out where they are not known


class Cause(StrEnum):
    """What decided."""

    FIRST = "first"  # nobody served before
    TESTED = "tested"  # the bound of the gain
    EXPECTED = "expected"  # what the newer version is expected to save
    RISKY = "risky"  # the chance of harm is more than may be spent
    REGRET = "regret"  # how likely the champion costs more than the version before it
    ALIKE = "alike"  # both decide alike on every row
    FEW_POSITIVES = "few positives"
    FEW_BLOCKS = "few blocks"
    FEW_DIFFERENCES = "few differences"
    TOO_FEW_TO_TELL = "too few to tell"  # at the level that is left
    NOTHING_LEFT = "nothing left"  # of the year's error
    NO_LABELS = "no labels"
    NOTHING_NEW = "nothing new"  # no label has come since the champion was trained
    NOT_COMPARABLE = "not comparable"  # one of the versions cannot score
    CHAMPION_CHANGED = "champion changed"  # since the rows were fetched
    HELD_BACK = "held back"  # it would serve, but what it learned from, or does, is suspect
    OVERTAKEN = "overtaken"  # another version was decided on meanwhile


@dataclass(frozen=True)
class Evidence:
    """What both versions cost on the same rows; None is what is not known, or was not looked at."""

    rows: int | None = None
    positives: int | None = None  # None for a regression
    blocks: int | None = None  # None where each row stands alone
    differing: int | None = None  # rows on which the two decide differently
    cost_champion: float | None = None  # per row
    cost_challenger: float | None = None
    gain: float | None = None  # per row
    gain_low: float | None = None
    gain_high: float | None = None
    yearly_error: float | None = None
    level: float | None = None  # what the gate spent: nothing, unless it tests
    left: float | None = None
    gain_bound: float | None = None
    min_gain: float | None = None
    judged_to: str | list[str] | None = None  # the newest row: its time in ISO 8601, or its key
    auc_champion: float | None = None
    auc_challenger: float | None = None
    shadow: Literal["watched", "waiting"] | None = None  # the challenger's role, where it scored in the shadow
    # Of an expected gain, as shares of the champion's cost:
    relative_gain: float | None = None  # on the rows
    relative_error: float | None = None  # its standard error
    growth: float | None = None  # rows that it learned from, over the champion's
    growth_judged: float | None = None  # the same of the fits that predicted the rows
    prior_gain: float | None = None  # by the learning curve, or of a version by another recipe
    prior_error: float | None = None  # standard deviation
    expected_gain: float | None = None  # both together
    needed_gain: float | None = None  # on the rows, at which the decision would turn
    max_harm: float | None = None
    harm: float | None = None  # the chance of more than `max_harm`
    regret: float | None = None  # the chance that the champion costs more than `max_harm` beyond the version before
    held_back: HeldBack | None = None  # HELD_BACK: why

    def to_dict(self) -> dict[str, Any]:
        """Return the evidence as it is kept in JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None or name not in _SOME}


@dataclass(frozen=True)
class FirstEvidence:
    """What the first version costs out of fold, beside what costs nothing to build."""

    cost_per_row: float
    cost_per_row_flag_none: float | None
    cost_per_row_flag_all: float | None
    cost_per_row_median: float | None
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    rows_out_of_fold: int
    positives_out_of_fold: int | None

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Self:
        """Return the evidence among the metrics of a version's build."""
        known: dict[str, Any] = {each.name: metrics.get(each.name) for each in fields(cls)}
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return the evidence as it is kept in JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Decision:
    """What the gate decides, and on what."""

    outcome: DecisionOutcome
    cause: Cause
    evidence: Evidence | FirstEvidence = Evidence()
    needed: int | None = None  # FEW_POSITIVES, FEW_BLOCKS: how many are
    units: int | None = None  # FEW_DIFFERENCES, TOO_FEW_TO_TELL: rows or blocks on which the two differ
    of_units: int | None = None  # FEW_DIFFERENCES: of how many
    level: float | None = None  # TOO_FEW_TO_TELL, TESTED: the chance of error that was allowed
    champion: int | None = None  # CHAMPION_CHANGED: as of the fetch; in the shadow, and NOT_COMPARABLE: the one served
    challenger: int | None = None  # CHAMPION_CHANGED: the champion now; in the shadow: the version judged
    error: RowcastError | None = None  # NOT_COMPARABLE

    @property
    def promote(self) -> bool:
        """Whether another version serves from now on."""
        return self.outcome.changes_champion

    @property
    def is_of_shadow(self) -> bool:
        """Whether the rows are those that the challenger scored in the shadow."""
        return isinstance(self.evidence, Evidence) and self.evidence.shadow is not None
