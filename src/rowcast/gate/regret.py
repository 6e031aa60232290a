"""Was a promotion a mistake? The watch of the rules "fresh" and "better", which promote without proof.

Most retrainings differ from the version before by next to nothing, and now and then one goes wrong: the prior of what
the version before would save is a spike and a slab (Mitchell and Beauchamp 1988, JASA 83(404)), the likelihood normal.
A posterior means the same whenever somebody looks, so nothing is spent by looking often.
"""

from dataclasses import replace

import numpy as np

from rowcast.gate.decision import Cause, Decision
from rowcast.gate.expected_gain import REACH, measure_gain
from rowcast.gate.paired_costs import PairedCosts, describe_costs, sum_blocks
from rowcast.store.records import DecisionOutcome

_MISTAKES = 0.05  # of promotions: a choice, as are the two deviations
_SPIKE, _SLAB = 0.01, 0.5  # standard deviations of what the version before saves: else; of a mistake
LIKELY = 0.5  # from which chance on the version before serves again


def decide_by_regret(costs: PairedCosts, *, max_harm: float) -> Decision:
    """Put the version before back where the champion more likely than not costs more than `max_harm` beyond it.

    `costs` are those of labelled rows (n may be 0) that both scored: the challenger is the version before. The gain is
    a share of the champion's cost, its error that of whole blocks.
    """
    from scipy.special import ndtr

    blocks = sum_blocks(costs)
    evidence = describe_costs(costs, blocks, None, None, 0.0)
    base = evidence.cost_champion or 0.0
    gain, error = measure_gain(costs, blocks, base)
    if gain is None or error is None:
        return Decision(DecisionOutcome.UNDECIDED, Cause.REGRET, evidence)
    widths = np.hypot(np.array([_SPIKE, _SLAB]), error)
    weights = np.array([1 - _MISTAKES, _MISTAKES]) * np.exp(-0.5 * (gain / widths) ** 2) / widths
    weights /= weights.sum()
    shrunk = np.array([_SPIKE, _SLAB]) ** 2 / widths**2
    means, deviations = shrunk * gain, np.sqrt(shrunk) * error
    regret = float(weights @ ndtr((means - max_harm) / deviations))
    reach = REACH * error * base
    weighed = replace(
        evidence,
        gain_low=(evidence.gain or 0.0) - reach,
        gain_high=(evidence.gain or 0.0) + reach,
        relative_gain=gain,
        relative_error=error,
        expected_gain=float(weights @ means),
        max_harm=max_harm,
        regret=regret,
    )
    outcome = DecisionOutcome.PROMOTED if regret >= LIKELY else DecisionOutcome.KEPT
    return Decision(outcome, Cause.REGRET, weighed)
