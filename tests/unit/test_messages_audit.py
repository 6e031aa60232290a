"""What an audit found, in sentences."""

import pytest

from rowcast.audit import Audit, BrokenReference, Contents
from rowcast.audit.faults import list_faults
from rowcast.messages.audit import Fault, FaultKind, describe_fault
from rowcast.store.scope_record import ScopeState

COUNTS = dict.fromkeys(Audit.__dataclass_fields__, 0) | {"contents": None}
CONTENTS = dict.fromkeys(Contents.__dataclass_fields__, 0)
CONTENTS |= {"broken_references": (), "scope": ScopeState.UNCHANGED, "scope_recorded": None}


@pytest.mark.parametrize("kind", FaultKind)
def test_each_fault_is_a_sentence_with_its_numbers(kind: FaultKind) -> None:
    for count in (1, 1234):
        said = describe_fault(Fault(kind, count, 2000, "prediction.run_id"))
        assert "None" not in said
        assert f"{count:,}" in said or kind in (FaultKind.SCOPE_MOVED, FaultKind.SCOPE_FORGED)
        assert "1 rows" not in said


def test_rows_that_are_missing_lead_to_forget() -> None:
    said = describe_fault(Fault(FaultKind.ROWS_MISSING, 3))
    assert said.startswith("3 rows of published batches are gone")
    assert "'rowcast forget --before DATE'" in said


def test_what_holds_has_no_faults_and_each_fault_of_a_full_audit_is_told() -> None:
    sound = Audit(**{**COUNTS, "contents": Contents(**CONTENTS)})
    assert (sound.holds, list_faults(sound)) == (True, [])
    told = {"changed": 3, "changed_quarantined": 1, "not_comparable": 1, "before_scope": 1, "batches_unchecked": 2}
    told["shadows_unchecked"] = 2
    assert Audit(**{**COUNTS, "contents": Contents(**{**CONTENTS, **told})}).holds  # counted apart, and no fault
    for name, value in {
        **{"results_wrong": 1, "batches_changed": 1, "batches_forged": 1, "models_changed": 1},
        **{"shadows_changed": 1, "shadows_forged": 1},
        **{"broken_references": (BrokenReference("shadow.batch_id", 1),)},
        **{"scope": ScopeState.MOVED},
    }.items():
        found = Audit(**{**COUNTS, "contents": Contents(**{**CONTENTS, name: value})})
        assert (found.holds, len(list_faults(found))) == (False, 1)
