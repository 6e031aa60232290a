"""A column that tells the outcome too well is named."""

import numpy as np

from rowcast.fit.leakage import find_suspects
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target


def test_a_column_that_was_written_after_the_outcome_is_named_and_no_other() -> None:
    random = np.random.default_rng(0)
    outcome = random.random(500) < 0.2
    values = random.normal(size=(500, 4)).astype(np.float32)
    values[:, 1] += 2 * outcome  # tells much, and not all
    values[:, 2] = np.where(outcome, -5, 5) + random.normal(size=500)
    values[:, 3] = np.where(outcome, np.nan, 1)
    found = find_suspects(Matrix(values, tuple("abcd"), {}), Target("binary", outcome, (0, 1)))
    assert [each.column for each in found] == ["c"]
    assert "an AUC of 1.000" in found[0].why


def test_an_amount_that_repeats_the_label_is_named() -> None:
    random = np.random.default_rng(1)
    label = random.normal(size=300)
    values = np.stack([label * 3 + 1, label + random.normal(size=300)], axis=1).astype(np.float32)
    found = find_suspects(Matrix(values, ("copy", "sensor"), {}), Target("regression", label))
    assert [each.column for each in found] == ["copy"]
