"""Is the newer version expected to save money, and how likely is it to do harm? The rules "fresh" and "better".

A version is refitted on all matured rows, so it can never be held against rows that nobody was trained on. What is
judged is its recipe: each labelled row that came after the champion's training is predicted by a fit that ended before
it. What these rows say is weighed against what earlier retrainings of the job came to, or a default before there are
any: a normal prior and a normal likelihood of the gain, as a share of the champion's cost (Gelman et al. 2013, Bayesian
Data Analysis, 2.5 and 5.4). The loss is linear in cost, so the version with the lower expected cost serves.

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

_RETRAININGS = 4  # that the default prior counts as
_MOST_SPREAD = 0.10  # of the prior, however much earlier retrainings differed
_ADVANCE = timedelta(weeks=4)
_REACH = 1.645  # errors: half the 90 % interval that is shown
_FEW_BLOCKS = 4  # below, the spread of the blocks says nothing


@dataclass(frozen=True)
class Prior:
    """What a retraining saves before its rows are looked at: a share of the champion's cost, normally distributed."""

    mean: float
    deviation: float


DEFAULT = Prior(0.01, 0.02)  # not measured on real retrainings yet: docs/gate-method.md
UNLIKE = Prior(0.0, 0.10)  # of a version by another recipe than the champion's


def learn_prior(decisions: Iterable[DecisionRecord]) -> Prior:
    """Return what earlier retrainings of a job came to, with the default counting as four of them.

    A champion that was compared several times was so on nearly the same rows: the newest comparison counts. A
    random-effects mean, and a moment estimate of the spread beyond the error of each (DerSimonian and Laird 1986,
    Controlled Clinical Trials 7(3)), bounded so that one odd month cannot make the prior vague.
    """
    known = {
        made.previous: (made.evidence["relative_gain"], made.evidence["relative_error"])
        for made in sorted(decisions, key=lambda made: made.decided_at)
        if made.evidence.get("relative_error") is not None
    }
    if not known:
        return DEFAULT
    gains, errors = np.array([*known.values()], dtype=np.float64).T
    spread = DEFAULT.deviation**2
    for _ in range(20):
        weights = 1 / (errors**2 + spread)
        own = _RETRAININGS / DEFAULT.deviation**2
        mean = float((own * DEFAULT.mean + weights @ gains) / (own + weights.sum()))
        beyond = np.clip((gains - mean) ** 2 - errors**2, 0.0, _MOST_SPREAD**2)
        spread = float((_RETRAININGS * DEFAULT.deviation**2 + beyond.sum()) / (_RETRAININGS + len(known)))
    return Prior(mean, min(float(np.sqrt(spread)), _MOST_SPREAD))


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
    from scipy.special import ndtr

    blocks = sum_blocks(costs)
    yearly, left = (None, None) if allowed is None else (allowed.yearly, allowed.left)
    evidence = describe_costs(costs, blocks, yearly, left, min_gain)
    base = evidence.cost_champion or 0.0
    gain, error = _measure(costs, blocks, base)
    precision = prior.deviation**-2 + (0.0 if error is None else error**-2)
    mean = (prior.mean / prior.deviation**2 + (0.0 if error is None else (gain or 0.0) / error**2)) / precision
    harm = float(ndtr((-max_harm - mean) * np.sqrt(precision)))
    reach = None if error is None else _REACH * error * base
    weighed = replace(
        evidence,
        gain_low=None if reach is None else (evidence.gain or 0.0) - reach,
        gain_high=None if reach is None else (evidence.gain or 0.0) + reach,
        relative_gain=gain,
        relative_error=error,
        prior_gain=prior.mean,
        prior_error=prior.deviation,
        expected_gain=mean,
        max_harm=max_harm,
        harm=harm,
        needed_gain=None if error is None else _needed(prior, error, min_gain / base if base else 0.0),
    )
    if mean * (base or 1.0) <= min_gain:
        return Decision(DecisionOutcome.KEPT, Cause.EXPECTED, weighed)
    if allowed is not None and harm > allowed.level:
        return Decision(DecisionOutcome.UNDECIDED, Cause.RISKY, weighed, level=allowed.level)
    spent = weighed if allowed is None else replace(weighed, left=allowed.left - harm)
    return Decision(DecisionOutcome.PROMOTED, Cause.EXPECTED, spent, level=None if allowed is None else allowed.level)


def _measure(costs: PairedCosts, blocks: BlockGains, base: float) -> tuple[float | None, float | None]:
    """The gain as a share of the champion's cost, and its standard error; None where the rows say nothing."""
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
    return least * (1 + ratio) - prior.mean * ratio
