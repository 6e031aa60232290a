"""The bound of a gain holds at the levels that the budget leaves, and is not so wide that nothing passes it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from rowcast.gate import Allowance, PairedCosts, Rule, decide
from rowcast.gate.bound import Blocks, doubt, least_doubt, lower_bound
from rowcast.messages.decisions import explain_decision
from studies.fab import MISSED, Fab, Year
from studies.gates import bonferroni, budgeted, p_value, unbudgeted, year


def blocks(gained: np.ndarray, rows: int = 50) -> Blocks:
    return Blocks.of(gained, np.full(len(gained), rows), int((gained != 0).sum()), MISSED)


def traded(random: np.random.Generator, count: int = 60) -> np.ndarray:
    """Gains of blocks where 20 false alarms are saved for each missed failure: nothing is gained in expectation."""
    return random.poisson(0.6, count) - MISSED * random.poisson(0.03, count)


def test_the_bound_is_where_the_doubt_is_the_level() -> None:
    random = np.random.default_rng(1)
    for level in (0.05, 0.001):
        found = blocks(random.normal(5, 20, 40))
        low = lower_bound(found, level)
        assert low is not None
        assert low < found.mean
        assert doubt(found, low) == pytest.approx(level, rel=1e-6)


def test_where_values_are_normal_it_is_students_t() -> None:
    from scipy.stats import t

    random = np.random.default_rng(2)
    gained = random.normal(10, 40, 400)
    found = Blocks.of(gained, np.ones(400, dtype=int), 400, 1.0)
    expected = gained.mean() - gained.std(ddof=1) / 20 * t.isf(0.001, 399)
    assert lower_bound(found, 0.001) == pytest.approx(expected, abs=0.3)


def test_a_loss_that_no_row_shows_is_allowed_for() -> None:
    """Most gates hold no more than a miss or two; by Student's t alone far more than 1 of 100 would promote."""
    random = np.random.default_rng(3)
    gates = [blocks(traded(random)) for _ in range(2_000)]
    assert sum(doubt(each, 0.0) <= 0.01 for each in gates) <= binom.ppf(0.999, 2_000, 0.01)
    by_t = [each.gained @ each.count / np.sqrt(each.gained**2 @ each.count) for each in gates]
    assert sum(value > 2.4 for value in by_t) > 2 * binom.ppf(0.999, 2_000, 0.01)


def test_few_blocks_cannot_tell_at_a_small_level_and_nothing_is_spent() -> None:
    assert lower_bound(blocks(np.full(8, 100.0)), least_doubt(8) / 2) is None
    assert lower_bound(blocks(np.full(8, 100.0)), least_doubt(8) * 1.1) is not None
    outcome = np.ones(80, dtype=bool)
    costs = np.full(80, MISSED), np.zeros(80)
    place = np.arange(80) // 10
    decision = decide(PairedCosts(*costs, outcome, MISSED, place), allowed=Allowance(0.05, 0.001, 0.04))
    assert (decision.outcome, decision.evidence.level, decision.evidence.left) == ("undecided", None, 0.04)
    told = (
        "8 blocks on which the two decide differently are too few to tell where the chance of a wrong promotion may be"
    )
    assert f"{told} 0.1 %" in explain_decision(decision)
    assert decide(PairedCosts(*costs, outcome, MISSED, place)).promote


def test_nothing_left_to_spend_leaves_it_undecided() -> None:
    outcome = np.ones(800, dtype=bool)
    costs = np.full(800, MISSED), np.zeros(800)
    decision = decide(PairedCosts(*costs, outcome, MISSED), allowed=Allowance(0.05, 0.0, 0.0))
    assert (decision.promote, decision.outcome) == (False, "undecided")
    assert "the chance of a wrong promotion allowed for a year, 5 %, is used up" in explain_decision(decision)


def test_a_decision_says_what_it_spent_and_what_is_left() -> None:
    simulated = Year(Fab(gain=0.4), 20, 1)
    outcome, gain = simulated.outcome, simulated.gain(0, 7_000)
    champion, challenger = simulated.champion, simulated.champion - gain
    about = {"positive": outcome, "worst": MISSED, "blocks": simulated.block}
    allowed = Allowance(0.05, 0.004, 0.03)
    better = decide(PairedCosts(champion, challenger, **about), allowed=allowed)
    assert (better.outcome, better.evidence.level, better.evidence.left) == ("promoted", 0.004, 0.03)
    assert "Allowing a chance of 0.4 % to be wrong, it saves at least" in explain_decision(better)
    assert "Of the 5 % chance of a wrong promotion allowed for a year, 3 % is left" in explain_decision(better)
    worse = decide(PairedCosts(challenger, champion, **about), allowed=allowed)
    assert (worse.outcome, worse.evidence.level) == ("kept", 0.004)
    assert worse.evidence.left == pytest.approx(0.026)
    assert "allowed for a year, 2.6 % is left" in explain_decision(worse)
    bound = better.evidence.gain_bound
    for more, word in ((0.9, "promoted"), (1.1, "kept")):
        again = decide(PairedCosts(champion, challenger, **about), Rule(min_gain=bound * more), allowed)
        assert again.outcome == word
        assert f"; {bound * more:.3g} must be exceeded" in explain_decision(again)


@pytest.mark.parametrize("seed", range(8))
def test_the_studies_test_as_the_gate_does(seed: int) -> None:
    simulated = Year(replace(Fab(rows=140), gain=0.25), 12, seed)
    gain, outcome = simulated.gain(0, 1_680), simulated.outcome
    costs = simulated.champion, simulated.champion - gain
    for level in (0.05, 0.005, 0.0005):
        allowed = Allowance(0.05, level, 0.05)
        decision = decide(PairedCosts(*costs, outcome, MISSED, simulated.block), allowed=allowed)
        value = p_value(outcome, gain, simulated.block, level)
        assert decision.promote == (value is not None and value <= level)


def test_few_simulated_years_promote_a_challenger_that_is_no_better() -> None:
    """`make study` has the long form. With a gate every week at 5 % most years promote one."""
    fab, years = Fab(rows=140), 40
    budget = sum(year(fab, budgeted, seed)[-1].promoted for seed in range(years))
    assert budget <= binom.ppf(0.99, years, 0.05)
    plain = sum(year(fab, unbudgeted, seed)[-1].promoted for seed in range(20))
    assert plain > binom.ppf(0.9999, 20, 0.05)


def test_a_better_challenger_is_seen_as_soon_as_by_bonferroni_and_sooner_where_gates_are_few() -> None:
    fab = Fab(gain=0.3)
    for every, sooner in ((1, 0.0), (4, 1.0)):
        weeks = [
            np.mean([each[-1].week if each[-1].promoted else 53 for each in found])
            for found in ([year(fab, rule, seed, every) for seed in range(15)] for rule in (budgeted, bonferroni))
        ]
        assert weeks[0] < 26
        assert weeks[0] <= weeks[1] - sooner
