"""Champion against challenger on rows that neither was trained on: does the challenger cost less, beyond luck?

How much luck is allowed for is the budget's to say (`budget`), how sure one may be of a gain the bound's (`bound`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.gate.bound import Blocks, least_doubt, lower_bound
from rowcast.gate.budget import Allowance, allowance, allowance_of_watch
from rowcast.gate.decision import Cause, Decision, Evidence, FirstEvidence
from rowcast.gate.watch import Watch, find_watch
from rowcast.store.records import DecisionOutcome

__all__ = [
    "CONFIDENCE",
    "Allowance",
    "Cause",
    "Decision",
    "DecisionOutcome",
    "Evidence",
    "FirstEvidence",
    "PairedCosts",
    "Rule",
    "Watch",
    "allowance",
    "allowance_of_watch",
    "auc",
    "decide",
    "find_watch",
    "first",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RESAMPLES = 2_000
CONFIDENCE = 0.90  # of the two-sided interval that is shown
ONE_GATE = Allowance(yearly=0.05, level=0.05, left=0.05)
_CHUNK = 4_000_000  # numbers drawn at a time, so that memory does not grow with the rows


@dataclass(frozen=True)
class PairedCosts:
    """What n rows cost by each of two versions, in the config's units; all arrays have shape (n,)."""

    champion: Floats
    challenger: Floats
    positive: Bools | None = None  # which rows needed action; None for a regression
    worst: float | None = None  # what a row can cost at most; None: the most seen
    blocks: npt.NDArray[np.int64] | None = None  # which rows belong together


@dataclass(frozen=True)
class Rule:
    """From how large a gain a challenger is promoted, and from how many rows the gate decides at all."""

    min_gain: float = 0.0  # per row
    min_positives: int = 5
    min_blocks: int = 8
    min_differing: int = 8


def first(metrics: Mapping[str, Any]) -> Decision:
    """Return the decision on the first version, which has nobody to beat; `metrics` are those of its build."""
    return Decision(DecisionOutcome.PROMOTED, Cause.FIRST, FirstEvidence.of(metrics))


def decide(costs: PairedCosts, rule: Rule = Rule(), allowed: Allowance = ONE_GATE, seed: int = 0) -> Decision:
    """Promote where the gain per row is above `rule.min_gain`, with a chance of error of at most `allowed.level`.

    Rows are paired, and whole blocks are what may vary. The bound that decides is `lower_bound`; the interval shown is
    a paired bootstrap (Efron and Tibshirani 1993, An Introduction to the Bootstrap), whole blocks at a time (after
    Künsch 1989, Annals of Statistics 17(3)), widened as a t interval is (Hesterberg 2015, The American Statistician
    69(4)), counting only rows or blocks on which the two differ: the others cannot tell them apart.

    Too few positives, blocks or differences, or nothing left to spend, leave it undecided. Nothing that does so
    depends on who is ahead: a gate that could not have promoted has used up none of the budget.
    """
    gain = costs.champion - costs.challenger
    place = np.arange(len(gain)) if costs.blocks is None else np.unique(costs.blocks, return_inverse=True)[1]
    gained = np.bincount(place, weights=gain).astype(np.float64)
    rows = np.bincount(place)
    units = int((np.bincount(place, weights=gain != 0) > 0).sum())
    evidence = Evidence(
        rows=len(gain),
        positives=None if costs.positive is None else int(costs.positive.sum()),
        blocks=None if costs.blocks is None else len(rows),
        differing=int((gain != 0).sum()),
        cost_champion=_mean(costs.champion),
        cost_challenger=_mean(costs.challenger),
        gain=_mean(gain),
        yearly_error=allowed.yearly,
        left=allowed.left,
        min_gain=rule.min_gain,
    )
    early = _decide_early(evidence, rule, units, len(rows))
    if early is not None:
        return early
    beyond_doubt = None
    if least_doubt(units) <= allowed.level:
        most = float(max(costs.champion.max(), costs.challenger.max())) if costs.worst is None else costs.worst
        beyond_doubt = lower_bound(Blocks.of(gained, rows, units, most), allowed.level)
    if beyond_doubt is None:
        cause = Cause.TOO_FEW_TO_TELL if allowed.level else Cause.NOTHING_LEFT
        return Decision(DecisionOutcome.UNDECIDED, cause, evidence, units=units, level=allowed.level)
    low, high = _interval(gained, rows, units, seed)
    return _test(replace(evidence, gain_low=low, gain_high=high, gain_bound=beyond_doubt), allowed)


def _decide_early(evidence: Evidence, rule: Rule, units: int, of_units: int) -> Decision | None:
    """The decision where the rows cannot tell; None where they may."""
    by_block = evidence.blocks is not None
    if evidence.positives is not None and evidence.positives < rule.min_positives:
        return Decision(DecisionOutcome.UNDECIDED, Cause.FEW_POSITIVES, evidence, needed=rule.min_positives)
    if evidence.blocks is not None and evidence.blocks < rule.min_blocks:
        return Decision(DecisionOutcome.UNDECIDED, Cause.FEW_BLOCKS, evidence, needed=rule.min_blocks)
    if not evidence.differing:
        return Decision(DecisionOutcome.KEPT, Cause.ALIKE, evidence)
    if units < (rule.min_blocks if by_block else rule.min_differing):
        return Decision(DecisionOutcome.UNDECIDED, Cause.FEW_DIFFERENCES, evidence, units=units, of_units=of_units)
    return None


def _test(evidence: Evidence, allowed: Allowance) -> Decision:
    """The decision by the bound. A gate that promotes gives its level back: see `budget`."""
    promote = (evidence.gain_bound or 0.0) > (evidence.min_gain or 0.0)
    left = allowed.left if promote else allowed.left - allowed.level
    outcome = DecisionOutcome.PROMOTED if promote else DecisionOutcome.KEPT
    return Decision(outcome, Cause.TESTED, replace(evidence, level=allowed.level, left=left), level=allowed.level)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def auc(outcome: Bools, score: Floats) -> float | None:
    """Return the area under the ROC curve; None where one class is missing."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(outcome, score)) if 0 < outcome.sum() < len(outcome) else None


def _interval(gained: Floats, rows: npt.NDArray[np.int64], units: int, seed: int) -> tuple[float, float]:
    """Bounds of the gain per row, from blocks of `rows` rows that gained `gained` in all.

    Blocks alike in both are drawn together: how often each kind comes up in a resample is multinomial, so that 100,000
    rows with five different gains cost no more than five.
    """
    from scipy.stats import norm, t

    kinds, count = np.unique(np.stack([gained, rows]), axis=1, return_counts=True)
    total = int(count.sum())
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, _CHUNK // len(count))
    for start in range(0, RESAMPLES, step):
        drawn = random.multinomial(total, count / total, size=min(step, RESAMPLES - start))
        means[start : start + len(drawn)] = (drawn @ kinds[0]) / (drawn @ kinds[1])
    tail = (1 - CONFIDENCE) / 2
    wider = float(norm.cdf(np.sqrt(units / (units - 1)) * t.ppf(tail, units - 1)))
    low, high = np.quantile(means, [wider, 1 - wider])
    return float(low), float(high)
