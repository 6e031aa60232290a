"""What gates may spend of a year's error: by the calendar, only where they test, never the same time twice."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from rowcast.gate import Allowance, Watch, allowance, allowance_of_watch, find_watch
from rowcast.store.records import DecisionOutcome, DecisionRecord

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = 0.05 / 52


def decision(weeks: float, word: str, level: float | None = None, by: str = "gate") -> DecisionRecord:
    at, evidence = BEGIN + timedelta(weeks=weeks), {"level": level} if by == "gate" else {"by": "a person"}
    return DecisionRecord(0, "wafers", 1, None, at, by, DecisionOutcome(word), "", evidence)


FIRST = replace(decision(0, "promoted"), evidence={"cost_per_row": 0.4})


def asked(weeks: float, decisions: Iterable[DecisionRecord], yearly: float = 0.05) -> Allowance:
    return allowance(yearly, BEGIN + timedelta(weeks=weeks), decisions)


def gates(weeks: Iterable[float], words: Iterable[str]) -> list[DecisionRecord]:
    """Decisions of gates that each asked what they might spend, and the first version's."""
    made = [FIRST]
    for week, word in zip(weeks, words, strict=True):
        level = asked(week, made).level
        made.append(decision(week, word, None if word == "undecided" else level))
    return made


def levels(decisions: list[DecisionRecord]) -> list[float]:
    return [each.evidence["level"] for each in decisions[1:] if each.evidence["level"]]


def test_a_gate_every_week_spends_a_52nd_part_of_the_year() -> None:
    made = gates(range(1, 105), ["kept"] * 104)
    assert levels(made) == pytest.approx([WEEK] * 104)
    assert asked(1, [FIRST]) == Allowance(0.05, pytest.approx(WEEK), 0.05)


def test_a_gate_every_month_spends_more_at_a_time() -> None:
    assert levels(gates(range(4, 53, 4), ["kept"] * 13)) == pytest.approx([4 * WEEK] * 13)


def test_a_gate_that_could_not_decide_leaves_its_part_to_the_next() -> None:
    made = gates((1, 2, 3), ("undecided", "undecided", "kept"))
    assert levels(made) == pytest.approx([3 * WEEK])
    assert asked(4, made).level == pytest.approx(WEEK)


def test_a_gate_that_promotes_gives_its_part_back() -> None:
    made = gates((1, 2, 3), ("kept", "promoted", "kept"))
    assert levels(made) == pytest.approx([WEEK, WEEK, 2 * WEEK])
    assert asked(4, made).left == pytest.approx(0.05 - 3 * WEEK)


def test_a_person_spends_nothing() -> None:
    made = [*gates((1,), ("kept",)), decision(2, "promoted", by="Ada"), decision(3, "promoted", by="Grace")]
    assert asked(4, made) == asked(4, gates((1,), ("kept",)))
    assert asked(4, made).level == pytest.approx(3 * WEEK)


def test_a_long_pause_brings_no_more_than_a_year() -> None:
    assert asked(200, [FIRST]).level == pytest.approx(0.05)
    assert asked(200, gates((1,), ("kept",))) == Allowance(0.05, pytest.approx(0.05), pytest.approx(0.05))


def test_what_was_spent_is_free_again_after_a_year() -> None:
    made = gates((52, 53), ("kept", "kept"))
    assert levels(made) == pytest.approx([0.05])  # all at once, so that nothing was left a week later
    assert asked(103.9, made).level == 0
    assert asked(104, made).level == pytest.approx(0.05)


def test_as_of_a_moment_before_the_latest_test_there_is_nothing_to_spend() -> None:
    made = gates((1, 20), ("kept", "kept"))
    assert asked(10, made).level == 0
    assert asked(20, made).level == 0
    assert asked(-30, made).level == 0
    assert asked(21, made[::-1]).level == pytest.approx(WEEK)  # the order they are listed in does not matter


# Watches

MONTH = timedelta(weeks=4)


def promotion(weeks: float, version: int = 2, by: str = "gate") -> DecisionRecord:
    return replace(decision(weeks, "promoted", 0.001, by), version=version, previous=version - 1)


def of_watch(weeks: float, level: float, word: str = "kept") -> DecisionRecord:
    made = decision(weeks, word, level)
    return replace(made, evidence={**made.evidence, "shadow": "watched"})


def shared(weeks: float, decisions: list[DecisionRecord]) -> tuple[float, float]:
    """What a gate and the watch may spend."""
    watch = find_watch(decisions[::-1], MONTH)
    now = BEGIN + timedelta(weeks=weeks)
    for_watch = allowance_of_watch(0.05, now, decisions, watch).level if watch else 0.0
    return allowance(0.05, now, decisions, MONTH).level, for_watch


def test_a_gates_promotion_is_watched_for_as_long_as_is_said() -> None:
    at = BEGIN + timedelta(weeks=10)
    assert find_watch([promotion(10), FIRST], MONTH) == Watch(1, 2, at, at + MONTH)
    assert find_watch([promotion(10), FIRST], timedelta(0)) is None
    judged = replace(promotion(10), evidence={"level": 0.001, "judged_to": "2026-03-11T00:00:00+00:00"})
    found = find_watch([decision(12, "undecided"), judged, FIRST], MONTH)
    assert found is not None
    assert found.judged_to == "2026-03-11T00:00:00+00:00"


