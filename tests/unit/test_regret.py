"""The watch of the rules "fresh" and "better": a champion that was likely a mistake gives way to the version before."""

import numpy as np
import pytest
from test_expected_gain import costs, nothing

from rowcast.gate import LIKELY, Cause, Decision, DecisionOutcome, Evidence, decide_by_regret


def regret(decision: Decision) -> float:
    assert isinstance(decision.evidence, Evidence)
    assert decision.evidence.regret is not None
    return decision.evidence.regret


def test_without_rows_nothing_is_decided() -> None:
    decision = decide_by_regret(nothing(), max_harm=0.05)
    assert (decision.outcome, decision.cause) == (DecisionOutcome.UNDECIDED, Cause.REGRET)
    assert isinstance(decision.evidence, Evidence)
    assert decision.evidence.regret is None


def test_a_champion_that_costs_twice_as_much_gives_way_and_one_that_costs_as_much_stays() -> None:
    bad, same = (decide_by_regret(costs(0.2, other, unlike=0.2), max_harm=0.05) for other in (0.1, 0.2))
    assert (bad.outcome, same.outcome) == (DecisionOutcome.PROMOTED, DecisionOutcome.KEPT)
    assert regret(bad) > 0.99
    assert regret(same) < 0.05
    assert isinstance(bad.evidence, Evidence)
    assert (bad.evidence.level, bad.evidence.left) == (None, None)  # a look spends nothing


@pytest.mark.parametrize("rows", [300, 3_000, 30_000])
def test_the_more_the_version_before_saves_the_likelier_the_champion_was_a_mistake(rows: int) -> None:
    found = [regret(decide_by_regret(costs(0.2, other, rows), max_harm=0.05)) for other in (0.2, 0.15, 0.1, 0.05)]
    assert found == sorted(found)


def test_what_is_saved_for_certain_but_within_the_harm_that_is_allowed_changes_nothing() -> None:
    small, large = (decide_by_regret(costs(0.2, 0.19, 300_000), max_harm=most) for most in (0.1, 0.01))
    assert (small.outcome, large.outcome) == (DecisionOutcome.KEPT, DecisionOutcome.PROMOTED)


def test_champions_that_cost_as_much_as_those_before_are_hardly_ever_taken_back_however_often_one_looks() -> None:
    back = 0
    for seed in range(300):
        whole = costs(0.2, 0.2, 4_000, seed, unlike=0.3)
        for seen in (1_000, 2_000, 3_000, 4_000):
            part = [each[:seen] for each in (whole.champion, whole.challenger)]
            assert whole.blocks is not None
            looked = type(whole)(part[0], part[1], None, whole.worst, whole.blocks[:seen])
            if decide_by_regret(looked, max_harm=0.05).promote:
                back += 1
                break
    assert back <= 9  # 3 %


def test_the_chance_that_decides_is_that_of_the_record() -> None:
    found = [decide_by_regret(costs(0.2, other, 600), max_harm=0.05) for other in np.linspace(0.05, 0.25, 21)]
    assert {each.promote for each in found} == {True, False}
    assert all(each.promote == (regret(each) >= LIKELY) for each in found)
