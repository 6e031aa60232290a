"""From profiles to the series that are watched."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import binom, norm, truncnorm

from rowcast.errors import ModelError
from rowcast.models.matrix import Matrix
from rowcast.monitor.edges import Numbers, compute_edges
from rowcast.monitor.profile import count_profile
from rowcast.monitor.statistics import Figures, Frame, Run, Series, to_angle

NAN = np.nan
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


def matrix_of(categories: dict[str, tuple[str, ...]] | None = None, **columns: np.ndarray) -> Matrix:
    return Matrix(np.array(list(columns.values()), np.float32).T.copy(), tuple(columns), categories or {})


def frame_of(matrix: Matrix, score: np.ndarray | None = None) -> Frame:
    found = compute_edges(matrix, score)
    return Frame(found, count_profile(found, matrix, score))


def run_of(frame: Frame, matrix: Matrix, score: np.ndarray | None = None, **about) -> Run:
    return Run("r", about.pop("at", BEGIN), count_profile(frame.edges, matrix, score), **about)


def value(figures: Figures, kind: str, column: str | None = None, category: str | None = None, run: int = 0) -> float:
    return float(figures.values[run, figures.series.index(Series(kind, column, category))])


@pytest.fixture(scope="module")
def normal() -> Frame:
    return frame_of(matrix_of(x=np.random.default_rng(0).standard_normal(100_000)))


def test_a_bin_counts_with_the_mean_normal_score_of_its_values(normal: Frame) -> None:
    """And for the scale with the mean of the score's square: those of scipy's truncated normal."""
    scores, squares, share = normal._scores
    ends = norm.ppf(np.cumsum(share[1:]))[:-1]
    for slot, (low, high) in enumerate(zip([-np.inf, *ends], [*ends, np.inf], strict=True), start=1):
        if slot in (1, 34):  # outside the training range: too rare for scipy's moments
            continue
        mean, variance = truncnorm.stats(low, high)
        assert scores[slot] == pytest.approx(mean, abs=1e-6)
        assert squares[slot] == pytest.approx(variance + mean**2, abs=1e-6)


def test_location_is_the_shift_in_sds_and_scale_the_variance_whatever_the_location(normal: Frame) -> None:
    rows = np.random.default_rng(1).standard_normal(200_000)
    for shift, factor in ((0.0, 1.0), (0.5, 1.0), (0.0, 1.2), (-0.5, 0.8)):
        figures = normal.figures([run_of(normal, matrix_of(x=rows * factor + shift))])
        assert value(figures, "location", "x") == pytest.approx(shift, abs=0.02)
        assert value(figures, "scale", "x") ** 3 == pytest.approx(factor**2, rel=0.07)


def test_location_and_scale_do_not_depend_on_the_unit_or_on_the_shape() -> None:
    """Both see ranks: of lognormal values in millions as of normal ones."""
    random = np.random.default_rng(2)
    training, rows = random.standard_normal(20_000), random.standard_normal(3_000) + 0.3
    plain, odd = frame_of(matrix_of(x=training)), frame_of(matrix_of(x=1e6 * np.exp(training)))
    one = plain.figures([run_of(plain, matrix_of(x=rows))])
    other = odd.figures([run_of(odd, matrix_of(x=1e6 * np.exp(rows)))])
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)


def test_a_row_adds_the_noise_that_is_said(normal: Frame) -> None:
    random = np.random.default_rng(3)
    runs = [run_of(normal, matrix_of(x=random.standard_normal(500))) for _ in range(2_000)]
    figures = normal.figures(runs)
    for kind in ("location", "scale"):
        place = figures.series.index(Series(kind, "x"))
        assert figures.values[:, place].var() * 500 == pytest.approx(figures.noise[place], rel=0.1)


def test_the_variance_of_a_share_as_an_angle_is_one_over_the_rows() -> None:
    counts = np.arange(1_001)
    for share in (0.01, 0.05, 0.5, 0.98):
        weight = binom.pmf(counts, 1_000, share)
        mean = weight @ to_angle(counts, 1_000)
        assert weight @ (to_angle(counts, 1_000) - mean) ** 2 * 1_000 == pytest.approx(1, abs=0.05)


def test_missing_values_and_those_outside_the_training_range_have_series_of_their_own(normal: Frame) -> None:
    rows = np.concatenate([np.full(30, NAN), np.full(5, 9.0), np.full(2, -9.0), np.zeros(63)])
    figures = normal.figures([run_of(normal, matrix_of(x=rows))])
    assert value(figures, "missing", "x") == pytest.approx(to_angle(30, 100))
    assert value(figures, "range", "x") == pytest.approx(to_angle(7, 70))


def test_common_categories_have_series_of_their_own_the_rare_share_one_and_so_do_the_unseen() -> None:
    codes = np.repeat([0.0, 1, 2, 3], [600, 390, 7, 3])
    frame = frame_of(matrix_of({"tool": ("a", "b", "c", "d")}, tool=codes))
    new = matrix_of({"tool": ("a", "b", "c", "d")}, tool=np.repeat([0, 1, 2, 3, NAN], [50, 20, 10, 10, 10]))
    run = Run("r", BEGIN, count_profile(frame.edges, new, nulls={"tool": 4}))
    figures = frame.figures([run])
    assert value(figures, "category", "tool", "a") == pytest.approx(to_angle(50, 96))
    assert value(figures, "category", "tool", "b") == pytest.approx(to_angle(20, 96))
    assert value(figures, "category", "tool") == pytest.approx(to_angle(20, 96))
    assert value(figures, "unseen", "tool") == pytest.approx(to_angle(6, 96))
    assert value(figures, "missing", "tool") == pytest.approx(to_angle(4, 100))


def test_too_few_values_give_no_figure(normal: Frame) -> None:
    figures = normal.figures([run_of(normal, matrix_of(x=np.array([1.0] * 7 + [NAN] * 50)))])
    assert np.isnan(value(figures, "location", "x"))
    assert not np.isnan(value(figures, "missing", "x"))


def test_a_constant_column_is_watched_by_its_range_and_one_never_measured_too() -> None:
    frame = frame_of(matrix_of(c=np.full(100, 5.0), n=np.full(100, NAN)))
    assert {series for series in frame.series if series.column} == {
        Series(kind, name) for kind in ("missing", "range") for name in "cn"
    }
    figures = frame.figures([run_of(frame, matrix_of(c=np.array([5.0] * 90 + [5.1] * 10), n=np.full(100, 1.0)))])
    assert value(figures, "range", "c") == pytest.approx(to_angle(10, 100))
    assert value(figures, "range", "n") == pytest.approx(to_angle(100, 100))


def test_the_job_has_series_too() -> None:
    frame = frame_of(matrix_of(x=np.arange(100.0)), np.arange(100.0))
    rows, score = matrix_of(x=np.arange(90.0)), np.arange(90.0)
    hours = timedelta(hours=6)
    one = run_of(frame, rows, score, rows=100, quarantined=10, flagged=9, age=timedelta(hours=2))
    other = run_of(frame, rows, score, at=BEGIN + hours, rows=120, quarantined=30, flagged=9, age=timedelta(hours=4))
    figures = frame.figures([one, other])
    assert value(figures, "flagged") == pytest.approx(to_angle(9, 90))
    assert value(figures, "quarantined") == pytest.approx(to_angle(10, 100))
    assert value(figures, "age", run=1) - value(figures, "age") == pytest.approx(np.log(2), abs=0.01)
    assert np.isnan(value(figures, "rows"))
    assert value(figures, "rows", run=1) == pytest.approx(np.log(120.5 / 6))
    assert value(figures, "score") == pytest.approx(value(figures, "location", "x"))


def test_amounts_are_those_of_the_rows_within_a_bin() -> None:
    random = np.random.default_rng(4)
    training = matrix_of(x=random.gamma(4, 2, 50_000))
    frame, rows = frame_of(training), random.gamma(4, 2, 5_000) * 1.1
    rows[:1_000] = NAN
    amounts, sd = frame.amounts(count_profile(frame.edges, matrix_of(x=rows)).counts)
    by_series = dict(zip(frame.series, amounts, strict=True))
    assert by_series[Series("location", "x")] == pytest.approx(np.nanmean(rows), rel=0.01)
    assert by_series[Series("scale", "x")] == pytest.approx(np.nanstd(rows), rel=0.05)
    assert by_series[Series("missing", "x")] == 0.2
    assert sd[0] == by_series[Series("scale", "x")]


def test_profiles_of_another_model_version_are_refused(normal: Frame) -> None:
    other = frame_of(matrix_of(x=np.arange(9.0)))
    with pytest.raises(ModelError, match="several model versions"):
        normal.figures([run_of(other, matrix_of(x=np.arange(9.0)))])
    with pytest.raises(ModelError, match="other edges"):
        Frame(normal.edges, other.reference)


def test_of_no_runs_there_are_no_figures(normal: Frame) -> None:
    figures = normal.figures([])
    assert figures.values.shape == (0, len(figures.series))


def test_the_score_has_bounds_in_double_precision() -> None:
    frame = frame_of(matrix_of(x=np.arange(9.0)), np.array([0.1] * 5 + [0.1 + 1e-12] * 4))
    assert isinstance(frame.edges.score, Numbers)
    assert len(frame.edges.score.bounds) == 3