def test_nobody_watches_the_first_version_nor_what_a_person_put_in_service() -> None:
    assert find_watch([], MONTH) is None
    assert find_watch([FIRST], MONTH) is None
    assert find_watch([promotion(11, 3, by="Ada"), promotion(10), FIRST], MONTH) is None


def test_what_was_rolled_back_to_is_not_watched() -> None:
    back = replace(decision(11, "rolled back", 0.001), version=1, previous=2)
    assert find_watch([back, promotion(10), FIRST], MONTH) is None


def test_gate_and_watch_share_what_comes_in_while_a_watch_lasts() -> None:
    made = [FIRST, decision(8, "kept", 8 * WEEK), promotion(10)]
    assert shared(10, made) == pytest.approx((2 * WEEK, 0))
    assert shared(12, made) == pytest.approx((3 * WEEK, WEEK / 2))
    assert shared(14, made) == pytest.approx((4 * WEEK, 2 * WEEK))
    assert shared(20, made) == pytest.approx((10 * WEEK, 2 * WEEK))  # what has come in for it waits for late labels
    assert allowance(0.05, BEGIN + timedelta(weeks=20), made).level == pytest.approx(12 * WEEK)  # without watches


def test_neither_gate_nor_watch_uses_up_what_is_the_others() -> None:
    made = [FIRST, promotion(10), of_watch(12, WEEK / 2)]
    assert shared(12, made) == pytest.approx((11 * WEEK, 0))
    assert shared(13, made) == pytest.approx((11.5 * WEEK, (9 / 8 - 1 / 2) * WEEK))
    made.append(decision(13, "kept", 11.5 * WEEK))
    assert shared(14, made) == pytest.approx((WEEK / 2, 1.5 * WEEK))
    assert shared(15, made) == pytest.approx((1.5 * WEEK, 1.5 * WEEK))


def test_a_watch_keeps_most_of_its_part_for_its_end() -> None:
    made = [FIRST, promotion(10)]
    for week in (11, 12, 13, 14, 15):
        made.append(of_watch(week, shared(week, made)[1]))
    spent = np.array([each.evidence["level"] for each in made[2:]])
    assert spent / WEEK == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8, 0])


def test_a_watch_ends_where_another_version_comes_into_service() -> None:
    made = [FIRST, promotion(10), promotion(12, 3)]
    assert shared(14, made) == pytest.approx((12 * WEEK, WEEK / 2))
    assert shared(17, made) == pytest.approx((14 * WEEK, 2 * WEEK))
    by_hand = [FIRST, promotion(10), promotion(12, 1, by="Ada")]
    assert shared(14, by_hand) == pytest.approx((13 * WEEK, 0))


def test_a_watch_that_rolls_back_gives_its_part_back() -> None:
    made = [FIRST, promotion(10), of_watch(12, WEEK, "rolled back")]
    assert asked(13, made).left == pytest.approx(0.05)


def test_as_of_before_a_watch_began_it_has_nothing_to_spend() -> None:
    assert shared(8, [FIRST, promotion(10)])[1] == 0


@pytest.mark.parametrize("seed", range(20))
def test_no_year_holds_more_than_its_error_when_watches_test_too(seed: int) -> None:
    random = np.random.default_rng(seed)
    made, version = [FIRST], 1
    weeks = np.cumsum(random.exponential(random.choice([0.2, 1, 4]), size=200))
    asked_at = weeks + random.normal(0, 2, size=200) * (seed % 2)  # as of moments in any order, too
    for week in asked_at:
        for_gate, for_watch = shared(week, made)
        if random.random() < 0.5 and for_watch:
            word = random.choice(["kept", "kept", "kept", "rolled back"])
            made.append(replace(of_watch(week, for_watch, word), version=version - 1, previous=version))
        elif random.random() < 0.1:
            version += 1
            made.append(promotion(week, version))
        else:
            made.append(decision(week, "kept", for_gate))
    spent = [(each.decided_at, each.evidence["level"]) for each in made[1:] if each.outcome == "kept"]
    assert {"watched", None} == {each.evidence.get("shadow") for each in made[1:] if each.outcome == "kept"}
    year = timedelta(weeks=52)
    assert max(sum(level for at, level in spent if 0 * year <= at - begin < year) for begin, _ in spent) <= 0.05 + 1e-12
    if not seed % 2:  # nor do the two together ever spend faster than it comes in
        total = np.cumsum([level for _, level in spent])
        assert (total <= 0.05 * np.array([(at - BEGIN) / year for at, _ in spent]) + 1e-12).all()


@pytest.mark.parametrize("seed", range(20))
def test_no_year_holds_more_than_its_error_whenever_gates_are_asked(seed: int) -> None:
    random = np.random.default_rng(seed)
    weeks = np.cumsum(random.exponential(random.choice([0.2, 1, 6, 40]), size=150))
    asked_at = weeks + random.normal(0, 3, size=150) * (seed % 2)  # as of moments in any order, too
    made = gates(asked_at, random.choice(["kept", "undecided", "promoted"], p=[0.6, 0.3, 0.1], size=150))
    spent = [
        (each.decided_at, each.evidence["level"])
        for each in made[1:]
        if each.outcome == "kept" and each.evidence["level"]
    ]
    assert spent
    year = timedelta(weeks=52)
    assert max(sum(level for at, level in spent if 0 * year <= at - begin < year) for begin, _ in spent) <= 0.05 + 1e-12
