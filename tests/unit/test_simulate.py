"""The fab simulator: what a test concludes from simulated rows is only as good as these promises."""

import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rowcast.errors import ConfigError
from rowcast.simulate import BAD_KINDS, Fab, Truth, simulate

SMALL = Fab(rows=3_030, sensors=24, bad_rows=0.02)
CLEAN = Fab(rows=10_000, sensors=40, bad_rows=0, missing_rate=0)


def table(fab: Fab, chunk_rows: int = 50_000) -> pa.Table:
    return pa.Table.from_batches(list(simulate(fab, chunk_rows).batches()))


def sensors(rows: pa.Table) -> list[str]:
    return [name for name in rows.column_names if name.startswith("s")]


def matrix(rows: pa.Table, names: list[str]) -> np.ndarray:
    """Shape (n, len(names)); text becomes codes."""
    columns = [pc.rank(rows[name], tiebreaker="dense") if name in ("tool", "chamber") else rows[name] for name in names]
    return np.column_stack([column.to_numpy(zero_copy_only=False).astype(float) for column in columns])


def good(fab: Fab, truth: Truth) -> np.ndarray:
    mask = np.ones(fab.rows, bool)
    mask[[bad.row for bad in truth.bad]] = False
    return mask


@pytest.fixture(scope="module")
def fab() -> Fab:
    return Fab()


@pytest.fixture(scope="module")
def rows(fab: Fab) -> pa.Table:
    return table(fab)


@pytest.fixture(scope="module")
def truth(fab: Fab) -> Truth:
    return simulate(fab).truth


