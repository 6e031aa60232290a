"""What holds a version back that the gate would let serve: labels or a group that are gone, a jump of flags."""

import numpy as np
import pytest

from rowcast import gate
from rowcast.gate import Cause, DecisionOutcome, Evidence, Flagged, Guard
from rowcast.messages.decisions import explain_decision
from rowcast.messages.held_back import describe_held_back
from rowcast.models.matrix import Matrix
from rowcast.training.guards import count_categories


def test_labels_that_are_known_no_longer_hold_a_version_back() -> None:
    assert gate.find_lost_labels(1_000, 1_100) is None
    assert gate.find_lost_labels(1_000, 800) is None
    assert gate.find_lost_labels(99, 0) is None
    held = gate.find_lost_labels(1_000, 799)
    assert held is not None
    assert (held.guard, held.was, held.now) == (Guard.LABELS_LOST, 1_000, 799)


def test_a_category_most_of_whose_rows_are_gone_holds_a_version_back() -> None:
    before = {"tool": {"a": 500, "b": 300, "rare": 10}, "gone": {"x": 900}}
    assert gate.find_lost_group(before, {"tool": {"a": 250, "b": 900, "rare": 0}}) is None
    held = gate.find_lost_group(before, {"tool": {"a": 240, "c": 700}})
    assert held is not None
    assert (held.guard, held.column, held.category, held.was, held.now) == (Guard.GROUP_LOST, "tool", "b", 300, 0)
    assert "'b'" in describe_held_back(held, values=True)
    assert "'b'" not in describe_held_back(held)


def test_categories_are_counted_but_of_columns_with_many() -> None:
    values = np.array([[0, 1], [0, np.nan], [1, 0]], dtype=np.float32)
    many = tuple(map(str, range(51)))
    found = count_categories(Matrix(values, ("tool", "lot"), {"tool": ("a", "b", "c"), "lot": many}))
    assert found == {"tool": {"a": 2, "b": 1, "c": 0}}


@pytest.mark.parametrize(
    ("newest", "judged", "is_held"),
    [
        (Flagged(1_000, 0.20, 0.60, 0.40), Flagged(500, 0.20, 0.22, 0.05), True),
        (Flagged(1_000, 0.60, 0.10, 0.55), Flagged(500, 0.20, 0.22, 0.05), True),
        (Flagged(1_000, 0.20, 0.30, 0.15), Flagged(500, 0.20, 0.22, 0.05), False),  # no jump
        (Flagged(1_000, 0.20, 0.60, 0.40), Flagged(500, 0.20, 0.58, 0.40), False),  # labels showed it
        (Flagged(1_000, 0.20, 0.00, 0.20), Flagged(500, 0.20, 0.20, 0.05), True),  # none any more
        (Flagged(1_000, 0.04, 0.00, 0.04), Flagged(500, 0.04, 0.04, 0.01), False),  # of few rows
        (Flagged(1_000, 0.97, 0.61, 0.38), Flagged(500, 0.97, 0.96, 0.01), False),  # most rows were bad, fewer are now
        (Flagged(1_000, 0.50, 0.80, 0.30), Flagged(500, 0.20, 0.22, 0.05), False),  # the rows are others for both
        (Flagged(1_000, 0.01, 0.10, 0.11), Flagged(500, 0.30, 0.35, 0.05), False),  # likewise, fewer
        (Flagged(40, 0.20, 0.60, 0.40), Flagged(500, 0.20, 0.22, 0.05), False),  # luck
        (Flagged(20, 0.00, 1.00, 1.00), Flagged(500, 0.20, 0.22, 0.05), False),  # too few
    ],
)
def test_a_version_that_flags_another_share_of_the_newest_rows_is_held_back(
    newest: Flagged, judged: Flagged, is_held: bool
) -> None:
    held = gate.find_jump(newest, judged)
    assert (held is not None) == is_held
    if held is not None:
        assert (held.was, held.now) == (newest.champion, newest.challenger)


def test_a_version_that_is_held_back_waits_for_a_person() -> None:
    promoted = gate.Decision(DecisionOutcome.PROMOTED, Cause.EXPECTED, Evidence(rows=50, level=0.01, harm=0.01))
    held = gate.find_lost_labels(1_000, 100)
    assert held is not None
    decision = gate.hold_back(promoted, held)
    assert (decision.outcome, decision.promote) == (DecisionOutcome.UNDECIDED, False)
    assert decision.evidence.to_dict()["held_back"]["guard"] == "labels lost"
    assert decision.evidence.to_dict()["level"] == 0  # it spends nothing
    assert explain_decision(decision).startswith("held back: 100 labels are known, 1,000 were when the champion")
