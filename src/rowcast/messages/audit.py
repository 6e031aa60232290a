"""What an audit found that does not hold, in a sentence each."""

from dataclasses import dataclass
from enum import Enum, auto

from rowcast.formatting import count


class FaultKind(Enum):
    """What does not hold."""

    ROWS_MISSING = auto()
    BATCHES_WRONG = auto()
    UNPUBLISHED = auto()
    BATCHES_CHANGED = auto()
    BATCHES_FORGED = auto()
    SHADOWS_CHANGED = auto()
    SHADOWS_FORGED = auto()
    RESULTS_WRONG = auto()
    MODELS_CHANGED = auto()
    REFERENCE_BROKEN = auto()
    SCOPE_MOVED = auto()
    SCOPE_FORGED = auto()


@dataclass(frozen=True)
class Fault:
    """Something that an audit found not to hold."""

    kind: FaultKind
    count: int = 0  # of rows, batches or versions
    of: int | None = None  # among how many
    name: str | None = None  # a table and column, or where scoring began


def describe_fault(fault: Fault) -> str:
    """Return in a sentence what does not hold, and the way out where there is one; no value of a row is in it."""
    rows, batches = count(fault.count, "row"), count(fault.count, "published batch", "published batches")
    match fault.kind:
        case FaultKind.ROWS_MISSING:
            return (
                f"{rows} of published batches {_are(fault.count)} gone, and pending again where the source has them:"
                " 'rowcast forget --before DATE' deletes old results so that they are accounted for"
            )
        case FaultKind.BATCHES_WRONG:
            return f"{count(fault.count, 'batch', 'batches')} {_have(fault.count)} other counts than rows"
        case FaultKind.UNPUBLISHED:
            return f"no published batch accounts for {rows}"
        case FaultKind.BATCHES_CHANGED:
            return f"the rows of {batches} are no longer those that were published"
        case FaultKind.BATCHES_FORGED:
            return f"the signature of {batches} does not fit or is missing: somebody without the key wrote them"
        case FaultKind.SHADOWS_CHANGED:
            return f"what was scored in the shadow of {batches} is no longer what was saved"
        case FaultKind.SHADOWS_FORGED:
            return f"the signature of the shadow scores of {batches} does not fit or is missing"
        case FaultKind.RESULTS_WRONG:
            return (
                f"{fault.count:,} of {fault.of:,} scores that were computed again are stored otherwise:"
                " 'rowcast explain KEY' shows a row's"
            )
        case FaultKind.MODELS_CHANGED:
            versions = count(fault.count, "model version")
            return f"{versions} {_are(fault.count)} not as saved: 'rowcast models verify' names them"
        case FaultKind.REFERENCE_BROKEN:
            return f"{rows} of the store {_have(fault.count)} a {fault.name} that names nothing, or another thing"
        case FaultKind.SCOPE_MOVED:
            return f"where scoring begins was moved: it was fixed at {fault.name}"
        case FaultKind.SCOPE_FORGED:
            return "somebody without the key recorded where scoring begins"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
