"""What gates may spend of a year's error: by the calendar, only where they test, never the same time twice."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from rowcast.gate import Allowance, allowance

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = 0.05 / 52


def decision(weeks: float, word: str, level: float | None = None, by: str = "gate") -> dict[str, Any]:
    return {
        "decided_at": BEGIN + timedelta(weeks=weeks),
        "decided_by": by,
        "decision": word,
        "evidence": {"level": level} if by == "gate" else {"by": "a person"},
    }


FIRST = {**decision(0, "promoted"), "evidence": {"cost_per_row": 0.4}}


def asked(weeks: float, decisions: Iterable[dict[str, Any]], yearly: float = 0.05) -> Allowance:
    return allowance(yearly, BEGIN + timedelta(weeks=weeks), decisions)


def gates(weeks: Iterable[float], words: Iterable[str]) -> list[dict[str, Any]]:
    """Decisions of gates that each asked what they might spend, and the first version's."""
    made = [FIRST]
    for week, word in zip(weeks, words, strict=True):
        level = asked(week, made).level
        made.append(decision(week, word, None if word == "undecided" else level))
    return made


def levels(decisions: list[dict[str, Any]]) -> list[float]:
    return [each["evidence"]["level"] for each in decisions[1:] if each["evidence"]["level"]]


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


@pytest.mark.parametrize("seed", range(20))
def test_no_year_holds_more_than_its_error_whenever_gates_are_asked(seed: int) -> None:
    random = np.random.default_rng(seed)
    weeks = np.cumsum(random.exponential(random.choice([0.2, 1, 6, 40]), size=150))
    asked_at = weeks + random.normal(0, 3, size=150) * (seed % 2)  # as of moments in any order, too
    made = gates(asked_at, random.choice(["kept", "undecided", "promoted"], p=[0.6, 0.3, 0.1], size=150))
    spent = [
        (each["decided_at"], each["evidence"]["level"])
        for each in made[1:]
        if each["decision"] == "kept" and each["evidence"]["level"]
    ]
    assert spent
    year = timedelta(weeks=52)
    assert max(sum(level for at, level in spent if 0 * year <= at - begin < year) for begin, _ in spent) <= 0.05 + 1e-12
