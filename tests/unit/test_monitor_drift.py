"""Drift: what false alarms it keeps to, what it sees and when, and how it is told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind

from rowcast.messages.drift import describe_alarm
from rowcast.models.matrix import Matrix
from rowcast.monitor.baseline import CLEAN, fit_baseline
from rowcast.monitor.drift import SHARES, compute_costs, detect_drift, merge_small_runs, score_weights, split_blocks
from rowcast.monitor.edges import compute_edges
from rowcast.monitor.profile import count_profile
from rowcast.monitor.shifts import LEVELS, Shift, find_shifts, level_of_runs
from rowcast.monitor.statistics import Figures, Frame, Run, Series, to_angle

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
HOURS = timedelta(hours=6)
NAMES = tuple("abcdef")
TOOL = ("x", "y", "z")
Rows = Callable[[int, np.ndarray], None]  # changes the rows of a run in place


def frame() -> Frame:
    matrix = Matrix(rows_of(np.random.default_rng(0), 5_000), (*NAMES, "tool"), {"tool": TOOL})
    found = compute_edges(matrix, matrix.values[:, 0].astype(np.float64))
    return Frame(found, count_profile(found, matrix, matrix.values[:, 0].astype(np.float64)))


def rows_of(random: np.random.Generator, rows: int) -> np.ndarray:
    """Six normal columns, one in twenty values missing, and a category."""
    values = random.standard_normal((rows, 7)).astype(np.float32)
    values[random.random((rows, 7)) < 0.05] = np.nan
    values[:, 6] = random.integers(0, 3, rows)
    return values


FRAME = frame()


def runs_of(
    count: int,
    change: Rows | None = None,
    seed: int = 1,
    rows: int = 300,
    effect: float = 0.05,
    nulls: Callable[[int], int] | None = None,  # rows of a run without a tool; other NaN are tools not known
) -> list[Run]:
    """Every six hours; no run is quite like another."""
    random, found = np.random.default_rng(seed), []
    for run in range(count):
        values = rows_of(random, rows) + np.append(effect * random.standard_normal(6), 0).astype(np.float32)
        if change is not None:
            change(run, values)
        score = np.nan_to_num(values[:, 0]).astype(np.float64)
        of_tool = {} if nulls is None else {"tool": nulls(run)}
        counted = count_profile(FRAME.edges, Matrix(values, (*NAMES, "tool"), {"tool": TOOL}), score, of_tool)
        flagged, age = int((score > 1.5).sum()), timedelta(hours=float(random.gamma(4.0, 0.25)))
        found.append(Run(f"r{run}", BEGIN + run * HOURS, counted, rows, 0, flagged, age))
    return found


def step(column: int, by: float, since: int, until: int = 10_000) -> Rows:
    def change(run: int, values: np.ndarray) -> None:
        values[:, column] += by * (since <= run < until)

    return change


def gaussian(seed: int, runs: int, series: int) -> Figures:
    values = np.random.default_rng(seed).standard_normal((runs, series))
    names = tuple(Series("location", f"s{place}") for place in range(series))
    return Figures(names, values, np.full(values.shape, 1_000.0), np.zeros(series))


def found(figures: Figures, budget: float) -> int:
    """How many shifts there are in a month of 120 runs."""
    return len(shifts_of(figures, budget))


def shifts_of(figures: Figures, budget: float) -> list[Shift]:
    level, series = np.full(len(figures.values), budget / 120), len(figures.series)
    return find_shifts(figures, fit_baseline(figures, CLEAN), level, np.full(series, 1 / series))


def lumpy(random: np.random.Generator) -> np.ndarray:
    """Angles of the share of 200 rows that are missing, by lots of 25."""
    return to_angle(25 * random.binomial(8, 0.02, (160, 200)), 200)


def of_days(random: np.random.Generator) -> np.ndarray:
    """The four runs of a day have half of their variance in common."""
    return np.repeat(random.standard_normal((40, 200)), 4, axis=0) + random.standard_normal((160, 200))


@pytest.mark.parametrize(
    "draw",
    [lambda random: random.standard_normal((160, 200)), lambda random: random.standard_t(5, (160, 200)), of_days],
)
def test_false_shifts_of_all_series_and_runs_together_keep_to_what_is_allowed(draw: Callable) -> None:
    months = [replace(gaussian(0, 160, 200), values=draw(np.random.default_rng(seed))) for seed in range(20)]
    assert sum(found(month, budget=2.0) for month in months) <= 20 * 2.0


def test_cells_that_go_missing_by_the_lot_keep_to_it_too() -> None:
    names, rows = tuple(Series("missing", f"s{place}") for place in range(200)), np.full((160, 200), 200.0)
    months = [Figures(names, lumpy(np.random.default_rng(seed)), rows, np.ones(200)) for seed in range(20)]
    assert sum(found(month, budget=2.0) for month in months) <= 20 * 2.0


def test_what_is_allowed_is_mostly_used() -> None:
    """A rule far below it would cost power."""
    assert sum(found(gaussian(seed, 160, 200), budget=2.0) for seed in range(20)) > 0.4 * 20 * 2.0


def test_a_small_shift_is_seen_within_fifty_runs() -> None:
    """Five of 200 series step up by 1.25 of their SDs from run to run, from run 60 on: 41 runs later on average."""
    delays = list[int]()
    for seed in range(10):
        figures = gaussian(seed, 160, 200)
        figures.values[60:, :5] += 1.25
        later = [shift for shift in shifts_of(figures, budget=1.0) if shift.seen >= 60]
        seen = {shift.series: shift.seen for shift in reversed(later)}
        delays += [seen.get(series, 160) - 59 for series in range(5)]
    assert np.mean(delays) < 50


def test_series_that_move_together_do_not_pass_for_many() -> None:
    months = [gaussian(seed, 160, 200) for seed in range(20)]
    for seed, month in enumerate(months):
        month.values[:] += 1.5 * np.random.default_rng([seed, 1]).standard_normal((160, 1))
    assert sum(len({shift.seen for shift in shifts_of(month, budget=2.0)}) for month in months) <= 20 * 2.0
    free = [fit_baseline(month, CLEAN).free[0, 0] for month in months]
    assert max(free) < 15 < fit_baseline(gaussian(0, 160, 200), CLEAN).free[0, 0]


def test_one_run_far_off_does_not_shift_the_mean_of_several() -> None:
    figures = gaussian(5, 70, 30)
    figures.values[60] += 12.0
    usual = fit_baseline(figures, CLEAN)
    t = usual.t_values(figures.values, figures.rows)
    assert (t[0, 60] > 6).all()
    assert (t[1:, 60:64] < 6).all()


def test_a_spread_that_changes_by_a_hundredth_is_the_same_however_alike_runs_are() -> None:
    for by, is_seen in ((0.006, False), (0.03, True)):
        figures = gaussian(6, 160, 20)
        values = 1 + 0.001 * figures.values
        values[60:] += by
        scales = replace(figures, series=tuple(Series("scale", f"s{k}") for k in range(20)), values=values)
        assert bool(shifts_of(scales, budget=1.0)) == is_seen


def test_a_series_that_never_changes_has_not_shifted() -> None:
    figures = replace(gaussian(7, 160, 20), values=np.full((160, 20), 3.0), noise=np.full(20, 0.01))
    assert shifts_of(figures, budget=1.0) == []


def test_a_run_is_held_against_the_clean_ones_as_by_students_t() -> None:
    figures = gaussian(3, 41, 12)
    figures.values[40] *= 4
    usual = fit_baseline(figures, 40)
    expected = ttest_ind(figures.values[40:], figures.values[:40])
    t = usual.t_values(figures.values, figures.rows)[0, 40]
    np.testing.assert_allclose(t * usual.scale[0], expected.statistic)
    p = 2 * student.sf(np.abs(t), usual.free[0])
    share = p / LEVELS[0] * np.where(np.arange(12) % 2, 1.01, 0.99)
    seen = {shift.series for shift in find_shifts(figures, usual, np.full(41, 1.0), share)}
    assert seen == {place for place in range(1, 12, 2) if abs(t[place]) > 2.5}
    assert seen


def test_clean_runs_held_against_each_other_show_long_tails_and_days_that_runs_have_in_common() -> None:
    random, figures = np.random.default_rng(4), gaussian(4, 160, 200)
    normal, days, tails = (
        fit_baseline(replace(figures, values=values), 40)
        for values in (figures.values, of_days(random), random.standard_t(4, (160, 200)))
    )
    assert normal.scale.max() < 1.1
    assert normal.free.min() > 12
    assert days.scale[0, 0] < 1.1 < 1.3 < days.scale[1, 0]
    assert tails.free[0, 0] < 8


def test_a_small_run_counts_for_less_and_a_large_one_as_a_usual_one() -> None:
    figures = gaussian(7, 50, 20)
    rows = figures.rows.copy()
    rows[40:45], rows[45:] = 100, 10_000
    usual = fit_baseline(figures, 40)
    plain, sized = (usual.t_values(figures.values, each)[0] for each in (figures.rows, rows))
    np.testing.assert_allclose(sized[40:45], plain[40:45] * np.sqrt(1.025 / 10.025))
    np.testing.assert_allclose(sized[45:], plain[45:])


def test_a_series_with_too_few_clean_values_is_not_watched() -> None:
    figures = gaussian(8, 60, 3)
    for place, absent in ((0, slice(3)), (1, slice(5, 20)), (2, slice(60))):
        figures.values[absent, place], figures.rows[absent, place] = np.nan, 0
    figures.values[45:] += 50
    assert {shift.series for shift in find_shifts(figures, fit_baseline(figures, 40), np.ones(60), np.ones(3) / 3)} == {
        0
    }


def test_without_drift_nothing_is_told() -> None:
    looked = detect_drift(runs_of(160), FRAME)
    assert (looked.events, looked.alarm, looked.provisional) == ((), None, False)


def test_a_step_is_told_once_in_its_own_run_with_what_since_when_and_by_how_much() -> None:
    looked = detect_drift(runs_of(90, step(2, 1.0, 60)), FRAME)
    [event] = looked.events
    assert (event.what, event.run_id) == ("started", "r60")
    assert looked.alarm is not None
    finding = looked.alarm.findings[0]
    assert (finding.series, finding.since, finding.since_at) == (Series("location", "c"), "r60", BEGIN + 59 * HOURS)
    assert finding.was == pytest.approx(0, abs=0.1)
    assert finding.now == pytest.approx(1, abs=0.1)
    assert finding.change == pytest.approx(1, abs=0.1)
    assert {found.series.column for found in looked.alarm.findings} == {"c"}


def test_a_ramp_is_told_before_it_is_half_done() -> None:
    def change(run: int, values: np.ndarray) -> None:
        values[:, 1] -= np.clip((run - 59) / 60, 0, 1)

    looked = detect_drift(runs_of(150, change), FRAME)
    assert looked.events[0].findings[0].series == Series("location", "b")
    assert 60 <= int(looked.events[0].run_id[1:]) < 90


@pytest.mark.parametrize(
    ("series", "change"),
    [
        (Series("scale", "d"), lambda values: values.__setitem__((..., 3), values[:, 3] * 1.5)),
        (Series("missing", "e"), lambda values: values.__setitem__((slice(0, 90), 4), np.nan)),
        (Series("range", "f"), lambda values: values.__setitem__((slice(0, 30), 5), 50.0)),
        (Series("category", "tool", "z"), lambda values: values.__setitem__((slice(0, 150), 6), 2)),
    ],
)
def test_other_changes_of_a_column_are_told_in_their_own_run(series: Series, change: Callable) -> None:
    looked = detect_drift(runs_of(70, lambda run, values: change(values) if run >= 60 else None), FRAME)
    assert looked.events[0].run_id == "r60"
    assert series in {finding.series for finding in looked.events[0].findings}


def test_the_job_is_watched_in_the_same_frame() -> None:
    runs = runs_of(70)
    fewer = [replace(run, rows=60) if place >= 60 else run for place, run in enumerate(runs)]
    older = [replace(run, age=timedelta(days=3)) if place >= 60 else run for place, run in enumerate(runs)]
    worse = [replace(run, quarantined=30) if place >= 60 else run for place, run in enumerate(runs)]
    for changed, kind in ((fewer, "rows"), (older, "age"), (worse, "quarantined")):
        event = detect_drift(changed, FRAME).events[0]
        assert event.run_id == "r60"
        assert Series(kind) in {finding.series for finding in event.findings}


def test_fewer_bad_rows_and_younger_ones_are_no_trouble() -> None:
    runs = [replace(run, quarantined=30, age=timedelta(days=3)) for run in runs_of(60)]
    better = [replace(run, quarantined=0, age=timedelta(minutes=1)) for run in runs_of(80)[60:]]
    assert detect_drift([*runs, *better], FRAME).events == ()


def test_a_source_that_stops_is_told() -> None:
    runs = runs_of(60)
    empty = replace(runs[0].profile, counts=np.zeros_like(runs[0].profile.counts))
    stopped = [Run(f"r{k}", BEGIN + k * HOURS, empty, 0, 0, 0, timedelta(hours=6 * (k - 59))) for k in range(60, 70)]
    kinds = {finding.series.kind for finding in detect_drift([*runs, *stopped], FRAME).events[0].findings}
    assert kinds & {"rows", "age"}


def test_an_alarm_ends_when_the_column_is_back_and_says_so() -> None:
    looked = detect_drift(runs_of(110, step(2, 1.0, 60, 80)), FRAME)
    assert [event.what for event in looked.events] == ["started", "ended"]
    assert 80 < int(looked.events[1].run_id[1:]) < 90
    assert looked.events[1].findings[0].series == Series("location", "c")
    assert abs(looked.events[1].findings[0].now) < 0.2
    assert looked.alarm is None


def test_a_single_odd_run_is_one_alarm_and_one_end() -> None:
    looked = detect_drift(runs_of(110, step(2, 1.5, 60, 61)), FRAME)
    assert looked.events[0].run_id == "r60"
    assert [event.what for event in looked.events] == ["started", "ended"]


def hourly(rows: int, per_hour: int) -> np.ndarray:
    return np.arange(rows, dtype=np.int64) * (3_600_000_000 // per_hour)


@pytest.mark.parametrize(("apart", "expected"), [(timedelta(hours=6), 600), (timedelta(days=1), 1_250)])
def test_blocks_of_training_rows_last_no_longer_than_runs_are_apart_and_are_forty_or_more(
    apart: timedelta, expected: int
) -> None:
    found = split_blocks(50_000, hourly(50_000, 100), apart)
    assert {len(each) for each in found} == {expected}
    assert found[-1][-1] == 49_999
    assert len(found) == min(80, 50_000 // expected)
    np.testing.assert_array_equal(np.concatenate(found), np.arange(found[0][0], 50_000))


def test_blocks_have_fifty_rows_where_fewer_come_between_runs() -> None:
    assert [len(each) for each in split_blocks(3_020, hourly(3_020, 2), timedelta(hours=6))] == [50] * 60
    assert {len(each) for each in split_blocks(3_020, None)} == {75, 76}


def test_blocks_are_smaller_where_there_would_be_too_few() -> None:
    assert [len(each) for each in split_blocks(1_020, hourly(1_020, 2), timedelta(hours=6))] == [25] * 40
    assert {len(each) for each in split_blocks(1_020, None)} == {25, 26}
    assert [len(each) for each in split_blocks(70, hourly(70, 2))] == [20] * 3
    assert [len(each) for each in split_blocks(30, hourly(30, 2))] == [30]
    assert [len(each) for each in split_blocks(7, hourly(7, 2))] == [7]


def test_rows_of_a_pattern_of_the_day_are_in_blocks_as_they_are_in_runs() -> None:
    """Blocks of whole days would differ from each other by far less than runs of six hours do."""
    when = hourly(50_000, 100)
    warm = np.cos(when / 3.6e9 / 24 * 2 * np.pi)
    of_blocks, of_runs = (
        np.std([warm[part].mean() for part in parts])
        for parts in (split_blocks(50_000, when, timedelta(hours=6)), np.split(np.arange(48_000), 80))
    )
    assert of_blocks == pytest.approx(of_runs, rel=0.1)


def test_an_alarm_says_what_a_row_is_expected_to_cost_before_and_since() -> None:
    costs = FRAME.edges.score.means  # a cost that grows with the score, which moves with the first column
    runs = runs_of(90, step(0, 1.0, 60))
    [event] = detect_drift(runs, FRAME, costs=costs).events
    before, since = event.cost
    assert before == pytest.approx(0, abs=0.1)
    assert since - before == pytest.approx(0.95, abs=0.1)  # one cell in twenty is missing
    assert detect_drift(runs, FRAME).events[0].cost is None


def test_an_alarm_whose_runs_before_have_no_scores_tells_no_cost() -> None:
    runs = runs_of(42, step(2, 2.0, 41))
    start = FRAME.edges.starts[-2]
    for run in runs[:41]:
        run.profile.counts[start] = run.profile.counts[start:].sum()
        run.profile.counts[start + 1 :] = 0
    [event] = detect_drift(runs, FRAME, costs=FRAME.edges.score.means).events
    assert event.cost is None


def test_costs_by_slot_add_up_to_what_calibrated_rows_cost() -> None:
    random = np.random.default_rng(3)
    p = random.beta(0.5, 4.0, 20_000)
    truth, matrix = random.random(len(p)) < p, Matrix(np.empty((len(p), 0), np.float32), (), {})
    found = compute_edges(matrix, p)
    counts = count_profile(found, matrix, p).counts[1:]
    costs = compute_costs(found.score, 1 / 21, 20.0, 1.0)
    wrong = np.where(p >= 1 / 21, ~truth * 1.0, truth * 20.0)
    assert counts @ costs / len(p) == pytest.approx(wrong.mean(), abs=4 * wrong.std() / np.sqrt(len(p)))
    assert counts @ costs / len(p) == pytest.approx(np.where(p >= 1 / 21, 1 - p, 20 * p).mean(), rel=0.02)


def test_a_further_column_is_an_alarm_of_its_own_with_its_own_beginning_and_end() -> None:
    def change(run: int, values: np.ndarray) -> None:
        values[:, 2] += 3.0 * (run >= 60)
        values[:, 3] -= 75 <= run < 90

    looked = detect_drift(runs_of(110, change), FRAME)
    assert [(event.what, event.begun) for event in looked.events] == [
        *(("started", "r60"), ("started", "r75"), ("ended", "r75")),
    ]
    assert looked.events[1].size < looked.events[0].size / 2  # which is no reason to keep it back
    for event, column, since in ((looked.events[0], "c", 59), (looked.events[1], "d", 74)):
        assert {(one.series.column, one.since_at) for one in event.findings} == {(column, BEGIN + since * HOURS)}
    assert [event.begun for event in looked.standing] == ["r60"]


def test_a_category_that_training_had_not_seen_is_an_alarm_whatever_else_of_its_column_is_known() -> None:
    def change(run: int, values: np.ndarray) -> None:
        if run >= 60:
            values[:150, 6] = 2
        if run >= 75:
            values[:100, 6] = np.nan

    looked = detect_drift(runs_of(100, change, nulls=lambda run: 100 if run >= 90 else 0), FRAME)
    assert [event.run_id for event in looked.events if event.what == "started"] == ["r60", "r75", "r90"]
    assert looked.events[1].findings[0].series == Series("unseen", "tool")
    assert Series("missing", "tool") in {one.series for one in looked.events[2].findings}


def test_a_change_of_ranks_that_does_not_show_in_the_columns_unit_is_no_alarm() -> None:
    """The lower half of a column with a long tail spreads over more ranks; its SD, which the tail makes, stays."""

    def profile(run: int) -> Matrix:
        values = rows_of(np.random.default_rng(run), 300)
        low = -np.abs(np.random.default_rng(run).standard_normal(150)) * (1.6 if run >= 60 else 1.0)
        values[:, 0] = np.exp(4 * np.concatenate([low, np.linspace(0, 3, 150)]))
        return Matrix(values, (*NAMES, "tool"), {"tool": TOOL})

    parts = [profile(run) for run in range(90)]
    training = replace(parts[0], values=np.concatenate([part.values for part in parts[:40]]))
    edges = compute_edges(training, np.zeros(12_000))
    runs = [Run(f"r{k}", BEGIN + k * HOURS, count_profile(edges, part, np.zeros(300))) for k, part in enumerate(parts)]
    looked = detect_drift(runs, Frame(edges, count_profile(edges, training, np.zeros(12_000))), {"a": 0.4})
    [scale] = [state for state in looked.table if state.series == Series("scale", "a")]
    assert scale.since == "r60"  # it is seen, and left in the table
    assert scale.size > 1
    assert scale.now == pytest.approx(scale.was, rel=0.1)
    assert looked.events == ()


def test_what_the_model_hardly_uses_is_kept_in_the_table_and_alarms_nobody() -> None:
    weights = dict.fromkeys(NAMES, 0.4) | {"c": 0.01}
    looked = detect_drift(runs_of(90, step(2, 1.0, 60)), FRAME, weights)
    assert looked.events == ()
    lines = [state for state in looked.table if state.since is not None]
    assert {(line.series.column, line.since) for line in lines} == {("c", "r60")}
    assert Series("location", "c") in {line.series for line in lines}
    assert all(0 < line.size < 1 for line in lines)


def test_columns_without_weight_are_in_the_table_beside_an_alarm_of_others() -> None:
    def change(run: int, values: np.ndarray) -> None:
        values[:, 2:4] += run >= 60

    looked = detect_drift(runs_of(90, change), FRAME, {"d": 0.5}, 0.1)
    [event] = looked.events
    assert looked.alarm is not None
    assert {finding.series.column for finding in event.findings} == {"d"}
    [line] = [state for state in looked.table if state.series == Series("location", "c")]
    assert (line.since, line.size) == ("r60", 0)


def test_small_shifts_of_many_columns_count_together() -> None:
    def change(run: int, values: np.ndarray) -> None:
        values[:, 1:6] += run >= 60

    weights = dict.fromkeys(NAMES, 0.035)
    assert detect_drift(runs_of(90, step(2, 1.0, 60)), FRAME, weights).events == ()
    assert detect_drift(runs_of(90, change), FRAME, weights).events[0].size > 1


def test_events_of_a_run_do_not_depend_on_later_runs() -> None:
    runs = runs_of(110, step(2, 0.7, 60, 80))
    whole = detect_drift(runs, FRAME).events
    for count in (50, 61, 70, 85, 100):
        assert detect_drift(runs[:count], FRAME).events == tuple(e for e in whole if int(e.run_id[1:]) < count)


def test_equal_runs_give_equal_answers() -> None:
    one, other = (detect_drift(runs_of(90, step(2, 0.5, 60)), FRAME) for _ in range(2))
    assert (one.events, one.table) == (other.events, other.table)


def test_before_there_are_enough_clean_runs_it_is_provisional_and_says_nothing() -> None:
    assert detect_drift([], FRAME).table == ()
    looked = detect_drift(runs_of(CLEAN, step(2, 3.0, 20)), FRAME)
    assert (looked.provisional, looked.events) == (True, ())
    assert not detect_drift(runs_of(CLEAN + 1), FRAME).provisional


def test_a_column_whose_values_are_all_gone_needs_no_clean_runs_to_be_told() -> None:
    def change(run: int, values: np.ndarray) -> None:
        if 3 <= run < 6:
            values[:, 2] = np.nan

    looked = detect_drift(runs_of(8, change), FRAME)
    assert looked.provisional
    assert [(event.what, event.run_id) for event in looked.events] == [("started", "r3"), ("ended", "r6")]
    [finding] = looked.events[0].findings
    assert (finding.series, finding.since) == (Series("missing", "c"), "r3")
    assert (finding.was, finding.now) == (pytest.approx(0.05, abs=0.01), 1.0)
    nearly = detect_drift(runs_of(8, lambda run, values: values.__setitem__((slice(1, 300), 2), np.nan)), FRAME)
    assert nearly.events == ()  # values that come now and then may be usual: that clean runs say


def test_blocks_of_the_training_rows_can_be_the_clean_runs() -> None:
    """They have a profile alone; what they do not have is learned from the runs."""
    blocks = [replace(run, rows=None, quarantined=None, flagged=None, age=None) for run in runs_of(60, seed=2)]
    later = [replace(run, at=run.at + 60 * HOURS) for run in runs_of(30, step(2, 1.0, 3))]
    looked = detect_drift([*blocks, *later], FRAME, clean=60)
    [event] = looked.events
    assert (event.run_id, looked.needed) == ("r3", 60)


def test_the_shares_of_kinds_add_up_and_what_is_not_there_leaves_its_share_to_the_others() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


def test_a_pause_brings_no_more_than_a_day_and_runs_share_what_a_day_brings() -> None:
    assert level_of_runs(np.full(120, 6.0), 1.0).sum() == pytest.approx(1)
    assert level_of_runs(np.full(8_640, 1 / 12), 1.0).sum() == pytest.approx(1)
    assert level_of_runs(np.array([24.0, 500.0]), 3.0).tolist() == [0.1, 0.1]


def test_small_runs_are_looked_at_together() -> None:
    runs = [replace(run, at=BEGIN + place * timedelta(minutes=5)) for place, run in enumerate(runs_of(9, rows=20))]
    found = merge_small_runs(runs, FRAME.edges)
    assert [(run.run_id, run.rows) for run in found] == [("r2", 60)]
    hourly = [replace(run, at=BEGIN + place * timedelta(hours=1)) for place, run in enumerate(runs_of(9, rows=60))]
    assert [(run.run_id, run.rows) for run in merge_small_runs(hourly, FRAME.edges)] == [
        ("r0", 60),
        ("r4", 240),
        ("r8", 240),
    ]
    assert np.array_equal(found[0].profile.counts, sum(run.profile.counts for run in runs[:3]))
    assert merge_small_runs(runs[:2], FRAME.edges) == []
    assert [run.rows for run in merge_small_runs(runs_of(6, rows=5), FRAME.edges)] == [25]  # a day's


def test_weights_are_the_shares_of_the_scores_sd() -> None:
    random = np.random.default_rng(11)
    contributions = random.standard_normal((20_000, 3)) * [3.0, 4.0, 0.0]
    assert score_weights(("a", "b", "c"), contributions) == pytest.approx({"a": 0.6, "b": 0.8, "c": 0.0}, abs=0.02)


@pytest.mark.parametrize(("changed", "is_first"), [(0, True), (2, False)])
def test_what_began_with_a_versions_first_run_may_be_older_and_says_so(changed: int, is_first: bool) -> None:
    def shift(run: int, values: np.ndarray) -> None:
        if run >= 60 + changed:
            values[:, 0] += 2.0

    runs = runs_of(70, shift)
    blocks = [replace(run, run_id="") for run in runs[:60]]
    looked = detect_drift([*blocks, *runs[60:]], FRAME, clean=60)
    assert looked.alarm is not None
    assert {finding.is_first for finding in looked.alarm.findings} == {is_first}
    assert ("or before (the version's first run)" in describe_alarm(looked.alarm, values=False)) == is_first
