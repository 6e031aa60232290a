"""Is a gain beyond doubt? The rule "proven": a challenger serves only where luck cannot explain what it saves.

How much luck is allowed for is the budget's to say (`budget`), how sure one may be of a gain the bound's (`bound`).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rowcast.gate.bound import Blocks, least_doubt, lower_bound
from rowcast.gate.budget import Allowance
from rowcast.gate.decision import Cause, Decision, Evidence
from rowcast.gate.paired_costs import PairedCosts, describe_costs, sum_blocks
from rowcast.store.records import DecisionOutcome

Floats = npt.NDArray[np.float64]

RESAMPLES = 2_000
CONFIDENCE = 0.90  # of the two-sided interval that is shown
ONE_GATE = Allowance(yearly=0.05, level=0.05, left=0.05)
_CHUNK = 4_000_000  # numbers drawn at a time, so that memory does not grow with the rows


@dataclass(frozen=True)
class Rule:
    """From how large a gain a challenger is promoted, and from how many rows the gate decides at all."""

    min_gain: float = 0.0  # per row
    min_positives: int = 5
    min_blocks: int = 8
    min_differing: int = 8


def decide(costs: PairedCosts, rule: Rule = Rule(), allowed: Allowance = ONE_GATE, seed: int = 0) -> Decision:
    """Promote where the gain per row is above `rule.min_gain`, with a chance of error of at most `allowed.level`.

    Rows are paired, and whole blocks are what may vary. The bound that decides is `lower_bound`; the interval shown is
    a paired bootstrap (Efron and Tibshirani 1993, An Introduction to the Bootstrap), whole blocks at a time (after
    Künsch 1989, Annals of Statistics 17(3)), widened as a t interval is (Hesterberg 2015, The American Statistician
    69(4)), counting only rows or blocks on which the two differ: the others cannot tell them apart.

    Too few positives, blocks or differences, or nothing left to spend, leave it undecided. Nothing that does so
    depends on who is ahead: a gate that could not have promoted has used up none of the budget.
    """
    found = sum_blocks(costs)
    gained, rows, units = found.gained, found.rows, found.units
    evidence = describe_costs(costs, found, allowed.yearly, allowed.left, rule.min_gain)
    early = _decide_early(evidence, rule, units, len(rows))
    if early is not None:
        return early
    beyond_doubt = None
    if least_doubt(units) <= allowed.level:
        beyond_doubt = lower_bound(Blocks.of(gained, rows, units, costs.most), allowed.level)
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
