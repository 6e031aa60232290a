"""A column that was on another scale for a while, and is back: those rows are set aside; a scale that stays is not."""

from dataclasses import replace

import numpy as np
import pytest

from rowcast.fit import TrainingData
from rowcast.fit.changed_scales import find_changed_scales
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target
from rowcast.store.records import PeriodFault

DAY, DAYS, EACH = 86_400_000_000, 60, 60
ROWS = DAYS * EACH
NAMES = ("celsius", "offset", "count", "tool")
BAD = slice(40 * EACH + 20, 50 * EACH + 20)  # neither edge is that of a day


def make_values(rows: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    warm = random.normal(25, 2, rows) + np.sin(np.arange(rows) / 500)
    return np.stack([warm, random.normal(0, 1, rows), random.poisson(3, rows), random.integers(0, 3, rows)], axis=1)


def training(values: np.ndarray, newest: np.ndarray | None = None) -> TrainingData:
    time = np.arange(ROWS) // EACH * DAY + np.arange(ROWS) % EACH
    target = Target("regression", np.zeros(ROWS))
    return TrainingData(of(values), target, time, time, None, None, True, newest=None if newest is None else of(newest))


def of(values: np.ndarray) -> Matrix:
    return Matrix(values.astype(np.float32), NAMES, {"tool": ("a", "b", "c")})


def changed(place: int, rows: slice, factor: float, shift: float = 0.0) -> np.ndarray:
    values = make_values(ROWS, 0)
    values[rows, place] = values[rows, place] * factor + shift
    return values


def test_rows_that_are_as_ever_are_all_kept() -> None:
    assert find_changed_scales(training(make_values(ROWS, 0), make_values(500, 1))) == ()


@pytest.mark.parametrize(
    ("place", "factor", "shift"),
    [(0, 1000, 0), (0, 0.001, 0), (0, 1.8, 32), (0, 1, 273.15), (0, -1, 0), (1, 1000, 0), (2, 1000, 0)],
    ids=["milli", "kilo", "Fahrenheit", "Kelvin", "sign", "around zero", "counts"],
)
def test_a_column_in_another_unit_for_a_while_is_found_and_named(place: int, factor: float, shift: float) -> None:
    [found] = find_changed_scales(training(changed(place, BAD, factor, shift)))
    assert (found.fault, found.column) == (PeriodFault.SCALE_CHANGED, NAMES[place])
    assert abs(found.first - BAD.start) <= 20
    assert abs(found.last - BAD.stop + 1) <= 20


def test_a_scale_that_stays_is_learned_unless_the_rows_to_be_scored_lack_it() -> None:
    stays = slice(50 * EACH, None)
    assert find_changed_scales(training(changed(0, stays, 1000))) == ()
    same = make_values(500, 1)
    same[:, 0] *= 1000
    assert find_changed_scales(training(changed(0, stays, 1000), same)) == ()
    [found] = find_changed_scales(training(changed(0, stays, 1000), make_values(500, 1)))
    assert (found.first, found.last) == (stays.start, ROWS - 1)


def test_a_product_that_comes_now_and_then_is_no_unit() -> None:
    values = make_values(ROWS, 0)
    for first in (10, 30, 45):
        values[first * EACH : (first + 4) * EACH, 0] = 27 + 0.1 * values[first * EACH : (first + 4) * EACH, 1]
    values[50 * EACH : 52 * EACH, 0] += 9  # beyond all others, and no other unit
    assert find_changed_scales(training(values)) == ()


def test_a_column_that_was_empty_for_a_while_is_no_unit() -> None:
    values = make_values(ROWS, 0)
    values[BAD, 0] = np.nan
    assert find_changed_scales(training(values)) == ()


def test_rows_without_times_and_few_days_are_left_alone() -> None:
    rows = training(changed(0, BAD, 1000))
    assert find_changed_scales(replace(rows, is_dated=False)) == ()
    assert find_changed_scales(rows.take(np.arange(BAD.start - 2 * EACH, BAD.start + 2 * EACH))) == ()
