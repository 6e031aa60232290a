"""Is the newer version expected to save money, and how likely is it to do harm? The rules "fresh" and "better".

A version is refitted on all matured rows, so it can never be held against rows that nobody was trained on. What is
judged is its recipe: each labelled row that came after the champion's training is predicted by a fit that ended before
it. What these rows say is weighed against what more rows save by a learning curve, which earlier retrainings of the job
move from a default: a normal prior and a normal likelihood of the gain, as a share of the champion's cost (Gelman et
al. 2013, Bayesian Data Analysis, 2.5 and 5.4). The loss is linear in cost, so the version with the lower expected cost
serves.

How often that may go wrong is limited: each promotion spends the probability that the new version costs more than
`max_harm` beyond the champion, and what is spent within 52 weeks never exceeds `yearly_error`. By Boole's inequality
the chance of any such promotion within a year is then no larger, as far as the prior describes the job's retrainings.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from rowcast.gate.budget import YEAR, Allowance, is_of_watch
from rowcast.gate.decision import Cause, Decision
from rowcast.gate.paired_costs import BlockGains, PairedCosts, describe_costs, sum_blocks
from rowcast.store.records import DecisionOutcome, DecisionRecord

_OWN = 0.01  # standard deviation of what one retraining saves beside the curve
_ADVANCE = timedelta(weeks=4)
REACH = 1.645  # errors: half the 90 % interval that is shown
_FEW_BLOCKS = 4  # below, the spread of the blocks says nothing


@dataclass(frozen=True)
class LearningCurve:
    """What each e-fold of the training rows saves, as a share of the champion's cost: normally distributed."""

    slope: float
    error: float  # standard deviation


DEFAULT = LearningCurve(0.08, 0.05)  # a choice: docs/gate-method.md


@dataclass(frozen=True)
class Growth:
    """How many times as many rows a version learned from as the champion did."""

    judged: float  # the fits that predicted the gate's rows
    served: float  # the version itself, which is fitted on the gate's rows too


@dataclass(frozen=True)
class Prior:
    """What a retraining saves before its rows are looked at: a share of the champion's cost, normally distributed."""

    mean: float  # what the gate's rows can show
    deviation: float
    later: float = 0.0  # what is added by learning from the gate's rows too, which no row can show
    later_deviation: float = 0.0
    growth: Growth | None = None


UNLIKE = Prior(0.0, 0.10)  # of a version by another recipe than the champion's


def make_prior(curve: LearningCurve, growth: Growth) -> Prior:
    """Return what a retraining by the same recipe on so many more rows saves."""
    judged, served = np.log(growth.judged), np.log(growth.served / growth.judged)
    spread = float(np.hypot(_OWN, curve.error * judged))
    return Prior(float(curve.slope * judged), spread, float(curve.slope * served), float(curve.error * served), growth)


def learn_curve(decisions: Iterable[DecisionRecord]) -> LearningCurve:
    """Return the default learning curve, moved by what earlier retrainings of the job came to.

    A champion that was compared several times was so on nearly the same rows: the newest comparison counts. A Bayesian
    linear regression through the origin with known errors (Gelman et al. 2013, 14.8).
    """
    known = {
        made.previous: [made.evidence[name] for name in ("growth_judged", "relative_gain", "relative_error")]
        for made in sorted(decisions, key=lambda made: made.decided_at)
        if made.evidence.get("relative_error") is not None and made.evidence.get("growth_judged") is not None
    }
    if not known:
        return DEFAULT
    growth, gains, errors = np.array([*known.values()], dtype=np.float64).T
    more, weights = np.log(growth), 1 / (errors**2 + _OWN**2)
    precision = DEFAULT.error**-2 + float(weights @ more**2)
    mean = (DEFAULT.slope / DEFAULT.error**2 + float(weights @ (more * gains))) / precision
    return LearningCurve(mean, precision**-0.5)