def written(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return sink.getvalue().to_pybytes()


def test_the_same_fab_gives_the_same_bytes_and_another_seed_other_rows() -> None:
    assert written(table(SMALL)) == written(table(SMALL))
    assert not table(SMALL)["s001"].equals(table(replace(SMALL, seed=8))["s001"])


@pytest.mark.parametrize("chunk_rows", [1, 700, 1_000, 1_001, 100_000])
def test_the_content_does_not_depend_on_the_chunk_size(chunk_rows: int) -> None:
    sizes = [batch.num_rows for batch in simulate(SMALL, chunk_rows).batches()]
    assert set(sizes[:-1]) <= {chunk_rows}
    assert 0 < sizes[-1] <= chunk_rows
    assert table(SMALL, chunk_rows).combine_chunks().equals(table(SMALL).combine_chunks())


def test_the_schema_is_known_before_any_row_is_drawn(rows: pa.Table) -> None:
    assert simulate(Fab()).schema.equals(rows.schema)
    names = rows.column_names
    assert names[:6] == ["wafer_id", "lot_id", "tool", "chamber", "recipe", "measured_at"]
    assert names[6:] == [*(f"s{place:03d}" for place in range(1, 101)), "failed", "labelled_at"]


@pytest.mark.parametrize("rows", [1, 2, 26, 1_001])
def test_any_number_of_rows_can_be_simulated(rows: int) -> None:
    assert table(replace(SMALL, rows=rows)).num_rows == rows
    assert len(simulate(replace(SMALL, rows=rows)).truth.outcome) == rows


def test_about_as_many_wafers_fail_as_asked_for(truth: Truth) -> None:
    assert truth.probability.mean() == pytest.approx(0.066, abs=0.002)
    assert truth.outcome.mean() == pytest.approx(0.066, abs=0.008)
    often = simulate(replace(CLEAN, failure_rate=0.3)).truth
    assert often.outcome.mean() == pytest.approx(0.3, abs=0.02)


def test_about_as_many_cells_are_missing_as_asked_for_alone_in_groups_and_by_sampling(rows: pa.Table) -> None:
    missing = np.column_stack([rows[name].is_null().to_numpy() for name in sensors(rows)])
    assert missing.mean() == pytest.approx(0.045, abs=0.005)
    sampled = missing.mean(axis=0) > 0.3
    assert 1 <= sampled.sum() <= 5
    whole_groups = missing.reshape(400, 25, 10, 10).all(axis=(1, 3))
    assert whole_groups.mean() == pytest.approx(0.015, abs=0.006)
    alone = missing[:, ~sampled].mean() - whole_groups.mean()
    assert alone == pytest.approx(0.015, abs=0.003)


def test_sensors_differ_in_scale_and_some_are_constant_skewed_or_twins() -> None:
    rows = table(CLEAN)
    readings = matrix(rows, sensors(rows))
    constant = readings.min(axis=0) == readings.max(axis=0)
    assert 1 <= constant.sum() <= 4
    readings = readings[:, ~constant]
    spread = readings.std(axis=0)
    assert spread.max() / spread.min() > 1e5
    skew = (((readings - readings.mean(axis=0)) / spread) ** 3).mean(axis=0)
    assert 2 <= (skew > 1).sum() <= 16
    twins = simulate(CLEAN).truth.twins
    assert twins
    for twin, source in twins.items():
        ranks = (
            matrix(rows, [twin, source]).argsort(axis=0).argsort(axis=0)
        )  # a twin may be skewed where the other is not
        assert np.corrcoef(ranks.T)[0, 1] > 0.98


def test_rows_come_in_time_order_with_ties_and_keys_nearly_so(rows: pa.Table, fab: Fab) -> None:
    times = rows["measured_at"].drop_null()
    assert times.combine_chunks().equals(times.take(pc.sort_indices(times)).combine_chunks())
    assert pc.count_distinct(times).as_py() < 0.6 * len(times)
    assert fab.start <= times[0].as_py() <= times[-1].as_py() < fab.end
    lots = np.array([int(lot[1:]) for lot in rows["lot_id"].to_pylist()])
    late = np.maximum.accumulate(lots) - lots
    assert 0 < late.max() <= 7


def test_lots_have_25_wafers_with_keys_of_their_own_one_tool_and_all_chambers() -> None:
    clean = table(CLEAN)
    per_lot = clean.group_by("lot_id").aggregate([("tool", "count_distinct"), ("chamber", "count_distinct")])
    assert set(per_lot["tool_count_distinct"].to_pylist()) == {1}
    assert set(per_lot["chamber_count_distinct"].to_pylist()) == {3}
    assert set(Counter(clean["lot_id"].to_pylist()).values()) == {25}
    assert all(
        key.startswith(lot) for key, lot in zip(*(clean[k].to_pylist() for k in ("wafer_id", "lot_id")), strict=True)
    )
    assert len(set(clean["wafer_id"].to_pylist())) == clean.num_rows


def test_labels_arrive_two_to_nine_days_later_and_only_the_last_are_open(
    rows: pa.Table, fab: Fab, truth: Truth
) -> None:
    assert rows["failed"].is_null().equals(rows["labelled_at"].is_null())
    delay = truth.labelled_at - truth.measured_at
    assert delay.min() >= np.timedelta64(2, "D")
    assert delay.max() <= np.timedelta64(9, "D")
    end = np.datetime64(fab.end.replace(tzinfo=None))
    unlabelled = rows["failed"].is_null().to_numpy()
    assert np.array_equal(unlabelled, truth.labelled_at > end)
    assert unlabelled[truth.measured_at > end - np.timedelta64(2, "D")].all()
    assert not unlabelled[truth.measured_at < end - np.timedelta64(9, "D")].any()
    known = ~unlabelled
    assert np.array_equal(rows["failed"].to_numpy()[known], truth.outcome[known])
    assert np.array_equal(rows["labelled_at"].to_numpy()[known], truth.labelled_at[known])


def test_labels_can_be_hidden_from_a_moment_on_and_nothing_else_changes(rows: pa.Table, fab: Fab) -> None:
    moment = datetime(2026, 4, 1, tzinfo=UTC)
    hidden = table(replace(fab, label_until=moment))
    ends = ["failed", "labelled_at"]
    assert hidden.drop_columns(ends).equals(rows.drop_columns(ends))
    assert pc.max(hidden["labelled_at"]).as_py() <= moment
    early = pc.less_equal(rows["labelled_at"], pa.scalar(moment)).fill_null(False)
    assert hidden["failed"].is_valid().equals(early)
    assert hidden.filter(early).equals(rows.filter(early))


def found_bad(rows: pa.Table) -> set[tuple[int, str]]:
    """What is wrong with the rows by looking at them alone."""
    keys = rows["wafer_id"].to_pylist()
    counts = Counter(keys)
    readings = matrix(rows, sensors(rows))
    masks = {
        "null_key": rows["wafer_id"].is_null().to_numpy(),
        "repeated_key": np.array([key is not None and counts[key] > 1 for key in keys]),
        "null_time": rows["measured_at"].is_null().to_numpy(),
        "infinite_value": np.isinf(readings).any(axis=1),
        "impossible_value": (np.isfinite(readings) & (np.abs(readings) > 1e11)).any(axis=1),
    }
    return {(int(row), kind) for kind, mask in masks.items() for row in np.flatnonzero(mask)}


@pytest.mark.parametrize(
    "fab", [Fab(), SMALL, CLEAN, replace(SMALL, bad_rows=0.4)], ids=["usual", "small", "no", "most"]
)
def test_exactly_those_rows_are_bad_that_the_truth_names(fab: Fab) -> None:
    rows, bad = table(fab), simulate(fab).truth.bad
    assert found_bad(rows) == {(one.row, one.kind) for one in bad}
    assert [one.row for one in bad] == sorted({one.row for one in bad})
    assert len(bad) == pytest.approx(fab.rows * fab.bad_rows, abs=2)
    for one in bad:
        assert rows["wafer_id"][one.row].as_py() == one.wafer_id
        value = abs(rows[one.sensor][one.row].as_py()) if one.sensor else None
        assert value == {"impossible_value": 1e12, "infinite_value": np.inf}.get(one.kind)


def test_a_repeated_row_is_the_same_in_every_cell_and_in_the_truth() -> None:
    rows, truth = table(SMALL), simulate(SMALL).truth
    twice = [one.row for one in truth.bad if one.kind == "repeated_key"]
    assert twice
    for first, second in zip(twice[::2], twice[1::2], strict=True):
        assert rows.slice(first, 1).to_pylist() == rows.slice(second, 1).to_pylist()
        assert truth.probability[first] == truth.probability[second]


def test_every_kind_of_bad_row_comes_early_late_and_in_the_last_unlabelled_days(fab: Fab, truth: Truth) -> None:
    end = np.datetime64(fab.end.replace(tzinfo=None))
    share = (truth.measured_at - np.datetime64(fab.start.replace(tzinfo=None))) / np.timedelta64(180, "D")
    for mask in (share < 0.5, share > 0.5, truth.measured_at > end - np.timedelta64(2, "D")):
        assert {one.kind for one in truth.bad if mask[one.row]} == set(BAD_KINDS)


def test_a_table_that_refuses_some_bad_rows_gets_only_the_others() -> None:
    kinds = ("null_time", "impossible_value")
    fab = replace(SMALL, bad_kinds=kinds)
    assert {kind for _, kind in found_bad(table(fab))} == set(kinds)
    assert simulate(replace(SMALL, bad_kinds=())).truth.bad == ()


def test_drifting_sensors_move_from_their_time_on_and_nothing_else_moves() -> None:
    still = replace(CLEAN, drift=False)
    truth, rows, undrifted = simulate(CLEAN).truth, table(CLEAN), table(still)
    times = truth.measured_at.astype("datetime64[us]")
    tools = rows["tool"].to_numpy()
    untouched = set(sensors(rows)) - {name for drift in truth.drifts for name in drift.sensors}
    assert all(rows[name].equals(undrifted[name]) for name in untouched)
    assert simulate(still).truth.drifts == ()
    for drift in truth.drifts:
        starts = np.datetime64(drift.starts.replace(tzinfo=None))
        drifting = (times > starts) & ((tools == drift.tool) | (drift.tool is None))
        for name in drift.sensors:
            before = matrix(undrifted, [name])[:, 0]
            moved = (matrix(rows, [name])[:, 0] - before) / before.std()
            assert not moved[times < starts].any()
            assert not moved[~drifting & (times != starts)].any()
            assert (moved[drifting] > 0).all()
            assert moved[drifting & (times > times[-1] - np.timedelta64(5, "D"))].mean() > 0.8


def test_a_drift_stands_out_from_what_sensors_do_anyway() -> None:
    truth, rows = simulate(CLEAN).truth, table(CLEAN)
    drifting = {name for drift in truth.drifts for name in drift.sensors}

    def shift(name: str, drift: Any) -> float:
        """Of the mean between the 50 days before and the last 20 days, in standard deviations."""
        mask = np.ones(rows.num_rows, bool) if drift.tool is None else rows["tool"].to_numpy() == drift.tool
        values, days = matrix(rows, [name])[:, 0], truth.measured_at.astype("datetime64[D]")
        starts = np.datetime64(drift.starts.replace(tzinfo=None), "D")
        old = values[mask & (days < starts) & (days > starts - 50)]
        return float(abs(values[mask & (days > days[-1] - 20)].mean() - old.mean()) / (old.std() + 1e-9))

    for drift in truth.drifts:
        calm = [shift(name, drift) for name in set(sensors(rows)) - drifting]
        assert min(shift(name, drift) for name in drift.sensors) > 2 * max(calm)


def test_the_drifts_are_one_gradual_on_a_tool_and_one_step_and_a_sensor_of_each_matters(truth: Truth) -> None:
    gradual, step = truth.drifts
    assert (gradual.kind, step.kind) == ("gradual", "step")
    assert gradual.tool == "ETCH-02"
    assert step.tool is None
    assert gradual.starts < step.starts
    assert set(gradual.sensors) & set(truth.matters)
    assert set(step.sensors) & set(truth.matters)
    assert not set(gradual.sensors) & set(step.sensors)


def explained(features: np.ndarray, target: np.ndarray) -> float:
    """R² on every second row of a boosted regression on the others."""
    fitted = lightgbm.train(
        {"verbose": -1, "num_threads": 1, "num_leaves": 31, "learning_rate": 0.15},
        lightgbm.Dataset(features[::2], target[::2]),
        150,
    )
    rest = target[1::2]
    return float(1 - ((rest - fitted.predict(features[1::2])) ** 2).mean() / rest.var())


def test_the_columns_that_matter_explain_the_probability_and_the_others_do_not() -> None:
    truth, rows = simulate(CLEAN).truth, table(CLEAN)
    log_odds = np.log(truth.probability / (1 - truth.probability))
    assert Counter(truth.matters.values()) == {"linear": 5, "interaction": 4, "nonlinear": 1, "category": 2}
    known = explained(matrix(rows, list(truth.matters)), log_odds)
    assert known > 0.9
    others = [name for name in sensors(rows) if name not in truth.matters and name not in truth.twins]
    assert explained(matrix(rows, others), log_odds) < 0.5
    for name in truth.matters:
        rest = [other for other in truth.matters if other != name]
        assert explained(matrix(rows, rest), log_odds) < known


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_true_probability_ranks_well_but_not_perfectly(seed: int) -> None:
    truth = simulate(Fab(seed=seed)).truth
    assert 0.89 < roc_auc_score(truth.outcome, truth.probability) < 0.95


def test_a_constant_score_ranks_nothing(truth: Truth) -> None:
    assert roc_auc_score(truth.outcome, np.zeros(len(truth.outcome))) == 0.5


def test_boosted_trees_get_most_of_the_way_to_the_truth_and_a_linear_model_does_not(
    fab: Fab, rows: pa.Table, truth: Truth
) -> None:
    usable, early = good(fab, truth), np.arange(fab.rows) < 0.7 * fab.rows
    train, later = early & usable, ~early & usable
    features = matrix(rows, [*sensors(rows), "tool", "chamber"])
    settings = {
        "objective": "binary",
        "verbose": -1,
        "num_threads": 1,
        "learning_rate": 0.05,
        "num_leaves": 15,
        "seed": 1,
    }
    settings |= {"feature_fraction": 0.5, "lambda_l2": 5}
    data = lightgbm.Dataset(features[train], truth.outcome[train], categorical_feature=[100, 101])
    trees = lightgbm.train(settings, data, 200).predict(features[later])
    low, high = np.nanpercentile(features[train], [0.1, 99.9], axis=0)
    linear = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=0.03, max_iter=1_000))
    linear.fit(np.clip(features, low, high)[train], truth.outcome[train])
    straight = linear.predict_proba(np.clip(features, low, high)[later])[:, 1]
    best, reached, simple = (
        roc_auc_score(truth.outcome[later], score) - 0.5 for score in (truth.probability[later], trees, straight)
    )
    assert reached > 0.85 * best
    assert simple < 0.75 * best


