"""Which of the findings of an audit do not hold."""

from rowcast.audit.records import Audit, Contents
from rowcast.messages.audit import Fault, FaultKind
from rowcast.store.scope_record import ScopeState


def list_faults(found: Audit) -> list[Fault]:
    """Return what does not hold, the gravest last; duplicates, and rows in two places, are told by their counts."""
    counts = {
        FaultKind.ROWS_MISSING: found.rows_missing,
        FaultKind.BATCHES_WRONG: found.batches_wrong,
        FaultKind.UNPUBLISHED: found.unpublished,
    }
    faults = [Fault(kind, count) for kind, count in counts.items() if count]
    return faults + ([] if found.contents is None else _list_of_contents(found.contents))


def _list_of_contents(found: Contents) -> list[Fault]:
    counts = {
        FaultKind.BATCHES_CHANGED: found.batches_changed,
        FaultKind.BATCHES_FORGED: found.batches_forged,
        FaultKind.SHADOWS_CHANGED: found.shadows_changed,
        FaultKind.SHADOWS_FORGED: found.shadows_forged,
        FaultKind.MODELS_CHANGED: found.models_changed,
    }
    faults = [Fault(kind, count) for kind, count in counts.items() if count]
    if found.results_wrong:
        faults.append(Fault(FaultKind.RESULTS_WRONG, found.results_wrong, found.recomputed))
    faults += [Fault(FaultKind.REFERENCE_BROKEN, each.rows, name=each.name) for each in found.broken_references]
    if found.scope is ScopeState.MOVED:
        faults.append(Fault(FaultKind.SCOPE_MOVED, name=str(found.scope_recorded)))
    if found.scope is ScopeState.FORGED:
        faults.append(Fault(FaultKind.SCOPE_FORGED))
    return faults