def find_harm_allowance(yearly: float, now: datetime, decisions: Iterable[DecisionRecord]) -> Allowance:
    """Return what a promotion as of `now` may spend: what has come in within 52 weeks, less what promotions spent.

    The first decision of the job begins the count, with four weeks in advance, so that the first retrainings can serve.
    """
    made = list(decisions)
    begun = min((each.decided_at for each in made), default=now)
    share = min((now - begun + _ADVANCE) / YEAR, 1.0)
    spent = sum(
        each.evidence.get("harm") or 0.0
        for each in made
        if each.outcome is DecisionOutcome.PROMOTED and not is_of_watch(each) and now - each.decided_at < YEAR
    )
    left = max(0.0, yearly * share - spent)
    return Allowance(yearly, left, max(0.0, yearly - spent))


def decide_by_expectation(
    costs: PairedCosts, prior: Prior, allowed: Allowance | None, *, max_harm: float, min_gain: float = 0.0
) -> Decision:
    """Promote where the challenger is expected to save more than `min_gain` per row.

    With `allowed`, the chance that it costs more than `max_harm` of the champion's cost beyond it must fit what may be
    spent: otherwise it is left undecided, and the next gate has more. Rows (n may be 0) speak through their mean gain
    and its error, whole blocks at a time; one loss more than was seen is allowed for, as large as a row can cost.
    """
    from scipy.special import ndtr, ndtri

    blocks = sum_blocks(costs)
    yearly, left = (None, None) if allowed is None else (allowed.yearly, allowed.left)
    evidence = describe_costs(costs, blocks, yearly, left, min_gain)
    base = evidence.cost_champion or 0.0
    gain, error = measure_gain(costs, blocks, base)
    precision = prior.deviation**-2 + (0.0 if error is None else error**-2)
    shown = (prior.mean / prior.deviation**2 + (0.0 if error is None else (gain or 0.0) / error**2)) / precision
    mean = shown + prior.later
    deviation = float(np.hypot(precision**-0.5, prior.later_deviation))
    harm = float(ndtr((-max_harm - mean) / deviation))
    least = min_gain / base if base else 0.0
    if allowed is not None and allowed.level > 0:  # what keeps the chance of harm within what may be spent
        least = max(least, -max_harm - deviation * float(ndtri(allowed.level)))
    reach = None if error is None else REACH * error * base
    weighed = replace(
        evidence,
        gain_low=None if reach is None else (evidence.gain or 0.0) - reach,
        gain_high=None if reach is None else (evidence.gain or 0.0) + reach,
        relative_gain=gain,
        relative_error=error,
        growth_judged=None if prior.growth is None else prior.growth.judged,
        growth=None if prior.growth is None else prior.growth.served,
        prior_gain=prior.mean + prior.later,
        prior_error=float(np.hypot(prior.deviation, prior.later_deviation)),
        expected_gain=mean,
        max_harm=max_harm,
        harm=harm,
        needed_gain=None if error is None else _needed(prior, error, least),
    )
    if mean * (base or 1.0) <= min_gain:
        return Decision(DecisionOutcome.KEPT, Cause.EXPECTED, weighed)
    if allowed is not None and harm > allowed.level:
        return Decision(DecisionOutcome.UNDECIDED, Cause.RISKY, weighed, level=allowed.level)
    spent = weighed if allowed is None else replace(weighed, left=allowed.left - harm)
    return Decision(DecisionOutcome.PROMOTED, Cause.EXPECTED, spent, level=None if allowed is None else allowed.level)


def measure_gain(costs: PairedCosts, blocks: BlockGains, base: float) -> tuple[float | None, float | None]:
    """Return the gain as a share of the champion's cost, and its standard error; None where the rows say nothing.

    The error is that of whole blocks, and allows for one loss more than was seen, as large as a row can cost.
    """
    count, rows = len(blocks.rows), int(blocks.rows.sum())
    if count < _FEW_BLOCKS or not base:
        return None, None
    mean = float(blocks.gained.sum()) / rows
    off = blocks.gained - mean * blocks.rows
    of_blocks = float((off**2).sum()) * count / (count - 1) / rows**2
    of_blocks *= (count - 1) / (count - 3)  # the variance of Student's t: few blocks may lie closer than they should
    return mean / base, float(np.sqrt(of_blocks + (costs.most / rows) ** 2)) / base


def _needed(prior: Prior, error: float, least: float) -> float:
    """The gain on these rows, as a share of the champion's cost, at which the decision would turn."""
    ratio = error**2 / prior.deviation**2
    return (least - prior.later) * (1 + ratio) - prior.mean * ratio