def peak(fab: Fab) -> int:
    """Most bytes held at once, by numpy, Python and Arrow, while batches are drawn and dropped."""
    simulation, before, most = simulate(fab, 2_000), pa.total_allocated_bytes(), 0
    tracemalloc.start()
    for batch in simulation.batches():
        most = max(most, pa.total_allocated_bytes() - before)
        del batch
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most + traced


def test_memory_depends_on_the_chunk_and_not_on_the_number_of_rows() -> None:
    few, many = (peak(replace(SMALL, rows=rows, bad_rows=0.002)) for rows in (8_000, 40_000))
    assert many < 1.3 * few


def test_the_first_batch_of_a_big_fab_comes_without_the_rest() -> None:
    first = next(simulate(Fab(rows=2_000_000, sensors=20), 1_500).batches())
    assert first.num_rows == 1_500


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 0},
        {"sensors": 19},
        {"start": datetime(2026, 1, 5)},
        {"failure_rate": 0},
        {"missing_rate": 0.9},
        {"label_delay_days": (9, 2)},
        {"bad_rows": 0.5},
        {"bad_kinds": ("typo",)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_fab_that_cannot_be_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Fab(**wrong)
    with pytest.raises(ConfigError, match="chunk_rows"):
        simulate(SMALL, 0)


def test_a_defect_can_damage_its_tool_until_maintenance() -> None:
    fab = Fab(rows=6_000, sensors=20, bad_rows=0, missing_rate=0, drift=False, memory=3.0)
    simulation, usual = simulate(fab), simulate(replace(fab, memory=0.0)).truth
    truth, tool = simulation.truth, np.array(pa.Table.from_batches(simulation.batches())["tool"].to_pylist())
    damaged = truth.probability > usual.probability
    assert 0.05 < damaged.mean() < 0.8
    assert (truth.probability[~damaged] == usual.probability[~damaged]).all()
    for name in set(tool):
        times = np.array([each.done_at.replace(tzinfo=None) for each in truth.maintenance if each.tool == name])
        span = np.searchsorted(times.astype("datetime64[us]"), truth.measured_at[tool == name], side="right")
        for part in set(span):
            mine = np.flatnonzero(tool == name)[span == part]
            if not damaged[mine].any():
                continue
            first = int(damaged[mine].argmax())  # a defect was before it, and nothing ends it but maintenance
            assert damaged[mine][first:].all()
            assert first > 0
            assert truth.outcome[mine[first - 1]] == 1


def test_the_end_is_the_start_and_the_days() -> None:
    assert Fab(days=2).end - Fab().start == timedelta(days=2)
