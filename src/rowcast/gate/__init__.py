"""Champion against challenger on rows that neither was trained on: which of them serves from now on?

Three rules decide: "proven" (`proven`) asks for a gain beyond luck; "fresh" and "better" (`expected_gain`) weigh what
is expected.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.gate.budget import Allowance, allowance, allowance_of_watch
from rowcast.gate.decision import Cause, Decision, Evidence, FirstEvidence
from rowcast.gate.expected_gain import (
    UNLIKE,
    Growth,
    LearningCurve,
    Prior,
    decide_by_expectation,
    find_harm_allowance,
    learn_curve,
    make_prior,
)
from rowcast.gate.guards import Flagged, Guard, HeldBack, find_jump, find_lost_group, find_lost_labels
from rowcast.gate.paired_costs import PairedCosts
from rowcast.gate.proven import CONFIDENCE, Rule, decide
from rowcast.gate.regret import LIKELY, decide_by_regret
from rowcast.gate.watch import Watch, find_watch
from rowcast.store.records import DecisionOutcome

__all__ = [
    "CONFIDENCE",
    "LIKELY",
    "UNLIKE",
    "Allowance",
    "Cause",
    "Decision",
    "DecisionOutcome",
    "Evidence",
    "FirstEvidence",
    "Flagged",
    "Growth",
    "Guard",
    "HeldBack",
    "LearningCurve",
    "PairedCosts",
    "Prior",
    "Rule",
    "Watch",
    "allowance",
    "allowance_of_watch",
    "auc",
    "decide",
    "decide_by_expectation",
    "decide_by_regret",
    "find_harm_allowance",
    "find_jump",
    "find_lost_group",
    "find_lost_labels",
    "find_watch",
    "first",
    "hold_back",
    "learn_curve",
    "make_prior",
]


def first(metrics: Mapping[str, Any]) -> Decision:
    """Return the decision on the first version, which has nobody to beat; `metrics` are those of its build."""
    return Decision(DecisionOutcome.PROMOTED, Cause.FIRST, FirstEvidence.of(metrics))


def hold_back(decision: Decision, why: HeldBack) -> Decision:
    """Return a decision by which the version does not serve, since something is suspect."""
    assert isinstance(decision.evidence, Evidence)
    evidence = replace(decision.evidence, held_back=why, level=0.0)
    return replace(decision, outcome=DecisionOutcome.UNDECIDED, cause=Cause.HELD_BACK, evidence=evidence)


def auc(outcome: npt.NDArray[np.bool_], score: npt.NDArray[np.float64]) -> float | None:
    """Return the area under the ROC curve; None where one class is missing."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(outcome, score)) if 0 < outcome.sum() < len(outcome) else None
