"""What an audit finds."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rowcast.store.scope_record import ScopeState


@dataclass(frozen=True)
class BrokenReference:
    """A column whose values name rows that are not there."""

    name: str  # table and column
    rows: int


@dataclass(frozen=True)
class Contents:
    """What a full audit says of the contents of the store."""

    changed: int  # scored rows whose values at the source have changed since
    changed_quarantined: int  # quarantined ones
    not_comparable: int  # both, where the source lacks a column or cannot compute it, or the model cannot be loaded
    recomputed: int  # scored rows, unchanged at the source, whose score was computed again
    results_wrong: int  # of those, rows that the store holds another score, threshold or prediction for
    before_scope: int  # scored and quarantined rows whose event lies before scoring began, or does so by now
    batches_changed: int  # published batches whose rows are no longer those that were published
    batches_unchecked: int  # published before there were checksums
    batches_unsigned: int  # published before there was a key; 0 where ROWCAST_SIGNING_KEY is not set
    batches_forged: int  # whose signature does not fit, or is missing although earlier ones are signed
    shadows_changed: int  # batches of which what a version scored in the shadow is no longer what was saved
    shadows_unchecked: int  # scored before there were checksums of them
    shadows_unsigned: int
    shadows_forged: int
    models_changed: int  # versions whose bytes or signature are not those that were saved
    broken_references: tuple[BrokenReference, ...]
    scope: ScopeState
    scope_recorded: datetime | str | None  # where scoring was fixed to begin; None where that is not known

    @property
    def holds(self) -> bool:
        """Whether the store holds what was published, as far as that can be told."""
        faults = self.results_wrong + self.batches_changed + self.batches_forged + self.models_changed
        faults += self.shadows_changed + self.shadows_forged
        return not faults and not self.broken_references and self.scope.is_sound

    def to_dict(self) -> dict[str, Any]:
        """Return the findings by name, JSON-safe but for the moment."""
        found = {name: value for name, value in vars(self).items() if name != "scope_recorded"}
        found["broken_references"] = sum(each.rows for each in self.broken_references)
        return found | ({} if self.scope.is_sound else {"scope_recorded": self.scope_recorded})


@dataclass(frozen=True)
class Audit:
    """Rows by where they are."""

    source: int
    unusable: int  # key NULL or repeated, or time NULL
    out_of_scope: int
    left_to_training: int  # of those out of scope, the ones that the version in service could learn from
    scored: int
    quarantined: int
    forgotten: int  # whose results were deleted by `rowcast forget`
    pending: int
    duplicates: int  # predictions beyond the first for one key
    both: int  # keys in two of these: scored, quarantined, forgotten
    shared: int  # source rows beyond the first that have one prediction or quarantined row together
    deleted: int  # predictions and quarantined rows whose source row is gone or no longer usable
    batches: int  # published
    batches_wrong: int  # published, or forgotten, with other counts than rows
    unpublished: int  # predictions and quarantined rows that no published batch accounts for
    history: int  # earlier predictions and quarantined rows that were replaced
    shadow: int  # rows scored by versions that are not in service, each version's for itself
    rows_missing: int  # rows that published batches account for and that are gone: pending rows, if the source has them
    contents: Contents | None = None  # only by a full audit

    @property
    def holds(self) -> bool:
        """Whether every source row is in just one place, and the store holds what was published."""
        parts = self.unusable + self.out_of_scope + self.scored + self.quarantined + self.forgotten + self.pending
        faults = self.duplicates + self.both + self.shared + self.batches_wrong + self.unpublished
        return self.source == parts and not faults and (self.contents is None or self.contents.holds)

    def to_dict(self) -> dict[str, Any]:
        """Return what `rowcast audit --json` prints."""
        counts = {name: value for name, value in asdict(self).items() if name not in ("contents", "rows_missing")}
        return counts | ({} if self.contents is None else self.contents.to_dict()) | {"holds": self.holds}
