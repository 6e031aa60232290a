"""The simplest candidate within a standard error of the best; the average of all where it wins by more than that."""

import numpy as np
import pytest

from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.selection import AVERAGE, add_average, select_candidate
from rowcast.models.target import Target

RANDOM = np.random.default_rng(0)
OUTCOME = RANDOM.random(2_000) < 0.2
TARGET = Target("binary", OUTCOME, (0, 1))


def scores(raw: dict[str, np.ndarray], target: Target = TARGET, block: np.ndarray | None = None) -> OutOfFold:
    rows = len(target)
    return OutOfFold(target, np.arange(rows) * 5 // rows, np.arange(rows) if block is None else block, raw)


def knowing(strength: float, seed: int) -> np.ndarray:
    return strength * OUTCOME + np.random.default_rng(seed).normal(size=len(OUTCOME))


def test_the_best_is_taken_where_it_is_clearly_better() -> None:
    found = select_candidate(scores({"simple": knowing(0.2, 1), "complex": knowing(3, 2)}))
    assert found.name == "complex"
    assert (found.rule, found.against) == ("least", None)


def test_the_simplest_is_taken_where_the_best_is_not_clearly_better() -> None:
    simple = knowing(1, 1)
    nearly = simple + 0.02 * np.random.default_rng(3).normal(size=len(simple)) + 0.0025 * OUTCOME
    found = select_candidate(scores({"simple": simple, "complex": nearly}))
    assert (found.name, found.rule, found.against) == ("simple", "simplest", "complex")


def test_of_many_rows_that_share_their_luck_less_can_be_told() -> None:
    """Right in one block and wrong in another is hardly evidence, though one by one the rows look like it."""
    simple, block = knowing(1, 1), np.arange(2_000) // 200
    lucky = simple + np.where(OUTCOME, np.select([block == 0, block == 1], [4.0, -1.0]), 0.0)
    raw = {"simple": simple, "complex": lucky}
    assert select_candidate(scores(raw)).name == "complex"
    assert select_candidate(scores(raw, block=block)).name == "simple"


def test_the_average_is_taken_where_each_knows_something_else() -> None:
    raw = {"one": knowing(1, 1), "other": 10 * knowing(1, 2) + 5}  # on another scale
    with_all = add_average(scores(raw))
    assert list(with_all.raw) == ["one", "other", AVERAGE]
    found = select_candidate(with_all)
    assert (found.name, found.rule) == (AVERAGE, "average")
    assert found.against in ("one", "other")
    alike = add_average(scores({"one": knowing(1, 1), "other": knowing(1, 1)}))
    assert select_candidate(alike).name == "one"


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_kinds_are_chosen_among_by_their_own_loss(kind: str) -> None:
    random = np.random.default_rng(4)
    if kind == "regression":
        target = Target("regression", random.normal(size=900))
        raw = {name: target.values + random.normal(size=900) * off for name, off in (("far", 2.0), ("near", 0.2))}
    else:
        target = Target("multiclass", random.integers(0, 3, 900), ("a", "b", "c"))
        truth = np.eye(3)[target.values]
        raw = {name: truth * by + random.normal(size=(900, 3)) for name, by in (("far", 0.1), ("near", 3.0))}
    assert select_candidate(scores(raw, target)).name == "near"


def test_one_candidate_has_no_average() -> None:
    alone = scores({"mine": knowing(1, 1)})
    assert list(add_average(alone).raw) == ["mine"]
    assert select_candidate(alone).name == "mine"
