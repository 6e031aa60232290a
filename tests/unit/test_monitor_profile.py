"""Profiles: counts on fixed edges that add up exactly, however the rows came."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rowcast.errors import ModelError
from rowcast.models.matrix import Matrix
from rowcast.monitor.edges import BINS, Edges, Numbers, compute_edges
from rowcast.monitor.profile import Profile, add_profiles, count_profile, empty_profile

NAN = np.nan


def matrix_of(*columns: list[float], categories: dict[str, tuple[str, ...]] | None = None) -> Matrix:
    """Columns `a`, `b`, …"""
    names = tuple("abcdefgh"[: len(columns)])
    return Matrix(np.array(columns, np.float32).T.copy(), names, categories or {})


def slots(edges: Edges, profile: Profile, place: int = 0) -> list[int]:
    return profile.counts[edges.starts[place] : edges.starts[place + 1]].tolist()


def many(rows: int = 5_000) -> tuple[Matrix, np.ndarray]:
    """Normal, many zeros, integers, constant, never measured, a category; and scores."""
    random = np.random.default_rng(1)
    normal = random.standard_normal(rows)
    normal[random.random(rows) < 0.05] = NAN
    zeros = np.where(random.random(rows) < 0.8, 0.0, normal)
    code = random.integers(0, 3, rows).astype(float)
    code[random.random(rows) < 0.1] = NAN
    columns = [normal, zeros, random.integers(0, 6, rows), np.full(rows, 7.5), np.full(rows, NAN), code]
    return matrix_of(*columns, categories={"f": ("x", "y", "z")}), random.random(rows)


def test_training_rows_fall_into_bins_of_equally_many_and_none_outside() -> None:
    matrix = matrix_of(list(range(3_200)))
    found = compute_edges(matrix)
    assert slots(found, count_profile(found, matrix)) == [0, 0, *[100] * BINS, 0]


def test_a_value_that_many_share_has_a_bin_of_its_own() -> None:
    matrix = matrix_of([0.0] * 900 + [1.0, 2.0, 3.0, 4.0] * 25)
    found = compute_edges(matrix)
    column = found.columns[0]
    assert isinstance(column, Numbers)
    assert slots(found, count_profile(found, matrix))[2] == 900
    assert column.means[1] == 0.0


def test_what_is_outside_the_training_range_and_what_is_missing_are_counted_apart() -> None:
    found = compute_edges(matrix_of([1.0, 2.0, 3.0]))
    new = matrix_of([0.99, 1.0, 2.1, 3.0, np.nextafter(np.float32(3), np.float32(4)), np.inf, -np.inf, NAN])
    assert slots(found, count_profile(found, new)) == [1, 2, 1, 1, 1, 2]


def test_a_constant_column_counts_what_is_not_the_constant() -> None:
    found = compute_edges(matrix_of([5.0, 5.0, NAN]))
    assert slots(found, count_profile(found, matrix_of([5.0, 4.9, 5.1, 5.2, NAN]))) == [1, 1, 1, 2]


def test_of_a_column_never_measured_in_training_values_are_counted_in_one_slot() -> None:
    found = compute_edges(matrix_of([NAN, NAN]))
    assert slots(found, count_profile(found, matrix_of([NAN, 1.0, -1.0]))) == [1, 2]


def test_the_means_of_the_bins_are_those_of_the_training_values() -> None:
    matrix, _ = many()
    found = compute_edges(matrix)
    for place in range(4):
        column, values = found.columns[place], matrix.values[:, place].astype(np.float64)
        count = np.array(slots(found, count_profile(found, matrix), place)[1:])
        assert count @ column.means / count.sum() == pytest.approx(np.nanmean(values), rel=1e-12, abs=1e-12)


def test_categories_are_counted_by_code_and_the_unknown_apart_from_the_missing() -> None:
    matrix = matrix_of([0, 2, 2, NAN, NAN, NAN], categories={"a": ("x", "y", "z")})
    found = compute_edges(matrix)
    assert slots(found, count_profile(found, matrix)) == [3, 0, 1, 0, 2]
    assert slots(found, count_profile(found, matrix, nulls={"a": 1})) == [1, 2, 1, 0, 2]


def test_the_score_is_one_more_column_and_missing_where_there_is_none() -> None:
    matrix, score = many(64)
    found = compute_edges(matrix, score)
    assert sum(slots(found, count_profile(found, matrix, score), -2)[2:-1]) == 64
    assert slots(found, count_profile(found, matrix), -2)[0] == 64


def test_a_score_that_differs_in_its_last_bits_falls_into_the_same_slot() -> None:
    """Linear scores do between batch sizes; those of trees come in few values, and many rows share one."""
    matrix, score = many()
    score = np.round(score, 2)
    found = compute_edges(matrix, score)
    for factor in (1 + 4e-16, 1 - 4e-16):
        inside = (score > score.min()) & (score < score.max())
        there, here = (
            count_profile(found, matrix.take(inside), score[inside] * factor),
            count_profile(found, matrix.take(inside), score[inside]),
        )
        assert np.array_equal(there.counts, here.counts)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 60), st.just(2)), elements=st.floats(width=32)),
    st.lists(st.integers(0, 60), max_size=4),
    st.randoms(use_true_random=False),
)
def test_profiles_of_parts_add_up_to_that_of_the_whole_in_any_order(values, cuts, shuffle) -> None:
    found = compute_edges(matrix_of([-3.0, 0.0, 0.0, 2.5, 1e-30, 9.0], [1.0, 2.0, 3.0, NAN, 5.0, 6.0]))
    whole = count_profile(found, Matrix(values, ("a", "b"), {}))
    rows = list(range(len(values)))
    shuffle.shuffle(rows)
    total = empty_profile(found)
    for part in np.split(np.array(rows, np.int64), sorted(min(cut, len(rows)) for cut in cuts)):
        total = add_profiles(count_profile(found, Matrix(values[part], ("a", "b"), {})), total)
    assert np.array_equal(total.counts, whole.counts)
    assert total.counts[: found.starts[1]].sum() == len(values)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 80), elements=st.floats(width=32)))
def test_counts_are_those_of_a_plain_comparison(values) -> None:
    found = compute_edges(matrix_of([-3.0, -1.0, 0.0, 2.5, 1e-30, 9.0]))
    counted = slots(found, count_profile(found, matrix_of(values)))
    bounds = [-np.inf, *found.columns[0].bounds]
    plain = [
        sum(1 for v in values.astype(np.float64) if low <= v and (v < high or high == np.inf))
        for low, high in zip(bounds, [*bounds[1:], np.inf], strict=True)
    ]
    assert counted == [int(np.isnan(values).sum()), *plain]


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int64, 4, elements=st.integers(0, 2**63 - 1)))
def test_a_profile_reads_back_as_it_was(counts) -> None:
    found = compute_edges(matrix_of([5.0, 5.0]))
    read = Profile.from_bytes(Profile(counts, found.digest).to_bytes(), found)
    assert np.array_equal(read.counts, counts)
    assert read.counts.dtype == np.int64


def test_a_profile_of_a_run_takes_about_a_byte_a_slot() -> None:
    matrix, score = many(1_000)
    found = compute_edges(*many())
    assert len(count_profile(found, matrix, score).to_bytes()) < found.starts[-1] + 40


def test_edges_read_back_as_they_were() -> None:
    matrix, score = many()
    found = compute_edges(matrix, score)
    read = Edges.from_bytes(found.to_bytes())
    assert read.digest == found.digest
    assert read.to_bytes() == found.to_bytes()
    assert np.array_equal(count_profile(read, matrix, score).counts, count_profile(found, matrix, score).counts)
    assert read.names == matrix.names


def test_profiles_of_other_edges_are_refused() -> None:
    one, other = compute_edges(matrix_of([1.0, 2.0])), compute_edges(matrix_of([1.0, 2.5]))
    of_one, of_other = (count_profile(each, matrix_of([1.0])) for each in (one, other))
    with pytest.raises(ModelError, match="different model versions"):
        add_profiles(of_one, of_other)
    with pytest.raises(ModelError, match="cannot be read"):
        Profile.from_bytes(of_one.to_bytes(), other)


def test_other_columns_are_refused() -> None:
    found = compute_edges(matrix_of([0, 1], categories={"a": ("x", "y")}))
    for other in (matrix_of([0, 1]), matrix_of([0, 1], [0, 1]), matrix_of([0, 1], categories={"a": ("y", "x")})):
        with pytest.raises(ModelError, match="not those"):
            count_profile(found, other)


def test_bytes_that_are_not_sound_are_refused() -> None:
    found = compute_edges(*many(50))
    good, kept = count_profile(found, *many(50)).to_bytes(), found.to_bytes()
    head = good[:9]
    huge = zlib.compress(bytes([8]) + b"\xff" * 8 * int(found.starts[-1]))
    long = zlib.compress(bytes([8]) + bytes(1 << 24))
    for wrong in (
        b"",
        good[:-1],
        head,
        good + b"x",
        head + zlib.compress(b""),
        head + zlib.compress(b"\3abc"),
        head + huge,
        head + long,
    ):
        with pytest.raises(ModelError, match="profile"):
            Profile.from_bytes(wrong, found)
    text = zlib.decompress(kept)
    for wrong in (
        b"",
        kept[:-1],
        kept + b"x",
        zlib.compress(text[:-8]),
        zlib.compress(text + bytes(8)),
        zlib.compress(b"\1\0\0\0{"),
        zlib.compress(text.replace(b"[1, true", b"[9, true")),
    ):
        with pytest.raises(ModelError, match="edges"):
            Edges.from_bytes(wrong)
